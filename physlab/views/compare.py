"""Two results beside each other: how much their scores differ, and whether that is more than the weather of the test.

Both are scored on the same frames, and blocks of time are drawn anew for both together
(:mod:`physlab.score.paired`), so that what is difficult for both cancels. A difference whose interval holds zero is
called none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.grid import coarsening_residual
from physlab.score import mae, mse
from physlab.score.paired import block_bootstrap

DAYS = 5.0
"""Length of a block: after so long the weather of a place has forgotten most of itself."""
ENOUGH = 8
"""Blocks below which they are made shorter."""


@dataclass(frozen=True)
class Difference:
    """A score of both, and the first minus the second with its interval of 95 %, in the unit of the score."""

    one: float
    other: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The first minus the second."""
        return self.one - self.other

    @property
    def sure(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def blocks_of(time: np.ndarray) -> tuple[np.ndarray, float]:
    """(N,) number of the block of each time, and a block's length in days: shorter where five days give too few."""
    hours = (np.asarray(time, "datetime64[s]") - np.min(time).astype("datetime64[s]")) / np.timedelta64(1, "h")
    for days in (DAYS, 2.0, 1.0):
        blocks = np.floor(hours / (24.0 * days)).astype(int)
        if len(np.unique(blocks)) >= ENOUGH:
            break
    return blocks, days


def per_frame(result: Tensor, truth: Tensor, coarse: Tensor, factor: int, weights: Tensor | None) -> np.ndarray:
    """(N, 3) mean square error, mean absolute error and mean square of the block means' miss of each frame."""
    dims = tuple(range(1, truth.ndim))
    missed = coarsening_residual(result, coarse, factor, weights).double().square().mean(dims)
    return torch.stack([mse(result, truth, weights, dims), mae(result, truth, weights, dims), missed], 1).cpu().numpy()


def compared(one: np.ndarray, other: np.ndarray, time: np.ndarray) -> tuple[dict[str, Difference], float]:
    """The differences of two results, and the length of a block in days.

    Parameters
    ----------
    one, other : (N, 3) of :func:`per_frame`, of the same frames.
    time : (N,) when they are valid.

    Raises
    ------
    PhysLabError : all frames lie in one block, or the two are not of the same frames.
    """
    if one.shape != other.shape:
        raise PhysLabError(f"scores of {len(one)} and of {len(other)} frames: pass both of the same frames")
    blocks, days = blocks_of(time)

    def scores(means: np.ndarray) -> np.ndarray:
        return np.stack([np.sqrt(means[..., 0]), means[..., 1], np.sqrt(means[..., 2])], -1)

    def difference(means: np.ndarray) -> np.ndarray:
        return scores(means[..., :3]) - scores(means[..., 3:])

    _, low, high = block_bootstrap(np.concatenate([one, other], 1), blocks, difference)
    first, second = scores(one.mean(0)), scores(other.mean(0))
    names = ("rmse", "mae", "conservation_error")
    rows = zip(names, first, second, low, high, strict=True)
    return {name: Difference(*map(float, row)) for name, *row in rows}, days
