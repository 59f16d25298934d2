"""Films a walk through ViZDoom's "My Way Home": mp4 clips, and a CSV of the keys held for each.

    python3 -m venv doom && . doom/bin/activate && pip install vizdoom av
    python docs/film_my_way_home.py --out footage --hours 2

ViZDoom brings a pygame of its own, so it lives in an environment of its own, and this script needs
nothing of the library. What it leaves is footage like any other (docs/footage.md). The status bar
is in the picture. Now and then the walker opens the menu, by a key that is not in the CSV: to
whoever learns from the footage it opens by chance, and the world stands still behind it.

Footage that nobody learned from comes with the library. It is smaller, and filmed in walks of
numbers whose only take falls into the test split:

    python docs/film_my_way_home.py --out learned_envs/weights/my_way_home/held_out \
        --clips 910 917 942 --seconds 59 --small

`walk-000.truth.csv` says of every frame where the walker stood and whether the menu was open: for
measuring dreams of it, never for training them.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import vizdoom

FPS = 15
TICS = (2, 2, 3)  # of 35 a second, for one frame each
KEYS = ("forward", "back", "left", "right")
CLIP_SECONDS = 300
MENU_SECONDS = 45.0  # between two menus, in the mean
NEAR, FAR = 5, 13  # of the depth buffer: a wall to turn off from, and room to walk into
DRAWN = 0.15  # chance a frame to bend towards what is farthest away
BUTTONS = (
    vizdoom.Button.MOVE_FORWARD,
    vizdoom.Button.MOVE_BACKWARD,
    vizdoom.Button.TURN_LEFT,
    vizdoom.Button.TURN_RIGHT,
)


class Walker:
    """Wanders about: runs, turns off before walls, looks around and back again, rests."""

    def __init__(self, random: np.random.Generator):
        self._random = random
        self._plan: list[tuple[int, frozenset[str]]] = []
        self._avoiding: frozenset[str] = frozenset()

    def keys(self, depth: np.ndarray) -> frozenset[str]:
        """The keys held for the next frame.

        Args:
            depth: (240, 320), how far what is seen is away.
        """
        room = np.median(depth[90:130].reshape(40, 16, 20), (0, 2))  # from left to right
        ahead, deepest = room[7:9].min(), int(room.argmax())
        running = bool(self._plan) and "forward" in self._plan[0][1]
        if self._avoiding:
            if ahead < FAR and self._random.random() > 0.02:
                return self._avoiding
            self._avoiding = frozenset()
            self._plan = [(int(self._random.integers(10, 50)), frozenset({"forward"}))]
        elif running and ahead < NEAR:
            left, right = room[:8].max(), room[8:].max()
            turned = "left" if self._random.random() < left**2 / (left**2 + right**2) else "right"
            self._avoiding = frozenset({turned})
            return self._avoiding
        elif running and room[deepest] > 1.5 * ahead and self._random.random() < DRAWN:
            turned = "left" if deepest < 8 else "right"
            bend = max(1, round(abs(deepest - 7.5) / 2))
            self._plan.insert(0, (bend, frozenset({"forward", turned})))
        while not self._plan:
            self._plan = list(self._next())
        frames, held = self._plan[0]
        self._plan[0:1] = [(frames - 1, held)] if frames > 1 else []
        return held

    def _next(self) -> Iterator[tuple[int, frozenset[str]]]:
        random = self._random
        side, other = random.permutation(["left", "right"]).tolist()
        match random.choice(5, p=[0.5, 0.2, 0.14, 0.08, 0.08]):
            case 0:
                yield int(random.integers(8, 50)), frozenset({"forward"})
            case 1:  # a bend
                yield int(random.integers(4, 14)), frozenset({"forward", side})
            case 2:
                yield int(random.integers(3, 20)), frozenset({side})
            case 3:  # away and back
                frames = int(random.integers(10, 45))
                yield frames, frozenset({side})
                yield frames, frozenset({other})
            case _:
                held = frozenset({"back"} if random.random() < 0.5 else ())
                yield int(random.integers(4, 20)), held


def game(seed: int) -> vizdoom.DoomGame:
    """The scenario, as a person would see it in a window of 320x240 pixels."""
    made = vizdoom.DoomGame()
    made.load_config(os.path.join(vizdoom.scenarios_path, "my_way_home.cfg"))
    made.set_doom_config_path(os.path.join(tempfile.gettempdir(), "film_my_way_home.ini"))
    made.set_window_visible(False)
    made.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    made.set_screen_format(vizdoom.ScreenFormat.RGB24)
    made.set_render_hud(True)
    made.set_render_weapon(False)
    made.set_episode_timeout(0)
    made.set_available_buttons(list(BUTTONS))
    made.set_depth_buffer_enabled(True)
    variable = vizdoom.GameVariable
    made.set_available_game_variables([variable.POSITION_X, variable.POSITION_Y, variable.ANGLE])
    made.set_seed(seed)
    made.init()
    return made


def film(number: int, out: Path, seconds: float, small: bool) -> float:
    """Films one clip and returns its seconds. Who finds the vest is home, and begins elsewhere."""
    random, played = np.random.default_rng(number), game(number)
    walker, tic, frame = Walker(random), 0, 0
    name = out / f"walk-{number:03d}"
    menu = 0
    with (
        av.open(f"{name}.part.mp4", "w") as container,
        open(f"{name}.part.csv", "w", newline="") as sheet,
        open(f"{name}.part.truth.csv", "w", newline="") as known,
    ):
        stream = container.add_stream(
            "libx264", rate=FPS,
            options={"crf": "24", "preset": "slow"} if small
            else {"crf": "20", "preset": "veryfast"},
        )  # fmt: skip
        by = 2 if small else 1
        stream.width, stream.height, stream.pix_fmt = 320 // by, 240 // by, "yuv420p"
        rows = csv.writer(sheet)
        rows.writerow(["time", *KEYS])
        truth = csv.writer(known)
        truth.writerow(["frame", "x", "y", "angle", "menu"])
        while frame < seconds * FPS:
            state = played.get_state()
            shrunk = state.screen_buffer.reshape(240 // by, by, 320 // by, by, 3).mean((1, 3))
            picture = av.VideoFrame.from_ndarray(shrunk.round().astype(np.uint8), format="rgb24")
            picture.pts, picture.time_base = frame, Fraction(1, FPS)
            container.mux(stream.encode(picture))
            where = [f"{value:.1f}" for value in state.game_variables]
            truth.writerow([frame, *where, int(menu > 0)])
            if menu:
                menu -= 1
                held: frozenset[str] = frozenset()
                if not menu:
                    played.send_game_command("closemenu")
            else:
                held = walker.keys(state.depth_buffer)
                if random.random() < 1 / (MENU_SECONDS * FPS):
                    menu = int(random.integers(15, 45))
                    played.send_game_command("menu_main")
            for _ in range(TICS[frame % len(TICS)]):
                pressed = [int(key in held) for key in KEYS]
                rows.writerow([f"{tic / 35:.4f}", *pressed])
                played.make_action(pressed, 1)
                if played.is_episode_finished():
                    played.new_episode()
                tic += 1
            frame += 1
        container.mux(stream.encode())
    played.close()
    for kind in ("truth.csv", "csv", "mp4"):
        os.replace(f"{name}.part.{kind}", f"{name}.{kind}")
    return frame / FPS


def main() -> None:
    """Films until there are so many hours; clips that are there already are kept and counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--clips", type=int, nargs="+", help="film these numbers instead")
    parser.add_argument("--seconds", type=float, default=CLIP_SECONDS, help="of a clip")
    parser.add_argument("--small", action="store_true", help="at half the size")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    whole = 3600 * asked.hours if asked.clips is None else len(asked.clips) * asked.seconds
    numbers = itertools.count() if asked.clips is None else iter(asked.clips)
    done = 0.0
    while done < whole:
        number = next(numbers)
        path = asked.out / f"walk-{number:03d}.mp4"
        if path.exists():
            with av.open(str(path)) as clip:
                seconds = clip.streams.video[0].frames / FPS
        else:
            seconds = film(number, asked.out, min(asked.seconds, whole - done), asked.small)
        done += seconds
        print(f"{path}: {seconds:.1f} s, {done / 60:.1f} minutes in all", flush=True)


if __name__ == "__main__":
    main()
