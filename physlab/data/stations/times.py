"""Times of observations in UTC: ISO 8601 with any offset, compact digits, columns of year to minute, dates of which the
order of day and month can be known. What can be read in two ways is refused.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Sequence

import numpy as np
import pandas as pd

from physlab.data.stations.cells import WORDS, text_of
from physlab.errors import FieldError

ISO = re.compile(r"(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})(?P<rest>.*)")
COMPACT = re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?P<rest>.*)")
ORDER = re.compile(r"(?P<a>\d{1,2})(?P<sep>[./-])(?P<b>\d{1,2})(?P=sep)(?P<year>\d{4})(?P<rest>.*)")
NAMED = re.compile(r"(?P<day>\d{1,2})[-. ]+(?P<word>[A-Za-zäÄ]{3,9})[-., ]+(?P<year>\d{4})(?P<rest>.*)")
CLOCK = re.compile(
    r"[T\s_,]*((?P<hour>\d{1,2})((?P<colon>[:h.]?)(?P<minute>\d{2})((?P=colon)(?P<second>\d{2})([.,]\d+)?)?)?\s*(Uhr|h)?)?"
    r"\s*(?P<half>[AP]\.?M\.?)?\s*(?P<zone>[A-Za-z][A-Za-z_/]*|[+-]\d{2}:?(\d{2})?|)",
    flags=re.I,
)
MONTHS = {name: n for n, names in enumerate(
    ("jan", "feb", "mar mrz mae mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov",
     "dec dez"), start=1)
    for name in names.split()}  # fmt: skip
ZONES = {"": None, "z": 0, "utc": 0, "gmt": 0, "cet": 60, "mez": 60, "cest": 120, "mesz": 120}
ADVICE = "write times as 2024-01-31T15:00Z"


def parse(cells: Sequence, lines: np.ndarray, name: str, notes: list[str], zones: Sequence | None = None) -> np.ndarray:
    """Times (n,) as datetime64[ns] in UTC; NaT where a cell is empty.

    Parameters
    ----------
    cells : text, or times that are known already.
    lines, name : line of each cell and name of the file, for messages.
    notes : gets what has to be said, such as that times without a zone count as UTC.
    zones : of each cell, where a column says it.

    Raises
    ------
    FieldError : a cell that is no time, counts seconds since 1970, or can be read in two ways.
    """
    raw = np.asarray(cells)
    if raw.dtype.kind == "M":
        return raw.astype("datetime64[ns]")
    text = text_of(cells)
    if zones is not None:
        text = text + " " + text_of(zones)
    text = text.str.strip()
    unique = pd.unique(text)
    first = dict(zip(unique, np.flatnonzero(~text.duplicated().to_numpy()).tolist(), strict=True))
    day_first = _day_first(unique, first, lines, name)
    made: dict[str, np.datetime64] = {}
    naive, dated = 0, 0
    for cell in unique:
        if cell.lower() in WORDS:
            made[cell] = np.datetime64("NaT", "ns")
            continue
        try:
            moment, zone, clock = _moment(cell, day_first)
        except ValueError as error:
            raise FieldError(f"{name}, line {lines[first[cell]]}: time '{cell}' {error}; {ADVICE}") from None
        naive, dated = naive + (zone is None), dated + (not clock)
        offset = zone or 0
        made[cell] = np.datetime64(moment - datetime.timedelta(minutes=offset), "ns")
    if naive:
        notes.append("times without a zone are taken as UTC")
    if dated:
        notes.append("dates without an hour are taken as 00 UTC")
    index, found = pd.factorize(text)
    return np.array([made[cell] for cell in found], dtype="datetime64[ns]")[index]


def _day_first(unique: Sequence[str], first: dict[str, int], lines: np.ndarray, name: str) -> bool:
    """The order of dates such as 25.07.2019, of all rows together."""
    found = [m for m in (ORDER.fullmatch(cell) for cell in unique) if m]
    if not found:
        return True
    days = [m for m in found if int(m["a"]) > 12]
    months = [m for m in found if int(m["b"]) > 12]
    if days and months:
        raise FieldError(f"{name}: '{days[0][0]}' has the day first and '{months[0][0]}' the month: {ADVICE}")
    if days or months or all(m["a"] == m["b"] for m in found):
        return not months
    cell = found[0][0]
    raise FieldError(f"{name}, line {lines[first[cell]]}: time '{cell}' may have the day or the month first; {ADVICE}")


def _moment(cell: str, day_first: bool) -> tuple[datetime.datetime, int | None, bool]:
    """Time as written, minutes of its zone or None, and whether it has an hour. ValueError says what is wrong."""
    if found := ISO.fullmatch(cell):
        year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    elif found := ORDER.fullmatch(cell):
        a, b = int(found["a"]), int(found["b"])
        year, month, day = int(found["year"]), *((b, a) if day_first else (a, b))
    elif (found := NAMED.fullmatch(cell)) and found["word"][:3].lower() in MONTHS:
        year, month, day = int(found["year"]), MONTHS[found["word"][:3].lower()], int(found["day"])
    elif re.fullmatch(r"\d{9,19}(\.\d*)?|[+-]?\d{1,7}(\.\d+)?|[\d.]+e\+?\d+", cell, flags=re.I) and not _compact(cell):
        raise ValueError("is a number, counted from a day that is not said")
    elif (found := COMPACT.fullmatch(cell)) and _compact(cell):
        year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    else:
        raise ValueError("is not understood")
    clock = CLOCK.fullmatch(found["rest"].strip())
    if clock is None:
        raise ValueError("is not understood")
    hour, minute, second = (int(clock[k] or 0) for k in ("hour", "minute", "second"))
    if clock["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("is not understood")
        hour = hour % 12 + (12 if clock["half"][0].lower() == "p" else 0)
    later = datetime.timedelta(days=1) if (hour, minute, second) == (24, 0, 0) else datetime.timedelta(0)
    try:
        moment = datetime.datetime(year, month, day, 0 if later else hour, minute, min(second, 59)) + later
    except ValueError:
        raise ValueError("is no day or hour of the calendar") from None
    return moment, _zone(clock["zone"], moment), clock["hour"] is not None


def _compact(cell: str) -> bool:
    """20240131, with hour, minute and second in digits or after a T."""
    found = re.fullmatch(
        r"(\d{4})(\d{2})(\d{2})([T_ ]?\d{2}([:]?\d{2}([:]?\d{2})?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{0,2})?",
        cell,
        flags=re.I,
    )
    if found is None:
        return False
    return 1850 <= int(found[1]) <= 2100 and 1 <= int(found[2]) <= 12 and 1 <= int(found[3]) <= 31


def _zone(text: str, moment: datetime.datetime) -> int | None:
    """Minutes east of UTC; None without a zone."""
    if text.lower() in ZONES:
        return ZONES[text.lower()]
    if text[0] in "+-":
        digits = text[1:].replace(":", "")
        return (1 if text[0] == "+" else -1) * (int(digits[:2]) * 60 + int(digits[2:] or 0))
    try:
        offset = moment.replace(tzinfo=zoneinfo.ZoneInfo(text)).utcoffset() if "/" in text else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        offset = None
    if offset is None:
        raise ValueError(f"has the zone '{text}', which is not known")
    return int(offset.total_seconds() // 60)


def from_parts(parts: dict[str, np.ndarray], lines: np.ndarray, name: str) -> np.ndarray:
    """Times of columns year, month, day and, where there are, hour and minute (an hour of 12.5 or 1230 included)."""
    year, month, day = parts["year"], parts["month"], parts["day"]
    hour, minute = parts.get("hour", np.zeros(len(year))), parts.get("minute", np.zeros(len(year)))
    known = np.isfinite(year) & np.isfinite(month) & np.isfinite(day) & np.isfinite(hour)
    if (hour[known] > 24).any() and (hour[known] <= 2400).all() and (hour[known] % 100 < 60).all():
        hour, minute = hour // 100, hour % 100
    wrong = known & ~(
        (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (hour >= 0) & (hour <= 24) & (year > 1700)
    )
    if wrong.any():
        at = int(wrong.argmax())
        raise FieldError(
            f"{name}, line {lines[at]}: {year[at]:g}-{month[at]:g}-{day[at]:g} {hour[at]:g} h is no time; {ADVICE}"
        )
    out = np.full(len(year), np.datetime64("NaT", "ns"))
    whole = pd.DataFrame(
        {"year": year[known].astype(int), "month": month[known].astype(int), "day": day[known].astype(int)}
    )
    days = pd.to_datetime(whole, errors="coerce").to_numpy().astype("datetime64[ns]")
    if np.isnat(days).any():
        at = int(np.flatnonzero(known)[np.isnat(days).argmax()])
        raise FieldError(f"{name}, line {lines[at]}: {year[at]:g}-{month[at]:g}-{day[at]:g} is no day; {ADVICE}")
    seconds = np.round(3600 * hour[known] + 60 * np.nan_to_num(minute[known])).astype("timedelta64[s]")
    out[known] = days + seconds.astype("timedelta64[ns]")
    return out
