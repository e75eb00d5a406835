"""Cells of text as numbers and places: decimal commas, words and codes for what is missing, degrees with N and E."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from physlab.data.stations import units as unit
from physlab.data.stations.words import RANGES, UNITS
from physlab.errors import FieldError

WORDS = frozenset(
    "|m|mm|na|n/a|#n/a|n.a.|nan|null|none|nil|nd|-|--|---|----|/|//|///|////|/////|*|**|x|?|.|missing|fehlt|keine|"
    "<na>|nat|masked".split("|")
)
"""Cells, in lower case, that say that nothing was measured."""
SURE = (-999.0, -999.9, -999.99, -9999.0, -9999.9, -9999.99, -99999.0, -99999.9, -999999.0, -32767.0, -32768.0,
        99999.0, 99999.9, 999999.0, 999999.9, 9999.9, 9999.99, -8888.0, -7777.0)  # fmt: skip
"""Codes for what is missing that are numbers; none is a measurement of a quantity that is not known."""
PERHAPS = (9999.0, 999.9, 999.99, 999.0, 99.9, 99.99, -99.0, -99.9, 990.0, 32767.0, 8888.0)
"""Codes that may be measurements (999.9 hPa): they count where the quantity cannot have that value."""
HUGE = (1e20, 1e30, 1e33, 1e34, 1e35, 1e36, 1e37, 9.969209968386869e36, 3.4028234663852886e38, 1.7976931348623157e308)
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity)", flags=re.I)
THOUSANDS_POINT = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?")
THOUSANDS_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
PLACE = re.compile(
    r"""(?P<first>[NSEW])?\s*(?P<sign>[+-])?\s*(?P<degrees>\d+(\.\d+)?)\s*(°|deg|d)?\s*
    ((?P<minutes>\d+(\.\d+)?)\s*['′m]?\s*)?((?P<seconds>\d+(\.\d+)?)\s*("|″|''|s)?\s*)?(?P<last>[NSEW])?""",
    flags=re.X | re.I,
)


def text_of(cells: Sequence | pd.Series) -> pd.Series:
    """Cells as stripped text, with plain minus signs and spaces."""
    index, found = _distinct(cells)
    return pd.Series(np.array([_plain(cell) for cell in found], dtype=object)[index], dtype=object)


def _distinct(cells: Sequence | pd.Series) -> tuple[np.ndarray, list]:
    """Which of the distinct cells each is, and these: large tables repeat themselves."""
    raw = np.asarray(cells, dtype=object)
    index, found = pd.factorize(raw, use_na_sentinel=False)
    return index, list(found) or [""]


def _plain(cell: object) -> str:
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and cell != cell):
        return ""
    return str(cell).replace("\u2212", "-").replace("\xa0", " ").replace("\u202f", " ").strip()


def decimal_comma(columns: dict[str, pd.Series], lines: np.ndarray, name: str) -> bool:
    """Whether the numbers of a table have decimal commas.

    Raises
    ------
    FieldError : some have commas and some points, and neither separates thousands.
    """
    cells = pd.concat(list(columns.values()), ignore_index=True) if columns else pd.Series(dtype=str)
    cells = pd.Series(cells.unique())
    commas, points = cells[cells.str.fullmatch(r"[+-]?\d+,\d+")], cells[cells.str.fullmatch(r"[+-]?\d+\.\d+")]
    if cells.str.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+").any():
        return True
    if not len(commas):
        return False
    if not len(points):
        return True
    if commas.str.fullmatch(r"[+-]?\d{1,3},\d{3}").all():
        return False  # thousands
    if points.str.fullmatch(r"[+-]?\d{1,3}\.\d{3}").all() and not commas.str.fullmatch(r"[+-]?\d{1,3},\d{3}").all():
        return True
    for column, s in columns.items():
        at = np.flatnonzero(s.isin(commas))
        if len(at):
            raise FieldError(
                f"{name}, line {lines[at[0]]}: '{s.iloc[at[0]]}' in column '{column}' has a decimal comma and "
                f"'{points.iloc[0]}' elsewhere a point: write all numbers in one way"
            )
    return True


def numbers(cells: Sequence | pd.Series, comma: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, which cells say that nothing was measured, and which are no numbers; both have the value NaN."""
    raw = np.asarray(cells)
    if raw.dtype.kind in "fiub":
        values = raw.astype(float)
        return values, np.isnan(values), np.zeros(len(values), dtype=bool)
    index, found = _distinct(text_of(cells))
    thousands, point = (THOUSANDS_POINT, ".") if comma else (THOUSANDS_COMMA, ",")
    values, missing, wrong = np.full(len(found), np.nan), np.zeros(len(found), bool), np.zeros(len(found), bool)
    for at, cell in enumerate(found):
        if cell.lower() in WORDS:
            missing[at] = True
            continue
        text = cell.replace(point, "") if thousands.fullmatch(cell) else cell
        text = text.replace(",", ".") if comma else text
        if NUMBER.fullmatch(text):
            values[at] = float(text)
        else:
            wrong[at] = True
    return values[index], missing[index], wrong[index]


def places(cells: Sequence | pd.Series, comma: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Degrees, NaN where missing, and which cells are no place. "54.25N", "2°6'W" and "54 15 00 N" are understood."""
    values, _, wrong = numbers(cells, comma)
    if wrong.any():
        s = text_of(cells)
        for at in np.flatnonzero(wrong):
            cell = s.iloc[at].replace(",", ".") if comma else s.iloc[at]
            found = PLACE.fullmatch(cell)
            side = found and ((found["first"] or "") + (found["last"] or "")).upper()
            if found is None or side is None or len(side) != 1 or (found["sign"] and side in "SW"):
                continue
            parts = [float(found[p] or 0.0) for p in ("degrees", "minutes", "seconds")]
            if parts[1] >= 60 or parts[2] >= 60:
                continue
            values[at] = (-1 if side in "SW" else 1) * (parts[0] + parts[1] / 60 + parts[2] / 3600)
            wrong[at] = False
    values[np.isin(values, SURE)] = np.nan
    return values, wrong


def codes(values: np.ndarray, quantity: str = "", units: str = "", more: Sequence[float] = ()) -> np.ndarray:
    """Which values are codes for what is missing.

    Parameters
    ----------
    quantity, units : a number that this quantity can have in this unit is a measurement; "" if not known.
    more : further codes; they always count.
    """
    values = np.asarray(values, dtype=float)
    with np.errstate(over="ignore", invalid="ignore"):
        huge = np.isclose(np.abs(values)[:, None], np.array(HUGE), rtol=1e-5, atol=0).any(1)
    huge |= np.isinf(values)
    found = np.isin(values, SURE) | huge
    if quantity in RANGES:
        found = (found | np.isin(values, PERHAPS)) & ~possible(values, quantity, units)
    return found | np.isin(values, np.asarray(more, dtype=float))


def possible(values: np.ndarray, quantity: str, units: str = "") -> np.ndarray:
    """Whether a quantity can have these values, in its unit, or without one in any that people use."""
    if quantity not in RANGES:
        return np.isfinite(values)
    low, high = RANGES[quantity]
    own = UNITS[quantity]
    choices = [units] if units else [own, *unit.OTHERS.get(own, ())]
    found = np.zeros(len(values), dtype=bool)
    for choice in choices:
        with np.errstate(over="ignore", invalid="ignore"):
            turned = unit.convert(values, choice, own)
        slack = 1e-9 * max(abs(low), abs(high))
        found |= (turned >= low - slack) & (turned <= high + slack)
    return found
