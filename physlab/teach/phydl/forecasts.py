"""The forecasts of the chapter on PhyDL-NWP: gains over the control, and one forecast with its residuals."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure

from physlab.benchmark.forecasting import NETWORKS, SCORED, VARIABLES, forecasting_summary
from physlab.grid import Grid
from physlab.phydl import Forecaster, GridResidual
from physlab.plot import draw_map, map_axes
from physlab.teach.pictures import closed

LABELS = {"unet": "U-Net", "convlstm": "ConvLSTM", "afno": "AFNO"}


STYLE = {"data": ("C1", "--", "more data"), "equations": ("C0", "-", "data and equations")}


def gains(table: pd.DataFrame, training: str = "equations") -> pd.DataFrame:
    """Network x lead: mean gain over the control and its spread over seeds, and residual of both."""
    found = forecasting_summary(table)
    found = found[(found["training"] == training) & (found["variable"] == "all")]
    return found.set_index(["model", "lead"])[["gain", "spread", "residual", "residual_control", "seeds"]]


def draw_gains(table: pd.DataFrame) -> Figure:
    """Left: gain in RMSE over the control by variable, a day ahead, bars are seeds. Right: residual by lead."""
    names = {"u": "u", "v": "v", "t": "T", "z": "Φ", "q": "q", "tcw": "W"}
    found = forecasting_summary(table)
    found = found[(found["training"] == "equations") & (found["lead"] == SCORED[-1])]
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
    for at, model in enumerate(NETWORKS):
        rows = found[found["model"] == model].set_index("variable").loc[list(VARIABLES)]
        x = np.arange(len(VARIABLES)) + 0.18 * (at - 1)
        left.errorbar(x, 100 * rows["gain"], 100 * rows["spread"], fmt="osv"[at], ms=5, label=LABELS[model])
    left.axhline(0, color="0.4", ls=":", lw=1)
    left.set_xticks(range(len(VARIABLES)), [names[v] for v in VARIABLES])
    left.set_ylabel("RMSE lower than the control's by (%)")
    left.set_title(f"{SCORED[-1]} hours ahead", fontsize=9)
    left.legend(fontsize=7, frameon=False)
    for stage, (colour, line, label) in STYLE.items():
        for at, model in enumerate(NETWORKS):
            rows = table[(table["model"] == model) & (table["training"] == stage)].groupby("lead")["residual"].mean()
            right.plot(rows.index, rows, color=colour, ls=line, marker="osv"[at], ms=4,
                       label=f"{LABELS[model]}, {label}")  # fmt: skip
    truth = table[table["model"] == "truth"].set_index("lead")["residual"]
    right.plot(truth.index, truth, color="k", lw=1, label="truth")
    right.set(xlabel="hours ahead", ylabel="residual / its spread in the truth", ylim=(0, None))
    right.set_xticks(SCORED)
    right.legend(fontsize=6.5, frameon=False, loc="upper left")
    return closed(fig)


def residuals(law: GridResidual, ds: xr.Dataset, made: xr.Dataset, variables=VARIABLES) -> xr.DataArray:
    """(time, equation, latitude, longitude): residuals of a forecast from the last time of `ds`, relative to sigma."""
    frames = [np.stack([part[v].values for v in variables], 1) for part in (ds.isel(time=slice(-1, None)), made)]
    x = torch.from_numpy(np.concatenate(frames).astype(np.float64))[None]
    step = float((made["time"].values[0] - ds["time"].values[-1]) / np.timedelta64(1, "s"))
    grid = Grid(ds["latitude"].values, ds["longitude"].values)
    force, spread = law.at([float(grid.longitude[0])], len(grid.longitude))
    rest = ((law(x, grid, step) - force) / spread)[0]
    inner = slice(law.border, -law.border)
    coordinates = {"time": made["time"], "equation": [e.variable for e in law.equations],
                   "latitude": ds["latitude"][inner], "longitude": ds["longitude"][inner]}  # fmt: skip
    return xr.DataArray(rest.numpy(), coordinates, ("time", "equation", "latitude", "longitude"))


def draw_forecast(
    models: Mapping[str, Forecaster], law: GridResidual, ds: xr.Dataset, hour: int, lead: int = 24, name: str = "u"
) -> Figure:
    """Forecasts and truth of a variable; below, the size of the residuals of the six hours before."""
    history, fields, below = ds.isel(time=slice(hour - 6, hour + 1)), {}, {}
    for label, model in models.items():
        made = model.forecast(history)
        fields[label] = made[name].isel(time=list(model.leads).index(lead))
        below[label] = residuals(law, history, made).isel(time=slice(-3, None))
    frames = ds.isel(time=[hour + lead - k for k in (6, 4, 2, 0)])
    fields["truth"] = ds[name].isel(time=hour + lead)
    below["truth"] = residuals(law, frames.isel(time=[0]), frames.isel(time=[1, 2, 3]))
    below = {k: xr.ufuncs.sqrt((v**2).mean(("time", "equation"))) for k, v in below.items()}
    shared = float(min(f.min() for f in fields.values())), float(max(f.max() for f in fields.values()))
    fig, axes = map_axes(2, len(fields), ds.latitude, ds.longitude, width=9.5)
    for row, (parts, limits, label) in enumerate((
        (fields, shared, f"{name}, {ds[name].attrs.get('units', '')}"),
        (below, (0.0, float(max(v.quantile(0.99) for v in below.values()))), "residual / spread in the truth"),
    )):  # fmt: skip
        for ax, (title, field) in zip(axes[row], parts.items(), strict=True):
            mesh = draw_map(ax, field, limits=limits)
            if not row:
                ax.set_title(title, fontsize=9)
        fig.colorbar(mesh, ax=list(axes[row]), shrink=0.85, aspect=25, pad=0.02).set_label(label, fontsize=8)
    return closed(fig)
