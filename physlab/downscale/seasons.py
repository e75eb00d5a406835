r"""Which days are compared with which: all, those of a month, or those within a window around a day of the year.

Model and observations may count in different calendars (365_day, 360_day, Gregorian). So a time is known by its phase,
the elapsed share of its year, and a window of 31 days is the times whose phases differ by less than 15.5 / 365.25.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from physlab.errors import PhysLabError

SEASONS = ("all", "month", "day")
YEAR = 365.25  # days


def check_seasons(seasons: str, window: int) -> None:
    """Refuse unknown seasons and windows.

    Raises
    ------
    PhysLabError : naming what is allowed.
    """
    if seasons not in SEASONS:
        raise PhysLabError(f"seasons={seasons!r} is unknown: choose one of {', '.join(SEASONS)}")
    if window < 1 or window % 2 == 0 or window > 183:
        raise PhysLabError(f"a window of {window} days: pass an odd number from 1 to 183, for example 31")


def decimal_years(time: xr.DataArray) -> np.ndarray:
    """(T,) years with their fraction, in any calendar.

    Raises
    ------
    PhysLabError : no dates.
    """
    try:
        return np.asarray(time.dt.decimal_year.values, dtype=np.float64)
    except (AttributeError, TypeError):
        raise PhysLabError(
            f"the time coordinate holds {time.dtype} and no dates: write units such as 'days since 1950-01-01'"
        ) from None


def groups(seasons: str, window: int, target: np.ndarray, *others: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """For each season the positions that are adjusted, and the positions of the samples that describe it.

    Parameters
    ----------
    seasons : "all", "month" (twelfths of the year) or "day".
    window : days, of seasons="day".
    target, others : decimal years of the series.

    Yields
    ------
    (positions in target; the sample in target; the sample in each of `others`).
    """
    phases = [years % 1.0 for years in (target, *others)]
    if seasons == "all":
        yield np.arange(len(target)), *(np.arange(len(years)) for years in (target, *others))
        return
    if seasons == "month":
        months = [np.minimum((phase * 12).astype(int), 11) for phase in phases]
        for month in np.unique(months[0]):
            chosen = [np.flatnonzero(values == month) for values in months]
            yield chosen[0], *chosen
        return
    days = np.minimum((phases[0] * YEAR).astype(int), 364)
    for day in np.unique(days):
        own = np.flatnonzero(days == day)
        centre = float(np.median(phases[0][own]))
        distances = [np.abs((phase - centre + 0.5) % 1.0 - 0.5) for phase in phases]
        yield own, *(np.flatnonzero(distance * YEAR < window / 2) for distance in distances)


def spans(years: np.ndarray, length: int) -> list[np.ndarray]:
    """Positions of successive runs of about `length` whole years; 0 for a single run."""
    whole = np.floor(years).astype(int)
    named = np.unique(whole)
    count = max(1, round(len(named) / length)) if length else 1
    return [np.flatnonzero(np.isin(whole, part)) for part in np.array_split(named, count)]
