"""Weighted means over dimensions: written once, used by every score.

Scores are computed in double precision, so that a number of 1e-7 measures the field and not the summation. Weights on
the sphere are exact cell areas, sin(upper edge) - sin(lower edge), as in WeatherBench (Rasp et al. 2024), not cosines
of the latitude.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from physlab.errors import PhysLabError
from physlab.grid import latitude_edges

Dim = int | Sequence[int] | None


def as_double(x) -> torch.Tensor:
    """Array, tensor, DataArray or number as a float64 tensor (float32 where the device has no float64)."""
    x = x if isinstance(x, torch.Tensor) else torch.as_tensor(np.asarray(x))
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def pair(pred, truth) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as double tensors of one shape: no silent broadcasting of a missing axis."""
    pred, truth = as_double(pred), as_double(truth)
    if pred.shape != truth.shape:
        raise PhysLabError(
            f"pred has shape {tuple(pred.shape)}, truth {tuple(truth.shape)}: scores need equal "
            "shapes; select or reshape one"
        )
    return pred, truth.to(pred.device)


def mean(x: torch.Tensor, weights=None, dim: Dim = None) -> torch.Tensor:
    """Mean over `dim` (all by default), weighted with non-negative weights broadcastable to `x`.

    Parameters
    ----------
    x : (..., H, W) double tensor.
    weights : e.g. (H, W) cell areas or (H, 1); only ratios matter.
    """
    dims = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if weights is None:
        return x.mean(dims) if dims else x
    w = as_double(weights).to(x.device)
    try:
        w = torch.broadcast_to(w, x.shape)
    except RuntimeError:
        raise PhysLabError(
            f"weights of shape {tuple(w.shape)} do not fit a field of {tuple(x.shape)}: pass (H, W) or (H, 1)"
        ) from None
    return (x * w).sum(dims) / w.sum(dims)


def latitude_weights(latitude) -> np.ndarray:
    """Exact cell-area weights (H, 1) with mean 1 of (H,) latitudes in degrees, ascending or descending."""
    weights = np.abs(np.diff(np.sin(np.deg2rad(latitude_edges(np.asarray(latitude))))))
    return (weights / weights.mean())[:, None]
