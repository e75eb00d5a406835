"""Static fields that a network may ask for: what the surface is like under the fine grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.simulate.surface import orography

FIELDS = {"elevation": lambda latitude, longitude: orography(latitude, longitude) / 1000.0}
"""Name -> function of latitude and longitude. Elevation: that of the laboratory atmosphere, in km."""


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
    lat, lon = np.asarray(latitude)[:, None], np.asarray(longitude)[..., None, :]
    return torch.from_numpy(np.stack([FIELDS[name](lat, lon) for name in names], axis=-3)).float()
