"""Columns of NOAA's Integrated Surface Database ("global hourly"), which hold several numbers in one cell.

"+0106,1" under TMP is 10.6 degC with the quality 1; WND is direction, quality, type, speed times ten, quality. Format:
NCEI, Federal Climate Complex data documentation for integrated surface data, mandatory section. Qualities 2, 3, 6 and 7
are suspect or erroneous.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from physlab.data.stations.text import Raw

BAD = frozenset("2367")
SINGLE = {"TMP": ("t2m", "degC", 9999), "DEW": ("d2m", "degC", 9999), "SLP": ("msl", "hPa", 99999)}
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


def _looks(cells: pd.Series, kind: str) -> bool:
    text = cells.astype(str)
    text = text[text.str.strip() != ""]
    pattern = r"\d{3},\w,\w,\d{4},\w" if kind == "WND" else PAIR
    return bool(len(text)) and bool(text.str.fullmatch(pattern).all())


def _number(cells: pd.Series, code: int, scale: int) -> np.ndarray:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    return np.where(numbers == code, np.nan, numbers / scale)
