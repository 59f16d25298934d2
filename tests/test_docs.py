import json
import re
import runpy
from pathlib import Path

from learned_envs.evaluation.results import Table, record_table

ROOT = Path(__file__).parents[1]


def test_the_environments_page_is_what_the_docstrings_say():
    page = runpy.run_path(str(ROOT / "docs/write_environments.py"))["environments_page"]()
    assert (ROOT / "docs/environments.md").read_text() == page


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert targets
    assert [t for t in targets if "://" not in t and not (ROOT / t).exists()] == []


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
