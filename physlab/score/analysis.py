"""Scores of an analysis of whole states: the columns of the table that the PhyDA paper prints, and what it lacks.

Errors are of the mean of the members, spectra and balances those of single members: the mean of an ensemble is smooth,
and no single field has both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.assimilate.proxy import further_laws, further_parts, residuals
from physlab.assimilate.statespace import StateSpace
from physlab.equations.relative import relative_residual
from physlab.score.ensemble import crps, spread_skill
from physlab.score.spectra import spectral_divergence

FIELDS = ("z500", "t850", "t_low", "u_low", "v_low", "u500", "v500", "q700")
TRUNCATION = 42  # wavenumbers beyond it are not of the model, but of the border at the poles


def eddies(x: Tensor) -> Tensor:
    """Fields (..., H, W) without their mean along circles of latitude.

    What is left vanishes at the poles, and the two-dimensional transform meets no jump there: the zonal mean has
    thousands of times the power of the weather and, as it is not periodic, spills it over all wavenumbers.
    """
    return x - x.mean(-1, keepdim=True)


def analysis_scores(members: Tensor, truth: Tensor, space: StateSpace, centred: bool = False) -> dict[str, float]:
    """Scores of one analysis.

    Parameters
    ----------
    members : (N, C, H, W), SI units.  truth : (C, H, W).
    centred : the members lie about a known mean, see :mod:`physlab.score.ensemble`.

    Returns
    -------
    dict with

    specdiv, specdiv_top : SpecDiv of z500 of all wavenumbers and of the top decile, as published;
    specdiv_eddy, specdiv_eddy_top : the same without the zonal mean and of the wavenumbers that the model has (to 42);
    mse, mae : over all channels in climatological standard deviations;  mse_member : of a single member;
    rmse_FIELD : SI units, for :data:`FIELDS`;
    crps : fair, in climatological standard deviations;  spread_skill : NaN for one member;
    residual_LAW : root mean square of a balance, mean over its channels, over that of the truth; those of
    :mod:`physlab.assimilate.proxy`, and registered laws of others.
    """
    area = space.area.to(truth)
    mean = members.mean(0)
    std = space.std.to(truth)
    error, each = (mean - truth) / std, (members - truth) / std
    k = space.index("z500")
    z, z0 = members[:, k], truth[k].expand(len(members), -1, -1)
    row = {
        "specdiv": float(spectral_divergence(z, z0)),
        "specdiv_top": float(spectral_divergence(z, z0, top_decile=True)),
        "specdiv_eddy": float(spectral_divergence(eddies(z), eddies(z0), largest=TRUNCATION)),
        "specdiv_eddy_top": float(spectral_divergence(eddies(z), eddies(z0), top_decile=True, largest=TRUNCATION)),
        "mse": float((error.square() * area).mean()), "mae": float((error.abs() * area).mean()),
        "mse_member": float((each.square() * area).mean()),
    }  # fmt: skip
    for name in FIELDS:
        c = space.index(name)
        row[f"rmse_{name}"] = float(((mean[c] - truth[c]).square() * area).mean().sqrt())
    row["crps"] = float(crps(members / std, truth / std, weights=area, centred=centred))
    row["spread_skill"] = (
        float(spread_skill(members / std, truth / std, weights=area, centred=centred))
        if len(members) > 1
        else float("nan")
    )
    found, true = residuals(members, space), residuals(truth, space)
    for law in further_laws():
        found[law], true[law] = (
            torch.nan_to_num(torch.cat(further_parts(law, x, space), dim=-3)) for x in (members, truth)
        )
    for law, values in found.items():
        channels = [float(relative_residual(values[:, c], true[law][c].expand(len(members), -1, -1), area))
                    for c in range(values.shape[1]) if float(true[law][c].abs().max()) > 0]  # fmt: skip
        row[f"residual_{law}"] = sum(channels) / len(channels) if channels else float("nan")
    return row
