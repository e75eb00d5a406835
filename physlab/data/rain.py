"""Pairs of radar rain (`mrms-rain`): 72 minutes are one event, so the blocks are blocks of space, with gaps.

The contiguous United States in tiles of 128 x 128 cells of 0.01 degrees. Three regions, at least a tile (some 100 km)
apart, hold training, validation and test; each gives four instants, 24 minutes apart (the last 22). Training tiles
overlap by half. Only tiles that a radar sees completely, and of which more than a tenth is wet, are used: what is
scored is the inside of rain, not its absence.

A field of rain is mostly zeros with a heavy tail: the unit of the networks is its standard deviation in the training
block, without an offset, so that zero stays zero and the guards of the constraint layers (1e-3 of that unit) lie below
the least rain that a radar reports. Cell areas are those of a tile in the middle of the domain for all tiles: within a
tile they change by 1.5 %, from tile to tile no more than the ratio of two of its rows does.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from physlab.data.frames import Frames
from physlab.data.patches import SRData, pair
from physlab.errors import FieldError
from physlab.fields import Scaling

TILE = 128  # cells
INSTANTS = (0, 12, 24, 35)  # of 36
WET, LEAST = 0.1, 0.1  # mm/h of a wet cell, and the least share of them

#: Split -> rectangles in tiles: first row, last row (exclusive), first column, last column (exclusive); from the north
#: and from the west.
REGIONS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "train": ((0, 15, 0, 36), (15, 27, 30, 36)),
    "val": ((16, 27, 0, 28),),
    "test": ((0, 27, 37, 54),),
}
GAP = 1  # tiles
MIDDLE = 38.0  # degrees north


def rain_pairs(factor: int) -> SRData:
    """Coarse and fine rain, mm/h, by regions: the pairs of the study of real rain.

    Parameters
    ----------
    factor : N; divides 128.

    Raises
    ------
    FieldError : a factor that does not divide the tiles.  DownloadError : the data are not here.
    """
    data = pair(rain_frames(), factor)
    unit = float(data.fine["train"].double().square().mean().sqrt())
    return dataclasses.replace(data, scaling=Scaling((0.0,), (unit,)))


@functools.lru_cache(maxsize=1)
def rain_tiles() -> dict[str, list[tuple[np.ndarray, np.datetime64, int, int]]]:
    """Split -> field (128, 128), instant, first row and first column of each tile."""
    from physlab.data.catalog import open_dataset

    check_regions(REGIONS)
    rain = open_dataset("mrms-rain")["rain_rate"].isel(time=list(INSTANTS))
    found: dict[str, list[tuple[np.ndarray, np.datetime64, int, int]]] = {name: [] for name in REGIONS}
    for instant in rain:
        field, time = instant.values, instant["time"].values
        for name, rectangle in ((name, r) for name, some in REGIONS.items() for r in some):
            for row, column in corners(rectangle, TILE // 2 if name == "train" else TILE):
                tile = field[row : row + TILE, column : column + TILE]
                if tile.shape == (TILE, TILE) and (tile > WET).mean() > LEAST and np.isfinite(tile).all():
                    found[name].append((tile.copy(), time, row, column))
    empty = [name for name, tiles in found.items() if not tiles]
    if empty:
        raise FieldError(f"no wet tile in the region {empty[0]} of mrms-rain: fetch its files again")
    return found


def rain_frames() -> Frames:
    """The tiles of all regions."""
    tiles = rain_tiles()
    return Frames(
        task="mrms-rain",
        variable="rain_rate",
        units="mm h-1",
        non_negative=True,
        values={name: np.stack([field for field, *_ in some]) for name, some in tiles.items()},
        time={name: np.array([time for _, time, *_ in some]) for name, some in tiles.items()},
        longitude={
            name: np.stack([230.005 + 0.01 * (column + np.arange(TILE)) for *_, column in some])
            for name, some in tiles.items()
        },
        latitude=MIDDLE - 0.01 * (np.arange(TILE) - (TILE - 1) / 2),
        gap=0.0,
        rule=f"blocks of space, at least {GAP} tile of {TILE} cells apart; all instants of a place in one split",
    )


def corners(rectangle: tuple[int, int, int, int], step: int) -> list[tuple[int, int]]:
    """First row and column, in cells, of the tiles inside a rectangle."""
    top, bottom, left, right = (TILE * edge for edge in rectangle)
    return [
        (row, column)
        for row in range(top, bottom - TILE + 1, step)
        for column in range(left, right - TILE + 1, step)
    ]  # fmt: skip


def check_regions(regions: Mapping[str, Sequence[tuple[int, int, int, int]]]) -> None:
    """Regions of different splits are at least a gap apart, along one axis or the other.

    Raises
    ------
    FieldError : names two that are not.
    """
    flat = [(name, rectangle) for name, some in regions.items() for rectangle in some]
    for name, (top, bottom, left, right) in flat:
        for other, (above, below, west, east) in flat:
            if name < other and max(above - bottom, top - below, west - right, left - east) < GAP:
                raise FieldError(f"the regions {name} and {other} leak: less than {GAP} tile apart; move one of them")


def places(split: str = "test") -> np.ndarray:
    """(S,) number of the place of each tile: what a bootstrap draws together, since its instants are alike."""
    at = np.array([(row, column) for *_, row, column in rain_tiles()[split]])
    return np.unique(at, axis=0, return_inverse=True)[1].ravel()
