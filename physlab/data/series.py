"""Series of a climate model and of observations: files with or without a grid, in each other's units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from physlab import cf
from physlab.data.catalog import open_dataset
from physlab.data.ingest.units import factors, plain
from physlab.errors import FieldError


def open_series(name: str | Path, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """:func:`physlab.open_dataset`, and files of stations too, which have a time and no grid.

    Parameters
    ----------
    name : of the catalogue, or a NetCDF file, a Zarr store or a folder of NetCDF files.
    mapping : own names -> names of the library.

    Raises
    ------
    FileNotFoundError, FieldError : as of `open_dataset`; or no time in the file.
    """
    ds = _stations(Path(name).expanduser())
    if ds is None:
        ds = open_dataset(name, mapping)
    elif mapping:
        ds = ds.rename(dict(mapping))
    if "time" not in ds.dims:
        raise FieldError(f"'{name}' has dims ({', '.join(map(str, ds.dims))}) and no time: pass series in time")
    return ds


def _stations(path: Path) -> xr.Dataset | None:
    """A file with a time and without a grid; None for any other."""
    if path.suffix != ".zarr" and not path.is_file():
        return None
    try:
        ds = xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path)
    except Exception:  # of the many that xarray raises: the reader of fields says what is wrong
        return None
    places = [cf.find_coordinate(ds, kind) for kind in ("latitude", "longitude")]
    dims = [ds[name].dims for name in places if name is not None and name in ds.coords]
    apart = len(dims) == 2 and dims[0] == dims[1] and len(dims[0]) == 1
    if "time" in ds.dims and (apart or places == [None, None]):
        return ds
    ds.close()
    return None


def converted(da: xr.DataArray, units: str) -> xr.DataArray:
    """A field in other units; a depth of water and its mass on an area are the same.

    Raises
    ------
    FieldError : units that nobody knows, or of another quantity.
    """
    own = str(da.attrs.get("units", ""))
    if own == units:
        return da
    if not own or not units:
        have, lack = ("the other", da.name) if not own else (da.name, "the other")
        raise FieldError(f"'{da.name}': {lack} has no units and {have} has '{own or units}': write them into the file")
    line = factors(plain(own), plain(units), water=True)
    if line is None:
        reason = "they do not measure the same"
        raise FieldError(f"'{da.name}' is in '{own}', which cannot become '{units}' ({reason}): correct the units")
    dtype = da.dtype if da.dtype.kind == "f" else float
    return (da * line[0] + line[1]).astype(dtype).assign_attrs({**da.attrs, "units": units})


def amount(text: str, units: str) -> float:
    """A number with or without units, such as "0.1 mm day-1", in `units`.

    Raises
    ------
    FieldError : no number, or units of another quantity.
    """
    number, _, own = str(text).strip().partition(" ")
    try:
        value = float(number)
    except ValueError:
        raise FieldError(f"'{text}' is no amount: write a number and units, for example '0.1 mm day-1'") from None
    return float(converted(xr.DataArray(value, attrs={"units": own}, name=str(text)), units)) if own else value
