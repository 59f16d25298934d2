"""The koi pond's diagnostics of a dream beside real ones, as `evaluate` writes them."""

import json

import numpy as np
import pytest
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import worlds
from learned_envs.evaluation import evaluate as evaluation
from learned_envs.evaluation import measures
from learned_envs.evaluation.koi_pond.likeness import Likeness
from learned_envs.evaluation.metrics import FrameError, HorizonErrors
from learned_envs.models.actions import PointActions

WHAT = (
    "count", "area", "motion", "crispness", "pattern", "bed", "vanishings", "teleports", "merges",
    "appearances", "contact", "pads", "ripples", "water without taps", "fish without taps",
    "flight within 1 s", "tap against no tap",
)  # fmt: skip
LIKENESS = Likeness(fish=25.0, ssim=0.9, rewards=0.5, ponds=3)


def no_errors(*_):
    nothing = FrameError(psnr=np.zeros(4), ssim=np.zeros(4), changing_psnr=np.zeros(4))
    errors = HorizonErrors(errors={"prediction": nothing, "copy last": nothing}, windows=1)
    return errors, errors


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A dream of noise, evaluated."""
    folder = tmp_path_factory.mktemp("pond")
    config = tiny_config(256, actions=PointActions(threshold=0.1))
    weights = save_tiny(folder / "weights", tiny_model(config), world="koi_pond")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "packaged", lambda _: weights)
        patch.setattr(measures, "measure_errors", no_errors)
        patch.setattr(measures, "codec_likeness", lambda *_: LIKENESS)
        figures = evaluation.evaluate(
            worlds.get("koi_pond"), str(weights), rollouts=2, steps=18, out=folder / "figures.json",
            docs=folder / "docs", card=True, command="learned-envs evaluate koi_pond",
        )  # fmt: skip
    return folder, figures


def test_all_diagnostics_are_reported_together(measured):
    folder, _ = measured
    for players in ("careful", "mixed"):
        table = json.loads(
            (folder / "docs/results" / f"koi_pond-2-pond-{players}.json").read_text()
        )
        assert table["columns"][1:] == ["dream", "real"]
        text = " ".join(row[0] for row in table["rows"])
        assert all(what in text for what in WHAT)


def test_the_page_and_the_model_card_show_them(measured):
    folder, _ = measured
    for page in (folder / "docs/results.md", folder / "weights/README.md"):
        assert "vanishings a fish-minute" in page.read_text()
        assert "| 25.0 | 0.9000 | 50% | 3 |" in page.read_text()
    assert "KoiPond: standing" in (folder / "docs/results.md").read_text()


def test_the_figures_are_written_as_json(measured):
    folder, figures = measured
    assert json.loads((folder / "figures.json").read_text()) == figures
    assert {"pond_careful", "pond_mixed"} < set(figures)


def test_real_ponds_are_found_faultless_beside_a_dream_of_noise(measured):
    _, figures = measured
    pond = figures["pond_careful"]
    assert pond["real"]["identity"][0]["fish"] == pond["real"]["identity"][0]["unharmed"] > 5
    assert pond["real"]["motion"][0][0] > 10
    assert pond["dream"]["motion"][0][0] < 0.5 * pond["real"]["motion"][0][0]
    assert any(sum(row) for row in pond["real"]["contrast"]["fish"])
