"""How fields on the globe and moments are put onto the page."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def east_first(x: Tensor) -> np.ndarray:
    """From 180 degrees west to 180 degrees east instead of 0 to 360."""
    return np.ascontiguousarray(np.roll(x.numpy(), x.shape[-1] // 2, axis=-1), dtype=np.float32)


def globe(latitude: np.ndarray, columns: int) -> tuple[float, float, float, float]:
    """West, east, south and north edge of the cells of a global grid."""
    x, y = 180.0 / columns, float(latitude[1] - latitude[0]) / 2
    return -180.0 - x, 180.0 - x, float(latitude[0]) - y, float(latitude[-1]) + y


def moment(when) -> str:
    """A time to the minute, in words for people."""
    return np.datetime_as_string(np.datetime64(when, "m"), unit="m").replace("T", " ")
