"""The lower boundary of the laboratory atmosphere: idealised mountains at real places, and the real land mask.

The mountains are a sum of smooth bells, so that T42 and T85 see the same shapes without Gibbs ripples; the sea, where
water evaporates, is that of the package ``global-land-mask``.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from physlab.data.landmask import sea_at


@dataclasses.dataclass(frozen=True)
class Mountain:
    """A bell: height (m), centre (degrees), e-folding half-widths in latitude and longitude (degrees)."""

    name: str
    height: float
    latitude: float
    longitude: float
    width_latitude: float
    width_longitude: float


MOUNTAINS = (
    Mountain("Tibet", 4500, 33, 88, 7, 15),
    Mountain("Rockies", 2300, 42, 250, 12, 8),
    Mountain("Andes", 3200, -22, 291, 16, 4.5),
    Mountain("Greenland", 2600, 74, 318, 7, 14),
    Mountain("East Africa", 1500, 3, 37, 10, 5),
    Mountain("Iran", 1500, 33, 52, 5, 9),
    Mountain("Mongolia", 1600, 48, 98, 6, 12),
    Mountain("Antarctica", 3000, -90, 0, 14, 1e6),
)


def orography(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Surface height (m) at latitude and longitude (degrees), which broadcast against each other."""
    height = np.zeros(np.broadcast_shapes(np.shape(latitude), np.shape(longitude)))
    for hill in MOUNTAINS:
        east = (longitude - hill.longitude + 180) % 360 - 180
        height += hill.height * np.exp(
            -(((latitude - hill.latitude) / hill.width_latitude) ** 2) - (east / hill.width_longitude) ** 2
        )
    return height


def sea_fraction(latitude: np.ndarray, longitude: np.ndarray, samples: int = 5) -> np.ndarray:
    """Fraction of sea (0..1), shape (latitude, longitude), from samples x samples points per cell.

    Parameters
    ----------
    latitude, longitude : (H,), (W,)
        Cell centres (degrees), longitude evenly spaced, of the globe or of a region.
    """
    return _sea_fraction(tuple(map(float, latitude)), tuple(map(float, longitude)), samples).copy()


@functools.lru_cache(maxsize=8)
def _sea_fraction(latitude: tuple[float, ...], longitude: tuple[float, ...], samples: int) -> np.ndarray:
    """Kept for the last grids, because the mask is read anew for each."""
    y, x = np.asarray(latitude), np.asarray(longitude)
    d_lat, d_lon = np.abs(np.gradient(y)), abs(x[-1] - x[0]) / (len(x) - 1)
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    lat = np.clip(y[:, None] + offsets * d_lat[:, None], -89.99, 89.99)
    lon = (x[:, None] + offsets * d_lon + 180) % 360 - 180
    sea = sea_at(lat.ravel(), lon.ravel()).reshape(len(y), samples, len(x), samples)
    return sea.sum((1, 3)) / samples**2
