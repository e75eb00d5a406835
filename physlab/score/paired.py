"""Differences of two methods on the same states, with intervals that know that the states are not independent.

States that follow each other have nearly the same weather: a bootstrap that draws them one by one would be too sure of
itself. Blocks of time are drawn instead (Künsch 1989, Ann. Stat. 17, 1217-1241), the same for all methods, so that what
the weather does to both cancels (Hamill 1999, Weather Forecast. 14, 155-167).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from physlab.errors import PhysLabError

DRAWS = 2000
LEVEL = 0.95


def block_bootstrap(
    scores: np.ndarray,
    blocks: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A function of mean scores, and its interval.

    Parameters
    ----------
    scores : (N, k) scores of N states, for example those of k methods.
    blocks : (N,) block of each state; those of one block are drawn together.
    statistic : of the means (..., k), along the last axis; None for the means themselves.
    draws, level, seed : of the bootstrap and its interval.

    Returns
    -------
    value, low, high : of the statistic, each of its shape.

    Raises
    ------
    PhysLabError : fewer than two blocks, or scores that are not one row a state.
    """
    scores, blocks = np.asarray(scores, dtype=np.float64), np.asarray(blocks)
    if scores.ndim != 2 or len(scores) != len(blocks):
        raise PhysLabError(f"scores {scores.shape} of {len(blocks)} states: pass one row for each state")
    names, of = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        raise PhysLabError(f"{len(names)} block of {len(blocks)} states: an interval needs at least 2")
    statistic = (lambda means: means) if statistic is None else statistic
    sums = np.stack([np.bincount(of, weights=column, minlength=len(names)) for column in scores.T], 1)
    counts = np.bincount(of, minlength=len(names)).astype(np.float64)
    drawn = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)[:, None]
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(statistic(means), (tail, 100 - tail), axis=0)
    return np.asarray(statistic(scores.mean(0))), low, high


def gains(
    errors: np.ndarray, blocks: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the first method gains over each other one, 1 - RMSE / RMSE of the other, and its interval.

    Parameters
    ----------
    errors : (N, k) mean square errors of N states.  Others as in :func:`block_bootstrap`.

    Returns
    -------
    value, low, high : (k - 1,).
    """
    return block_bootstrap(errors, blocks, lambda m: 1 - np.sqrt(m[..., :1] / m[..., 1:]), draws, seed=seed)
