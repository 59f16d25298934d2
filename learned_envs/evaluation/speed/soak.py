"""A soak: a long dream, watched for memory that grows, NaN, and doubt that drifts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learned_envs.dream.dream import DreamError
from learned_envs.dream.dream_vector_env import DreamVectorEnv
from learned_envs.dream.weights import packaged, resolve
from learned_envs.evaluation.results import Table, as_markdown, record_table
from learned_envs.evaluation.rollouts import mixed_players, pieces
from learned_envs.worlds import Behaviour, World

ROWS = 16
INTERVAL = 16
"""Most steps between two samples: few, so that the frames kept meanwhile weigh little."""

PARTS = 10
"""The first tenth of the samples warms up; memory is compared from the second to the last."""

LEAST_STEPS = 100

GROWTH = 0.01
DOUBT_FACTOR = 1.5
_LEAST_DOUBT = 0.01
_MEMORY = Path("/proc/self/statm")


class SoakError(RuntimeError):
    """A soak that found something; the message names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What was seen since the sample before.

    Attributes:
        steps: Of the batch so far.
        memory: Bytes that the process holds now.
        doubt: Mean of `info["doubt"]` over all steps that were none of a reset.
        broken: Numbers that are not finite among rewards, doubts and, now, the model's state.
    """

    steps: int
    memory: int
    doubt: float
    broken: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Soak:
    """What a soak saw.

    Attributes:
        rows: Of the batch.
        samples: At least `PARTS`, unless an error ended it.
        error: Why the dream itself gave up, or empty.
    """

    rows: int
    samples: Sequence[Sample]
    error: str = ""

    @property
    def settled(self) -> Sequence[Sample]:
        """The samples after the warm-up."""
        return self.samples[len(self.samples) // PARTS :]

    @property
    def memory(self) -> tuple[int, int, int]:
        """Bytes at the start, at the end and at most.

        Start and end are the least of a tenth of the samples: what is held for one step swings by
        more than a leak may be, and is given back.
        """
        held = [sample.memory for sample in self.settled]
        part = max(len(self.samples) // PARTS, 1)
        return min(held[:part]), min(held[-part:]), max(held)

    @property
    def growth(self) -> float:
        """Memory at the end over memory at the start, minus 1."""
        start, end, _ = self.memory
        return end / start - 1

    @property
    def doubt(self) -> tuple[float, float]:
        """Mean doubt in the first and in the last quarter."""
        doubts = [sample.doubt for sample in self.samples]
        quarter = max(len(doubts) // 4, 1)
        return float(np.nanmean(doubts[:quarter])), float(np.nanmean(doubts[-quarter:]))

    @property
    def broken(self) -> int:
        """Numbers that were not finite, besides what made the dream give up."""
        return sum(sample.broken for sample in self.samples)


def resident_bytes() -> int:
    """Memory that this process holds.

    Raises:
        OSError: If the system does not tell it as Linux does.
    """
    if not _MEMORY.exists():
        raise OSError(f"a soak reads the memory it holds from {_MEMORY}: run it on Linux")
    return int(_MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(
    env: DreamVectorEnv,
    behaviour: Behaviour,
    *,
    steps: int,
    seed: int = 0,
    interval: int = INTERVAL,
    memory: Callable[[], int] = resident_bytes,
    progress: Callable[[Sample], None] = lambda sample: None,
) -> Soak:
    """Steps a batch of dreams that resets itself, and samples it every `interval` steps.

    Args:
        env: The dreams.
        behaviour: Who plays in them.
        steps: Of the batch.
        seed: Of its reset.
        interval: Steps between two samples.
        memory: Tells how many bytes are held.
        progress: Called with every sample.

    Raises:
        ValueError: If there are too few steps for `PARTS` samples.
    """
    if steps < PARTS * interval:
        raise ValueError(
            f"`steps` (={steps}) must be at least {PARTS * interval}, for {PARTS} samples of "
            f"`interval` (={interval})"
        )
    samples: list[Sample] = []
    try:
        for piece in pieces(env, behaviour, steps, seed, piece=interval):
            moved = piece.doubt[~piece.first[1:]]
            seen = (piece.rewards, piece.doubt, *env.get_state()["model"].values())
            sample = Sample(
                steps=interval * len(samples) + len(piece.actions),
                memory=memory(),
                doubt=float(moved.mean()) if moved.size else float("nan"),
                broken=sum(int((~np.isfinite(values)).sum()) for values in seen),
            )
            samples.append(sample)
            progress(sample)
    except DreamError as error:
        return Soak(rows=env.num_envs, samples=samples, error=str(error))
    return Soak(rows=env.num_envs, samples=samples)


def faults(found: Soak) -> list[str]:
    """What is wrong with a soak, in words; empty if nothing is."""
    wrong = [found.error] if found.error else []
    if found.broken:
        wrong.append(f"{found.broken} numbers were not finite")
    if len(found.samples) < PARTS:
        return wrong
    if found.growth > GROWTH:
        start, end, _ = found.memory
        wrong.append(
            f"memory grew by {100 * found.growth:.1f}% after the warm-up, from {_mebibytes(start)} "
            f"to {_mebibytes(end)}, more than {100 * GROWTH:.0f}%"
        )
    first, last = found.doubt
    if max(first, last) > DOUBT_FACTOR * max(min(first, last), _LEAST_DOUBT):
        wrong.append(
            f"doubt went from {first:.3f} in the first quarter to {last:.3f} in the last, by more "
            f"than a factor of {DOUBT_FACTOR}"
        )
    return wrong


def soak_table(world: World, found: Soak, command: str) -> Table:
    """One row."""
    start, end, most = found.memory
    first, last = found.doubt
    steps = found.samples[-1].steps
    return Table(
        name=f"{world.name}-8-soak",
        title=f"{world.id_suffix}: a soak of {steps / world.fps / 60:.3g} minutes of play",
        command=command,
        columns=(
            "steps", "rows", "memory at the start", "at the end", "at most", "growth",
            "mean doubt, first quarter", "last quarter", "numbers not finite",
        ),
        rows=[
            (
                f"{steps:,}", f"{found.rows}", _mebibytes(start), _mebibytes(end),
                _mebibytes(most), f"{100 * found.growth:+.2f}%", f"{first:.4f}", f"{last:.4f}",
                "the dream gave up" if found.error else f"{found.broken}",
            )
        ],
        note="The world's players by weight, episodes that begin anew by themselves. Memory: the "
        "least that the process held in the second tenth and in the last; it may grow by "
        f"{100 * GROWTH:.0f}%, and doubt may change by a factor of {DOUBT_FACTOR}. See "
        "[speed.md](speed.md).",
    )  # fmt: skip


def soak_world(
    world: World,
    minutes: float,
    weights: str | None = None,
    *,
    out: Path | None = None,
    docs: Path | None = None,
    command: str = "",
    memory: Callable[[], int] = resident_bytes,
) -> Soak:
    """Dreams a batch for so many minutes of the world's own time, and prints what was seen.

    Args:
        world: What is dreamed, on the CPU.
        minutes: Of play: 60 at 15 frames a second are 54,000 steps of every row.
        weights: Folder of a checkpoint; the packaged weights if None.
        out: Write the samples to this JSON file.
        docs: Also write the table into this docs folder's results, if the weights are packaged
            ones.
        command: What the table says it was measured with.
        memory: Tells how many bytes are held.

    Raises:
        ValueError: If `minutes` hold fewer than `LEAST_STEPS` steps.
        SoakError: If memory grew by more than `GROWTH`, a number was not finite, or doubt changed
            by more than `DOUBT_FACTOR`.
    """
    steps = round(60 * minutes * world.fps) if np.isfinite(minutes) else 0
    if steps < LEAST_STEPS:
        raise ValueError(
            f"`soak` (={minutes}) must be at least {LEAST_STEPS / world.fps / 60:.2g} minutes of "
            f"play: {LEAST_STEPS} steps"
        )
    checkpoint = resolve(weights, world.name)
    limit = world.max_episode_steps
    env = DreamVectorEnv(ROWS, weights, world=world.name, max_episode_steps=limit)
    behaviour = world.make_behaviour(mixed_players(world, ROWS), range(ROWS))
    interval = min(steps // LEAST_STEPS, INTERVAL)
    twentieth = steps // 20 // interval * interval

    def tell(sample: Sample) -> None:
        if sample.steps % twentieth == 0:
            print(
                f"{sample.steps:,} of {steps:,} steps, {_mebibytes(sample.memory)}, "
                f"doubt {sample.doubt:.3f}",
                flush=True,
            )

    found = soak(env, behaviour, steps=steps, interval=interval, memory=memory, progress=tell)
    wrong = faults(found)
    if found.samples:
        table = soak_table(world, found, command)
        print(as_markdown(table))
        if docs is not None and checkpoint == packaged(world.name):
            record_table(docs, table)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(_figures(found, wrong), indent=1) + "\n")
    if wrong:
        raise SoakError(f"the soak found: {'; '.join(wrong)}")
    return found


def _figures(found: Soak, wrong: Sequence[str]) -> dict[str, Any]:
    samples = [asdict(sample) for sample in found.samples]
    for sample in samples:
        sample["doubt"] = sample["doubt"] if np.isfinite(sample["doubt"]) else None
    return {"rows": found.rows, "faults": list(wrong), "samples": samples}


def _mebibytes(count: float) -> str:
    return f"{count / 2**20:.1f} MiB"
