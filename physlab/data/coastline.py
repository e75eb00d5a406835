"""Coastlines for maps, without a download at draw time.

Two layers ship in ``physlab/assets/data/coastline.npz`` as longitude/latitude polylines (float32, separated by NaN):

* ``global``: Natural Earth 1:110m coastline (public domain, CC0), for maps wider than a few tens of degrees;
* ``uk``: the shore of the British Isles at about 5 km, contoured from the GLOBE land mask in the package
  ``global-land-mask`` (NOAA, public domain), because the 1:110m line has only 53 points there.

`load_coastline` moves the lines into the map's own longitude window, so that 0..360, -180..180 and windows
that cross either seam all work, and cuts them at the window's edges.
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from physlab.store import write_file

COASTLINE_FILE = Path(__file__).resolve().parents[1] / "assets" / "data" / "coastline.npz"
UK_WINDOW = (-13.0, 5.0, 47.0, 62.0)  # west, east, south, north in degrees


def load_coastline(
    lon_range: tuple[float, float] = (-180.0, 180.0),
    lat_range: tuple[float, float] = (-90.0, 90.0),
    layer: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Coastline polylines inside a longitude/latitude window.

    Parameters
    ----------
    lon_range : west and east edge in degrees, any convention, for example (0, 360), (-180, 180) or (250, 430);
        at most 360 degrees wide.
    lat_range : south and north edge in degrees.
    layer : "global", "uk", or "auto": "uk" where the window lies inside the British Isles, else "global".

    Returns
    -------
    longitude, latitude : (P,) float32, degrees, NaN between two lines. Longitudes lie in lon_range.

    Raises
    ------
    ValueError : a window that is empty or wider than 360 degrees, or an unknown layer.
    """
    west, east = (float(edge) for edge in lon_range)
    south, north = (float(edge) for edge in lat_range)
    if not 0.0 < east - west <= 360.0 + 1e-6:
        raise ValueError(f"lon_range {lon_range} is {east - west:g} degrees wide: give west < east, at most 360 apart")
    if not south < north:
        raise ValueError(f"lat_range {lat_range} is empty: give south < north")
    if layer == "auto":
        turn = 360.0 * np.round((west + east) / 720.0)
        inside = UK_WINDOW[0] <= west - turn and east - turn <= UK_WINDOW[1]
        layer = "uk" if inside and UK_WINDOW[2] <= south and north <= UK_WINDOW[3] else "global"
    if layer not in ("global", "uk"):
        raise ValueError(f"unknown coastline layer {layer!r}: choose 'global', 'uk' or 'auto'")
    stored = _stored(layer)
    pieces = []
    first, last = int(np.floor((west + 180.0) / 360.0)), int(np.ceil((east - 180.0) / 360.0))
    for turns in range(first, last + 1):
        lines = stored + np.array([[360.0 * turns], [0.0]])
        for axis, bound, side in ((0, west, 1), (0, east, -1), (1, south, 1), (1, north, -1)):
            lines = _cut(lines, axis, bound, side)
        pieces += [lines, np.full((2, 1), np.nan)]
    longitude, latitude = _tidy(np.concatenate(pieces, axis=1)).astype(np.float32)
    return longitude, latitude


def pack_coastline(geojson: str | Path, output: str | Path = COASTLINE_FILE) -> Path:
    """Make the shipped file from Natural Earth's ``ne_110m_coastline.json`` and the installed land mask.

    The GeoJSON is entry ``natural-earth`` of the developers' data folder; the file is written once and committed.
    """
    features = json.loads(Path(geojson).read_text())["features"]
    lines = [np.asarray(feature["geometry"]["coordinates"], dtype=np.float64).T for feature in features]
    break_ = np.full((2, 1), np.nan)
    world = np.concatenate([piece for line in lines for piece in (line, break_)], axis=1)
    layers: dict[str, Any] = {"global": world.astype(np.float32), "uk": _uk_shore().astype(np.float32)}
    content = io.BytesIO()
    np.savez_compressed(content, **layers)
    return write_file(output, content.getbuffer())


@lru_cache(maxsize=2)
def _stored(layer: str) -> np.ndarray:
    """One stored layer, (2, P) float64: longitude and latitude in degrees."""
    with np.load(COASTLINE_FILE) as archive:
        return archive[layer].astype(np.float64)


def _cut(lines: np.ndarray, axis: int, bound: float, side: int) -> np.ndarray:
    """Keep the part of polylines (2, P) with ``side * (lines[axis] - bound) >= 0``, ending exactly on the bound."""
    distance = side * (lines[axis] - bound)
    start, end = distance[:-1], distance[1:]
    crossing = np.flatnonzero(start * end < 0)  # false next to a NaN: separators are never bridged
    fraction = start[crossing] / (start[crossing] - end[crossing])
    points = lines[:, crossing] + fraction * (lines[:, crossing + 1] - lines[:, crossing])
    points[axis] = bound
    kept = np.where(distance >= 0, lines, np.nan)
    return np.insert(kept, crossing + 1, points, axis=1)


def _tidy(lines: np.ndarray) -> np.ndarray:
    """Drop repeated separators and lone points: (2, P) -> (2, Q)."""
    hole = np.isnan(lines[0])
    lone = ~hole & np.r_[True, hole[:-1]] & np.r_[hole[1:], True]
    lines = np.where(lone, np.nan, lines)
    hole = np.isnan(lines[0])
    return lines[:, ~(hole & np.r_[True, hole[:-1]])]


def _uk_shore(spacing: int = 5) -> np.ndarray:
    """The 50 % line of the land fraction in blocks of ``spacing`` arc minutes around the British Isles, (2, P)."""
    from contourpy import contour_generator

    from physlab.data.landmask import sea_at

    west, east, south, north = UK_WINDOW
    minute = 1.0 / 60.0
    longitude = np.arange(west, east, minute) + minute / 2
    latitude = np.arange(south, north, minute) + minute / 2
    land = 1.0 - sea_at(latitude, longitude)
    rows, columns = len(latitude) // spacing, len(longitude) // spacing
    fraction = land.reshape(rows, spacing, columns, spacing).mean(axis=(1, 3))
    x = longitude.reshape(columns, spacing).mean(axis=1)
    y = latitude.reshape(rows, spacing).mean(axis=1)
    lines = contour_generator(x, y, fraction).lines(0.5)
    long_enough = [np.asarray(line).T for line in lines if line is not None and len(line) > 6]
    return np.concatenate([piece for line in long_enough for piece in (line, np.full((2, 1), np.nan))], axis=1)
