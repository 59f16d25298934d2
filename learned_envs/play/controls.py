"""All that a person can do in the window, with the key and the button for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pygame

from learned_envs.play.session import Command
from learned_envs.play.snapshot import Mode, Snapshot
from learned_envs.play.stage import Stage
from learned_envs.play.widgets import Control

if TYPE_CHECKING:
    from learned_envs.play.window import Window

_TABS = {
    Mode.REAL: ("Real", "1"),
    Mode.DREAM: ("Dream", "2"),
    Mode.SIDE: ("Side by side", "3"),
    Mode.BLEND: ("Dream over real", "4"),
    Mode.REPLAY: ("Replay", "5"),
}
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)
WEIGHT_STEP = 0.04
OVERLAYS = {
    "change": ("Latent change", "c"),
    "doubt": ("Doubt", "u"),
    "action": ("Action", "i"),
    "path": ("Cursor's path", "m"),
    "blocks": ("Blocks", "b"),
}


def tabs(window: Window, now: Snapshot) -> list[Control]:
    """What is at the top: what is played, the full screen, the end."""
    modes = [
        Control(
            label=_TABS[mode][0],
            key=_TABS[mode][1],
            run=_sending(window, lambda stage, mode=mode: stage.show(mode)),
            lit=mode is now.mode,
        )
        for mode in now.modes
    ]
    return [
        *modes,
        Control(label="Full screen", key="f11", run=_toggle_full),
        Control(label="Quit", key="escape", run=window.quit),
    ]


def buttons(window: Window, now: Snapshot) -> list[Control]:
    """What is at the bottom: time, games, overlays, files."""
    dreams = Mode.DREAM in now.modes
    leads = dreams and (Mode.REAL in now.modes or now.mode is Mode.REPLAY)
    return [
        Control(
            label="Go on" if now.paused else "Pause",
            key="space",
            run=_sending(window, lambda stage: stage.set_paused(not now.paused)),
            lit=now.paused,
        ),
        Control(label="One step", key="n", run=_sending(window, _single_step)),
        Control(label="Slower", key="-", run=_sending(window, lambda s: _faster(s, -1))),
        Control(label="Faster", key="=", run=_sending(window, lambda s: _faster(s, 1))),
        Control(label="New game", key="r", run=_sending(window, Stage.reset)),
        Control(
            label="Same again", key="e", run=_sending(window, lambda stage: stage.reset(now.seed))
        ),
        *[Control(label="Dream takes over", key="t", run=_sending(window, Stage.take_over))]
        * leads,
        *_blend(window) * (now.mode is Mode.BLEND),
        *_sampler(window, now.sampler_steps),
        *[
            Control(
                label=label,
                key=key,
                run=lambda name=name: window.toggle(name),
                lit=name in window.overlays,
            )
            for name, (label, key) in OVERLAYS.items()
            if _has(window, name, dreams)
        ],
        Control(label="Save PNG", key="p", run=window.save_png),
        Control(label="Save GIF", key="g", run=window.save_gif),
    ]


def by_key_only(window: Window, now: Snapshot) -> list[Control]:
    """What has a key but no button of its own: the slider's two."""
    steps = {"[": -WEIGHT_STEP, "]": WEIGHT_STEP} if now.mode is Mode.BLEND else {}
    return [
        Control(label="", key=key, run=lambda by=by: window.set_weight(window.weight + by))
        for key, by in steps.items()
    ]


def _has(window: Window, name: str, dreams: bool) -> bool:
    """Whether an overlay has anything to show here."""
    if name == "path":
        return window.world.pointer is not None
    return dreams or name == "action"


def _blend(window: Window) -> list[Control]:
    return [
        Control(
            label=f"Dream {window.weight:.0%}",
            key="[ ]",
            run=lambda: None,
            value=window.weight,
            slide=window.set_weight,
        )
    ]


def _sampler(window: Window, steps: int | None) -> list[Control]:
    if steps is None:
        return []

    def change(by: int) -> Callable[[], None]:
        return _sending(window, lambda stage: stage.set_sampler_steps(steps + by))

    return [
        Control(label=f"Denoising steps {steps}: fewer", key=",", run=change(-1)),
        Control(label="more", key=".", run=change(1)),
    ]


def _sending(window: Window, command: Command) -> Callable[[], None]:
    return lambda: window.session.send(command)


def _single_step(stage: Stage) -> None:
    stage.set_paused(True)
    stage.tick()


def _faster(stage: Stage, by: int) -> None:
    place = SPEEDS.index(stage.speed) + by
    stage.set_speed(SPEEDS[min(max(place, 0), len(SPEEDS) - 1)])


def _toggle_full() -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_F11))
