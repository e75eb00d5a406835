"""Scores of an ensemble of fine fields from coarse ones: errors of the mean, spread, spectra and balance of members.

Errors are of the mean of the members; spectra, the balance and the agreement with the coarse field are those of single
members: the mean of an ensemble is smooth, and no single field has both.
"""

from __future__ import annotations

import functools

from torch import Tensor

from physlab.equations.surface_temperature import EffectiveBalance
from physlab.grid import Grid, coarsening_residual
from physlab.score.analysis import eddies
from physlab.score.ensemble import crps, spread_skill
from physlab.score.spectra import spectral_divergence, spectral_slope
from physlab.score.weights import mean

SCORES = ("rmse", "mae", "bias", "crps", "spread_skill", "specdiv", "specdiv_top", "slope", "slope_truth", "residual",
          "conservation")  # fmt: skip


def detail_scores(
    members: Tensor, truth: Tensor, coarse: Tensor, grid: Grid, factor: int, balance: EffectiveBalance | None = None,
    wind: tuple[Tensor, Tensor] | None = None, largest: int | None = None,
) -> dict[str, float]:  # fmt: skip
    """Scores of one time.

    Parameters
    ----------
    members : (M, H, W), K.  truth : (H, W).  coarse : (h, w), what the members were made from.
    grid : fine grid.  factor : N.
    balance, wind : the law and the true fine wind (H, W) each; without them `residual` is not a number.
    largest : wavenumbers above it are left out of the spectra; None for all.

    Returns
    -------
    dict with

    rmse, mae, bias : of the mean of the members, area-weighted, K;
    crps : fair, K (the absolute error for one member);  spread_skill : not a number for one member;
    specdiv, specdiv_top : SpecDiv of members, of all wavenumbers and of the top decile. On a globe without the zonal
        mean, in a region with a Hann window;
    slope, slope_truth : of the spectrum of members and truth over the wavenumbers that the coarse grid does not have;
    residual : root mean square of the balance of members over that of the truth;
    conservation : root mean square of coarsened member minus coarse field, K.
    """
    members, truth, coarse = members.double(), truth.double(), coarse.double()
    area = grid.row_weights
    error, each = members.mean(0) - truth, truth.expand_as(members)
    several = len(members) > 1
    globe = grid.periodic
    window, clean = (None, eddies) if globe else ("hann", lambda x: x)
    top = max(grid.shape) // 2 if largest is None else largest
    between = (max(grid.shape) / (2 * factor), top)
    divergence = functools.partial(spectral_divergence, clean(members), clean(each), largest=largest, window=window)
    row = {
        "rmse": float(mean(error.square(), area).sqrt()), "mae": float(mean(error.abs(), area)),
        "bias": float(mean(error, area)),
        "crps": float(crps(members, truth, weights=area)),
        "spread_skill": float(spread_skill(members, truth, weights=area)) if several else float("nan"),
        "specdiv": float(divergence()),
        "specdiv_top": float(divergence(top_decile=True)),
        "slope": float(spectral_slope(clean(members), *between, window).mean()),
        "slope_truth": float(spectral_slope(clean(truth), *between, window)),
        "residual": float("nan"),
        "conservation": float(coarsening_residual(members, coarse, factor, area).square().mean().sqrt()),
    }  # fmt: skip
    if balance is not None and wind is not None:
        u, v = (x.double().expand_as(members) for x in wind)
        true = balance.relative(truth, u[0], v[0])
        row["residual"] = float((balance.relative(members, u, v).mean() / true).sqrt())
    return row
