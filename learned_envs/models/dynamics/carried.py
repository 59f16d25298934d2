"""What moves on unchanged: the newest latent, carried by each of a few displacements.

A thing that keeps its looks need not be drawn anew: each place says of which displacement its next
value comes, or that it is new. One is chosen for each place and none are mixed, so that a small
bright thing stays as bright as it was however long it is dreamed. (Finn et al. 2016, "Unsupervised
Learning for Physical Interaction through Video Prediction", mix such candidates.)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_HIDDEN = 32
_CLOSE = 0.1  # difference of two places' values at which they are half alike
_SPREAD = 0.05  # scale of the Laplace likelihood by which an option is credited with the truth


class Carried(nn.Module):
    """The options of every place for its next value, and what speaks for each there.

    Option 0 is a new value; those after it are the newest latent as it is and carried by each
    displacement. One is likely where the newest latent is the one before it carried by the same:
    things that move keep moving.

    Args:
        channels: Of a latent, C.
        shifts: Displacements, (down, right) in places.
    """

    def __init__(self, channels: int, shifts: tuple[tuple[int, int], ...]):
        super().__init__()
        self.shifts = ((0, 0), *shifts)
        self.options = len(self.shifts) + 1
        seen = len(self.shifts) * (channels + 1)
        self.judge = nn.Sequential(
            nn.Conv2d(seen, _HIDDEN, 1), nn.ReLU(), nn.Conv2d(_HIDDEN, self.options + 1, 1)
        )

    def read(self, latents: Tensor) -> dict[str, Tensor]:
        """Candidates and what speaks for each, as far as the newest two latents tell.

        Args:
            latents: (B, T, C, h, w), oldest first.

        Returns:
            `candidates` (B, K, C, h, w); `odds` (B, K + 1, h, w), log-odds of the options; `change`
            (B, 1, h, w), log-odds of a change.
        """
        before, newest = latents[:, -2], latents[:, -1]
        candidates = torch.stack([moved(newest, shift) for shift in self.shifts], 1)
        kept_moving = torch.stack([moved(before, (2 * y, 2 * x)) for y, x in self.shifts], 1)
        apart = _largest_around((candidates - kept_moving).abs().amax(2))
        seen = torch.cat([candidates.flatten(1, 2), 1 / (1 + apart / _CLOSE)], 1)
        judged = self.judge(seen).float()
        return {"candidates": candidates, "odds": judged[:, :-1], "change": judged[:, -1:]}


def _largest_around(values: Tensor) -> Tensor:
    """The largest of each place (B, K, h, w) and its eight neighbours."""
    for dim in (2, 3):
        wide = torch.cat([values.narrow(dim, 0, 1), values, values.narrow(dim, -1, 1)], dim)
        size = values.shape[dim]
        sides = torch.maximum(wide.narrow(dim, 0, size), wide.narrow(dim, 2, size))
        values = torch.maximum(values, sides)
    return values


def moved(latent: Tensor, shift: tuple[int, int]) -> Tensor:
    """A latent (B, C, h, w) carried (down, right); what comes in is what was at the edge."""
    down, right = shift
    height, width = latent.shape[2:]
    reach = max(abs(down), abs(right))
    wide = F.pad(latent, (reach,) * 4, mode="replicate")
    return wide[:, :, reach - down : reach - down + height, reach - right : reach - right + width]


def likeliest(values: Tensor, candidates: Tensor, odds: Tensor) -> Tensor:
    """Each place's likeliest option (B, C, h, w), of new values (B, C, h, w) and candidates."""
    best = odds[:, :1]
    for k in range(candidates.shape[1]):
        others = odds[:, k + 1 : k + 2]
        values = torch.where(others > best, candidates[:, k], values)
        best = torch.maximum(best, others)
    return values


def mixed_error(errors: Tensor, odds: Tensor) -> Tensor:
    """Of options' errors and log-odds (B, K + 1, h, w), that of their mixture (B, 1, h, w).

    The negative log-likelihood of a mixture of Laplace distributions, in the unit of the errors: 0
    where the only option thought possible is right. Where no candidate is, the new value's error is
    added: while it is still further from the truth than one of them, likelihood alone would not
    teach it, and nothing new would ever be drawn.
    """
    likelihood = odds.log_softmax(1) - errors / _SPREAD
    new, missed = errors[:, :1], errors[:, 1:]
    unexplained = (missed > _SPREAD).all(1, keepdim=True)
    return unexplained * new - _SPREAD * likelihood.logsumexp(1, keepdim=True)
