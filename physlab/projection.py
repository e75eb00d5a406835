"""Where the points of a map lie on the Earth, and how large its cells are there: pyproj behind the words of the CF
conventions.

A map is known by the attributes of its CF grid mapping. Its coordinates are degrees on the rotated sphere for a rotated
pole, else metres; y comes first, as in arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pyproj

from physlab.constants import EARTH_RADIUS
from physlab.errors import FieldError, one_line

ROTATED = "rotated_latitude_longitude"


def crs_of(mapping: Mapping) -> pyproj.CRS:
    """The coordinate reference system of a CF grid mapping (crs_wkt, spatial_ref, or its named parameters).

    Raises
    ------
    FieldError : parameters that are missing or that pyproj does not understand.
    """
    attrs = {str(k): v.tolist() if isinstance(v, np.ndarray | np.generic) else v for k, v in mapping.items()}
    attrs = {k: v[0] if isinstance(v, list | tuple) and len(v) == 1 else v for k, v in attrs.items()}
    try:
        for key in ("crs_wkt", "spatial_ref", "epsg_code", "proj4", "proj4text", "proj_params"):
            if str(attrs.get(key) or "").strip():
                return _parsed(str(attrs[key]).strip())
        return pyproj.CRS.from_cf(attrs)
    except KeyError as error:
        reason = f"the attribute {error.args[0]} is missing"
    except (pyproj.exceptions.CRSError, ValueError, TypeError) as error:
        reason = one_line(error, 120)
    name = attrs.get("grid_mapping_name", "without a name")
    raise FieldError(
        f"grid mapping {name} is not understood ({reason}): add what is missing, or say which map it is, as in "
        "mapping={'EPSG:3035': 'crs'}"
    )


@lru_cache(maxsize=32)
def _parsed(text: str) -> pyproj.CRS:
    return pyproj.CRS.from_user_input(int(text) if text.isdigit() else text)


def named(text: str) -> dict:
    """CF grid mapping attributes of a map by its name, as in "EPSG:3035" or "+proj=lcc ...".

    Raises
    ------
    FieldError : pyproj does not know it.
    """
    try:
        return attributes(_parsed(text))
    except (pyproj.exceptions.CRSError, ValueError) as error:
        reason = one_line(error, 120)
        raise FieldError(f"'{text}' names no map ({reason}): write EPSG:3035, for example") from None


def attributes(crs: pyproj.CRS) -> dict:
    """CF grid mapping attributes, crs_wkt among them."""
    return {key: value for key, value in crs.to_cf().items() if value is not None}


def is_rotated(crs: pyproj.CRS) -> bool:
    """Whether coordinates are degrees on a sphere whose pole lies elsewhere."""
    return crs.is_geographic and crs.is_derived


def _to_degrees(crs: pyproj.CRS) -> pyproj.Transformer:
    below = crs.source_crs if is_rotated(crs) else crs.geodetic_crs
    assert below is not None  # of a map
    return pyproj.Transformer.from_crs(crs, below, always_xy=True)


def _unit(crs: pyproj.CRS) -> float:
    """Metres (or degrees) in a unit of the map."""
    return 1.0 if crs.is_geographic else float(crs.axis_info[0].unit_conversion_factor) or 1.0


def positions(crs: pyproj.CRS, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Latitude and longitude (2, H, W), degrees, of the points (y (H,), x (W,)) of a map."""
    xx, yy = np.meshgrid(np.asarray(x, float) / _unit(crs), np.asarray(y, float) / _unit(crs))
    longitude, latitude = _to_degrees(crs).transform(xx, yy)
    if not np.isfinite(latitude).all():
        raise FieldError(
            f"points y {y[0]:g} to {y[-1]:g}, x {x[0]:g} to {x[-1]:g} do not lie on the map '{crs.name}': are they in "
            "metres?"
        )
    return np.stack([latitude, (longitude + 180.0) % 360.0 - 180.0])


def axes(crs: pyproj.CRS, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """y (H,) and x (W,) of points (H, W) in degrees if they are even rows and columns of the map, else None."""
    xx, yy = _to_degrees(crs).transform(np.asarray(longitude, float), np.asarray(latitude, float), direction="INVERSE")
    xx, yy = np.asarray(xx) * _unit(crs), np.asarray(yy) * _unit(crs)
    if not (np.isfinite(xx).all() and np.isfinite(yy).all()) or min(xx.shape) < 2:
        return None
    if is_rotated(crs):
        xx = np.unwrap(xx, period=360.0, axis=1)
    y, x = yy.mean(1), xx.mean(0)
    dy, dx = (y[-1] - y[0]) / (y.size - 1), (x[-1] - x[0]) / (x.size - 1)
    if not dy or not dx:
        return None
    y, x = y[0] + dy * np.arange(y.size), x[0] + dx * np.arange(x.size)
    off = max(np.abs(yy - y[:, None]).max() / abs(dy), np.abs(xx - x[None]).max() / abs(dx))
    return (y, x) if off < 0.02 else None


def areas(crs: pyproj.CRS, y_edges: np.ndarray, x_edges: np.ndarray) -> np.ndarray:
    """Areas (H, W) in m2 of the cells between edges (H+1,) and (W+1,) of a map.

    Exact on a rotated sphere; elsewhere the area on the map divided by its areal scale, by Simpson's rule over a cell.
    """
    if is_rotated(crs):
        bands = np.abs(np.diff(np.sin(np.deg2rad(y_edges))))
        return EARTH_RADIUS**2 * bands[:, None] * np.deg2rad(np.abs(np.diff(x_edges)))[None]
    half_y = np.interp(np.arange(2 * y_edges.size - 1) / 2, np.arange(y_edges.size), y_edges)
    half_x = np.interp(np.arange(2 * x_edges.size - 1) / 2, np.arange(x_edges.size), x_edges)
    latitude, longitude = positions(crs, half_y, half_x)
    scale = np.asarray(pyproj.Proj(crs).get_factors(longitude, latitude).areal_scale)
    true = _simpson(_simpson(1.0 / scale).T).T
    return true * np.abs(np.diff(y_edges))[:, None] * np.abs(np.diff(x_edges))[None]


def _simpson(values: np.ndarray) -> np.ndarray:
    """(2 H + 1, ...) at edges and middles -> (H, ...) means."""
    return (values[:-1:2] + 4 * values[1::2] + values[2::2]) / 6


def quadrilaterals(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Areas (H, W) in m2 of cells whose corners (H+1, W+1) are given in degrees, on the sphere of the library."""
    p = unit_vectors(latitude, longitude)
    a, b, c, d = p[:, :-1, :-1], p[:, :-1, 1:], p[:, 1:, 1:], p[:, 1:, :-1]
    return EARTH_RADIUS**2 * (_triangle(a, b, c) + _triangle(a, c, d))


def _triangle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Solid angle of spherical triangles (Van Oosterom and Strackee 1983)."""
    volume = np.abs(np.sum(a * np.cross(b, c, axis=0), axis=0))
    return 2 * np.arctan2(volume, 1 + np.sum(a * b, axis=0) + np.sum(b * c, axis=0) + np.sum(c * a, axis=0))


def unit_vectors(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """(3, ...) from degrees."""
    phi, lam = np.deg2rad(latitude), np.deg2rad(longitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def at(latitude: np.ndarray, longitude: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Latitude and longitude (2, h, w) between the points (H, W) of a curvilinear grid, at fractional rows and columns.

    Linear in space, also half a cell beyond the border.
    """
    p = unit_vectors(latitude, longitude)
    p = _linear(_linear(p, rows, 1), columns, 2)
    p /= np.linalg.norm(p, axis=0)
    return np.stack([np.rad2deg(np.arcsin(np.clip(p[2], -1, 1))), np.rad2deg(np.arctan2(p[1], p[0]))])


def _linear(p: np.ndarray, where: np.ndarray, axis: int) -> np.ndarray:
    low = np.clip(np.floor(where).astype(int), 0, p.shape[axis] - 2)
    share = (where - low).reshape([-1 if k == axis else 1 for k in range(p.ndim)])
    return (1 - share) * p.take(low, axis) + share * p.take(low + 1, axis)
