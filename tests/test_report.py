"""The page about a comparison: whole, self-contained, and saying what `metrics.json` says."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import worlds
from learned_envs.evaluation import make_referee
from learned_envs.evaluation.compare import compare, compare_envs
from learned_envs.evaluation.report import SHEET, sheet_grid, sprite_sheets
from learned_envs.evaluation.rollouts import rollout
from learned_envs.models.checkpoint import CARD

WORLD = worlds.get("breakout")
STEPS, SEED = 70, 3
VOID = {"meta", "link", "img", "input", "br", "hr"}
HOSTILE = '<script>steal()</script><img src="https://evil.test/x">"\'&lt;'
CARD_TEXT = f"""# A dream {HOSTILE}

## Measured

### Laws {HOSTILE}

`learned-envs evaluate {HOSTILE}`

| law | kept {HOSTILE} |  |
| --- | ---: | --- |
| ball | 12.34% |  |
| {HOSTILE} | {HOSTILE} | {HOSTILE} | too many |

Measured on a toy.
"""


class Page(HTMLParser):
    """Elements in their order, tables as rows of cells, and what does not balance."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.tables: list[list[list[str]]] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.unbalanced += self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(f"/{tag}")

    def handle_data(self, data):
        self.texts.append((tuple(self._open), data))
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def inside(self, tag: str) -> str:
        return "".join(data for parents, data in self.texts if tag in parents)

    def table(self, head: str) -> dict[str, list[str]]:
        """Rows by their names, of the table whose head begins with `head`."""
        (found,) = [table for table in self.tables if table[0][0] == head]
        return {name: cells for name, *cells in found[1:]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    weights = save_tiny(folder / "weights", tiny_model(tiny_config(64)), world="breakout")
    (weights / CARD).write_text(CARD_TEXT)
    command = f"learned-envs compare breakout --weights {HOSTILE}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("learned_envs.evaluation.compare.ERROR_ROWS", 1)
        paths = compare(
            WORLD, steps=STEPS, seed=SEED, weights=str(weights), out=folder, scale=1,
            command=command,
        )  # fmt: skip
    figures, text = (path.read_text() for path in paths[1:])
    return json.loads(figures), text, Page(text)


def clip_of(page: Page) -> dict:
    (clip,) = [data for parents, data in page.texts if "script" in parents and data[0] == "{"]
    return json.loads(clip)


def shown_frames(page: Page, kind: str, frames: int) -> np.ndarray:
    """What the page's script would draw at each step."""
    clip = clip_of(page)
    width, height = (int(page.all("canvas")[0][side] or 0) for side in ("width", "height"))
    sheets = {image["id"]: image["src"] or "" for image in page.all("img")}
    drawn = []
    for step in range(frames):
        source = sheets[f"{kind}-{step // clip['per_sheet']}"].partition(",")[2]
        image = Image.open(io.BytesIO(base64.b64decode(source)))
        place = step % clip["per_sheet"]
        x, y = place % clip["columns"] * width, place // clip["columns"] * height
        drawn.append(np.asarray(image.crop((x, y, x + width, y + height))))
    return np.stack(drawn)


def percent(share):
    return "–" if share is None else f"{100 * share:.2f}%"


def test_its_tags_balance_and_its_ids_are_unique(made):
    page = made[2]
    assert page.unbalanced == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids) > 50


def test_it_refers_to_nothing_outside_itself(made):
    _, text, page = made
    ids = {attributes.get("id") for _, attributes in page.elements}
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            target = attributes.get(name) or "data:"
            assert target.startswith("data:") or target[1:] in ids
    places = set(re.findall(r"url\(([^)]*)\)", text))
    assert all(place[0] == "#" and place[1:] in ids for place in places)
    assert "@import" not in text
    assert {tag for tag, _ in page.elements} & {
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    } == set()


def test_its_policy_lets_its_own_script_run_and_nothing_else(made):
    page = made[2]
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    (script,) = [data for parents, data in page.texts if "script" in parents and data[0] != "{"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]


def test_hostile_text_is_shown_as_text(made):
    page = made[2]
    assert len(page.all("script")) == 2
    assert all((image["src"] or "").startswith("data:image/png") for image in page.all("img"))
    assert page.inside("h3") == f"Laws {HOSTILE}"
    assert page.inside("pre").endswith(HOSTILE)
    assert page.tables[-1] == [
        ["law", f"kept {HOSTILE}", ""],
        ["ball", "12.34%", ""],
        [HOSTILE, HOSTILE, HOSTILE],
    ]


def test_every_law_is_told_with_its_figures(made):
    figures, _, page = made
    kept = {kind: figures[kind]["laws"]["laws"] for kind in ("real", "dream")}
    rows = page.tables[1]
    assert rows[0][0] == "law"
    laws = make_referee("breakout").laws
    assert [row[0] for row in rows[1:]] == list(laws)
    for law, *cells in rows[1:]:
        dream = kept["dream"][law]
        assert cells == [
            percent(kept["real"][law]["held"]),
            percent(dream["held"]),
            percent(dream["held_when_tested"]),
            f"{sum(dream['violations'])} of {sum(dream['tests'])}",
            laws[law],
        ]
    plots = "".join(svg["aria-label"] or "" for svg in page.all("svg"))
    for law, dream in kept["dream"].items():
        real = kept["real"][law]["held"]
        assert f"{law} {percent(real)} and {percent(dream['held'])}" in plots


def test_event_rates_are_those_of_the_figures(made):
    figures, _, page = made
    rows = page.table("event per 1,000 steps")
    assert list(rows) == list(figures["real"]["rates"])
    for event, cells in rows.items():
        drift = figures["drift"][event]
        assert cells == [
            f"{figures['real']['rates'][event]:.2f}",
            f"{figures['dream']['rates'][event]:.2f}",
            "–" if drift is None else f"{100 * drift:+.1f}%",
        ]


def test_errors_are_those_of_the_figures(made):
    figures, _, page = made
    horizons = figures["horizons"]
    rows = page.table("steps ahead")
    assert list(rows) == ["1", "2", "4", "8", "16", "32", "64"]
    for ahead, cells in rows.items():
        for name, cell in zip(("prediction", "copy last", "codec"), cells, strict=True):
            values = [horizons[name][m][int(ahead) - 1] for m in ("psnr", "changing_psnr", "ssim")]
            assert cell == f"{values[0]:.1f} / {values[1]:.1f} / {values[2]:.3f}"


def test_the_summary_is_that_of_the_figures(made):
    figures, _, page = made
    told = page.inside("dd")
    real, dream = figures["real"], figures["dream"]
    held = {law: now["held"] for law, now in dream["laws"]["laws"].items()}
    law = min(held, key=lambda name: held[name])
    assert f"{dream['score']:g}in the real game {real['score']:g}" in told
    assert f"{dream['episodes']}in the real game {real['episodes']}" in told
    assert f"{percent(held[law])}{law}" in told
    assert f"until step {figures['parted_at']}PSNR" in told
    assert f"{figures['mean_doubt']:.2f}mean" in told
    assert f"{figures['one_step']['prediction']['psnr'][0]:.1f} dB" in told


def test_the_steps_it_marks_are_those_that_the_figures_count(made):
    figures, _, page = made
    for kind in ("real", "dream"):
        marked = [law for laws in clip_of(page)[kind]["broken"].values() for law in laws]
        for law, counts in figures[kind]["laws"]["laws"].items():
            assert marked.count(law) == sum(counts["violations"])
    doubt = clip_of(page)["dream"]["doubt"]
    assert doubt[0] is None
    assert np.mean(doubt[1:]) == pytest.approx(figures["mean_doubt"], abs=1e-4)
    assert clip_of(page)["real"]["doubt"] == [None] * (STEPS + 1)


def test_its_clips_are_the_frames_that_were_played(made):
    page = made[2]
    player = WORLD.make_behaviour([next(iter(WORLD.behaviours))], [SEED])
    real = WORLD.make_real_vec(1, max_episode_steps=WORLD.max_episode_steps)
    played = rollout(real, player, STEPS, SEED).frames[:, 0]
    assert np.array_equal(shown_frames(page, "real", STEPS + 1), played)
    assert not np.array_equal(shown_frames(page, "dream", STEPS + 1), played)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (224, 224)])
def test_sheets_hold_any_number_of_frames(height, width):
    columns, rows = sheet_grid(height, width)
    assert columns * width <= SHEET[0] and rows * height <= SHEET[1]
    count = columns * rows
    small = np.random.default_rng(0).integers(0, 256, (count + columns + 6, 2, 3), dtype=np.uint8)
    frames = small[:, :1, None].repeat(height, 1).repeat(width, 2)
    sheets = [np.asarray(Image.open(io.BytesIO(sheet))) for sheet in sprite_sheets(frames)]
    assert [len(sheet) for sheet in sheets] == [rows * height, 2 * height]
    cells = [s.reshape(-1, height, columns, width, 3).swapaxes(1, 2) for s in sheets]
    held = np.concatenate([cell.reshape(-1, height, width, 3) for cell in cells])
    assert np.array_equal(held[: len(frames)], frames)


def test_plots_over_time_say_where_step_0_is(made):
    _, text, page = made
    figures = [attributes for attributes in page.all("figure") if "data-left" in attributes]
    boxes = [svg["viewbox"] or "" for svg in page.all("svg")][: len(figures)]
    marks = re.findall(r'id="[a-z]+-now">\s*<path d="M ([\d.]+)', text)
    assert len(figures) == len(marks) == 4
    for attributes, box, mark in zip(figures, boxes, marks, strict=True):
        left, width = float(attributes["data-left"] or 0), float(box.split()[2])
        end = left + STEPS * float(attributes["data-per"] or 0)
        assert left * width == pytest.approx(float(mark), abs=0.01)
        assert 0.9 < end < 1


def test_pictures_and_tables_can_be_heard(made):
    page = made[2]
    pictures = page.all("svg") + page.all("canvas")
    assert len(pictures) == 11
    assert all(p["role"] == "img" and len(p["aria-label"] or "") > 10 for p in pictures)
    assert all(image["alt"] for image in page.all("img"))
    assert all(head["scope"] in ("row", "col") for head in page.all("th"))
    assert {control["aria-label"] for control in page.all("input") + page.all("select")}


def test_what_was_not_measured_is_said(tmp_path):
    real, twin = WORLD.make_real_vec(1), WORLD.make_real_vec(1)
    *_, report = compare_envs(WORLD, real, twin, steps=3, out=tmp_path, scale=1)
    page = Page(report.read_text())
    assert page.unbalanced == []
    told = page.inside("p")
    assert "Not measured" in told
    assert "carries no model card" in told
    assert "to the end" in page.inside("dd")
    assert page.inside("pre") == "learned-envs compare breakout"


def test_a_card_without_figures_is_no_error(tmp_path):
    real, twin = WORLD.make_real_vec(1), WORLD.make_real_vec(1)
    *_, report = compare_envs(WORLD, real, twin, steps=3, out=tmp_path, scale=1, card="# A dream")
    assert "has no figures yet" in Page(report.read_text()).inside("p")
