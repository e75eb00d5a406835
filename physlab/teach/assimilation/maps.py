"""Pictures of assimilation on real weather: error correlations, one station, shares of stations, maps."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from physlab.assimilate import gaspari_cohn
from physlab.plot import PLAIN, draw_map, map_axes
from physlab.teach.assimilation.weather import STATION, Weather, _rms, one_station, stations, with_past_errors, z500
from physlab.teach.pictures import closed, plain_ticks

# ---- what the errors look like --------------------------------------------------------------------------------------


def draw_alike(found: pd.DataFrame) -> Figure:
    """Measured correlations, and the functions that may stand for them."""
    fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
    ax.plot(found.index, found["z"], "ko", ms=4, label="geopotential, measured")
    ax.plot(found.index, found["u"], "s", color="0.6", ms=4, label="eastward wind, measured")
    km = torch.linspace(0, 4000, 200)
    for radius, colour in ((300, "C2"), (700, "C0"), (1400, "C1")):
        ax.plot(km, gaspari_cohn(km, radius), color=colour, lw=1, label=f"Gaspari-Cohn, {radius} km")
    ax.axhline(0, color="0.4", ls=":", lw=1)
    ax.set(xlabel="distance (km)", ylabel="correlation of forecast errors")
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_station(known: Weather, radius_km: float) -> Figure:
    """Both increments as maps, with the wind."""
    both = one_station(known, 1e3 * radius_km)
    fig, (axes,) = map_axes(1, 2, both[0].latitude, both[0].longitude, width=9.5)
    names = ("one correlation for all", "past errors")
    top, spot = known.size("z"), known.truth.sel(STATION, method="nearest")
    for ax, name, ds in zip(axes, names, both, strict=True):
        mesh = draw_map(ax, z500(ds), limits=(-top, top), diverging=True)
        u, v = (ds[c].sel(level=500).values[::1, ::2] for c in ("u", "v"))
        lon, lat = ds.longitude.values[::2], ds.latitude.values
        if np.abs(u).max() > 0:
            ax.quiver(lon, lat, u, v, scale=12, width=0.003, color="k", transform=PLAIN)
        ax.plot(spot.longitude, spot.latitude, "+", color="k", ms=8, transform=PLAIN)
        ax.set_title(f"{name}, {radius_km:g} km", fontsize=9)
    fig.colorbar(mesh, ax=list(axes), shrink=0.85, label="increment, 500 hPa (m² s⁻²)")
    return closed(fig)


# ---- the analyses ---------------------------------------------------------------------------------------------------


def draw_shares(found: pd.DataFrame) -> Figure:
    """RMSE after over RMSE before, by share of columns."""
    fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
    colours, lines = (
        {"optimal interpolation": "C1", "past errors": "C0"},
        {"noisy": "-", "exact": "--", "exact, taken for noisy": ":"},
    )
    for (method, label), part in found.groupby(["method", "stations"]):
        ax.plot(100 * part["share"], part["ratio"], "o", ls=lines[label], color=colours[method], ms=4,
                label=f"{method}, stations {label}")  # fmt: skip
    ax.axhline(1, color="0.4", ls=":", lw=1)
    ax.set(xscale="log", xlabel="columns observed (%)", ylabel="RMSE after / before")
    plain_ticks(ax.xaxis, [0.5, 2, 5, 10])
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_weather(now: Weather, known: Weather, share: float) -> Figure:
    """The state, the forecast's error, the increment and what is left, at 500 hPa, with the stations."""
    table = stations(now, known.sizes, share)
    true, first, made = (z500(ds) for ds in (now.truth, now.forecast, with_past_errors(now, known, table)))
    before, after = (_rms(known, y - true) for y in (first, made))
    panels = {f"truth - forecast, RMSE {before:.0f} m² s⁻²": true - first,
              f"increment, {100 * share:g} % of the columns": made - first,
              f"truth - analysis, RMSE {after:.0f} m² s⁻²": true - made}  # fmt: skip
    fig, grid = map_axes(2, 2, true.latitude, true.longitude, width=8.0, share=0.85)
    axes = list(grid.flat)
    mesh = draw_map(axes[0], true / 9806.65)
    axes[0].set_title("truth", fontsize=9)
    fig.colorbar(mesh, ax=axes[0], shrink=0.8, pad=0.01).set_label("height, km", fontsize=8)
    for ax, (title, field) in zip(axes[1:], panels.items(), strict=True):
        mesh = draw_map(ax, field, limits=(-250, 250), diverging=True)
        ax.set_title(title, fontsize=9)
        fig.colorbar(mesh, ax=ax, shrink=0.8, pad=0.01).set_label("500 hPa, m² s⁻²", fontsize=8)
    place = table[["latitude", "longitude"]].to_dataframe().drop_duplicates()
    for ax in axes[1:3]:
        ax.plot(place["longitude"], place["latitude"], "k.", ms=2, transform=PLAIN)
    return closed(fig)
