"""When a field holds: valid time from base and lead time, calendars, unusual units, order, repeated times."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from physlab.data.ingest import units
from physlab.data.ingest.account import Account
from physlab.errors import FieldError, one_line

VALID = ("time", "valid_time", "date", "datetime", "t", "times", "forecast_time", "initial_time0_hours", "valid")
BASE = ("forecast_reference_time", "reference_time", "reftime", "init_time", "initial_time", "init",
        "initialization_time",
        "base_time", "basetime", "start_time", "analysis_time")  # fmt: skip
LEAD = ("step", "leadtime", "lead_time", "lead", "forecast_period", "prediction_timedelta", "forecast_hour", "fhour",
        "lead_hours", "forecast_step", "timedelta")  # fmt: skip
MAX_COMPARED = 64 << 20  # bytes of repeated times that are compared


def decode_times(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """All time coordinates of an undecoded data set as dates (datetime64, or cftime in calendars without such)."""
    for name in [str(n) for n in (*ds.coords, *ds.data_vars)]:
        if name not in ds.variables:
            continue
        attrs, dtype = ds[name].attrs, ds[name].dtype
        unit = str(attrs.get("units", "")).strip()
        if dtype.kind in "SUO" and (name.lower() in VALID or name == "Times"):
            ds = _from_text(ds, name, note)
        elif dtype.kind in "iuf" and re.search(r"\bsince\b", unit):
            ds = (
                ds.assign_coords({name: _since(ds[name], note)})
                if name in ds.coords
                else ds.assign({name: _since(ds[name], note)})
            )
        elif dtype.kind in "iuf" and (
            "%Y%m%d" in unit or (not unit and name.lower() in VALID and _look_like_dates(ds[name]))
        ):
            note.did(f"{name}: numbers like {ds[name].values.flat[0]:.10g} are dates")
            ds = ds.assign_coords({name: (ds[name].dims, _absolute(ds[name]), _without(attrs, "units"))})
    return ds


def _without(attrs: dict, *keys: str) -> dict:
    return {k: v for k, v in attrs.items() if k not in keys}


def _since(da: xr.DataArray, note: Account) -> xr.DataArray:
    """Numbers since a time as dates; months and years are those of the calendar."""
    unit, calendar = str(da.attrs["units"]).strip(), str(da.attrs.get("calendar", "standard")).lower()
    what, _, since = re.split(r"\b(since)\b", unit, maxsplit=1)
    what = what.strip().lower()
    if not np.isfinite(np.asarray(da.values, dtype=float)).all():
        raise FieldError(f"'{note.file}': '{da.name}' holds a time that is not a number: leave it out or correct it")
    if calendar in ("", "none"):
        da = da.assign_attrs(calendar="standard")
    try:
        if what in ("month", "months", "mon", "year", "years", "common_year", "common_years") and calendar != "360_day":
            dates = _months(da.values.ravel() * (1 if what.startswith("mon") else 12), since.strip(), calendar)
            note.did(f"{da.name}: '{unit}' counted in months of the calendar")
            return xr.DataArray(
                dates.reshape(da.shape), dims=da.dims, attrs=_without(da.attrs, "units", "calendar"), name=da.name
            )
        coder = xr.coders.CFDatetimeCoder()
        return _cf(da, coder)
    except (ValueError, OverflowError, KeyError, TypeError) as error:
        reason = one_line(error, 120)
        raise FieldError(
            f"'{note.file}': '{da.name}' has units '{unit}' and calendar '{calendar}', which are not understood "
            f"({reason}): "
            "write them as in 'hours since 2001-01-01' and 'standard'"
        ) from None


def _cf(da: xr.DataArray, coder) -> xr.DataArray:
    variable = coder.decode(xr.Variable(da.dims, da.values, da.attrs), name=da.name)
    return xr.DataArray(variable.values, dims=da.dims, attrs=variable.attrs, name=da.name)


def _months(numbers: np.ndarray, since: str, calendar: str) -> np.ndarray:
    """Dates so many months after a date: whole months by the calendar, parts of one by its length."""
    start = xr.date_range(since.replace("UTC", "").strip(), periods=1, calendar=calendar, use_cftime=True)[0]
    made = []
    for number in numbers:
        whole = int(np.floor(number + 1e-9))
        first, after = (_month_later(start, whole + extra) for extra in (0, 1))
        made.append(first + (after - first) * float(number - whole))
    index = xr.CFTimeIndex(made)
    return (
        index.to_datetimeindex(unsafe=True, time_unit="ns").values
        if calendar in ("standard", "gregorian", "proleptic_gregorian")
        else index.values
    )


def _month_later(date, months: int):
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    last = (date.replace(year=year + month // 11 if month == 11 else year, month=1 if month == 11 else month + 2, day=1)
            - date.replace(year=year, month=month + 1, day=1)).days  # fmt: skip
    return date.replace(year=year, month=month + 1, day=min(date.day, last))


def _look_like_dates(da: xr.DataArray) -> bool:
    values = np.asarray(da.values, dtype=float).ravel()
    day = values // 100 if values.size and (values >= 1e9).all() else values
    return bool(
        values.size
        and (day >= 17000101).all()
        and (day < 24001231).all()
        and (day // 100 % 100 <= 12).all()
        and (day // 100 % 100 >= 1).all()
    )


def _absolute(da: xr.DataArray) -> np.ndarray:
    """YYYYMMDD.fraction or YYYYMMDDHH as dates."""
    made = []
    for value in np.asarray(da.values, dtype=float).ravel():
        day, rest = (value // 100, value % 100 / 24) if value >= 1e9 else (value // 1, value % 1)
        text = f"{int(day):08d}"
        seconds = round(rest * 86400)
        made.append(np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}", "s") + np.timedelta64(seconds, "s"))
    return np.array(made, dtype="datetime64[ns]").reshape(da.shape)


def _from_text(ds: xr.Dataset, name: str, note: Account) -> xr.Dataset:
    """Times written as text, as in WRF's Times."""
    texts = [t.decode() if isinstance(t, bytes) else str(t) for t in np.atleast_1d(ds[name].values)]
    try:
        dates = (
            pd.to_datetime([t.strip().replace("_", " ") for t in texts])
            .tz_localize(None)
            .values.astype("datetime64[ns]")
        )
    except (ValueError, TypeError):
        raise FieldError(
            f"'{note.file}': '{name}' holds '{texts[0]}', which is no time: write 2001-01-01T06:00"
        ) from None
    dims = ds[name].dims
    target = "time" if name == "Times" and "time" not in ds.variables else name
    note.did(f"{name}: texts such as '{texts[0]}' read as times")
    return ds.drop_vars(name).assign_coords({target: (dims, dates if dims else dates[0])})


# --- which time a field holds at --------------------------------------------------------------------------------------
def _of(ds: xr.Dataset, standard: str, names: tuple[str, ...], dated: bool | None) -> list[str]:
    """Coordinates of a standard name, or of one of these names; `dated`: whether their values are dates."""
    pool = [str(n) for n in ds.coords]
    found = [n for n in pool if str(ds[n].attrs.get("standard_name", "")).lower() == standard]
    found += [
        n
        for n in pool
        if n.lower() in names and n not in found and not ds[n].attrs.get("standard_name", standard) != standard
    ]
    return [n for n in found if dated is None or is_dated(ds[n]) == dated]


def is_dated(da: xr.DataArray) -> bool:
    """Whether values are dates."""
    if da.dtype.kind == "M":
        return True
    return da.dtype.kind == "O" and da.size > 0 and hasattr(da.values.flat[0], "calendar")


def _leads(ds: xr.Dataset, name: str, note: Account) -> np.ndarray:
    """Lead times as timedelta64."""
    da = ds[name]
    if da.dtype.kind == "m":
        return da.values.astype("timedelta64[ns]")
    unit = units.plain(da.attrs.get("units") or ("hours" if "hour" in name.lower() else ""))
    factor = units.factors(unit, "s") if unit else None
    if factor is None:
        raise FieldError(
            f"'{note.file}': lead time '{name}' has units '{da.attrs.get('units', '')}': give it units such as "
            f"hours, or choose one "
            f"with FILE::{name}={da.values.flat[0]}"
        )
    return np.round(da.values.astype(float) * factor[0]).astype("timedelta64[s]").astype("timedelta64[ns]")


def _sum(base: xr.DataArray, lead: np.ndarray) -> np.ndarray:
    """Base (B,) + lead (L,) -> (B, L), in the calendar of the base."""
    first = np.atleast_1d(base.values)
    if first.dtype.kind == "M":
        return first.astype("datetime64[ns]")[:, None] + np.atleast_1d(lead)[None]
    return np.array(
        [[b + pd.Timedelta(step).to_pytimedelta() for step in np.atleast_1d(lead)] for b in first], dtype=object
    )


def valid_time(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """One coordinate `time`, the time at which the fields hold.

    Raises
    ------
    FieldError : several base times and lead times that hold at the same times: one has to be chosen.
    """
    lead = next(iter(_of(ds, "forecast_period", LEAD, False)), None)
    base = next(iter(_of(ds, "forecast_reference_time", BASE, True)), None)
    valid = [n for n in _of(ds, "time", VALID, True) if n != base]
    if lead and base is None:
        with_lead = [n for n in valid if ds[lead].dims and set(ds[lead].dims) <= set(ds[n].dims)]
        others = [
            n for n in valid if n not in with_lead and ds[n].ndim <= 1 and not set(ds[n].dims) & set(ds[lead].dims)
        ]
        if others and not (with_lead and not ds[with_lead[0]].ndim == 2):
            base = next(
                (n for n in others if n == "time"), others[0]
            )  # cfgrib, WeatherBench: time is when it was started
            valid = [n for n in valid if n != base]
    if lead and base and (ds[lead].ndim <= 1 and ds[base].ndim <= 1) and not set(ds[lead].dims) & set(ds[base].dims):
        return _forecast(ds, base, lead, [n for n in valid if n != base], note)
    if not valid:
        return ds
    dims_first = [n for n in valid if n in ds.dims] or [n for n in valid if ds[n].ndim == 1] or valid
    chosen = dims_first[0]
    spare = [n for n in (*valid, base, lead) if n and n != chosen and n in ds.coords]
    if spare:
        ds = ds.drop_vars(spare)
    if chosen != "time":
        if "time" in ds.variables:
            ds = ds.drop_vars("time")
        ds = (
            ds.rename({chosen: "time"})
            if "time" not in ds.dims
            else ds.assign_coords(time=ds[chosen]).drop_vars(chosen)
        )
        note.took(f"{chosen} is the time")
    if ds["time"].ndim == 1 and ds["time"].dims != ("time",):
        ds = ds.swap_dims({ds["time"].dims[0]: "time"})
    if ds["time"].ndim > 1:
        raise FieldError(
            f"'{note.file}': time has dims {ds['time'].dims}: choose one with FILE::{ds['time'].dims[0]}=0, say"
        )
    return ds


def _forecast(ds: xr.Dataset, base: str, lead: str, spare: list[str], note: Account) -> xr.Dataset:
    """Base and lead time become the time at which the fields hold."""
    steps = _leads(ds, lead, note)
    times = _sum(ds[base], steps)
    hours = np.atleast_1d(steps).astype("timedelta64[s]").astype(float) / 3600
    started = _text(np.atleast_1d(ds[base].values)[0])
    of_base, of_lead = (ds[name].dims[0] if ds[name].dims else None for name in (base, lead))
    ds = ds.drop_vars([n for n in {*spare, "time", "valid_time", base, lead} if n in ds.coords])
    if (hours != 0).any():
        span = f"{hours[0]:g} h" if hours.size == 1 else f"{hours[0]:g} to {hours[-1]:g} h"
        starts = f"{times.shape[0]} starts from" if times.shape[0] > 1 else "started"
        note.took(f"forecast, {starts} {started}, lead time {span}; time is when it holds")
    if min(times.shape) > 1:
        if len(set(times.ravel().tolist())) < times.size:
            raise FieldError(
                f"'{note.file}' holds {times.shape[0]} forecasts of {times.shape[1]} lead times, which hold at the "
                f"same "
                f"times: choose a lead time, as in {note.file}::step={hours[-1]:g}h, or a start, as in "
                f"{note.file}::base={started[:13]}"
            )
        ds = ds.rename_dims({of_base: "start_", of_lead: "lead_"}).stack(time=("start_", "lead_"), create_index=False)
    else:
        main = of_base if times.shape[0] > 1 else of_lead if times.shape[1] > 1 else of_base or of_lead
        ds = ds.squeeze([d for d in (of_base, of_lead) if d and d != main], drop=True)
        if main and main != "time":
            ds = ds.rename_dims({main: "time"})
    return ds.assign_coords(time=("time", times.ravel()) if "time" in ds.dims else times.ravel()[0])


def choose_forecast(ds: xr.Dataset, wanted: dict[str, str], note: Account) -> xr.Dataset:
    """The lead time and the start that FILE::step=3h,base=2024-01-01T00 ask for; they are taken out of `wanted`.

    Raises
    ------
    FieldError : there is none such.
    """
    lead = next(iter(_of(ds, "forecast_period", LEAD, False)), None)
    dated = _of(ds, "forecast_reference_time", BASE, True) + (
        ["time"] if "time" in ds.coords and is_dated(ds["time"]) else []
    )
    for key, name in (("step", lead), ("base", dated[0] if dated else None)):
        if key not in wanted:
            continue
        text = wanted.pop(key)
        if name is None:
            raise FieldError(
                f"'{note.file}' has no {'lead time' if key == 'step' else 'start'} to choose by {key}={text}"
            )
        if key == "step":
            steps = np.atleast_1d(_leads(ds, name, note)).astype("timedelta64[s]").astype(float) / 3600
            try:
                wish = pd.Timedelta(float(text), "h") if text.replace(".", "").isdigit() else pd.Timedelta(text)
            except ValueError:
                raise FieldError(f"step={text} is no lead time: write step=3h") from None
            there = [f"{hour:g}h" for hour in steps]
            index = np.flatnonzero(np.isclose(steps, wish.total_seconds() / 3600))
        else:
            there = [_text(date) for date in np.atleast_1d(ds[name].values)]
            index = np.array([i for i, date in enumerate(there) if date.startswith(text)], dtype=int)
        if not index.size:
            raise FieldError(
                f"'{note.file}' has no {key}={text}: it has {', '.join(there[:8])}{' ...' if len(there) > 8 else ''}"
            )
        if ds[name].dims:
            ds = ds.isel({ds[name].dims[0]: index})
    return ds


def _text(date: Any, unit: Any = "m") -> str:
    if isinstance(date, np.datetime64):
        return np.datetime_as_string(date, unit=unit)
    return date.strftime("%Y-%m-%dT%H" if unit == "h" else "%Y-%m-%dT%H:%M")


def words(times: xr.DataArray) -> str:
    """Words for the account: first and last time, number, and the calendar if it is not the usual one."""
    values = np.atleast_1d(times.values)
    if not is_dated(times):
        return f"time {values[0]} to {values[-1]}, which are no dates"
    calendar = getattr(values[0], "calendar", "")
    span = _text(values[0]) + (f" to {_text(values[-1])} ({values.size})" if values.size > 1 else "")
    return f"time {span}{f', calendar {calendar}' if calendar else ''}"


def in_order(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """Times sorted and each but once.

    Raises
    ------
    FieldError : a time that stands twice with different values.
    """
    if "time" not in ds.dims or not is_dated(ds["time"]):
        return ds
    times = ds["time"].values
    if times.dtype.kind == "M" and np.isnat(times).any():
        raise FieldError(
            f"'{note.file}': time number {int(np.isnat(times).argmax())} is missing: leave it out or correct it"
        )
    order = np.argsort(times, kind="stable")
    if not (order == np.arange(times.size)).all():
        note.did("times sorted")
        ds, times = ds.isel(time=order), times[order]
    again = np.flatnonzero(times[1:] == times[:-1]) + 1
    if again.size:
        bytes_each = sum(da.nbytes // times.size for da in ds.data_vars.values() if "time" in da.dims)
        if bytes_each * again.size > MAX_COMPARED or not _repeats(ds, again):
            raise FieldError(
                f"'{note.file}': time {_text(times[again[0]])} stands twice with different values, and so do "
                f"{again.size - 1} others: "
                "correct the time axis, or choose one, as in FILE::time=0:20 by number"
            )
        note.did(f"{again.size} times that stand twice with the same values taken once")
        ds = ds.isel(time=np.setdiff1d(np.arange(times.size), again))
    return ds


def _repeats(ds: xr.Dataset, again: np.ndarray) -> bool:
    fields = ds[[n for n, da in ds.data_vars.items() if "time" in da.dims and da.dtype.kind in "fiub"]]
    one, two = fields.isel(time=again), fields.isel(time=again - 1)
    return all(
        np.array_equal(one[n].values, two[n].values, equal_nan=one[n].dtype.kind == "f") for n in fields.data_vars
    )
