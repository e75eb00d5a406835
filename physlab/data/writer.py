"""Writing data sets, NetCDF or Zarr by suffix, and tables: never half-written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import xarray as xr

from physlab.errors import PhysLabError
from physlab.store import new_folder, write_file


def write_dataset(ds: xr.Dataset, path: str | Path, encoding: Mapping[str, Mapping] | None = None) -> Path:
    """Write a data set, whole or not at all.

    A NetCDF file is put together in memory, so that a full disk is an error of ours and not one inside HDF5; a Zarr
    store is written chunk by chunk.

    Parameters
    ----------
    ds : written with its attributes.
    path : ends in ``.nc`` or ``.zarr``; its folder must exist. A file or a store of that name is replaced.
    encoding : of variables in NetCDF; without it floats are compressed without loss.

    Raises
    ------
    PhysLabError : another suffix, or a folder that holds something else than a Zarr store.
    FileNotFoundError : no such folder.  OSError : a full disk, no permission.
    """
    path = Path(path).expanduser()
    if path.suffix not in (".nc", ".zarr"):
        raise PhysLabError(f"cannot write '{path}': its name must end in .nc (NetCDF) or .zarr")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write '{path}': there is no folder '{path.parent}'; make it first")
    if path.suffix == ".zarr":
        with new_folder(path, "zarr") as part:
            ds.to_zarr(part, mode="w", zarr_format=2)  # which every reader knows, metadata in one file
        return path
    if encoding is None:
        encoding = {str(k): {"zlib": True, "complevel": 1} for k, da in ds.data_vars.items() if da.dtype.kind == "f"}
    return write_file(path, ds.to_netcdf(engine="h5netcdf", encoding=dict(encoding)))


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a CSV of 6 significant digits."""
    return write_file(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
