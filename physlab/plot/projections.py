"""Map projections for the book: which one suits a window, its frame and graticule, cells and lines on paper.

Axes are cartopy's; cells and coastlines are projected here as arrays, so that nothing is fetched and a map with 32,768
cells takes a fraction of a second. The projections and what they are for:

=========== ===================================================================================================
robinson    the whole globe, neither shapes nor areas far off
mollweide   half a globe, true to area: a block takes the paper that it has on the sphere, the window is a disc
mercator    a region outside the poles, true to angles: grid cells stay rectangles
plain       latitude and longitude as they are stored: every cell has the same size
globe       the half of the sphere that is seen from above a point
north/south the cap around a pole
=========== ===================================================================================================
"""

from __future__ import annotations

from typing import Any

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from numpy.typing import ArrayLike

from physlab.errors import FieldError

PLAIN = ccrs.PlateCarree()
"""Longitude and latitude in degrees: pass it as `transform` to draw points on the axes of a map."""

NAMES = ("auto", "robinson", "mollweide", "mercator", "plain", "globe", "north", "south")
CAP = 20.0  # degrees: maps around a pole end here where the data go on
SPACINGS = (1, 2, 5, 10, 20, 30, 60)  # degrees between two lines of the graticule


def edges(centres: np.ndarray, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Edges of cells (n + 1,) about their centres (n,), ascending or descending, within bounds."""
    centres = np.asarray(centres, dtype=np.float64)
    if centres.size == 1:
        return np.clip(centres[0] + np.array([-0.5, 0.5]), low, high)
    middle = (centres[1:] + centres[:-1]) / 2
    return np.clip(np.r_[2 * centres[0] - middle[0], middle, 2 * centres[-1] - middle[-1]], low, high)


def window(latitude: np.ndarray, longitude: np.ndarray) -> tuple[float, float, float, float]:
    """South, north, west, east of the cells in degrees, at most once around the globe."""
    y, x = edges(latitude, -90.0, 90.0), edges(longitude)
    west, east = float(x.min()), float(x.max())
    return float(y.min()), float(y.max()), west, min(east, west + 360.0)


def choose(latitude: np.ndarray, longitude: np.ndarray, name: str = "auto") -> ccrs.Projection:
    """The projection of a name for a window, centred on it.

    Parameters
    ----------
    latitude, longitude : (H,), (W,)
        Centres of the cells (degrees).
    name : one of :data:`NAMES`; "auto" takes robinson for the globe, mollweide for a window from pole to pole, north or
        south for the cap of a pole, mercator for a region below 80 degrees of latitude, and plain otherwise.

    Raises
    ------
    FieldError : an unknown name.
    """
    south, north, west, east = window(latitude, longitude)
    lon, lat = ((west + east) / 2 + 180.0) % 360.0 - 180.0, (south + north) / 2
    if name == "auto":
        round_, tall = east - west > 200, north - south > 100
        if round_ and not tall and max(-south, north) > 70:
            name = "north" if north > 70 else "south"
        elif tall:
            name = "robinson" if round_ else "mollweide"
        else:
            name = "mercator" if max(-south, north) <= 80 else "plain"
    made = {
        "robinson": lambda: ccrs.Robinson(central_longitude=lon),
        "mollweide": lambda: ccrs.Mollweide(central_longitude=lon),
        "mercator": lambda: ccrs.Mercator(central_longitude=lon, min_latitude=-85.0, max_latitude=85.0),
        "plain": lambda: ccrs.PlateCarree(central_longitude=lon),
        "globe": lambda: ccrs.Orthographic(
            central_longitude=lon, central_latitude=float(np.clip(lat, -60, 60)) or 25.0
        ),
        "north": lambda: ccrs.NorthPolarStereo(central_longitude=lon),
        "south": lambda: ccrs.SouthPolarStereo(central_longitude=lon),
    }
    if name not in made:
        raise FieldError(f"unknown projection {name!r}: choose one of {', '.join(NAMES)}")
    return made[name]()


def map_axes(
    rows: int,
    columns: int,
    latitude: np.ndarray,
    longitude: np.ndarray,
    width: float = 9.0,
    projection: str = "auto",
    share: float = 0.92,
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure with axes (rows, columns) for maps of one window, as high as the projection wants.

    Parameters
    ----------
    latitude, longitude : (H,), (W,)
        Centres of the cells (degrees).
    width : of the figure in inches.  projection : see :func:`choose`.
    share : of the width that the maps have, beside their colour bars.  options : for plt.subplots.
    """
    made = choose(latitude, longitude, projection)
    shape = _outline(made, *window(latitude, longitude))
    (low_x, low_y), (high_x, high_y) = np.nanmin(shape, axis=0), np.nanmax(shape, axis=0)
    aspect = float(np.clip((high_y - low_y) / (high_x - low_x), 0.3, 1.25))
    height = rows * (share * width / columns * aspect + 0.35)
    options = {"layout": "constrained", "figsize": (width, height)} | options
    return plt.subplots(rows, columns, squeeze=False, subplot_kw={"projection": made}, **options)


def project(made: ccrs.Projection, longitude: ArrayLike, latitude: ArrayLike) -> np.ndarray:
    """Points on paper, (..., 2); not finite where the projection does not show them.

    Longitudes may count on beyond 180 degrees; a hair inside the seam of a world map they stay on their side of it.
    """
    centre = float(made.proj4_params.get("lon_0", made.proj4_params.get("pm", 0.0)))
    longitude, latitude = np.broadcast_arrays(np.asarray(longitude, float), np.asarray(latitude, float))
    middle = (np.nanmin(longitude) + np.nanmax(longitude)) / 2
    offset = longitude - centre - 360.0 * np.round((middle - centre) / 360.0)  # one turn for all: nothing is torn
    offset -= np.where(np.abs(offset) > 180.0 + 1e-3, 360.0 * np.round(offset / 360.0), 0.0)
    offset = np.clip(offset, -180.0 + 1e-6, 180.0 - 1e-6)
    if isinstance(made, ccrs.PlateCarree):
        return np.stack([offset, latitude], axis=-1)
    return made.transform_points(PLAIN, offset + centre, latitude)[..., :2]


def draw_cells(ax: Axes, latitude: np.ndarray, longitude: np.ndarray, values: np.ndarray, **options: Any):
    """Coloured cells (H, W) on plain axes or on those of a projection; cells that it hides are left out."""
    y, x = edges(latitude, -90.0, 90.0), edges(longitude)
    if not isinstance(ax, GeoAxes):
        return ax.pcolormesh(x, y, values, **options)
    points = project(ax.projection, *np.meshgrid(x, y))
    hidden = ~np.isfinite(points).all(axis=-1)
    corners = hidden[:-1, :-1] | hidden[1:, :-1] | hidden[:-1, 1:] | hidden[1:, 1:]
    points = np.where(hidden[..., None], 0.0, points)
    shown = np.ma.masked_where(corners, values) if corners.any() else values
    return Axes.pcolormesh(ax, points[..., 0], points[..., 1], shown, **options)


def draw_lines(ax: Axes, longitude: np.ndarray, latitude: np.ndarray, **options: Any) -> None:
    """Polylines with NaN between them, for example a coastline, on plain axes or on those of a projection."""
    if isinstance(ax, GeoAxes):
        points = project(ax.projection, longitude, latitude)
        points[~np.isfinite(points).all(axis=-1)] = np.nan
        longitude, latitude = points[:, 0], points[:, 1]
    Axes.plot(ax, longitude, latitude, **options)


def frame(ax: GeoAxes, bounds: tuple[float, float, float, float]) -> None:
    """Limits, outline and graticule of a map, and ticks where both are straight."""
    south, north, west, east = bounds
    shape = _outline(ax.projection, south, north, west, east)
    low, high = np.nanmin(shape, axis=0), np.nanmax(shape, axis=0)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    lons, lats = _ticks(west, east), _ticks(south, north)
    style = {"color": "0.35", "lw": 0.35, "alpha": 0.6, "zorder": 2}
    for lon in lons:
        draw_lines(ax, np.full(91, lon), np.linspace(south, north, 91), **style)
    for lat in lats:
        draw_lines(ax, np.linspace(west, east, 181), np.full(181, lat), **style)
    if isinstance(ax.projection, ccrs.PlateCarree | ccrs.Mercator):
        middle = np.full(len(lons), (south + north) / 2), np.full(len(lats), (west + east) / 2)
        Axes.set_xticks(ax, project(ax.projection, lons, middle[0])[:, 0], [east_west(v) for v in lons])
        Axes.set_yticks(ax, project(ax.projection, middle[1], lats)[:, 1], [north_south(v) for v in lats])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_visible(True)
        ax.tick_params(labelsize=7, length=2)
    else:
        ax.set_boundary(Path(shape))


def _outline(made: ccrs.Projection, south: float, north: float, west: float, east: float) -> np.ndarray:
    """The edge of a window on paper, a closed line (N, 2)."""
    along = np.linspace(0.0, 1.0, 91)
    if isinstance(made, ccrs.Orthographic):
        return np.asarray(made.boundary.coords)
    if isinstance(made, ccrs.Stereographic):
        above, below = (south if south > 0 else CAP), (north if north < 0 else -CAP)
        rim = above if isinstance(made, ccrs.NorthPolarStereo) else below
        return project(made, west + 360.0 * along, np.full(91, rim))
    lon = np.r_[west + (east - west) * along, np.full(91, east), east - (east - west) * along, np.full(91, west)]
    lat = np.r_[
        np.full(91, south), south + (north - south) * along, np.full(91, north), north - (north - south) * along
    ]
    return project(made, lon, lat)


def _ticks(low: float, high: float) -> list[float]:
    """Round degrees strictly inside a range, about four of them."""
    step = next((s for s in SPACINGS if (high - low) / s <= 5.5), SPACINGS[-1])
    inside = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [float(v) for v in inside if low + 1e-3 < v < high - 1e-3]


def east_west(degrees: float, position: float | None = None) -> str:
    """Longitude as it is said: 402 -> 42°E, 250 -> 110°W."""
    degrees = (degrees + 180.0) % 360.0 - 180.0
    return f"{abs(degrees):g}°" + ("" if degrees in (0.0, -180.0) else "E" if degrees > 0 else "W")


def north_south(degrees: float, position: float | None = None) -> str:
    """Latitude as it is said: -30 -> 30°S."""
    return f"{abs(degrees):g}°" + ("" if degrees == 0.0 else "N" if degrees > 0 else "S")
