"""Which file it is, by its content and not by its name, and its data set as stored."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import xarray as xr

from physlab.data.ingest.account import Account
from physlab.errors import FieldError, one_line

GET_AGAIN = "get it again, whole"
PACKED = {
    b"\x1f\x8b": ("gzip", "gunzip"), b"BZh": ("bzip2", "bunzip2"), b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstandard", "unzstd"), b"Rar!": ("RAR", "unrar"), b"7z\xbc\xaf": ("7z", "7z x"),
}  # fmt: skip
SELECTION = re.compile(r"^(.+?)::([A-Za-z_][\w.]*=.*)$", re.DOTALL)


def split_selection(name: str | Path) -> tuple[str, dict[str, str]]:
    """("FILE", {"step": "3h"}) of "FILE::step=3h"; several are separated by commas.

    Raises
    ------
    FieldError : a part that is not of the form key=value.
    """
    match = SELECTION.match(str(name))
    if match is None:
        return str(name), {}
    parts = [part.strip() for part in match[2].split(",")]
    wrong = [part for part in parts if "=" not in part]
    if wrong:
        raise FieldError(
            f"'{wrong[0]}' in '{name}' chooses nothing: write FILE::key=value, as in FILE::step=3h,level=500"
        )
    return match[1], dict(part.split("=", 1) for part in parts)


def kind_of(path: Path) -> str:
    """ "netcdf3", "netcdf4", "grib", "zarr" or "zarr.zip", by content.

    Raises
    ------
    FieldError : it is none of these; the line says what it is and what to do.
    """
    if path.is_dir():
        if any((path / marker).exists() for marker in (".zgroup", ".zmetadata", "zarr.json")):
            return "zarr"
        if (path / ".zarray").exists():
            raise FieldError(f"'{path}' is one array of a Zarr store: pass the folder above it, '{path.parent}'")
        return "folder"
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(2048)
        for at in (512, 1024):  # HDF5 may begin there
            if head[at : at + 4] == b"\x89HDF":
                return "netcdf4"
    if not size:
        raise FieldError(f"cannot read '{path}': it is empty, 0 bytes: {GET_AGAIN}")
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "netcdf4"
    if re.match(rb"CDF[\x01\x02\x05]", head):
        return "netcdf3"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(path)
    for mark, (name, tool) in PACKED.items():
        if head.startswith(mark):
            raise FieldError(
                f"cannot read '{path}': it is packed with {name}: unpack it first, with {tool}, and pass what comes out"
            )
    if b"GRIB" in head:
        return "grib"
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
        words = " ".join(re.sub(rb"<[^>]*>", b" ", head).decode("utf-8", "replace").split())[:60]
        raise FieldError(
            f"cannot read '{path}': it is a web page ('{words}'), not data: the download did not work, log in there "
            f"and get the file "
            f"again"
        )
    if head[257:262] == b"ustar":
        raise FieldError(
            f"cannot read '{path}': it is a tar archive: unpack it first, with tar xf, and pass what comes out"
        )
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        words = " ".join(head[:80].decode("utf-8", "replace").split())[:50]
        raise FieldError(
            f"cannot read '{path}': it is text ('{words}'), no NetCDF, Zarr or GRIB: stations as CSV go into physlab "
            f"assimilate; "
            f"convert a grid to NetCDF first"
        )
    raise FieldError(
        f"cannot read '{path}' as NetCDF, Zarr or GRIB, it begins with {head[:4]!r}: {GET_AGAIN}, or convert it to "
        f"NetCDF first"
    )


def _zip(path: Path) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise FieldError(f"cannot read '{path}': it is a damaged ZIP archive: {GET_AGAIN}") from None
    if {".zgroup", "zarr.json", ".zmetadata"} & set(names):
        return "zarr.zip"
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    raise FieldError(
        f"cannot read '{path}': it is a ZIP archive of {shown}: unpack it first, with unzip, and pass what comes out"
    )


def open_raw(path: Path, kind: str, wanted: dict[str, str], note: Account) -> tuple[xr.Dataset, bool, str]:
    """(data set, whether it is decoded, format) of a file or a store; `group` is taken out of `wanted`.

    Raises
    ------
    FieldError : it is damaged, or holds groups of which one has to be chosen.
    """
    from physlab.data.ingest import grib

    group = wanted.pop("group", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "grib":
                return grib.open_grib(path, wanted, note), True, "grib"
            if kind.startswith("zarr"):
                ds, form = _zarr(path, kind, group)
            else:
                if kind == "netcdf3":
                    _whole(path)
                ds, form = (
                    xr.open_dataset(
                        path, decode_cf=False, group=group, engine=None if kind == "netcdf3" else _engine(path)
                    ),
                    kind,
                )
    except FieldError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # each backend raises its own kinds
        reason = f"{type(error).__name__}: {one_line(error)}"
        advice = f"it is damaged or cut off, {GET_AGAIN}"
        if group is not None:
            advice = f"is there a group '{group}' in it?"
        raise FieldError(f"cannot read '{path}' as NetCDF, Zarr or GRIB ({reason}): {advice}") from None
    if not ds.data_vars and group is None:
        groups = _groups(path, kind)
        if groups:
            raise FieldError(
                f"'{path}' holds its fields in groups, {', '.join(groups[:6])}: choose one, as in "
                f"{path}::group={groups[0]}"
            )
    return ds, False, form


def _engine(path: Path) -> Any:
    return "netcdf4"


def _zarr(path: Path, kind: str, group: str | None) -> tuple[xr.Dataset, str]:
    import zarr

    store: Any = zarr.storage.ZipStore(path, mode="r") if kind == "zarr.zip" else path
    root = zarr.open_group(store, mode="r")
    form = f"zarr{root.metadata.zarr_format}"
    ds = xr.open_zarr(store, group=group, decode_cf=False, consolidated=None if _consolidated(path) else False)
    return ds, form


def _consolidated(path: Path) -> bool:
    if not path.is_dir():
        return False
    if (path / ".zmetadata").exists():
        return True
    text = (path / "zarr.json").read_text(encoding="utf-8", errors="replace") if (path / "zarr.json").exists() else ""
    return '"consolidated_metadata": {' in text


def _groups(path: Path, kind: str) -> list[str]:
    if kind == "netcdf4":
        import h5netcdf

        with h5netcdf.File(path, "r") as file:
            return list(file.groups)
    if kind == "zarr":
        return sorted(
            p.name for p in path.iterdir() if p.is_dir() and any((p / m).exists() for m in (".zgroup", "zarr.json"))
        )
    return []


def _whole(path: Path) -> None:
    """Refuse a classic NetCDF file that is shorter than its header says, which the C library fills with zeros."""
    from scipy.io import netcdf_file

    with open(path, "rb") as stream:
        if stream.read(4) == b"CDF\x05":
            return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            netcdf_file(path, "r", mmap=True).close()
    except (ValueError, TypeError, OverflowError, EOFError) as error:
        if "CDF" in str(error) or "Unexpected header" in str(error):
            return
        raise FieldError(
            f"cannot read '{path}': it is cut off, {path.stat().st_size} bytes are too few for what it says it "
            f"holds: {GET_AGAIN}"
        ) from None
