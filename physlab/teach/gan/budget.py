"""A judge that knows a law: residuals of the water budget, corrected and as published."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from physlab.data.patches import SRData
from physlab.equations import moisture
from physlab.grid import refine
from physlab.train.law import WaterBudget

HOUR = 3600.0


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
        source, sink = (x if name == "coarse" else refine(x, data.factor) for x in (e, tp))
        parts = moisture.budget(w, c_u * w, c_v * w, source, sink, grid, law.seconds)
        storage, transport = parts["storage"], parts["divergence"]
        found = storage + transport - (parts["evaporation"] - parts["precipitation"])
        rows[f"corrected, {name}"] = _closure_row(storage, transport, found)
        gone = 0.5 * (w[:, 1:] + w[:, :-1])
        u, v = (0.5 * (c[:, 1:] + c[:, :-1]) for c in (c_u, c_v))
        along_x, along_y = torch.gradient(gone, dim=(-1, -2))
        storage, transport = w.diff(dim=1) / (law.seconds / HOUR), 2 * (u * along_x + v * along_y)
        rows[f"published, {name}"] = _closure_row(storage, transport, -storage - transport + source[:, 1:])
    return pd.DataFrame(rows).T


def _closure_row(storage: Tensor, transport: Tensor, found: Tensor) -> dict[str, float]:
    inner = (..., slice(2, -2), slice(2, -2))  # one-sided differences at the rim are another matter
    s, t, r = (rms(x[inner]) for x in (storage, transport, found))
    return {"storage": s, "transport": t, "residual": r, "closure": r / max(s, t)}
