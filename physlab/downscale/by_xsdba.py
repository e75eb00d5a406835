"""Adjustment by the package xsdba (extra `climate`): the same methods, kept by those who work with them.

Ours are short and made to be read; where both do the same they agree to rounding, which the tests check.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from physlab.errors import PhysLabError

CLASSES = {"EQM": "EmpiricalQuantileMapping", "DQM": "DetrendedQuantileMapping", "QDM": "QuantileDeltaMapping"}
GROUPS = {"all": "time", "month": "time.month", "day": "time.dayofyear"}
FREE = "noleap"  # the calendar in which both are counted


def adjust_by_xsdba(
    rule: str,
    observed: xr.DataArray,
    modelled: xr.DataArray,
    series: xr.DataArray,
    *,
    count: int,
    ratio: bool,
    threshold: float,
    seasons: str,
    window: int,
) -> xr.DataArray:
    """One variable; arguments as of :func:`physlab.downscale.mapping.adjust_series`.

    Raises
    ------
    PhysLabError : a variable without units, which xsdba wants.
    """
    xsdba = _package()
    group = xsdba.Grouper(GROUPS[seasons], window=window if seasons == "day" else 1)
    parts = [_counted(part).assign_attrs(units=_units(part)) for part in (observed, modelled, series)]
    options: dict[str, Any] = {"nquantiles": count, "kind": "*" if ratio else "+", "group": group}
    if threshold:
        limit = f"{threshold} {_units(observed)}"
        parts = [xsdba.processing.jitter_under_thresh(part, limit) for part in parts]
    with warnings.catch_warnings(), xr.set_options(keep_attrs=True):
        warnings.simplefilter("ignore")
        trained = getattr(xsdba.adjustment, CLASSES[rule]).train(parts[0], parts[1], **options)
        made = trained.adjust(parts[2], interp="nearest" if seasons == "month" else "linear")
    made = made.transpose(*series.dims).drop_vars(set(made.coords) - set(series.coords))
    if threshold:
        made = made.where(~(made < threshold), 0.0)
    return made.assign_coords(time=series["time"]) if made.sizes["time"] == series.sizes["time"] else made


def mbcn_by_xsdba(
    observed: xr.Dataset, modelled: xr.Dataset, series: xr.Dataset, turns: np.ndarray, *, count: int, ratios: dict
) -> xr.Dataset:
    """All variables together, all days of the year as one group."""
    xsdba = _package()
    stacked = []
    for part in (observed, modelled, series):
        ds = xr.Dataset({name: _counted(part[name]).assign_attrs(units=_units(part[name])) for name in part.data_vars})
        stacked.append(xsdba.processing.stack_variables(ds))
    names = [str(name) for name in stacked[0]["multivar"].values]
    rotation = xr.DataArray(turns, dims=("iterations", "multivar_prime", "multivar"))
    order = [str(name) for name in series.data_vars]  # xsdba has its own
    rotation = rotation.assign_coords(multivar=order, multivar_prime=order).sel(multivar=names)
    rotation = rotation.assign_attrs(crd_dim="multivar", new_dim="multivar_prime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = xsdba.adjustment.MBCn.train(
            stacked[0], stacked[1], base_kws={"nquantiles": count, "group": "time"},
            adj_kws={"interp": "linear", "extrapolation": "constant"}, rot_matrices=rotation, n_escore=-1,
        )  # fmt: skip
        made = trained.adjust(
            sim=stacked[2], ref=stacked[0], hist=stacked[1], base=xsdba.adjustment.QuantileDeltaMapping,
            base_kws_vars={name: {"kind": "*" if ratios[name] else "+"} for name in names},
            adj_kws={"interp": "linear"},
        )  # fmt: skip
    return xsdba.processing.unstack_variables(made)[list(series.data_vars)]


def _package():
    try:
        import xsdba
    except ModuleNotFoundError as error:
        if error.name != "xsdba":
            raise
        raise PhysLabError(
            "engine 'xsdba' needs the package xsdba: pip install 'physlab[climate]', or use engine 'physlab'"
        ) from None
    return xsdba


def _counted(da: xr.DataArray) -> xr.DataArray:
    """In 365-day years, along an unchunked time."""
    if da["time"].dt.calendar not in (FREE, "365_day"):
        da = da.convert_calendar(FREE, align_on="date" if da["time"].dt.calendar != "360_day" else "year")
    return da.chunk(time=-1) if da.chunks is not None else da


def _units(da: xr.DataArray) -> str:
    units = da.attrs.get("units")
    if not units:
        raise PhysLabError(
            f"{da.name} has no units, which xsdba wants: write them into the file, or use engine 'physlab'"
        )
    return str(units)
