"""How a dream of a filmed world fares against its footage: what goes wrong, and what inputs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from learned_envs.evaluation.footage.findings import Findings, Usual, findings, usual
from learned_envs.evaluation.footage.interface import interface_lag, interface_of
from learned_envs.evaluation.footage.made_faults import MADE
from learned_envs.evaluation.footage.memory import Memory, measure_memory
from learned_envs.evaluation.footage.rarity import Rarity, measure_rarity
from learned_envs.evaluation.footage.signs import Signs, signs_of
from learned_envs.evaluation.footage.stretches import Stretch, stretches
from learned_envs.evaluation.held_out import longest_held_out
from learned_envs.evaluation.results import Table
from learned_envs.models.dreaming import dream_frames
from learned_envs.models.world_model import WorldModel
from learned_envs.recording.opened import recordings_of
from learned_envs.worlds import World

STEPS = 450
_COUNTED = ("teleports", "deletions")  # of which a film may have some before one is made
_CALM = 1e-3  # of a component's value: nearer to idle than that, it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What was found in some films.

    Attributes:
        stuck: Share of the films that were.
        blurred: Share of the films that were.
        morphed: Share of the films that did.
        teleports: A minute.
        overlays: A minute.
        deletions: A minute.
        films: How many they were.
    """

    stuck: float
    blurred: float
    morphed: float
    teleports: float
    overlays: float
    deletions: float
    films: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What one input does, beside none at all: mean flow with it alone minus that when idle.

    Attributes:
        forward: Of `Signs.forward`, in pixels a step.
        turning: Of `Signs.turning`, in pixels a step.
    """

    forward: float
    turning: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageReport:
    """How a dream fares.

    Attributes:
        dream: What was found in dreamed films.
        real: What was found in the real ones: of faults, false alarms.
        found: Share of made faults that were found, by finding.
        effects: By input, its effect in dreamed and in real films; nan where it is never alone.
        interface_lag: Frames by which the interface comes later than the world in dreamed and in
            real films; None where there is none that follows it.
        rarity: How common and rare places fare; None without a training split.
        memory: Whether places are known again; None without a training split, or where no way of
            the test split leads back.
    """

    dream: Rates
    real: Rates
    found: Mapping[str, float]
    effects: Mapping[str, tuple[Effect, Effect]]
    interface_lag: tuple[int | None, int | None]
    rarity: Rarity | None
    memory: Memory | None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self)


def measure_footage(
    world: World, model: WorldModel, recordings: str, *, films: int, steps: int = STEPS, seed: int
) -> FootageReport:
    """Dreams stretches of the test split under their actions, and judges both.

    What is usual is learned from as many stretches of the training split; from others of the test
    split where there is no training split, as in the footage that comes with the library. Rare
    places and memory need one.

    Args:
        world: What is dreamed.
        model: What dreams it.
        recordings: Folder of its recording.
        films: Stretches of each kind.
        steps: Length of each; at most 450, and as long as the test split allows.
        seed: Of their choice and of the dreams' noise.

    Raises:
        ValueError: If a split holds no episode that is long enough.
    """
    store, before = recordings_of(world, recordings), model.span - 1
    steps = max(1, min(steps, STEPS, longest_held_out(store) - before))
    trained = bool(store.names("train"))
    known = stretches(store, "train" if trained else "test", films, before + steps, seed + 1)
    held = stretches(store, "test", films, before + steps, seed)
    real = [(frames[before:], actions[before:]) for frames, actions in held]
    dreamed = [
        (_dreamed(model, frames, actions, before, seed + i), actions[before:])
        for i, (frames, actions) in enumerate(held)
    ]
    standard = usual(
        [signs_of(frames) for frames, _ in known],
        [_acting(world, actions) for _, actions in known],
        world.fps,
    )
    signs = {
        kind: [signs_of(frames) for frames, _ in pairs]
        for kind, pairs in (("dream", dreamed), ("real", real))
    }
    acting = [_acting(world, actions) for _, actions in real]
    taken = [actions for _, actions in real]
    interface = interface_of([frames for frames, _ in known])
    return FootageReport(
        dream=_rates(signs["dream"], acting, standard),
        real=_rates(signs["real"], acting, standard),
        found=_found([frames for frames, _ in real], signs["real"], acting, standard, seed),
        effects={
            name: (
                effect(world, place, signs["dream"], taken),
                effect(world, place, signs["real"], taken),
            )
            for place, name in enumerate(world.action_names)
        },
        interface_lag=(_lag_in(dreamed, interface), _lag_in(real, interface)),
        rarity=measure_rarity(model, store, dreams=films, seed=seed) if trained else None,
        memory=measure_memory(model, store, ways=films, seed=seed) if trained else None,
    )


def effect(
    world: World, place: int, films: Sequence[Signs], actions: Sequence[np.ndarray]
) -> Effect:
    """What the component `place` of actions does where it is the only one.

    What it does below idle counts the other way round.
    """
    apart = [each - world.idle_action for each in actions]
    moves = [abs(each) > _CALM for each in apart]
    side = np.sign(np.concatenate([each[:, place] for each in apart]))
    alone = np.concatenate([m[:, place] & (m.sum(1) == 1) for m in moves])
    none = np.concatenate([~m.any(1) for m in moves])

    def beyond(name: str) -> float:
        values = np.concatenate([getattr(film, name) for film in films])
        if not alone.any() or not none.any():
            return float("nan")
        return float((side[alone] * (values[alone] - values[none].mean())).mean())

    return Effect(forward=beyond("forward"), turning=beyond("turning"))


def footage_table(world: World, report: FootageReport, command: str) -> Table:
    """The report as one table."""
    dream, real = report.dream, report.real
    shares = {
        "stuck": "films that get stuck: three seconds of input, and nothing moves",
        "blurred": "films that collapse into a blur for a second",
        "morphed": "films that fade from one place into another",
    }
    rates = {
        "teleports": "jumps elsewhere, a minute",
        "overlays": "overlays that open and close again, a minute",
        "deletions": "things that fade out, a minute",
    }
    rows = [
        *(
            (
                told,
                f"{getattr(dream, name):.1%}",
                f"{getattr(real, name):.1%}",
                _share(report, name),
            )
            for name, told in shares.items()
        ),
        *(
            (
                told,
                f"{getattr(dream, name):.2f}",
                f"{getattr(real, name):.2f}",
                _share(report, name),
            )
            for name, told in rates.items()
        ),
        *(
            (
                f"{name} above none: {told}, px a step",
                _moved(getattr(ours, kind)),
                _moved(getattr(theirs, kind)),
                "–",
            )
            for name, (ours, theirs) in report.effects.items()
            for kind, told in (("forward", "spread of the flow"), ("turning", "flow to the left"))
        ),
        ("frames by which the interface lags", *map(_lag, report.interface_lag), "–"),
        *_rarity_rows(report.rarity),
        *_memory_rows(report.memory),
    ]
    return Table(
        name=f"{world.name}-3-footage",
        title=f"{world.id_suffix}: dreams beside footage",
        columns=("", "dream", "real", "made faults found"),
        rows=rows,
        note=f"{dream.films} stretches of the test split, dreamed under their inputs. Real faults "
        "are false alarms, but for jumps and overlays, which footage has. The words are defined in "
        "`learned_envs/evaluation/footage`.",
        command=command,
    )


def _lag_in(films: Sequence[Stretch], interface: np.ndarray | None) -> int | None:
    """Frames by which an interface lags in some films, if there is one."""
    return None if interface is None else interface_lag([frames for frames, _ in films], interface)


def _moved(flow: float) -> str:
    """Pixels a step, or a dash where no film has that input alone."""
    return "–" if np.isnan(flow) else f"{flow:+.2f}"


def _lag(frames: int | None) -> str:
    return "none that follows" if frames is None else f"{frames}"


def _rarity_rows(rarity: Rarity | None) -> list[tuple[str, str, str, str]]:
    if rarity is None:
        return []
    told = "after 16 steps in {} places, dB (if nothing moved)"
    return [
        (told.format(kind), f"{getattr(rarity, kind):.1f}", f"({unmoved:.1f})", "–")
        for kind, unmoved in (("common", rarity.common_unmoved), ("rare", rarity.rare_unmoved))
    ]


def _memory_rows(memory: Memory | None) -> list[tuple[str, str, str, str]]:
    if memory is None:
        return []
    told = f"places known again among 32 after looking away, of {memory.ways}"
    return [(told, f"{memory.dream:.0%}", f"{memory.real:.0%}", "–")]


def _share(report: FootageReport, name: str) -> str:
    return f"{report.found[name]:.0%}" if name in report.found else "–"


def _dreamed(
    model: WorldModel, frames: np.ndarray, actions: np.ndarray, before: int, seed: int
) -> np.ndarray:
    """A film (T + 1, H, W, 3) that begins as a real one and is dreamed on under its actions."""
    context = frames[None, : before + 1]
    return np.concatenate([context[0, -1:], dream_frames(model, context, actions[None], seed)[0]])


def _acting(world: World, actions: np.ndarray) -> np.ndarray:
    """(T,), whether anything is done in each of the actions (T, n)."""
    return (abs(actions - world.idle_action) > _CALM).any(1)


def _rates(films: Sequence[Signs], acting: Sequence[np.ndarray], known: Usual) -> Rates:
    found = [findings(film, acts, known) for film, acts in zip(films, acting, strict=True)]
    minutes = sum(one.seconds for one in found) / 60
    return Rates(
        **{
            name: float(np.mean([getattr(one, name) for one in found]))
            for name in ("stuck", "blurred", "morphed")
        },
        **{
            name: sum(getattr(one, name) for one in found) / minutes
            for name in ("teleports", "overlays", "deletions")
        },
        films=len(found),
    )


def _found(
    films: Sequence[np.ndarray],
    signs: Sequence[Signs],
    acting: Sequence[np.ndarray],
    known: Usual,
    seed: int,
) -> dict[str, float]:
    """Share of films, whose signs are known, in which a fault that was made shows as more."""
    random = np.random.default_rng(seed)
    count = len(films)
    before = [findings(film, acts, known) for film, acts in zip(signs, acting, strict=True)]
    shares = {}
    for name, make in MADE.items():
        after: list[Findings] = []
        for i, film in enumerate(films):
            made = make(film, films[(i + count // 2) % count], random)
            after.append(findings(signs_of(made), acting[i], known))
        worse = [getattr(a, name) > getattr(b, name) for a, b in zip(after, before, strict=True)]
        clean = [not getattr(b, name) or name in _COUNTED for b in before]
        shares[name] = float(np.mean([w for w, ok in zip(worse, clean, strict=True) if ok]))
    return shares
