"""Scores: plain functions of tensors or arrays in physical units; :func:`table` is the one dictionary of them."""

from __future__ import annotations

from physlab.score.deterministic import bias, lat_weighted_rmse, mae, mse, pearson, psnr, rmse
from physlab.score.ensemble import crps, ensemble_mean_rmse, ensemble_spread, rank_histogram, spread_skill
from physlab.score.extremes import extreme_table, extreme_threshold, extreme_weights, fractions_skill_score
from physlab.score.physics import conservation_error, negative_count, relative_residual
from physlab.score.spectra import radial_spectrum, spectral_divergence, spectral_divergences
from physlab.score.structure import ms_ssim, similarities, ssim
from physlab.score.weights import latitude_weights

__all__ = [
    "bias",
    "conservation_error",
    "crps",
    "ensemble_mean_rmse",
    "ensemble_spread",
    "extreme_table",
    "extreme_threshold",
    "extreme_weights",
    "fractions_skill_score",
    "lat_weighted_rmse",
    "latitude_weights",
    "mae",
    "member_table",
    "ms_ssim",
    "mse",
    "negative_count",
    "pearson",
    "psnr",
    "radial_spectrum",
    "rank_histogram",
    "relative_residual",
    "rmse",
    "spectral_divergence",
    "spread_skill",
    "ssim",
    "table",
]


def table(pred, truth, coarse, factor: int, data_range: float, weights=None) -> dict[str, float]:
    """The scores of a downscaled field: the one dictionary that evaluation, explorer and book print.

    Parameters
    ----------
    pred, truth : (..., H, W); coarse : (..., H/N, W/N); all in the same physical unit.
    data_range : max - min of the truth over the whole data set.
    weights : (H, W) or (H, 1) cell areas: used for rmse, mae, bias, psnr and the block means; the other scores treat
        the field as an image.
    """
    similar = similarities(pred, truth, data_range)
    divergence = spectral_divergences(pred, truth)
    return {
        "mse": float(mse(pred, truth, weights)),
        "rmse": float(rmse(pred, truth, weights)),
        "mae": float(mae(pred, truth, weights)),
        "bias": float(bias(pred, truth, weights)),
        "psnr": float(psnr(pred, truth, data_range, weights)),
        "ssim": float(similar[0]),
        "ms_ssim": float(similar[1]),
        "pearson": float(pearson(pred, truth)),
        "conservation_error": float(conservation_error(pred, coarse, factor, weights)),
        "negative_count": int(negative_count(pred)),
        "spectral_divergence": float(divergence[0]),
        "spectral_divergence_top": float(divergence[1]),
    }


def member_table(member, truth, coarse, factor: int, weights=None) -> dict[str, float]:
    """What belongs to one member of an ensemble, and would change if members were averaged first; see :func:`table`."""
    divergence = spectral_divergences(member, truth)
    return {
        "member_rmse": float(rmse(member, truth, weights)),
        "conservation_error": float(conservation_error(member, coarse, factor, weights)),
        "negative_count": int(negative_count(member)),
        "spectral_divergence": float(divergence[0]),
        "spectral_divergence_top": float(divergence[1]),
    }
