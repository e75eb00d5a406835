"""Zarr of any size, version 2 or 3: the metadata first, then block by block into its chunks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from physlab.data.cfout.attributes import safe
from physlab.data.cfout.layout import Plan

FORMATS = (2, 3)


def prepared(ds: xr.Dataset) -> xr.Dataset:
    """Attributes as JSON takes them, text of any length."""
    ds = ds.copy()
    ds.attrs = safe(ds.attrs, json_only=True)
    for name, da in ds.variables.items():
        ds[name].attrs = safe(da.attrs, json_only=True)
        if da.dtype.kind == "U":
            ds = _with(ds, str(name), xr.Variable(da.dims, da.values.astype(object), ds[name].attrs))
    return ds


def _with(ds: xr.Dataset, name: str, variable: xr.Variable) -> xr.Dataset:
    return ds.assign_coords({name: variable}) if name in ds.coords else ds.assign({name: variable})


def encodings(ds: xr.Dataset, plans: dict[str, Plan]) -> dict[str, dict]:
    """Chunks as planned, everything else in one; NaN marks what is missing in fields, and nothing in coordinates."""
    made: dict[str, dict] = {}
    for name, da in ds.variables.items():
        made[str(name)] = {"chunks": plans[str(name)].chunks if str(name) in plans else da.shape}
        if da.dtype.kind == "f":
            made[str(name)]["_FillValue"] = da.dtype.type(np.nan) if name in ds.data_vars else None
        if not da.ndim:
            del made[str(name)]["chunks"]
    return made


@contextlib.contextmanager
def together() -> Iterator[None]:
    """If one of the writers of zarr fails, wait for the others: they would make a folder anew that was removed."""
    try:
        yield
    except Exception:
        with contextlib.suppress(Exception):
            from zarr.core.sync import loop

            if loop[0] is not None:
                asyncio.run_coroutine_threadsafe(_others(), loop[0]).result(60)
        raise


async def _others() -> None:
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


def start(folder: Path, ds: xr.Dataset, plans: dict[str, Plan], zarr_format: int) -> None:
    """The store with all metadata and what is small; the large variables stay empty."""
    import dask.array

    lazy = ds.drop_vars(list(plans)).load()
    for name, plan in plans.items():
        variable = ds[name].variable
        lazy[name] = (
            variable.dims,
            dask.array.zeros(variable.shape, dtype=variable.dtype, chunks=plan.chunks),
            variable.attrs,
        )
    with warnings.catch_warnings(), together():
        # all metadata in one file are an agreement of version 3, not yet part of it; readers warn where it is missing
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        lazy.to_zarr(
            folder, mode="w", zarr_format=zarr_format, consolidated=True, compute=False,
            encoding=encodings(ds, plans), write_empty_chunks=True,
        )  # fmt: skip


def put(folder: Path, name: str, block: tuple[slice, ...], values: np.ndarray) -> None:
    """Write a block into its chunks."""
    import zarr

    with together():
        array = zarr.open_group(folder, mode="r+")[name]
        assert isinstance(array, zarr.Array)
        array[block] = values


def files_of(folder: Path, name: str, plan: Plan, block: tuple[slice, ...], zarr_format: int) -> tuple[Path, ...]:
    """The files of the chunks of a block."""
    places = [range(part.start // size, -(-part.stop // size)) for part, size in zip(block, plan.chunks, strict=True)]
    base = folder / name
    if zarr_format == 2:
        return tuple(base / ".".join(map(str, at)) for at in itertools.product(*places))
    return tuple((base / "c").joinpath(*map(str, at)) for at in itertools.product(*places))
