r"""Smooth fields of 16-bit integers as differences: a quarter less room than szip alone, the same values to the bit.

szip stores how a value differs from its neighbour in the row. Of a field that is smooth along further axes too, the
differences :math:`d = \Delta_y \Delta_x p` of the packed integers :math:`p` are smaller still, so a file may hold these
instead, as variable ``tcw_differences`` with the attributes ``differences_along`` (y x), ``differences_around`` (a
constant that keeps them positive, as szip likes them) and ``sum_*`` (those of the field itself). Sums in 16 bits undo
it exactly, whatever overflows. :mod:`physlab.simulate.differences` writes them. Any reader of NetCDF opens such a
file, and with plain xarray the field is::

    d = ds["tcw_differences"].astype("int32") - 16384
    tcw = 0.02 * d.cumsum("y").cumsum("x")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, NetCDF4BackendEntrypoint
from xarray.core import indexing

ENDING, ALONG, AROUND, OF_SUM = "_differences", "differences_along", "differences_around", "sum_"
AS_STORED: dict[str, Any] = dict.fromkeys(
    ("mask_and_scale", "decode_times", "decode_timedelta", "decode_coords"), False
)


def open_shipped(path: str | Path) -> xr.Dataset:
    """A NetCDF file whose fields may be stored as differences, as :func:`xarray.open_dataset` would open it if they
    were not: lazy along the other axes, decoded by its conventions."""
    ds = xr.open_dataset(path, engine=NetCDF4BackendEntrypoint, **AS_STORED)
    for name in [str(name) for name, field in ds.variables.items() if ALONG in field.attrs]:
        field = ds[name].variable
        along = tuple(str(field.attrs[ALONG]).split())
        values = indexing.LazilyIndexedArray(Summed(field, along, int(field.attrs[AROUND])))
        kept = {"coordinates": field.attrs["coordinates"]} if "coordinates" in field.attrs else {}
        attrs = {key.removeprefix(OF_SUM): value for key, value in field.attrs.items() if key.startswith(OF_SUM)}
        whole = xr.Variable(field.dims, values, {**attrs, **kept}, dict(field.encoding))
        ds = ds.drop_vars(name).assign({name.removesuffix(ENDING): whole})
    return xr.decode_cf(ds)


class Summed(BackendArray):
    """The integers behind stored differences.

    Parameters
    ----------
    stored : variable of 16-bit integers.
    along : its dims along which they are differences.
    around : what was added to them.
    """

    def __init__(self, stored: xr.Variable, along: Sequence[str], around: int) -> None:
        self.stored, self.along, self.around = stored, tuple(along), around
        self.shape, self.dtype = stored.shape, stored.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.part)

    def part(self, key: tuple) -> np.ndarray:
        """What an outer index chooses; only axes without differences are read in part."""
        index = dict(zip(map(str, self.stored.dims), key, strict=True))
        part = self.stored.isel({dim: k for dim, k in index.items() if dim not in self.along})
        values = part.values - self.dtype.type(self.around)
        for dim in self.along:
            add_up(values, part.get_axis_num(dim))
        return part.copy(data=values).isel({dim: index[dim] for dim in self.along}).values


def add_up(values: np.ndarray, axis: int) -> None:
    """Running sums of integers along an axis, in place and in their own type."""
    if axis == values.ndim - 1:
        np.cumsum(values, axis, dtype=values.dtype, out=values)
        return
    rows = np.moveaxis(values, axis, 0)
    for before, row in zip(rows[:-1], rows[1:], strict=True):  # five times as fast as cumsum
        row += before
