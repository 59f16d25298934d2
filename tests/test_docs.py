import inspect
import json
import re
import runpy
from pathlib import Path

import pytest

from learned_envs.evaluation.results import Table, record_table

ROOT = Path(__file__).parents[1]


def test_the_environments_page_is_what_the_docstrings_say():
    page = runpy.run_path(str(ROOT / "docs/write_environments.py"))["environments_page"]()
    assert (ROOT / "docs/environments.md").read_text() == page


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    near = [target for target in targets if "://" not in target]
    assert [target for target in near if not (page.parent / target).exists()] == []


def test_commands_take_the_options_that_pages_give_them():
    from learned_envs.cli import COMMANDS
    from learned_envs.recording.commands import SOURCES
    from learned_envs.recording.dataset.commands import DATASET

    groups = {"record": SOURCES, "dataset": DATASET}
    text = "\n".join(page.read_text() for page in PAGES)
    typed = re.findall(r"learned-envs ((?:(?:record|dataset) )?[a-z]+)([^`\n#]*)", text)
    assert len(typed) > 30
    for name, rest in typed:
        words = name.split()
        second = groups.get(words[0], {}).get(words[-1])
        takes = inspect.signature(second or COMMANDS[words[0]]).parameters
        options = re.findall(r"(?<=--)[a-z-]+", rest)
        assert [option for option in options if option.replace("-", "_") not in takes] == []


def test_commands_of_the_readme_exist():
    from learned_envs.cli import COMMANDS

    named = set(re.findall(r"learned-envs ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named <= set(COMMANDS)
    assert named == set(COMMANDS)


def test_the_results_page_is_written_from_its_tables(tmp_path):
    page = ROOT / "docs/results.md"
    for path in sorted((ROOT / "docs/results").glob("*.json")):
        record_table(tmp_path, Table(**json.loads(path.read_text())))
    assert (tmp_path / "results.md").read_text() == page.read_text()


def test_a_table_replaces_the_one_of_its_name_and_leaves_the_others(tmp_path):
    def table(name, cell):
        return Table(name=name, title=name, command="c", columns=["x"], rows=[[cell]])

    for item in (table("a", "old"), table("b", "kept"), table("a", "new")):
        record_table(tmp_path, item)
    text = (tmp_path / "results.md").read_text()
    assert "new" in text
    assert "kept" in text
    assert "old" not in text
