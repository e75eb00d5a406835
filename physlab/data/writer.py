"""Writing data sets, NetCDF or Zarr by suffix, and folders of files: never half-written."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from physlab.errors import PhysLabError


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends without an error.

    A folder that is there already is moved aside first and removed last, so that a reader finds the old one or the new
    one whole, and a failure loses neither.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield part
        part.chmod(0o755)
        if folder.exists():
            old = part.with_name(part.name + ".old")
            os.replace(folder, old)
            os.replace(part, folder)
            shutil.rmtree(old)
        else:
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_dataset(ds: xr.Dataset, path: str | Path) -> Path:
    """Write a data set to a temporary name beside `path` and rename it when it is complete.

    Parameters
    ----------
    ds : written with its attributes; floats are compressed without loss in NetCDF.
    path : ends in ``.nc`` or ``.zarr``; its folder must exist. A file or store of that name is replaced.

    Raises
    ------
    PhysLabError : another suffix;  FileNotFoundError : no such folder.
    """
    path = Path(path).expanduser()
    if path.suffix not in (".nc", ".zarr"):
        raise PhysLabError(f"cannot write '{path}': its name must end in .nc (NetCDF) or .zarr")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write '{path}': there is no folder '{path.parent}'; make it first")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        if path.suffix == ".zarr":
            ds.to_zarr(temporary, mode="w", zarr_format=2)  # which every reader knows, metadata in one file
            if path.exists():
                shutil.rmtree(path)
        else:
            packed = {name: {"zlib": True, "complevel": 1} for name, da in ds.data_vars.items() if da.dtype.kind == "f"}
            ds.to_netcdf(temporary, engine="h5netcdf", encoding=packed)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
    return path
