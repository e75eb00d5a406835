"""Static fields that a network may ask for: what the surface is like under the fine grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.simulate.surface import orography, sea_fraction

FIELDS = {
    "elevation": lambda latitude, longitude: orography(latitude, longitude) / 1000.0,
    "land": lambda latitude, longitude: 1.0 - sea_fraction(latitude[..., 0], longitude[..., 0, :]),
    "latitude": lambda latitude, longitude: np.sin(np.deg2rad(latitude)) + 0.0 * longitude,
}
"""Name -> function of latitude (H, 1) and longitude (..., 1, W) in degrees.

Elevation: that of the laboratory atmosphere, in km. Land: share of land in a cell, by the package
``global-land-mask`` (GLOBE, NOAA), of one grid. Latitude: its sine.
"""


def static_fields(names: Sequence[str], latitude: np.ndarray, longitude: np.ndarray) -> Tensor:
    """Static fields on a grid, (..., S, H, W) float32.

    Parameters
    ----------
    names : keys of `FIELDS`.
    latitude : (H,) degrees;  longitude : (..., W) degrees, one row for each patch.

    Raises
    ------
    PhysLabError : an unknown field.
    """
    unknown = [name for name in names if name not in FIELDS]
    if unknown:
        raise PhysLabError(f"unknown static field {unknown[0]!r}: choose from {', '.join(FIELDS)}")
    if not names:
        return torch.zeros(0, len(latitude), np.shape(longitude)[-1])
    lat, lon = np.asarray(latitude)[:, None], np.asarray(longitude)[..., None, :]
    return torch.from_numpy(np.stack([FIELDS[name](lat, lon) for name in names], axis=-3)).float()
