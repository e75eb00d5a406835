"""Pictures of the chapter on PhyDL: error against interpolation, and the fields at any moment."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from physlab.benchmark.continuous import HOURS, REGULAR, SHARES, STEP, VARIABLES, thinned
from physlab.phydl import (
    PhyDL,
)
from physlab.plot import map_panels
from physlab.teach.phydl.analysis import NAMES
from physlab.teach.pictures import closed


def draw_ratios(summary: pd.DataFrame) -> Figure:
    """RMSE over that of the best interpolation, by variable at the regular data and by share of random points."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
    style = {"equations": ("C0", "o"), "equations, no force": ("C2", "^"), "no equations": ("C1", "s"),
             "no equations, smoother": ("C3", "v")}  # fmt: skip
    part = summary[summary["data"] == REGULAR]
    for at, (method, (colour, marker)) in enumerate(style.items()):
        rows = part[part["method"] == method].set_index("variable").loc[list(VARIABLES)]
        x = np.arange(len(VARIABLES)) + 0.14 * (at - 1.5)
        left.errorbar(x, rows["ratio"], rows["ratio_spread"].fillna(0), fmt=marker, color=colour, label=method, ms=5)
    left.set_xticks(range(len(VARIABLES)), [NAMES[v] for v in VARIABLES])
    left.set_title(f"every {STEP}th point, every {HOURS}rd hour", fontsize=9)
    for method in ("equations", "no equations"):
        colour, marker = style[method]
        for v, line in (("u", "-"), ("q", "--")):
            rows = summary[(summary["method"] == method) & (summary["variable"] == v)].set_index("data")
            rows = rows.loc[list(SHARES)]
            right.errorbar([100 * s for s in SHARES.values()], rows["ratio"], rows["ratio_spread"], color=colour,
                           ls=line, marker=marker, ms=4, label=f"{NAMES[v]}, {method}")  # fmt: skip
    right.set(xscale="log", xlabel="random points and hours given (%)")
    right.set_xticks([1, 3, 10], ["1", "3", "10"])
    for ax in (left, right):
        ax.axhline(1, color="0.4", ls=":", lw=1)
        ax.set_ylabel("RMSE / best interpolation")
        ax.legend(fontsize=7, frameon=False)
    return closed(fig)


def draw_moment(model: PhyDL, ds: xr.Dataset, hour: float, name: str = "q") -> Figure:
    """A variable at any moment: the data that were given around it, the field, and the truth if the hour is whole."""
    scale = 1e3 if name == "q" else 1.0
    start, whole = ds["time"].values[0], float(hour).is_integer()
    moment = start + np.timedelta64(round(60 * hour), "m")
    made = model.downscale(to=ds, time=np.array([moment]))[name][0] * scale
    coarse = thinned(ds)[name].sel(time=moment, method="nearest") * scale
    panels = {f"nearest data, {abs((coarse.time.values - moment) / np.timedelta64(1, 'm')):.0f} min away":
              coarse.sel(latitude=ds.latitude, longitude=ds.longitude, method="nearest").values,
              f"field, hour {hour:g}": made.values}  # fmt: skip
    if whole:
        panels["truth"] = ds[name].sel(time=moment).values * scale
    units = "g kg⁻¹" if name == "q" else ds[name].attrs.get("units", "")
    return map_panels(panels, ds.latitude.values, ds.longitude.values, units=units)
