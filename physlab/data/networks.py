"""Where observations come from: swaths of a satellite, stations on land alone, an uneven network, and spoilt values.

Each gives places, (m, 2) latitude and longitude; :func:`taken` makes a table of them from a truth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from physlab.constants import EARTH_RADIUS, OMEGA
from physlab.data.landmask import is_sea
from physlab.data.stations.table import table
from physlab.errors import PhysLabError

PERIOD = 101.0
"""Minutes of an orbit at 820 km."""
INCLINATION = 98.7
"""Degrees, of a sun-synchronous orbit."""


def swath(
    hours: float = 6.0, start: float = 0.0, width: float = 2200.0, spacing: float = 300.0, node: float = 0.0
) -> np.ndarray:
    """Places that a polar orbiter sees on both sides of its track.

    Parameters
    ----------
    hours, start : length and beginning of the observed time; the Earth turns below.
    width, spacing : of the swath, and between its places, km.
    node : longitude of the ascending node at hour 0, degrees.
    """
    if not (hours > 0 and width >= 0 and spacing > 0):
        raise PhysLabError(f"swath of {hours:g} h, {width:g} km, every {spacing:g} km: pass numbers above 0")
    speed = 2 * np.pi / (PERIOD * 60)  # rad s-1 along the orbit
    step = spacing * 1e3 / EARTH_RADIUS / speed
    t = 3600 * start + np.arange(0, 3600 * hours, step)
    tilt = np.deg2rad(INCLINATION)
    across = np.arange(-np.floor(width / 2 / spacing), np.floor(width / 2 / spacing) + 1) * spacing * 1e3 / EARTH_RADIUS
    u = speed * t
    along = np.stack([np.cos(u), np.sin(u) * np.cos(tilt), np.sin(u) * np.sin(tilt)], -1)
    normal = np.array([0.0, -np.sin(tilt), np.cos(tilt)])
    points = along[:, None] * np.cos(across)[None, :, None] + normal * np.sin(across)[None, :, None]
    lat = np.rad2deg(np.arcsin(points[..., 2].clip(-1, 1)))
    turned = np.rad2deg(np.arctan2(points[..., 1], points[..., 0])) + node - np.rad2deg(OMEGA * t)[:, None]
    return np.stack([lat.ravel(), turned.ravel() % 360], 1)


def scattered(
    count: int, density: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None, seed: int = 0
) -> np.ndarray:
    """Places drawn on the globe with a density (of latitude and longitude, at most 1; None is even)."""
    draw, found = np.random.default_rng(seed), np.empty((0, 2))
    for _ in range(1000):
        if len(found) >= count:
            return found[:count]
        lat = np.rad2deg(np.arcsin(draw.uniform(-1, 1, 4 * count)))
        lon = draw.uniform(0, 360, 4 * count)
        keep = np.ones(len(lat), bool) if density is None else draw.random(len(lat)) < density(lat, lon)
        found = np.concatenate([found, np.stack([lat[keep], lon[keep]], 1)])
    raise PhysLabError(f"{count} places of this density: it is zero nearly everywhere")


def on_land(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Density of stations that stand on land."""
    return 1.0 - is_sea(lat, (np.asarray(lon) + 180) % 360 - 180)


def uneven(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Density of a network like the world's: dense on the northern continents, thin elsewhere on land, few at sea."""
    land = on_land(lat, lon)
    dense = np.exp(-(((np.asarray(lat) - 47) / 15) ** 2))
    return land * (0.08 + 0.92 * dense) + (1 - land) * 0.01


def spoilt(
    observations: xr.Dataset, wrong: float = 0.03, size: float = 10.0, bias: float = 0.0, seed: int = 0
) -> xr.Dataset:
    """A table some of whose values are wrong, and all biased; the errors that it states stay.

    Parameters
    ----------
    wrong : share of the values that are.  size : by how many of their errors, either way.  bias : in such errors.
    """
    draw, m = np.random.default_rng(seed), observations.sizes["observation"]
    at = draw.random(m) < wrong
    off = bias + at * size * draw.choice([-1.0, 1.0], m)
    return observations.assign(value=observations["value"] + off * observations["error"])


def taken(
    name: str, places: np.ndarray, value: np.ndarray, error: float, seed: int | None = 0, level: float = np.nan
) -> xr.Dataset:
    """A table of what was measured at places; None for exact values."""
    m = len(places)
    noise = 0.0 if seed is None else error * np.random.default_rng(seed).standard_normal(m)
    return table([name] * m, [level] * m, places[:, 0], places[:, 1], np.asarray(value) + noise, [error] * m)
