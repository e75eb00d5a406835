"""Maps on cartopy's projections, with the coastline that ships with the package: nothing is fetched.

Colours are perceptually uniform and safe for colour-blind readers; all panels of one quantity share their limits, and
differences are drawn in a diverging map that is symmetric about zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from physlab.data.coastline import load_coastline
from physlab.errors import FieldError
from physlab.plot.projections import PLAIN, draw_cells, draw_lines, east_west, frame, map_axes, north_south, window

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"

Field = xr.DataArray | np.ndarray | torch.Tensor


def _array(field: Field) -> np.ndarray:
    """The field as a two-dimensional array (H, W); axes of length one are dropped."""
    values = field.detach().cpu().numpy() if isinstance(field, torch.Tensor) else np.asarray(field)
    values = np.squeeze(values)
    if values.ndim != 2:
        raise FieldError(
            f"a map needs one field (H, W), got shape {tuple(values.shape)}: select a time, level or sample first"
        )
    return values


def _axis(field: Field, name: str, given: np.ndarray | None, size: int) -> np.ndarray:
    if given is None and isinstance(field, xr.DataArray) and name in field.coords:
        given = field[name].values
    if given is None:
        raise FieldError(f"no {name} for the map: pass {name}=... or a DataArray that has it")
    given = np.asarray(given, dtype=np.float64)
    if given.size == size:
        return given
    if given.size % size == 0:  # a coarse field on the axis of the fine one
        return given.reshape(size, -1).mean(axis=1)
    raise FieldError(f"{name} has {given.size} values for a field with {size}: pass the axis of this field")


def draw_map(
    ax: Axes,
    field: Field,
    latitude: np.ndarray | None = None,
    longitude: np.ndarray | None = None,
    limits: tuple[float, float] | None = None,
    diverging: bool = False,
    coast: bool = True,
) -> QuadMesh:
    """Draw one field.

    Parameters
    ----------
    ax : Axes
        Plain axes, or those of :func:`physlab.plot.map_axes`.
    field : (H, W)
        DataArray with coordinates, or an array or tensor with the two axes given.
    latitude, longitude : (H,), (W,), optional
        Degrees; the axis of a finer grid (a multiple in length) is averaged to the field's own.
    limits : (low, high), optional
        Colour limits; by default the range of the field, symmetric about zero if `diverging`.
    diverging : bool
        Use the diverging colours.
    coast : bool
        Draw the coastline.

    Returns
    -------
    QuadMesh
        The coloured cells (for a colour bar).
    """
    values = _array(field)
    y = _axis(field, "latitude", latitude, values.shape[0])
    x = _axis(field, "longitude", longitude, values.shape[1])
    if limits is None:
        top = float(np.nanmax(np.abs(values))) or 1.0
        limits = (-top, top) if diverging else (float(np.nanmin(values)), float(np.nanmax(values)))
    colours = {"cmap": DIVERGING if diverging else SEQUENTIAL, "vmin": limits[0], "vmax": limits[1]}
    mesh = draw_cells(ax, y, x, values, rasterized=True, **colours)
    south, north, west, east = bounds = window(y, x)
    if coast:
        draw_lines(
            ax, *load_coastline((west, east), (south, north)), color="white" if not diverging else "0.25", lw=0.7
        )
    if isinstance(ax, GeoAxes):
        frame(ax, bounds)
        return mesh
    ax.set(xlim=(west, east), ylim=(south, north))
    ax.set_aspect("auto" if north - south > 100 else 1.0 / max(np.cos(np.deg2rad((north + south) / 2)), 0.3))
    ax.xaxis.set_major_formatter(east_west)
    ax.yaxis.set_major_formatter(north_south)
    ax.tick_params(labelsize=7)
    return mesh


def _extent(values: np.ndarray, percentile: float = 100.0) -> float:
    """Half the width of a symmetric colour scale; never zero."""
    return float(np.nanpercentile(np.abs(values), percentile)) or 1.0


def map_panels(
    fields: Mapping[str, Field],
    latitude: np.ndarray | None = None,
    longitude: np.ndarray | None = None,
    units: str = "",
    diverging: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    columns: int = 3,
    marker: tuple[float, float] | None = None,
    width: float = 9.0,
    coast: bool = True,
    shared: bool = True,
    percentile: float = 100.0,
    projection: str = "auto",
) -> Figure:
    """Several maps of one window with shared colour limits.

    Parameters
    ----------
    fields : mapping from title to field
        All panels share one scale, except those named in `diverging`, which share a symmetric one.
    units : str
        Written on the colour bars.
    diverging : sequence of titles
        Differences and residuals.
    limits : (low, high), optional
        Colour limits of the ordinary panels; by default their common range.
    columns : int
        Panels per row.
    marker : (latitude, longitude), optional
        A place to mark by a small cross.
    width : float
        Width of the figure in inches.
    coast : bool
        Draw the coastline.
    shared : bool
        False gives each panel its own limits and colour bar, for panels of different quantities.
    percentile : float
        The share of the values that the symmetric scale of `diverging` covers; 99.5 keeps one extreme cell from
        hiding the rest.
    projection : str
        See :func:`physlab.plot.projections.choose`.

    Returns
    -------
    Figure
        Closed for pyplot, so that a notebook shows it once.
    """
    if not fields:
        raise FieldError("no field to draw: pass a dictionary from title to field")
    columns = min(columns, len(fields))
    rows = -(-len(fields) // columns)
    values = {title: _array(field) for title, field in fields.items()}
    plain = [v for title, v in values.items() if title not in diverging]
    signed = [v for title, v in values.items() if title in diverging]
    if limits is None and plain and shared:
        limits = (min(float(np.nanmin(v)) for v in plain), max(float(np.nanmax(v)) for v in plain))
    first, shape = next(iter(fields.values())), next(iter(values.values())).shape
    axis = _axis(first, "latitude", latitude, shape[0]), _axis(first, "longitude", longitude, shape[1])
    figure, axes = map_axes(rows, columns, *axis, width=width, projection=projection, share=0.9 if shared else 0.76)
    groups: dict[object, tuple[QuadMesh, list[Axes]]] = {}
    for ax, (title, field) in zip(axes.flat, fields.items(), strict=False):
        is_signed = title in diverging
        top = (
            max((_extent(v, percentile) for v in (signed if shared else [values[title]])), default=1.0)
            if is_signed
            else 0.0
        )
        mesh = draw_map(ax, field, latitude, longitude, (-top, top) if is_signed else limits, is_signed, coast)
        ax.set_title(title, fontsize=9)
        if marker is not None:
            ax.plot(marker[1], marker[0], "+", color="red", ms=9, mew=1.6, transform=PLAIN)
        groups.setdefault(is_signed if shared else title, (mesh, []))[1].append(ax)
    for ax in axes.flat[len(fields) :]:
        ax.remove()
    for number, (mesh, group) in enumerate(groups.values()):
        below = shared and number == 1 and rows > 1  # two scales in one figure: one bar at the side, one below
        side: dict[str, Any] = {"ax": group, "shrink": 0.85, "aspect": 25}
        foot: dict[str, Any] = {"ax": list(axes.flat[: len(fields)]), "location": "bottom", "shrink": 0.6, "aspect": 40}
        bar = figure.colorbar(mesh, pad=0.02, **(foot if below else side))
        bar.set_label(units, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    plt.close(figure)
    return figure
