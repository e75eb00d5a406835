r"""What the chapter on GANs and time computes: two outcomes, ensembles, a missing hour, a judge that knows a law.

The identity behind the chapter: for members f_i of mean m and truth o, at every point,

.. math:: \frac1M \sum_i (f_i - o)^2 = (m - o)^2 + \frac1M \sum_i (f_i - m)^2 ,

so that the mean square error of a member is that of the mean plus the spread, and whoever is paid by mean square error
gives up the spread.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.constants import EARTH_RADIUS
from physlab.data.patches import SRData
from physlab.downscale import CNN, Interpolate
from physlab.downscale.interpolate import InTime
from physlab.equations import moisture
from physlab.errors import PhysLabError
from physlab.grid import refine
from physlab.nn.voxelflow import between
from physlab.score import crps, ensemble_mean_rmse, mae, rank_histogram, rmse, spread_skill
from physlab.train.law import WaterBudget

HOUR = 3600.0

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


def draw_ranks(ranks: Mapping[str, Tensor], width: float = 8.0) -> Figure:
    """Rank histograms (M + 1,) as shares of the flat one; all panels share their axis."""
    figure, axes = plt.subplots(1, len(ranks), figsize=(width, 2.6), sharey=True, squeeze=False, layout="constrained")
    for ax, (name, counts) in zip(axes.flat, ranks.items(), strict=True):
        counts = np.asarray(counts, dtype=float)
        ax.bar(np.arange(len(counts)), counts / counts.mean(), color="C0", width=0.9)
        ax.axhline(1.0, color="black", lw=1, ls="--")
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("rank of the truth among the members", fontsize=8)
        ax.tick_params(labelsize=7)
    axes.flat[0].set_ylabel("share (flat = 1)", fontsize=8)
    plt.close(figure)
    return figure


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


def draw_filament(moved: float, width: float = 4.0) -> Figure:
    """The filament at both hours, and its middle hour: truth, linear in time, moved along."""
    profiles = moving_filament(moved, width)
    styles = {
        "first": ("0.7", "-"),
        "last": ("0.7", "-"),
        "truth": ("black", "-"),
        "linear": ("C3", "--"),
        "warped": ("C0", ":"),
    }
    figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    for name, y in profiles.items():
        colour, line = styles[name]
        ax.plot(y.numpy(), line, color=colour, label=name, lw=1.4 if colour == "0.7" else 2)
    ax.set_xlabel("cells", fontsize=8)
    ax.set_ylabel("column water (kg m⁻²)", fontsize=8)
    ax.set_title(f"moved by {moved:g} cells, width {width:g}", fontsize=9)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7)
    plt.close(figure)
    return figure


# ---- a judge that knows a law ---------------------------------------------------------------------------------------


def relative_residuals(fields: Mapping[str, Tensor], data: SRData, at: slice) -> dict[str, Tensor]:
    """What a physics-informed discriminator sees: residuals of the water budget over the typical one of the truth.

    Parameters
    ----------
    fields : name -> (S, 3, H, W), kg m-2, of the training samples `at`.

    Returns
    -------
    name -> (S, 2, H, W); the truth has a root mean square of 1 on average.
    """
    scale = data.scaling.scale[0]
    law = WaterBudget(data, scale)
    coarse, terms = data.coarse["train"][at] / scale, law.terms(data)[at]
    return {name: law(y / scale, coarse, terms, limit=torch.inf) for name, y in fields.items()}


def rms(x: Tensor) -> float:
    """Root mean square of everything."""
    return float(x.double().square().mean().sqrt())


def closure(data: SRData) -> pd.DataFrame:
    """Does the truth satisfy the law that is asked of the fakes? The corrected residual and the published one.

    Both on the same training frames, coarse ("coarse") and fine ("fine", with the interpolated carrying velocity).
    The corrected one is dW/dt + div(cW) - (E - P), all in kg m-2 s-1. The published one, -dq/dt - (u1 + u2) q_x
    - (v1 + v2) q_y + E, takes differences per cell (dx = 1) and time in hours; both of its wind levels are c here.

    Returns
    -------
    One row per residual and grid: root mean squares of storage, transport and residual in its own "units", and closure
    = residual / the larger of the two terms: below 1 if the terms balance each other at all.
    """
    scale = data.scaling.scale[0]
    law = WaterBudget(data, scale)
    every = slice(None, None, 8)
    terms = law.terms(data)[every]
    flux_u, flux_v, e, tp = terms.chunk(4, dim=1)
    water, fine = data.coarse["train"][every], data.fine["train"][every]
    grids = {"coarse": law.grid.coarsen(data.factor), "fine": law.grid}
    rows = {}
    for name, grid in grids.items():
        w, size = (water, water.shape[-2:]) if name == "coarse" else (fine, fine.shape[-2:])
        c_u, c_v = (
            torch.nn.functional.interpolate(q / water.clamp_min(1e-3), size=size, mode="bilinear")
            for q in (flux_u, flux_v)
        )
        sources = [x if name == "coarse" else refine(x, data.factor) for x in (e, tp)]
        parts = moisture.budget(w, c_u * w, c_v * w, *sources, grid, law.seconds)
        storage, transport = parts["storage"], parts["divergence"]
        found = storage + transport - (parts["evaporation"] - parts["precipitation"])
        rows[f"corrected, {name}"] = _closure_row(storage, transport, found)
        gone = 0.5 * (w[:, 1:] + w[:, :-1])
        u, v = (0.5 * (c[:, 1:] + c[:, :-1]) for c in (c_u, c_v))
        along_x, along_y = torch.gradient(gone, dim=(-1, -2))
        storage, transport = w.diff(dim=1) / (law.seconds / HOUR), 2 * (u * along_x + v * along_y)
        rows[f"published, {name}"] = _closure_row(storage, transport, -storage - transport + sources[0][:, 1:])
    return pd.DataFrame(rows).T


def _closure_row(storage: Tensor, transport: Tensor, found: Tensor) -> dict[str, float]:
    inner = (..., slice(2, -2), slice(2, -2))  # one-sided differences at the rim are another matter
    s, t, r = (rms(x[inner]) for x in (storage, transport, found))
    return {"storage": s, "transport": t, "residual": r, "closure": r / max(s, t)}
