r"""What the chapter on GANs and time computes: two outcomes, ensembles, a missing hour, motion.

The identity behind the chapter: for members f_i of mean m and truth o, at every point,

.. math:: \frac1M \sum_i (f_i - o)^2 = (m - o)^2 + \frac1M \sum_i (f_i - m)^2 ,

so that the mean square error of a member is that of the mean plus the spread, and whoever is paid by mean square error
gives up the spread.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from physlab.constants import EARTH_RADIUS
from physlab.data.patches import SRData
from physlab.downscale import CNN, Interpolate
from physlab.downscale.interpolate import InTime
from physlab.errors import PhysLabError
from physlab.grid import refine
from physlab.nn.voxelflow import between
from physlab.score import crps, ensemble_mean_rmse, mae, rank_histogram, rmse, spread_skill

# ---- one cell, two outcomes -----------------------------------------------------------------------------------------


def two_outcomes(low: float = 10.0, high: float = 30.0, chance: float = 0.5) -> pd.DataFrame:
    """Expected scores of four forecasts of a cell that holds `high` with probability `chance`, else `low` (kg m-2).

    Rows: always low, always high, the mean, a draw from the distribution itself. Columns: rmse (of what is handed in: a
    draw is one number), crps (of the distribution that is handed in) and whether the value ever occurs.
    """
    outcomes, weight = np.array([low, high]), np.array([1 - chance, chance])
    mean = float(weight @ outcomes)
    rows = {}
    for name, values, share in (
        ("always the dry one", [low], [1.0]),
        ("always the wet one", [high], [1.0]),
        ("the mean", [mean], [1.0]),
        ("a draw", outcomes, weight),
    ):
        values, share = np.asarray(values, float), np.asarray(share, float)
        apart = np.abs(values[:, None] - outcomes[None])
        own = np.abs(values[:, None] - values[None])
        rows[name] = {
            "rmse": float(np.sqrt(share @ apart**2 @ weight)),
            "crps": float(share @ apart @ weight - 0.5 * share @ own @ share),
            "occurs": bool(np.isin(values, outcomes).all()),
        }
    return pd.DataFrame(rows).T


# ---- ensembles ------------------------------------------------------------------------------------------------------


def ensemble_scores(members: Tensor, truth: Tensor, weights: Tensor) -> dict[str, float]:
    """Scores of members (M, ...) against the truth (...), with the last two axes (H, W) and cell areas (H, W).

    Returns
    -------
    rmse (of the mean), member_rmse, crps (fair), mae (of the mean: its CRPS as a single forecast), spread_skill, and
    outside, the share of points where the truth lies beyond all members (2 / (M + 1) for a reliable ensemble).

    Raises
    ------
    PhysLabError : a single member.
    """
    if len(members) < 2:
        raise PhysLabError("an ensemble of 1 member has no spread: draw at least 2")
    ranks, mean = rank_histogram(members, truth), members.mean(0)
    squares = torch.stack([rmse(y, truth, weights) ** 2 for y in members])
    return {
        "rmse": float(ensemble_mean_rmse(members, truth, weights=weights)),
        "member_rmse": float(squares.mean().sqrt()),
        "crps": float(crps(members, truth, weights=weights)),
        "mae": float(mae(mean, truth, weights)),
        "spread_skill": float(spread_skill(members, truth, weights=weights)),
        "outside": float((ranks[0] + ranks[-1]) / ranks.sum()),
    }


def calm_and_steep(members: Tensor, truth: Tensor, coarse: Tensor, weights: Tensor) -> dict[str, float]:
    """Spread/skill where the *input* is calm and where it is steep: an average over all places can hide both.

    Parameters
    ----------
    members, truth, coarse : (M, S, T, H, W), (S, T, H, W) and (S, T, h, w);  weights : (H, W) cell areas.

    Returns
    -------
    "calm" for the half of the coarse cells with the smallest range among their neighbours, "steep" for the tenth with
    the largest.
    """
    pool = torch.nn.functional.max_pool2d
    span = pool(coarse, 3, 1, 1) + pool(-coarse, 3, 1, 1)
    low, high = np.quantile(span.numpy(), (0.5, 0.9))
    places = {"calm": span <= low, "steep": span >= high}
    factor = truth.shape[-1] // coarse.shape[-1]
    return {
        name: float(spread_skill(members, truth, weights=weights * refine(mask.to(weights), factor)))
        for name, mask in places.items()
    }


def health(card: Mapping) -> pd.DataFrame:
    """The discriminator through the adversarial stage, from a model card.

    One row per validation: right (share of fields judged rightly, 0.5 at chance), loss over the 2 ln 2 of a
    discriminator at chance, and the validation RMSE; indexed by the step.

    Raises
    ------
    PhysLabError : a model that was trained without a discriminator.
    """
    rows = [row for row in card["training"]["history"] if "d_right" in row]
    if not rows:
        raise PhysLabError(f"{card.get('recipe')} was trained without a discriminator: pass the card of a GAN")
    return pd.DataFrame(
        {
            "right": [row["d_right"] for row in rows],
            "loss / (2 ln 2)": [row["d_loss"] / (2 * np.log(2)) for row in rows],
            "validation RMSE": [row["val_rmse"] for row in rows],
        },
        index=pd.Index([row["step"] for row in rows], name="step"),
    )


# ---- time -----------------------------------------------------------------------------------------------------------


def missing_hour(models: Mapping[str, CNN], data: SRData, split: str = "test") -> pd.DataFrame:
    """RMSE (kg m-2) of the given hours and of the missing one, fine, and of the missing one on the coarse grid.

    The first row needs no training: linear interpolation in time, bicubic with the additive layer in space. `data` are
    pairs with two coarse frames of three (task tcw-t2).
    """
    fine, coarse, w = data.fine[split], data.coarse[split], data.weights
    truth = data.all_coarse(split)[:, 1]
    cells = w.unfold(0, data.factor, data.factor).unfold(1, data.factor, data.factor).sum((-2, -1))
    plain = InTime(Interpolate("bicubic", data.factor, "add"))
    made = {"linear in time": (plain.predict(coarse, w), coarse.mean(1))}
    for name, model in models.items():
        with torch.no_grad():
            full = model.network.complete(coarse / model.scale) * model.scale
        made[name] = (model.predict(coarse, w), full[:, 1])
    rows = {
        name: {
            "given hours": float(rmse(y[:, ::2], fine[:, ::2], w)),
            "missing hour": float(rmse(y[:, 1], fine[:, 1], w)),
            "missing hour, coarse": float(rmse(middle, truth, cells)),
        }
        for name, (y, middle) in made.items()
    }
    return pd.DataFrame(rows).T


def hourly_motion(data: SRData) -> Tensor:
    """How far the water-weighted wind c = Q / W carries the water between the first and the last training frame.

    Returns
    -------
    (S, h, w) in coarse cells, from the fluxes of the middle frame.
    """
    flux = torch.hypot(data.budget["ivt_u"][:, 1], data.budget["ivt_v"][:, 1])
    speed = flux / data.all_coarse("train")[:, 1].clamp_min(1e-3)
    assert data.step is not None  # of sequences, which alone have fluxes
    seconds = 2 * float(data.step / np.timedelta64(1, "s"))
    cell = EARTH_RADIUS * np.deg2rad(abs(float(np.diff(data.latitude).mean()))) * data.factor
    return speed * seconds / cell


def moving_filament(moved: float, width: float = 4.0, cells: int = 64) -> dict[str, Tensor]:
    """A filament (Gaussian of `width` cells) that moves by `moved` cells: the middle hour, estimated in two ways.

    Returns
    -------
    first, last, truth, linear and warped, each (cells,): profiles of the middle row, kg m-2.
    """
    x = torch.arange(cells, dtype=torch.float64)

    def at(centre: float) -> Tensor:
        return (10 + 20 * torch.exp(-0.5 * ((x - centre) / width) ** 2)).expand(1, 1, 8, cells)

    middle = cells / 2
    first, last = at(middle - moved / 2), at(middle + moved / 2)
    half = torch.zeros(1, 2, 8, cells, dtype=torch.float64)
    half[:, 0] = moved / 2
    share = torch.full((1, 1, 8, cells), 0.5, dtype=torch.float64)
    frames = {
        "first": first,
        "last": last,
        "truth": at(middle),
        "linear": 0.5 * (first + last),
        "warped": between(first, last, half, share),
    }
    return {name: y[0, 0, 4] for name, y in frames.items()}


def crests(profile: Tensor) -> int:
    """Number of local maxima of a profile."""
    inner = profile[1:-1]
    return int(((inner > profile[:-2]) & (inner >= profile[2:])).sum())
