"""Whether a file of inputs and its clip keep the same time."""

from __future__ import annotations

import numpy as np

from learned_envs.recording.footage.input_log import Inputs

_REGULAR = 2.0  # rows come regularly if nine in ten are at most so many usual distances apart
_PAUSE = 10.0  # a pause is longer than so many


def check_clocks(inputs: Inputs, end: float, interval: float, tolerance: float) -> None:
    """Checks that inputs and their clip keep the same time.

    Args:
        inputs: With the offset in their times.
        end: Seconds at which the clip's last frame is shown.
        interval: Seconds from one of its frames to the next.
        tolerance: Seconds by which the two may differ.

    Raises:
        ValueError: If inputs begin after the clip or end before it; if they begin with it and go on
            after it, since then their clock may be faster; or if a row's frame was shown at another
            time than the row's.
    """
    path, first, last = inputs.path, float(inputs.times[0]), float(inputs.times[-1])
    stop = end + interval
    faster = f"clocks that drift by {last / stop - 1:+.2%} look like this"
    if first > tolerance:
        raise ValueError(
            f"{path}: the inputs begin at second {first:.3f} (row 2), more than `tolerance` "
            f"(={tolerance:g} s) after the clip's first frame. Give an offset if their clock "
            "started later, or add a row for second 0"
        )
    if last < end - tolerance:
        raise ValueError(
            f"{path}: the inputs end at second {last:.3f} (row {len(inputs.times) + 1}), the clip "
            f"goes on until {end:.3f}. Cut the clip, or add a row for its end if nothing changed; "
            f"{faster}: then correct the times"
        )
    if first >= -tolerance and last > stop + tolerance:
        raise ValueError(
            f"{path}: the inputs begin with the clip but end at second {last:.3f} (row "
            f"{len(inputs.times) + 1}), after it ends at {stop:.3f}. Delete the later rows if only "
            f"the log ran on; {faster}: then correct the times"
        )
    if inputs.frame_times is not None:
        ahead = inputs.times - inputs.frame_times
        off = (ahead < -tolerance) | (ahead > interval + tolerance)
        if off.any():
            row = int(np.argmax(off))
            raise ValueError(
                f"{path}: row {row + 2} is of second {inputs.times[row]:.3f}, but the frame on "
                f"screen was the one of second {inputs.frame_times[row]:.3f}: the clocks have "
                f"drifted by more than `tolerance` (={tolerance:g} s). Correct the times, or give "
                "an offset if they differ from the beginning"
            )


def pauses(inputs: Inputs) -> str:
    """Says where rows that otherwise come regularly pause; empty where they do not."""
    apart = np.diff(inputs.times)
    if len(apart) < _PAUSE or np.quantile(apart, 0.9) > _REGULAR * (usual := np.median(apart)):
        return ""
    (long,) = np.nonzero(apart > _PAUSE * usual)
    if not len(long):
        return ""
    row, more = int(long[0]), f", and {len(long) - 1} times more" if len(long) > 1 else ""
    return (
        f"{inputs.path}: no rows between seconds {inputs.times[row]:.3f} (row {row + 2}) and "
        f"{inputs.times[row + 1]:.3f}{more}, though they come every {usual:.3f} s; what was held "
        "is taken to be held on"
    )
