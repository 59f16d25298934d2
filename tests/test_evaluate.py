import json
import shutil

import pytest
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import worlds
from learned_envs.evaluation.evaluate import evaluate
from learned_envs.models.checkpoint import CARD

CARD_BEFORE = """# A dream

## Measured

### Breakout: error on held-out play

old figures

### Breakout: the same policies in both worlds

figures of another command
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    weights = save_tiny(folder / "weights", tiny_model(tiny_config(64)), world="breakout")
    (weights / CARD).write_text(CARD_BEFORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("learned_envs.evaluation.evaluate.packaged", lambda _: weights)
        figures = evaluate(
            worlds.get("breakout"), str(weights), rollouts=4, steps=30, rows=1,
            out=folder / "figures.json", docs=folder / "docs", card=True,
            command="learned-envs evaluate breakout",
        )  # fmt: skip
    return folder, figures


def test_real_play_keeps_every_law_and_an_untrained_dream_does_not(measured):
    _, figures = measured
    laws = figures["laws_careful"]["laws"]
    assert all(law["real"] == 1 for law in laws.values())
    assert laws["clean"]["held"] < 0.5


def test_a_pixel_codec_has_no_ceiling_below_the_cap(measured):
    _, figures = measured
    assert figures["one_step"]["codec"]["psnr"] == [60.0]
    assert figures["one_step"]["prediction"]["psnr"][0] < 60


def test_the_figures_are_written_as_json(measured):
    folder, figures = measured
    assert json.loads((folder / "figures.json").read_text()) == figures


def test_the_results_page_names_the_command(measured):
    folder, _ = measured
    page = (folder / "docs/results.md").read_text()
    assert page.count("`learned-envs evaluate breakout`") == 4


def test_the_model_card_keeps_its_head_and_gets_new_figures(measured):
    folder, _ = measured
    card = (folder / "weights" / CARD).read_text()
    assert card.startswith("# A dream")
    assert "old figures" not in card
    assert "laws in free rollouts" in card
    assert "figures of another command" in card


def test_weights_that_are_not_packaged_leave_a_row_and_no_tables(measured, tmp_path):
    folder, _ = measured
    docs = tmp_path / "docs"
    shutil.copytree(folder / "docs", docs)
    trained = {"preset": "seed", "rows": 1, "of": 200}
    config = tiny_config(64)
    weights = save_tiny(
        tmp_path / "w", tiny_model(config), world="breakout", settings={"trained": trained}
    )
    evaluate(
        worlds.get("breakout"), str(weights), rollouts=2, steps=4, rows=1, docs=docs,
        command="measured again",
    )  # fmt: skip
    rows = json.loads((docs / "results/breakout-0-standing.json").read_text())["rows"]
    assert [row[0] for row in rows] == ["own", "seed"]
    assert rows[0][1] == "whole"
    assert rows[1][1] == '<span style="color: grey">0.5%</span>'
    assert (docs / "results.md").read_text().count("measured again") == 1
