"""Columns of NOAA's Integrated Surface Database ("global hourly"), which hold several numbers in one cell.

"+0106,1" under TMP is 10.6 degC with the quality 1; WND is direction, quality, type, speed times ten, quality. Format:
NCEI, Federal Climate Complex data documentation for integrated surface data, mandatory section. Qualities 2, 3, 6 and 7
are suspect or erroneous.

ISD-Lite, the hourly subset (format: NCEI, isd-lite-format.txt), has twelve columns of whole numbers and no names: year,
month, day, hour (UTC), ten times the temperature, dew point (degC) and sea-level pressure (hPa), wind direction, ten
times the wind speed, sky, rain of 1 and 6 hours; -9999 is missing. A file is one station, named by its two numbers, as
in 037720-99999-2019.gz; where it lies stands in NOAA's list isd-history.csv.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd

from physlab.data.stations.text import Raw, numbered_lines
from physlab.errors import FieldError

BAD = frozenset("2367")
SINGLE = {"TMP": ("t2m", "degC", 9999), "DEW": ("d2m", "degC", 9999), "SLP": ("msl", "hPa", 99999)}
LITE = {"t2m": (4, "degC", 10), "d2m": (5, "degC", 10), "msl": (6, "hPa", 10), "wind_direction": (7, "degree", 1),
        "wind_speed": (8, "m s-1", 10)}  # fmt: skip
"""Quantity -> its column in ISD-Lite, unit, and what its numbers are multiplied by."""
ROW = re.compile(r"\s*(19|20)\d\d\s+\d{1,2}\s+\d{1,2}\s+\d{1,2}(\s+-?\d+){8}\s*")
PLACES = "isd-history.csv"
PAIR = re.compile(r"[+-]?\d{4,5},\w")


def expand(raw: Raw) -> Raw:
    """The table with columns t2m, d2m, msl, wind_direction and wind_speed in the place of those of ISD, if it "
    "has any."""
    names = {str(c).strip().upper(): c for c in raw.frame.columns}
    found = [k for k in (*SINGLE, "WND") if k in names and _looks(raw.frame[names[k]], k)]
    if not found:
        return raw
    frame, units, good = raw.frame.copy(), dict(raw.units), dict(raw.good)

    def put(name: str, unit: str, numbers: np.ndarray, trusted: np.ndarray) -> None:
        frame[name] = numbers
        units[name], good[name] = unit, trusted | np.isnan(numbers)

    for k in found:
        parts = frame.pop(names[k]).astype(str).str.split(",", expand=True)
        if k == "WND":
            put("wind_direction", "degree", _number(parts[0], 999, 1), ~parts[1].isin(BAD).to_numpy())
            put("wind_speed", "m s-1", _number(parts[3], 9999, 10), ~parts[4].isin(BAD).to_numpy())
        else:
            name, unit, code = SINGLE[k]
            put(name, unit, _number(parts[0], code, 10), ~parts[1].isin(BAD).to_numpy())
    notes = [*raw.notes, "columns of NOAA's global hourly data"]
    return Raw(frame, raw.lines, units, good, notes)


def lite(path: Path) -> Raw | None:
    """The table of an ISD-Lite file; None for any other.

    Raises
    ------
    FieldError : a line of another form, or a station whose place nobody says.
    """
    if not _is_lite(path):
        return None
    notes: list[str] = []
    lines = [(n, line) for n, line in numbered_lines(path, notes) if line.strip()]
    wrong = next(((n, line) for n, line in lines if not ROW.fullmatch(line)), None)
    if wrong is not None:
        raise FieldError(
            f"{path.name}, line {wrong[0]}: '{wrong[1].strip()[:60]}' is not of ISD-Lite (twelve whole numbers from "
            "the year on), as the lines above are: get the file again"
        )
    rows = np.array([line.split() for _, line in lines], dtype=np.int64)
    station, latitude, longitude, elevation = _place(path)
    frame = pd.DataFrame({"station": np.full(len(rows), station, dtype=object), "latitude": latitude,
                          "longitude": longitude, "elevation": elevation})  # fmt: skip
    frame["time"] = [f"{y:04d}-{m:02d}-{d:02d}T{h:02d}:00Z" for y, m, d, h in rows[:, :4]]
    units = {"elevation": "m"}
    for name, (column, unit, scale) in LITE.items():
        frame[name] = np.where(rows[:, column] == -9999, np.nan, rows[:, column] / scale)
        units[name] = unit
    notes += [f"ISD-Lite of station {station} by {PLACES}, sky and rain are not used"]
    return Raw(frame, np.array([n for n, _ in lines], dtype=int), units, notes=notes)


def _is_lite(path: Path) -> bool:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            first = stream.readline(200)
    except (OSError, EOFError):
        return False
    return bool(ROW.fullmatch(first.decode("latin-1")))


def _place(path: Path) -> tuple[str, float, float, float]:
    """Station, latitude, longitude and elevation (m) of a file, by its name and NOAA's list beside it."""
    named = re.match(r"([0-9A-Z]{6})-(\d{5})", path.name)
    if named is None:
        raise FieldError(
            f"{path.name} is ISD-Lite, which says no place, and its name no station: keep the name that NOAA gave it "
            f"(037720-99999-2019), with {PLACES} beside it"
        )
    station = f"{named[1]}-{named[2]}"
    history = path.with_name(PLACES)
    if not history.is_file():
        raise FieldError(
            f"{path.name} is ISD-Lite, which does not say where station {station} lies: put NOAA's list {PLACES} "
            "beside it, or make a table with lat and lon"
        )
    table = pd.read_csv(history, dtype=str, keep_default_na=False)
    table.columns = pd.Index([str(c).strip().upper() for c in table.columns])
    absent = [c for c in ("USAF", "WBAN", "LAT", "LON", "ELEV(M)") if c not in table]
    if absent:
        raise FieldError(f"{history.name} has no column {absent[0]}: get it again from NOAA (pub/data/noaa)")
    row = table[(table["USAF"].str.zfill(6) == named[1]) & (table["WBAN"].str.zfill(5) == named[2])]
    numbers = [pd.to_numeric(row[c], errors="coerce").to_numpy(float) for c in ("LAT", "LON", "ELEV(M)")]
    if not len(row) or not np.isfinite([numbers[0][0], numbers[1][0]]).all():
        raise FieldError(f"{history.name} has no place of station {station} ({path.name}): get a newer list from NOAA")
    high = numbers[2][0]
    return station, numbers[0][0], numbers[1][0], high if -500 < high < 9000 else np.nan


def _looks(cells: pd.Series, kind: str) -> bool:
    text = cells.astype(str)
    text = text[text.str.strip() != ""]
    pattern = r"\d{3},\w,\w,\d{4},\w" if kind == "WND" else PAIR
    return bool(len(text)) and bool(text.str.fullmatch(pattern).all())


def _number(cells: pd.Series, code: int, scale: int) -> np.ndarray:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    return np.where(numbers == code, np.nan, numbers / scale)
