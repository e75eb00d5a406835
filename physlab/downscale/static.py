"""Static fields that a network may ask for: what the surface is like under the fine grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.errors import FieldError, PhysLabError
from physlab.fields import standardise, to_tensor
from physlab.grid import Grid
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


def static_samples(data, names: Sequence[str], split: str) -> Tensor:
    """(S, K, H, W) static fields under the samples of a split: those that the pairs bring along, or :data:`FIELDS`."""
    if hasattr(data, "statics"):
        return data.statics(names, split)
    return static_fields(names, data.latitude, data.longitude[split])


def statics_on(names: Sequence[str], grid: Grid, own: xr.Dataset | None = None) -> Tensor:
    """Static fields on a fine grid, (S, H, W) float32: your own where you have them, else those of :data:`FIELDS`.

    Parameters
    ----------
    own : fields on (latitude, longitude) by the names of `FIELDS`: elevation in km, land from 0 to 1.

    Raises
    ------
    FieldError : none of the names, or another grid than the fine one.
    """
    fields = static_fields([n for n in names if n in FIELDS], grid.latitude, grid.longitude)
    if own is None:
        return static_fields(names, grid.latitude, grid.longitude) if len(fields) < len(names) else fields
    own = standardise(own)
    if not set(names) & set(own.data_vars):
        raise FieldError(f"static fields {', '.join(map(str, own.data_vars))}: wanted are {', '.join(names)}")
    theirs = Grid.from_dataset(own)
    if theirs.shape != grid.shape or not (
        np.allclose(theirs.latitude, grid.latitude, atol=1e-3)
        and np.allclose(theirs.longitude, grid.longitude, atol=1e-3)
    ):
        raise FieldError(
            f"static fields on {theirs.shape} points from latitude {theirs.latitude[0]:g}, longitude "
            f"{theirs.longitude[0]:g}: the fine grid has {grid.shape} from {grid.latitude[0]:g}, {grid.longitude[0]:g}"
        )
    rest = iter(fields)
    known = {name: next(rest) for name in names if name in FIELDS}
    return torch.stack([to_tensor(own, name)[0, 0] if name in own else known[name] for name in names])
