"""Scores of physical consistency: conservation of the coarse field, sign, residuals relative to those of the truth."""

from __future__ import annotations

import torch

from physlab.equations.relative import relative_residual
from physlab.grid import coarsening_residual
from physlab.score.weights import as_double

__all__ = ["conservation_error", "negative_count", "relative_residual"]


def conservation_error(fine, coarse, factor: int, weights=None, relative: bool = False) -> torch.Tensor:
    """How far the block means of `fine` are from `coarse`.

    Parameters
    ----------
    fine, coarse : (..., H, W) and (..., H/N, W/N), same unit.
    weights : area weights of the block mean, (H, W) or (H, 1).
    relative : False: RMS of coarsen(fine) - coarse in the unit of the field. True: its largest absolute value divided
        by the largest absolute coarse value, dimensionless (rounding is 1e-7 in float32).
    """
    coarse = as_double(coarse)
    weights = None if weights is None else as_double(weights).to(coarse.device)
    residual = coarsening_residual(as_double(fine).to(coarse.device), coarse, factor, weights)
    if relative:
        return residual.abs().max() / coarse.abs().max().clamp_min(torch.finfo(coarse.dtype).tiny)
    return residual.square().mean().sqrt()


def negative_count(pred) -> torch.Tensor:
    """Number of values below zero, in all samples together (-0.0 does not count)."""
    return (as_double(pred) < 0).sum()
