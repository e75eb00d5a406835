"""The door: a path becomes a data set that has passed the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from physlab.data.ingest import fields, files, folder
from physlab.data.ingest.account import Account
from physlab.data.ingest.contract import understand
from physlab.errors import FieldError, one_line
from physlab.store import recover

HIDDEN = (".", "_")
OTHER = (
    ".txt",
    ".md",
    ".csv",
    ".json",
    ".png",
    ".pdf",
    ".py",
    ".idx",
    ".xml",
    ".html",
    ".yml",
    ".yaml",
    ".sha256",
    ".md5",
)
"""Endings of files in a folder that are no data."""


def open_path(path: str | Path, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """Your own NetCDF, Zarr or GRIB file, known by its content, or a folder of such files that are put together.

    Parameters
    ----------
    path : a file, a Zarr store (folder or ZIP), or a folder of files. ``FILE::step=3h,level=500`` chooses a part:
    `step` and
        `base` of forecasts, `level`, `member`, `time` (also a day, or A:B by number), any other dim, `variable` (A+B),
        `group` of
        NetCDF and Zarr, and keys of GRIB such as typeOfLevel and shortName.
    mapping : own names -> names of the library, for coordinates and variables, e.g. {"y": "latitude", "TCWV": "tcw"};
    a name ->
        "" leaves the variable out; {"EPSG:3035": "crs"} says which map rows and columns are of.

    Returns
    -------
    Dataset as :mod:`physlab.data.ingest` says, its account in the history. Fields of more than 64 MB are dask arrays.

    Raises
    ------
    FileNotFoundError : nothing at this path.
    FieldError : not such a file, damaged, or not to be understood: one line with file, place, value and remedy.
    """
    name, wanted = files.split_selection(path)
    place = Path(name).expanduser()
    recover(place)
    if not place.exists():
        raise FileNotFoundError(
            f"no file '{place}': check the path; physlab.list_datasets() shows the names that need no path"
        )
    note = Account(str(place))
    kind = files.kind_of(place)
    read = _folder if kind == "folder" else _file
    ds, form, raws = read(place, kind, wanted, mapping, note)
    if all(da.chunks is None for da in ds.variables.values()):
        for raw in raws:  # so that the file may be written anew
            raw.close()
    ds = note.keep(ds)
    ds.encoding = {"source": str(place), "format": form}
    return ds


def _file(
    place: Path, kind: str, wanted: dict, mapping: Mapping[str, str] | None, note: Account
) -> tuple[xr.Dataset, str, list[xr.Dataset]]:
    raw, decoded, form = files.open_raw(place, kind, wanted, note)
    return _read(raw, place, note, mapping, wanted, decoded), form, [raw]


def _read(raw, place: Path, note: Account, mapping, wanted, decoded: bool, small: bool | None = None) -> xr.Dataset:
    """:func:`understand`; what the library below says of a damaged file becomes a line of ours."""
    try:
        return understand(raw, note, mapping, wanted, decoded, small)
    except (FieldError, FileNotFoundError, MemoryError):
        raw.close()
        raise
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
        raw.close()
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise FieldError(
            f"cannot read '{place}' as NetCDF, Zarr or GRIB ({reason}): it is damaged or cut off, {files.GET_AGAIN}, "
            f"or convert it to "
            "NetCDF first"
        ) from None


def _folder(
    place: Path, kind: str, wanted: dict, mapping: Mapping[str, str] | None, note: Account
) -> tuple[xr.Dataset, str, list[xr.Dataset]]:
    """All files of a folder, each through the contract, then together."""
    found = sorted(p for p in place.iterdir() if not p.name.startswith(HIDDEN) and p.suffix.lower() not in OTHER)
    found = [p for p in found if p.is_file() or files.kind_of(p).startswith("zarr")]
    if not found:
        raise FieldError(
            f"folder '{place}' is no Zarr store and holds no NetCDF file: pass a file, a Zarr store or a folder of "
            f"NetCDF or GRIB files"
        )
    raws = []
    for path in found:
        own, keys = Account(str(path)), dict(wanted)
        raws.append((path, own, keys, *files.open_raw(path, files.kind_of(path), keys, own)))
    small = sum(da.nbytes for _, _, _, raw, _, _ in raws for da in raw.data_vars.values()) <= fields.SMALL
    parts = []
    for path, own, keys, raw, decoded, _ in raws:
        names = {k: v for k, v in (mapping or {}).items() if k in raw.variables or k in raw.dims or v == "crs"}
        parts.append((path.name, _read(raw, path, own, names, keys, decoded, small)))
        for text in own.understood[1:]:
            note.took(text)
        for text in own.changed:
            note.did(text)
    absent = [
        k
        for k, v in (mapping or {}).items()
        if v != "crs" and not any(k in raw.variables or k in raw.dims for _, _, _, raw, _, _ in raws)
    ]
    if absent:
        raise FieldError(f"mapping names {', '.join(absent)}, which no file in '{place}' has: correct it")
    ds = folder.combine(parts, note)
    note.understood.insert(0, f"{len(parts)} files with {', '.join(map(str, ds.data_vars))}")
    return ds, raws[0][-1], [raw for _, _, _, raw, _, _ in raws]
