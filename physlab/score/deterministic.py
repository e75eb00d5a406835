"""Scores of one field against the truth, point by point.

All functions take tensors or arrays of equal shape (..., H, W) in physical units, with optional weights (cell areas),
average over everything or over `dim`, and return a double tensor. Signs: bias = mean(pred - truth), so a positive
bias is an over-prediction.
"""

from __future__ import annotations

import torch

from physlab.errors import PhysLabError
from physlab.score.weights import Dim, latitude_weights, mean, pair


def mse(pred, truth, weights=None, dim: Dim = None) -> torch.Tensor:
    """Mean squared error, unit of the field squared."""
    pred, truth = pair(pred, truth)
    return mean((pred - truth) ** 2, weights, dim)


def rmse(pred, truth, weights=None, dim: Dim = None) -> torch.Tensor:
    """Root of the mean squared error over all samples together, unit of the field."""
    return mse(pred, truth, weights, dim).sqrt()


def mae(pred, truth, weights=None, dim: Dim = None) -> torch.Tensor:
    """Mean absolute error, unit of the field."""
    pred, truth = pair(pred, truth)
    return mean((pred - truth).abs(), weights, dim)


def bias(pred, truth, weights=None, dim: Dim = None) -> torch.Tensor:
    """mean(pred - truth), unit of the field."""
    pred, truth = pair(pred, truth)
    return mean(pred - truth, weights, dim)


def psnr(pred, truth, data_range: float, weights=None, dim: Dim = None) -> torch.Tensor:
    """Peak signal-to-noise ratio 20 log10(data_range / RMSE) in dB; infinite for identical fields.

    Parameters
    ----------
    data_range : the peak, stated by the caller: max - min of the truth over the whole data set, in its unit.
    """
    return 20.0 * torch.log10(check_range(data_range) / rmse(pred, truth, weights, dim))


def pearson(pred, truth) -> torch.Tensor:
    """Correlation over the (H, W) points of each image, averaged over the images that have variance."""
    pred, truth = pair(pred, truth)
    a = pred - pred.mean((-2, -1), keepdim=True)
    b = truth - truth.mean((-2, -1), keepdim=True)
    norm = (a.square().sum((-2, -1)) * b.square().sum((-2, -1))).sqrt()
    r = (a * b).sum((-2, -1)) / torch.where(norm > 0, norm, torch.nan)
    return r.nanmean()


def lat_weighted_rmse(pred, truth, latitude) -> torch.Tensor:
    """RMSE over the sphere of each (H, W) field with exact cell areas, averaged over the fields, unit of the field.

    Parameters
    ----------
    latitude : (H,) degrees, ascending or descending, the latitudes of the rows.
    """
    pred, truth = pair(pred, truth)
    weights = latitude_weights(latitude)
    if weights.shape[0] != pred.shape[-2]:
        raise PhysLabError(
            f"{weights.shape[0]} latitudes for a field of {pred.shape[-2]} rows: pass one latitude per row"
        )
    return mean((pred - truth) ** 2, weights, (-2, -1)).sqrt().mean()


def check_range(data_range: float) -> float:
    """A data range must be a positive number."""
    if not float(data_range) > 0:
        raise PhysLabError(f"data_range is {data_range}: pass max - min of the truth, a positive number in its unit")
    return float(data_range)
