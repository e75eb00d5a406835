"""A split that leaks, and a small training without and with the law."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.downscale.terrain import TerrainFields
from physlab.grid import Grid
from physlab.nn.upscaler import bicubic
from physlab.score.detail import detail_scores
from physlab.teach.latent.scene import FACTOR, NAMES, TRUNCATION
from physlab.train.latent import LatentSettings, balance_of, make_latent, train_latent, tune_latent
from physlab.train.steps import Steps

# ---- a split that leaks ---------------------------------------------------------------------------------------------


def leak(hourly: xr.DataArray, last: int = 72, gap: float = 48.0) -> pd.Series:
    """RMSE, K, of detail copied from the most similar other hour, on the last hours of a series.

    Parameters
    ----------
    hourly : (time, latitude, longitude) temperature, K, in the order of time.
    last : hours to test on.  gap : hours around a test hour that a split by blocks keeps out of training.

    Returns
    -------
    Series: "bicubic", which copies nothing, "random split" (any other hour may be in training), "split by blocks".
    """
    hours = (hourly["time"].values - hourly["time"].values[0]) / np.timedelta64(1, "h")
    grid, x = Grid.from_dataset(hourly), torch.from_numpy(np.array(hourly.values, dtype=np.float64))
    height, width = (n // FACTOR * FACTOR for n in x.shape[-2:])
    x, area = x[:, :height, :width], torch.from_numpy(grid.area_weights[:height, :1].copy())
    coarse = torch.nn.functional.avg_pool2d(x[:, None], FACTOR)
    detail = x - bicubic(coarse, FACTOR)[:, 0]
    like = torch.cdist(*(coarse.flatten(1),) * 2)
    found: dict[str, list[float]] = {"bicubic": [], "random split": [], "split by blocks": []}
    for k in range(len(x) - last, len(x)):
        for name, near in (("random split", 0.5), ("split by blocks", gap)):
            allowed = torch.from_numpy(np.abs(hours - hours[k]) >= near)
            best = int(torch.where(allowed, like[k], torch.inf).argmin())
            found[name].append(float(((detail[k] - detail[best]).square() * area).mean() / area.mean()))
        found["bicubic"].append(float((detail[k].square() * area).mean() / area.mean()))
    return pd.Series({name: float(np.mean(values)) ** 0.5 for name, values in found.items()})


# ---- a small training -----------------------------------------------------------------------------------------------

TINY: dict[str, Any] = {"unet": (8, 16), "vae": (8, 16), "levels": (16, 24), "features": 8, "latent": 3}


SHORT = LatentSettings(
    unet=Steps(150, 2, 4e-3), vae=Steps(150, 2, 4e-3), denoiser=Steps(200, 4, 3e-3), tuning=Steps(40, 4, 1e-3, ema=0.9)
)


def train_tiny(
    truths: xr.Dataset, south: float = 10.0, north: float = 75.0, weight: float = 1.0, seed: int = 0,
    settings: LatentSettings | None = None,
) -> tuple[pd.DataFrame, float]:  # fmt: skip
    """A tiny model trained on all times but the last of a belt of latitudes, tuned without and with the balance.

    Parameters
    ----------
    truths : t_low, u_low, v_low on (time, latitude, longitude).
    weight : lambda.

    Returns
    -------
    Scores at the last time (:data:`NAMES`, without the agreement with the coarse field), and seconds.
    """
    began, settings = time.perf_counter(), SHORT if settings is None else settings
    inside = (truths["latitude"] >= south) & (truths["latitude"] <= north)
    drivers = ("t_low", "u_low", "v_low")
    fields = TerrainFields.of(truths.isel(latitude=np.flatnonzero(inside)), "t_low", drivers, FACTOR)
    train, held = fields.take(slice(0, len(fields) - 1)), fields.take(slice(len(fields) - 1, None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_latent(train, **TINY)
    model.steps = 8
    train_latent(model, train, settings, seed)
    law, (u, v) = balance_of(train), held.true_wind()
    last = (u[0], v[0])
    made = {"bicubic": model.upsample(held.coarse[:, :1])[0]}
    with torch.no_grad():
        made["U-Net"] = model.regress(held.coarse, held.static)[0]
    for name, lam in (("40 more steps", 0.0), (f"40 more with λ = {weight:g}", weight)):
        tuned = tune_latent(copy.deepcopy(model), train, lam, "balance", settings, seed)
        made[f"4 members, {name}"] = tuned.sample(held.coarse, None, 4, static=held.static)[:, 0]
    rows = {name: detail_scores(x, held.truth[0, 0], held.coarse[0, 0], held.grid, FACTOR, law, last, TRUNCATION)
            for name, x in made.items()}  # fmt: skip
    columns = [c for c in NAMES if c != "conservation"]
    return pd.DataFrame(rows).T[columns].rename(columns=NAMES), time.perf_counter() - began
