"""What is measured of a dreamed paint program, as `evaluate` writes it."""

import json
from functools import partial

import pytest
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import worlds
from learned_envs.evaluation import evaluate as evaluation
from learned_envs.evaluation import measures
from learned_envs.evaluation.minipaint.report import compare_programs
from learned_envs.models.actions import PointActions

STEPS = 20
TABLES = ("0-standing", "1-likeness", "2-controls", "2-strokes")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A dream of noise, evaluated as packaged weights are."""
    folder = tmp_path_factory.mktemp("paint")
    config = tiny_config(224, actions=PointActions(threshold=0.5))
    weights = save_tiny(folder / "weights", tiny_model(config), world="minipaint")
    report = "learned_envs.evaluation.minipaint.report"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "packaged", lambda _: weights)
        patch.setattr(f"{report}.compare_programs", partial(compare_programs, clicks=1))
        figures = evaluation.evaluate(
            worlds.get("minipaint"), str(weights), rollouts=2, steps=STEPS,
            out=folder / "figures.json", docs=folder / "docs", card=True,
            command="learned-envs evaluate minipaint",
        )  # fmt: skip
    return folder, figures


def test_every_table_and_the_plot_are_kept(measured):
    folder, _ = measured
    kept = {path.name for path in (folder / "docs/results").iterdir()}
    assert kept == {*(f"minipaint-{name}.json" for name in TABLES), "minipaint-1-likeness.svg"}


def test_the_page_shows_the_plot_with_its_table_and_the_model_card_the_tables(measured):
    folder, _ = measured
    page, card = (folder / name for name in ("docs/results.md", "weights/README.md"))
    assert "(results/minipaint-1-likeness.svg)" in page.read_text()
    assert "Minipaint: standing" in page.read_text()
    assert "Minipaint: clicks that were answered" in card.read_text()
    assert ".svg" not in card.read_text()


def test_the_figures_are_written_as_json(measured):
    folder, figures = measured
    assert json.loads((folder / "figures.json").read_text()) == figures
    assert figures["paint"]["fidelity"]["steps"] == [1, STEPS]


def test_a_dream_of_noise_is_found_so_beside_its_pixel_codec(measured):
    _, figures = measured
    fidelity = figures["paint"]["fidelity"]
    assert fidelity["codec"]["ssim"]["mean"][-1] > 0.999
    assert fidelity["dream"]["ssim"]["mean"][-1] < fidelity["copy first"]["ssim"]["mean"][-1]
    stir = figures["paint"]["stir"]
    assert min(stir["dream"]) > 0.1 > max(stir["real"])


def test_every_world_has_measures_and_a_number_of_rollouts():
    assert set(measures.MEASURES) == set(measures.ROLLOUTS) == set(worlds.names())
