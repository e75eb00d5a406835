"""What a model and observations have in common: variables, units and places; and functions along their time."""

from __future__ import annotations

import numpy as np
import xarray as xr

from physlab.data.series import converted
from physlab.errors import FieldError


def along_time(
    function, observed: xr.DataArray, modelled: xr.DataArray, model: xr.DataArray, near: tuple = (), far: tuple = ()
) -> xr.DataArray:
    """A function of arrays (..., *near, To), (..., *near, Th), (..., *far, T) and the number of each place, which gives
    (..., *near, T); lazy where the model is."""
    places = [d for d in model.dims if d not in ("time", *far)]
    sizes = [model.sizes[d] for d in places]
    number = xr.DataArray(np.arange(int(np.prod(sizes)), dtype=np.int64).reshape(sizes), dims=places)
    if model.chunks is not None:
        chunks = {d: model.chunksizes[d] for d in places}
        model, number = model.chunk(dict.fromkeys(("time", *far), -1)), number.chunk(chunks)
        observed, modelled = (
            part.chunk({**dict.fromkeys(("time", *near), -1), **chunks}) for part in (observed, modelled)
        )
    made = xr.apply_ufunc(
        function, observed.rename(time="_observed"), modelled.rename(time="_modelled"), model, number,
        input_core_dims=[[*near, "_observed"], [*near, "_modelled"], [*far, "time"], []],
        output_core_dims=[[*near, "time"]], dask="parallelized", output_dtypes=[model.dtype],
    )  # fmt: skip
    return made.transpose(*near, *(d for d in model.dims if d not in far))


def as_dataset(ds: xr.Dataset | xr.DataArray) -> xr.Dataset:
    return ds.to_dataset(name=ds.name or "series") if isinstance(ds, xr.DataArray) else ds


def matched(observed: xr.Dataset, model: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Variables and places that both have, the model in the units and with the names and places of the observations.

    Raises
    ------
    FieldError : nothing in common, other places, units of another quantity, no time.
    """
    observed, found = same_variables(observed, model)
    for name in observed.data_vars:
        here, there = ({*part[name].dims} - {"time"} for part in (observed, found))
        if here != there:
            raise FieldError(
                f"'{name}' of the model has dims ({', '.join(map(str, found[name].dims))}), of the observations "
                f"({', '.join(map(str, observed[name].dims))}): bring both to the same places, or use BCSD"
            )
    for dim in [d for d in observed.dims if d != "time"]:
        if dim not in observed.coords or dim not in found.coords:
            same = observed.sizes[dim] == found.sizes[dim]
        elif observed[dim].dtype.kind in "fiu":
            same = observed.sizes[dim] == found.sizes[dim] and np.allclose(observed[dim], found[dim], atol=0.01)
            found = found.assign_coords({dim: observed[dim]}) if same else found
        else:
            names = [name for name in observed[dim].values if name in found[dim].values]
            same = bool(names)
            observed, found = (part.sel({dim: names}) if same else part for part in (observed, found))
        if not same:
            raise FieldError(
                f"the model has {found.sizes[dim]} places along {dim}, the observations have {observed.sizes[dim]} or "
                "others: bring both to the same places, or use BCSD for a finer grid"
            )
    order = {name: [d for d in found[name].dims if d != "time"] for name in found.data_vars}
    return observed.map(lambda da: da.transpose("time", *order[da.name])), found


def same_variables(observed: xr.Dataset, model: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The variables that both have, the model with the names and units of the observations.

    Raises
    ------
    FieldError : none, units of another quantity, no time.
    """
    for what, ds in (("observations", observed), ("model", model)):
        if "time" not in ds.dims:
            raise FieldError(f"the {what} have dims ({', '.join(map(str, ds.dims))}) and no time: pass series in time")
    pairs = {}
    for name, da in observed.data_vars.items():
        other = same_quantity(da, model)
        if "time" in da.dims and other is not None:
            pairs[name] = converted(model[other], str(da.attrs.get("units", "")))
    if not pairs:
        raise FieldError(
            f"the model has {', '.join(map(str, model.data_vars))}, the observations have "
            f"{', '.join(map(str, observed.data_vars))}: rename one by mapping="
        )
    return observed[list(pairs)], xr.Dataset(pairs, attrs=model.attrs)


def same_quantity(da: xr.DataArray, ds: xr.Dataset):
    """Name of the variable of a data set that has the same name, else the same standard name; None for none."""
    if da.name in ds.data_vars:
        return da.name
    standard = da.attrs.get("standard_name")
    alike = [name for name, other in ds.data_vars.items() if standard and other.attrs.get("standard_name") == standard]
    return alike[0] if len(alike) == 1 else None
