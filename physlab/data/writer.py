"""Writing data sets, NetCDF or Zarr by suffix, and tables: never half-written, and read everywhere as it is meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from physlab.cluster import computed
from physlab.data.cfout import layout, netcdf, zarr
from physlab.data.cfout.template import template
from physlab.errors import PhysLabError
from physlab.store import Parts, new_folder, parts_of, write_file

Told = Callable[[int, int], object]
Seen = Callable[[str, np.ndarray], object]


def write_dataset(
    ds: xr.Dataset,
    path: str | Path,
    encoding: Mapping[str, Mapping] | None = None,
    *,
    zarr_format: int | None = None,
    belongs_to: Mapping[str, object] | None = None,
    progress: Told | None = None,
    seen: Seen | None = None,
) -> Path:
    """Write a data set, whole or not at all, in the form of :func:`physlab.data.cfout.template.template`.

    Fields in dask chunks are computed and written block by block: memory stays flat. With `belongs_to`, a run that is
    killed leaves what is complete, and the next one with the same goes on from there.

    Parameters
    ----------
    ds : written with its attributes.
    path : ends in ``.nc`` or ``.zarr``; its folder must exist. A file or a store of that name is replaced.
    encoding : of variables in NetCDF, for layouts of the library: the data set is then written as it is.
    zarr_format : 2, which every reader knows, or 3; None for 2.
    belongs_to : what the data are made from (digests, options), JSON values; None: nothing is kept of a killed run.
    progress : called with (blocks done, blocks in all).
    seen : called with the name and the values of each field, or of each block that is computed now.

    Raises
    ------
    PhysLabError : another suffix or format, or a folder that holds something else than a Zarr store.
    FileNotFoundError : no such folder.  OSError : a full disk, no permission.
    """
    path = check_target(path, zarr_format)
    if encoding is not None:
        return write_file(path, ds.to_netcdf(engine="h5netcdf", encoding=dict(encoding)))
    ds = template(ds)
    plans = {str(name): layout.plan(da) for name, da in ds.data_vars.items() if layout.large(da)}
    format_of = zarr_format or 2
    if path.suffix == ".zarr":
        ds = zarr.prepared(ds)
    in_blocks = belongs_to is not None or any(ds[name].chunks for name in plans)
    size = sum(ds[name].nbytes for name in plans)
    if not plans or (path.suffix == ".nc" and not in_blocks and size < 8 * layout.BLOCK):
        ds = ds.load()
        for name, da in ds.data_vars.items():
            if seen is not None and da.ndim > 1 and da.dtype.kind in "iuf":
                seen(str(name), da.values)
        if path.suffix == ".nc":
            return write_file(path, netcdf.small_bytes(ds))
        with new_folder(path, "zarr") as part:
            zarr.start(part, ds, {}, format_of)
        return path
    shapes = {name: (str(ds[name].dtype), *dataclasses.astuple(plan)) for name, plan in plans.items()}
    with parts_of(path, None if belongs_to is None else {**belongs_to, "shapes": shapes}) as parts:
        if path.suffix == ".zarr":
            _to_zarr(ds, plans, parts, format_of, progress, seen)
        else:
            _to_netcdf(ds, plans, parts, progress, seen)
    return path


def check_target(path: str | Path, zarr_format: int | None = None) -> Path:
    """The path, if something could be written there.

    Raises
    ------
    PhysLabError, FileNotFoundError : as :func:`write_dataset`.
    """
    path = Path(path).expanduser()
    if path.suffix not in (".nc", ".zarr"):
        raise PhysLabError(f"cannot write '{path}': its name must end in .nc (NetCDF) or .zarr")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write '{path}': there is no folder '{path.parent}'; make it first")
    if zarr_format not in (None, *zarr.FORMATS):
        raise PhysLabError(f"Zarr format {zarr_format}: choose 2, which every reader knows, or 3")
    return path


def _to_zarr(
    ds: xr.Dataset,
    plans: Mapping[str, layout.Plan],
    parts: Parts,
    version: int,
    progress: Told | None,
    seen: Seen | None,
) -> None:
    store = parts.folder / "store"
    if "started" not in parts:
        zarr.start(store, ds, dict(plans), version)
        parts.put("started")

    def put(name: str, block: tuple[slice, ...], values: np.ndarray, label: str) -> None:
        zarr.put(store, name, block, values)
        parts.put(label, files_of=zarr.files_of(store, name, plans[name], block, version))

    _each_block(ds, plans, parts, put, progress, seen)
    parts.to_folder("store", "zarr")


def _to_netcdf(
    ds: xr.Dataset, plans: Mapping[str, layout.Plan], parts: Parts, progress: Told | None, seen: Seen | None
) -> None:
    def put(name: str, block: tuple[slice, ...], values: np.ndarray, label: str) -> None:
        parts.put(label, netcdf.packed(values, plans[name], block))

    labels = _each_block(ds, plans, parts, put, progress, seen)
    large = {name: (ds[name].variable, plan) for name, plan in plans.items()}
    found = {name: [parts.folder / label for label in labels[name]] for name in plans}
    frame, links = ds.drop_vars(list(plans)), {name: netcdf.links(ds, name) for name in plans}
    parts.to_file(lambda new: netcdf.assemble(new, frame, large, links, found))


def _each_block(
    ds: xr.Dataset,
    plans: Mapping[str, layout.Plan],
    parts: Parts,
    put: Callable[[str, tuple[slice, ...], np.ndarray, str], None],
    progress: Told | None,
    seen: Seen | None,
) -> dict[str, list[str]]:
    """Compute and put what is not there yet; the labels of all blocks by variable."""
    wanted = [
        (k / len(plan), number, name, f"{number}-{k}", block)
        for number, (name, plan) in enumerate(plans.items())
        for k, block in enumerate(plan.blocks())
    ]
    wanted.sort(key=lambda one: one[:2])  # blocks of one place together: a method may make several variables at once
    labels: dict[str, list[str]] = {name: [] for name in plans}
    if progress is not None:
        progress(0, len(wanted))
    made = computed(ds[name].variable[block] for _, _, name, label, block in wanted if label not in parts)
    for done, (_, _, name, label, block) in enumerate(wanted, 1):
        labels[name].append(label)
        if label not in parts:
            values = np.ascontiguousarray(next(made))
            if seen is not None:
                seen(name, values)
            put(name, block, values, label)
        if progress is not None:
            progress(done, len(wanted))
    return labels


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a CSV of 6 significant digits."""
    return write_file(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
