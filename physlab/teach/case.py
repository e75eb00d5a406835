"""The running case: one storm of the laboratory atmosphere, chosen by a rule and used by every chapter and every
method.

The rule is part of the experiment: a storm picked by eye is a storm picked for its result. It reads only the truth,
never a prediction.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from physlab.data.patches import SRData, sr_pairs
from physlab.downscale import Interpolate
from physlab.equations.operators import gradient
from physlab.errors import FieldError
from physlab.score import rmse


@dataclass(frozen=True)
class Storm:
    """Where and when the rule found its storm.

    Attributes
    ----------
    split, index : of the frame in the data; the explorer counts the frames of the test split in the same way.
    time : of the frame.
    latitude, longitude : of the steepest point, degrees.
    steepness : |grad W| there, kg m-2 per 100 km.
    rows, columns : a window of `size` x `size` fine cells around it, aligned to blocks of 8.
    """

    split: str
    index: int
    time: np.datetime64
    latitude: float
    longitude: float
    steepness: float
    rows: slice
    columns: slice

    @property
    def where(self) -> str:
        """The place as it is said, for example "30°S 42°E"."""
        east = (self.longitude + 180.0) % 360.0 - 180.0
        return (
            f"{abs(self.latitude):.0f}°{'N' if self.latitude >= 0 else 'S'} {abs(east):.0f}°{'E' if east >= 0 else 'W'}"
        )

    def cut(self, field: torch.Tensor | np.ndarray, factor: int = 1) -> torch.Tensor | np.ndarray:
        """The window of a field (..., H, W), or of one that is coarser by `factor`."""
        rows, columns = (slice(s.start // factor, s.stop // factor) for s in (self.rows, self.columns))
        return field[..., rows, columns]


def find_storm(data: SRData, split: str = "test", south: float = 30.0, north: float = 60.0, size: int = 32) -> Storm:
    """The steepest horizontal gradient of column water in a split, in the latitudes of the storm tracks.

    Parameters
    ----------
    data : pairs of the task "tcw", any factor.
    split : where to look.
    south, north : distance from the equator in degrees, both hemispheres.
    size : edge of the window in fine cells, a multiple of 8.

    Raises
    ------
    FieldError : no latitude between the two limits, or a window larger than the field.
    """
    height, width = data.shape
    band = (np.abs(data.latitude) >= south) & (np.abs(data.latitude) <= north)
    if not band.any() or size > min(height, width) or size % 8:
        raise FieldError(
            f"no storm between {south:g} and {north:g} degrees with a window of {size} cells: the field has "
            f"{height} x {width} cells from {data.latitude.min():.0f} to {data.latitude.max():.0f} degrees; pass "
            "other limits, or a multiple of 8 as size"
        )
    best = (-1.0, 0, 0, 0)
    inside = torch.zeros(data.shape, dtype=torch.bool)
    inside[torch.from_numpy(band), 4:-4] = True  # one-sided differences at the seam do not count
    for index, field in enumerate(data.fine[split][:, 0].double()):
        east, north_ = gradient(field, data.grid(split, index))
        steep = torch.where(inside, torch.hypot(east, north_), torch.zeros_like(east))
        top = int(steep.argmax())
        if float(steep.flatten()[top]) > best[0]:
            best = (float(steep.flatten()[top]), index, top // width, top % width)
    steepness, index, row, column = best
    first = [
        int(np.clip((at - size // 2 + 4) // 8 * 8, 0, edge - size)) for at, edge in ((row, height), (column, width))
    ]
    return Storm(
        split=split,
        index=index,
        time=data.time[split][index],
        latitude=float(data.latitude[row]),
        longitude=float(data.longitude[split][index][column]),
        steepness=steepness * 1e5,
        rows=slice(first[0], first[0] + size),
        columns=slice(first[1], first[1] + size),
    )


def thin(data: SRData, **samples: int) -> SRData:
    """The same pairs with fewer samples: `thin(data, train=256, val=32)` keeps every n-th frame, spread over the
    whole block of time.

    The statistics stay those of the whole training block; the hash is marked, so that no card can pass for one of
    the full data.
    """
    kept = {}
    for name, number in samples.items():
        count = len(data.fine[name])
        kept[name] = list(range(0, count, max(1, count // number)))[:number]

    def cut(parts: dict) -> dict:
        return {name: part[kept[name]] if name in kept else part for name, part in parts.items()}

    return dataclasses.replace(
        data, fine=cut(data.fine), coarse=cut(data.coarse), time=cut(data.time), longitude=cut(data.longitude),
        data_hash=f"{data.data_hash} thinned to {samples}",
    )  # fmt: skip


@lru_cache(maxsize=4)
def held_out_water(factor: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every fourth test frame of the column water (S, 1, H, W), its block means (S, 1, h, w) and cell areas (H, W)."""
    data = sr_pairs("tcw", factor, splits=("test",))
    return data.fine["test"][::4].double(), data.coarse["test"][::4].double(), data.weights.double()


@lru_cache(maxsize=8)
def interpolation_rmse(method: str, factor: int) -> float:
    """RMSE, kg m-2, of "nearest", "bicubic" or "bicubic+add" on them."""
    fine, coarse, weights = held_out_water(factor)
    name, _, constraint = method.partition("+")
    return float(rmse(Interpolate(name, factor, constraint or "none").predict(coarse, weights), fine, weights))
