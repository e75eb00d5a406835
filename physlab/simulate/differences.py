"""Storing smooth fields of 16-bit integers as differences, which :mod:`physlab.data.differences` adds up again.

python -m physlab.simulate.differences nature-tcw.nc tcw:y,x
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from physlab.data.differences import ALONG, AROUND, ENDING, OF_SUM
from physlab.data.writer import write_dataset
from physlab.errors import FieldError

MIDDLE = 1 << 14
SZIP = {"compression": "szip", "compression_opts": ("nn", 32)}
LAYOUT = ("zlib", "complevel", "shuffle", "compression", "compression_opts", "chunksizes")


def store_differences(path: str | Path, along: Mapping[str, Sequence[str]], out: str | Path | None = None) -> Path:
    """Store fields of a NetCDF file as differences, in its place or in `out`; everything else stays as it is.

    Parameters
    ----------
    along : name of a field of 16-bit integers -> dims along which it is smooth.

    Raises
    ------
    FieldError : a field that is not of 16-bit integers, or has no such dims.
    """
    with xr.open_dataset(path, engine="h5netcdf", decode_cf=False) as opened:
        ds = opened.load()
    layouts = {str(n): {k: v.encoding[k] for k in LAYOUT if v.encoding.get(k)} for n, v in ds.variables.items()}
    for name, dims in along.items():
        field = ds[name].variable
        if field.dtype != np.int16 or not set(dims) <= set(field.dims):
            raise FieldError(
                f"{name} is {field.dtype} with dims {', '.join(map(str, field.dims))}: differences are stored of int16 "
                f"along dims that are there, not of other types or along {', '.join(dims)}"
            )
        values = field.values
        for dim in dims:
            start = np.zeros_like(values.take([0], field.get_axis_num(dim)))
            values = np.diff(values, axis=field.get_axis_num(dim), prepend=start)
        attrs: dict[str, Any] = {OF_SUM + key: value for key, value in field.attrs.items() if key != "coordinates"}
        attrs |= {key: field.attrs[key] for key in ("coordinates",) if key in field.attrs}
        attrs |= {
            ALONG: " ".join(dims), AROUND: np.int16(MIDDLE),
            "long_name": f"differences of {name} along {' and '.join(dims)} plus {MIDDLE}; their sums are {name}",
        }  # fmt: skip
        ds = ds.drop_vars(name).assign({name + ENDING: (field.dims, values + np.int16(MIDDLE), attrs)})
        chunks = field.encoding.get("chunksizes") or field.shape
        layouts[name + ENDING] = {**SZIP, "chunksizes": tuple(chunks)}
    keep = {str(n): {"_FillValue": None, **layouts.get(str(n), {})} for n in ds.variables if ds[n].dtype.kind in "iuf"}
    return write_dataset(ds.drop_encoding(), Path(path if out is None else out), keep)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m physlab.simulate.differences FILE NAME:DIM,DIM [NAME:DIM ...]")
    print(store_differences(sys.argv[1], {n: d.split(",") for n, d in (a.split(":") for a in sys.argv[2:])}))
