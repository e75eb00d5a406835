"""Several files as one data set: different variables on the same grid, or the same variables at consecutive times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from physlab.data.ingest import time
from physlab.data.ingest.account import Account
from physlab.data.ingest.horizontal import rounding
from physlab.errors import FieldError

COORDINATES = ("latitude", "longitude", "level", "y", "x")
GRAIN = 1e-4  # of a grid step: coordinates this near to one another are the same


def combine(parts: Sequence[tuple[str, xr.Dataset]], note: Account) -> xr.Dataset:
    """Data sets that have passed the contract, by name of their files, as one.

    Raises
    ------
    FieldError : grids that differ, or a time that stands in two files with different values.
    """
    first_name, first = parts[0]
    aligned = [first, *(_aligned(first_name, first, name, ds, note) for name, ds in parts[1:])]
    groups: dict[frozenset, list[xr.Dataset]] = {}
    for ds in aligned:
        groups.setdefault(frozenset(map(str, ds.data_vars)), []).append(ds)
    joined = [_along_time(group, note) for group in groups.values()]
    if len(joined) == 1:
        return joined[0]
    seen: set[str] = set()
    for ds in joined:
        twice = seen & set(map(str, ds.data_vars))
        if twice:
            raise FieldError(
                f"'{note.file}': {', '.join(sorted(twice))} stands in files with different other variables: put "
                f"files with the same "
                "variables into a folder of their own, or leave it out of some with mapping"
            )
        seen |= set(map(str, ds.data_vars))
    note.took(f"{len(parts)} files with different variables together")
    times = [ds["time"].values for ds in joined if "time" in ds.dims]
    if any(not np.array_equal(times[0], other) for other in times[1:]):
        note.did("times that only some variables have are missing in the others")
    return xr.merge([ds.drop_attrs(deep=False) for ds in joined], join="outer", compat="override").assign_attrs(
        first.attrs
    )


def _aligned(first_name: str, first: xr.Dataset, name: str, ds: xr.Dataset, note: Account) -> xr.Dataset:
    """The data set on the coordinates of the first one, if they are the same but for rounding."""
    for dim in COORDINATES:
        if dim not in first.dims or dim not in ds.dims:
            continue
        a, b = first[dim].values, ds[dim].values
        if np.array_equal(a, b):
            continue
        step = float(np.abs(np.diff(a.astype(float))).min()) if a.size > 1 else 1.0
        if a.shape == b.shape and np.abs(a.astype(float) - b).max() <= max(GRAIN * step, rounding(a), rounding(b)):
            note.did(
                f"{dim} of {name} moved by at most {np.abs(a.astype(float) - b).max():.1g} onto that of {first_name}"
            )
            ds = ds.assign_coords({dim: first[dim]})
            continue
        where = f"{b.size} values from {b[0]:g}" if a.shape != b.shape or a[0] != b[0] else "other values inside"
        raise FieldError(
            f"the files in '{note.file}' do not fit together: {dim} of '{name}' has {where}, that of '{first_name}' "
            f"{a.size} from "
            f"{a[0]:g}: put them into folders of their own, or open them one by one"
        )
    return ds


def _along_time(parts: list[xr.Dataset], note: Account) -> xr.Dataset:
    """The same variables of several files, one after another in time."""
    if len(parts) == 1:
        return parts[0]
    if any("time" not in ds.coords for ds in parts):
        raise FieldError(
            f"the files in '{note.file}' do not fit together: several hold {', '.join(map(str, parts[0].data_vars))} "
            f"without a time: "
            "open them one by one"
        )
    parts = [ds if "time" in ds.dims else ds.expand_dims("time") for ds in parts]
    kinds = {str(getattr(ds["time"].values[0], "calendar", "standard")) for ds in parts}
    if len(kinds) > 1:
        raise FieldError(
            f"the files in '{note.file}' have different calendars, {', '.join(sorted(kinds))}: open them one by one"
        )
    parts = sorted(parts, key=lambda ds: ds["time"].values[0])
    whole = xr.concat(
        parts,
        "time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    note.took(f"{len(parts)} files one after another in time")
    return time.in_order(whole, note)
