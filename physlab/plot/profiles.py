"""Cross sections over latitude and pressure: the picture of the mean circulation."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from physlab.errors import FieldError
from physlab.plot.maps import DIVERGING


def draw_profile(
    field: xr.DataArray, contours: xr.DataArray | None = None, label: str = "", width: float = 6.5
) -> Figure:
    """Colours and contours over latitude (across) and pressure (down).

    Parameters
    ----------
    field : (level, latitude) in either order
        Coloured, diverging about zero; level in hPa.
    contours : same dimensions, optional
        A second field, drawn as labelled lines.
    label : str
        Of the colour bar.

    Returns
    -------
    Figure
        Closed for pyplot, so that a notebook shows it once.

    Raises
    ------
    FieldError
        Other dimensions than level and latitude.
    """
    if set(field.dims) != {"level", "latitude"}:
        raise FieldError(
            f"a profile has dims (level, latitude), got {tuple(field.dims)}: average over the others first"
        )
    figure, ax = plt.subplots(figsize=(width, 0.5 * width), layout="constrained")
    latitude, level = field["latitude"].values, field["level"].values
    colours = field.transpose("level", "latitude").values
    top = float(np.nanmax(np.abs(colours))) or 1.0
    mesh = ax.contourf(latitude, level, colours, levels=np.linspace(-top, top, 21), cmap=DIVERGING)
    if contours is not None:
        lines = ax.contour(
            latitude, level, contours.transpose("level", "latitude").values, levels=10, colors="0.3", linewidths=0.7
        )
        ax.clabel(lines, fontsize=7, fmt="%.0f")
    ax.set(xlabel="latitude (degrees)", ylabel="pressure (hPa)", ylim=(float(level.max()), float(level.min())))
    bar = figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.set_label(label, fontsize=8)
    ax.tick_params(labelsize=8)
    bar.ax.tick_params(labelsize=7)
    plt.close(figure)
    return figure
