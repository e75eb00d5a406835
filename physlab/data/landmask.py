"""Land and sea at places on the Earth, from the mask of the package ``global-land-mask``: half a minute of arc, 0.9 GB.

The package itself holds all of it for as long as a process lives. Here its file is read row by row: :func:`sea_at`
keeps nothing, :func:`is_sea`, for places that are asked for again and again, keeps it in bits, an eighth.
"""

from __future__ import annotations

import functools
import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

TOGETHER = 240  # rows that are read at once
FILE = "globe_combined_mask_compressed.npz"


def _file() -> Path:
    """Of the package, which is not imported: that would read all of it."""
    found = importlib.util.find_spec("global_land_mask")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("land and sea need the package global-land-mask: pip install global-land-mask")
    return Path(found.submodule_search_locations[0]) / FILE


@functools.cache
def _axes() -> tuple[np.ndarray, np.ndarray]:
    """Latitudes of the rows and longitudes of the columns, degrees."""
    with np.load(_file()) as whole:
        return whole["lat"], whole["lon"]


def _parts() -> Iterator[tuple[int, np.ndarray]]:
    """Number of the first row and (n, columns) rows, True at sea, from the first to the last."""
    with zipfile.ZipFile(_file()) as whole, whole.open("mask.npy") as member:
        version = npy.read_magic(member)
        shape, _, kind = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(member)
        for first in range(0, shape[0], TOGETHER):
            rows = min(TOGETHER, shape[0] - first)
            bytes_ = member.read(rows * shape[1] * kind.itemsize)
            yield first, np.frombuffer(bytes_, kind).reshape(rows, shape[1])


@functools.cache
def _bits() -> np.ndarray:
    """(rows, columns / 8), eight cells in a byte."""
    return np.concatenate([np.packbits(rows, axis=1) for _, rows in _parts()])


def _index(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of places; longitudes of any turn."""
    at, east = [], np.asarray(longitude, float)
    east = np.where(np.abs(east) > 180, (east + 180) % 360 - 180, east)  # none is rounded without need
    for axis, x in zip(_axes(), (np.asarray(latitude, float), east), strict=True):
        inside = np.clip(x, min(axis[0], axis[-1]), max(axis[0], axis[-1]))
        at.append(((inside - axis[0]) / (axis[1] - axis[0])).astype(int))
    return at[0], at[1]


def is_sea(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Whether places lie in the sea; most lakes are land."""
    row, column = np.broadcast_arrays(*_index(latitude, longitude))
    return (_bits()[row, column // 8] >> (7 - column % 8)) & 1 > 0


def sea_at(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """The same on a grid of (H,) latitudes and (W,) longitudes, (H, W); nothing of the mask is kept."""
    row, column = _index(latitude, longitude)
    found = np.zeros((len(row), len(column)), bool)
    for first, rows in _parts():
        here = np.flatnonzero((row >= first) & (row < first + len(rows)))
        found[here] = rows[row[here] - first][:, column]
    return found
