r"""Transformations of a skewed variable and the choice of predictors, as in the SDSM tool (Wilby et al. 2002).

The partial correlation of predictor i and predictand y, all other predictors held fixed, follows from the inverse
:math:`Q` of the joint correlation matrix, :math:`r_i = -Q_{iy} / \sqrt{Q_{ii} Q_{yy}}`. Forward selection adds, one by
one, the predictor that lowers the residual sum of squares most. Both score a predictor over all predictands of a group
at once: cells of one block must share their predictors, or the block mean is no longer conserved.
"""

from __future__ import annotations

import numpy as np

from physlab.errors import FieldError, PhysLabError

TRANSFORMS = ("none", "sqrt", "log", "power")
SCREENINGS = ("none", "partial", "forward")
POWER = 0.25  # the fourth root
LIFT = 1e-3  # added before a logarithm, in the unit of the field


def transform(values: np.ndarray, name: str) -> np.ndarray:
    """none, square root, logarithm of (value + `LIFT`) or fourth root of a non-negative field."""
    if name not in TRANSFORMS:
        raise PhysLabError(f"unknown transformation {name!r}: choose one of {', '.join(TRANSFORMS)}")
    if name == "none":
        return values
    if values.min() < 0:
        raise FieldError(f"{name} of negative values ({values.min():.3g}): use transform='none' for this variable")
    return np.sqrt(values) if name == "sqrt" else np.log(values + LIFT) if name == "log" else values**POWER


def invert(values: np.ndarray, name: str) -> np.ndarray:
    """Back to the unit of the field, never negative."""
    if name == "none":
        return values
    if name == "log":
        return np.maximum(np.exp(values) - LIFT, 0.0)
    return np.maximum(values, 0.0) ** (2 if name == "sqrt" else 1 / POWER)


def partial_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(m, p) predictors, (m, n) predictands -> (p, n) partial correlations, each with the other p - 1 held fixed."""
    y = y.reshape(len(y), -1)
    out = np.empty((x.shape[1], y.shape[1]))
    for j in range(y.shape[1]):
        joint = np.cov(np.column_stack([x, y[:, j]]), rowvar=False)
        scale = np.sqrt(np.maximum(np.diag(joint), 1e-300))
        inverse = np.linalg.pinv(joint / np.outer(scale, scale), hermitian=True)
        diagonal = np.sqrt(np.maximum(np.diag(inverse), 1e-300))
        out[:, j] = -inverse[:-1, -1] / (diagonal[:-1] * diagonal[-1])
    return out


def forward_selection(x: np.ndarray, y: np.ndarray, most: int, least_gain: float = 1e-3) -> np.ndarray:
    """Positions of at most `most` predictors in the order chosen.

    Each step adds the column that lowers the residual sum of squares (over all predictands) most and stops when the
    gain falls below `least_gain` of the total variance. Gram-Schmidt: the columns left are made orthogonal to those
    chosen, so that a step costs one product.
    """
    y = y.reshape(len(y), -1)
    residual = y - y.mean(0)
    left = x - x.mean(0)
    size = (left**2).sum(0)
    total = (residual**2).sum()
    chosen: list[int] = []
    while len(chosen) < min(most, x.shape[1]):
        norm = (left**2).sum(0)
        usable = norm > 1e-10 * np.maximum(size, 1e-300)
        gain = np.where(usable, ((left.T @ residual) ** 2).sum(1) / np.where(usable, norm, 1.0), -1.0)
        best = int(gain.argmax())
        if gain[best] < least_gain * total or gain[best] <= 0:
            break
        chosen.append(best)
        unit = left[:, best] / np.sqrt(norm[best])
        residual = residual - np.outer(unit, unit @ residual)
        left = left - np.outer(unit, unit @ left)
        left[:, chosen] = 0.0
    return np.array(chosen or [0], dtype=np.int64)


def screen(x: np.ndarray, y: np.ndarray, how: str, most: int) -> np.ndarray:
    """Sorted positions of the predictors kept: "none" (all), "partial" (largest partial correlations), "forward"."""
    if how not in SCREENINGS:
        raise PhysLabError(f"unknown screening {how!r}: choose one of {', '.join(SCREENINGS)}")
    if how == "none" or most >= x.shape[1]:
        return np.arange(x.shape[1])
    if how == "forward":
        return np.sort(forward_selection(x, y, most))
    strength = (partial_correlations(x, y) ** 2).mean(1)
    return np.sort(np.argsort(-strength, kind="stable")[:most])
