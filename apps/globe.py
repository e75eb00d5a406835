"""How fields on the globe and moments are put onto the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

Edges = tuple[float, float, float, float]
"""West, east, south, north, degrees."""


def east_first(x: Tensor) -> np.ndarray:
    """From 180 degrees west to 180 degrees east instead of 0 to 360."""
    return np.ascontiguousarray(np.roll(x.numpy(), x.shape[-1] // 2, axis=-1), dtype=np.float32)


def globe(latitude: np.ndarray, columns: int) -> Edges:
    """West, east, south and north edge of the cells of a global grid."""
    x, y = 180.0 / columns, float(latitude[1] - latitude[0]) / 2
    return -180.0 - x, 180.0 - x, float(latitude[0]) - y, float(latitude[-1]) + y


def from_greenwich(window: Edges) -> Edges:
    """Edges of a map of the globe as the library has it: the first column at Greenwich, not at the date line."""
    west, east, south, north = window
    return west + 180.0, east + 180.0, south, north


def nearest(east: float, north: float, latitudes: np.ndarray, longitudes: np.ndarray) -> int:
    """The grid point next to a place, counted by rows of latitude."""
    apart = np.abs((longitudes - east + 180.0) % 360.0 - 180.0)
    return int(np.abs(latitudes - north).argmin()) * len(longitudes) + int(apart.argmin())


def cell_at(shape: Sequence[int], window: Edges, east: float, north: float) -> int | None:
    """The cell of a map (rows, columns) with row 0 southernmost that a place lies in; None beside the map."""
    (rows, columns), (west, right, south, top) = shape, window
    row = math.floor((north - south) / (top - south) * rows)
    column = math.floor((east - west) / (right - west) * columns)
    return row * columns + column if 0 <= row < rows and 0 <= column < columns else None


def moment(when) -> str:
    """A time to the minute, in words for people."""
    return np.datetime_as_string(np.datetime64(when, "m"), unit="m").replace("T", " ")
