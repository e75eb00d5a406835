"""What is missing, what is impossible: found by value where no attribute says it, replaced and counted or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from physlab.errors import FieldError

CODES = (
    -9999.0, -9999.9, -9999.99, -999.0, -999.9, -999.99, -99.0, -99.9, -99.99, -99999.0, -999999.0, -99999.9, -9.99e8,
    999.0, 999.9, 9999.0, 9999.9, 99999.0, 999999.0, -8888.0, -7777.0, -32768.0, -32767.0, 32767.0, -2147483648.0,
    -2147483647.0, 2147483647.0, -1e10, 1e10, 1e15, -1e15, 1e16, 1e20, -1e20, 1e30, -1e30, -1e31, -1e32, -1e33, -1e34,
    1e34, -1e35, 1e35, 1e36, -1e36, 1e37, -1e37, 9.969209968386869e36, 9.96921e36, 9.96921e35, 9.999e20, 9.999e19,
    9.99e20, -9e33,
    3.4028234663852886e38, -3.4028234663852886e38, 1.7976931348623157e308, -1.7976931348623157e308,
    -9223372036854775808.0, 9223372036854775807.0, -3e34, -9.9e7, 65535.0, -1.267650600228229e30,
)  # fmt: skip
"""Numbers that files put where nothing is known. One of them is missing only where it cannot be a value."""
APART = 3.0  # times the spread of the other values
ENORMOUS = 1e15
NAMED = 3  # codes that the account names


@dataclass(frozen=True)
class Check:
    """What values of one variable are possible, in the units of the file.

    Attributes
    ----------
    file, name, units : for messages.
    low, high : of the quantity; infinite if it is unknown.
    codes : numbers that may stand for "missing".
    coords : (dim, values) of its dims, to name a place.
    remedy : what to do about an impossible value.
    """

    file: str
    name: str
    units: str
    low: float = -np.inf
    high: float = np.inf
    codes: tuple[float, ...] = CODES
    coords: tuple[tuple[str, np.ndarray | None], ...] = ()
    remedy: str = ""

    def clean(self, values: np.ndarray, start: Sequence[int] = ()) -> tuple[np.ndarray, dict[float, int]]:
        """Values with NaN for what is missing, and how often which code was found.

        Parameters
        ----------
        values : a block of the variable, floating point.
        start : index of its first element in the variable.

        Raises
        ------
        FieldError : an infinite or an impossible value, with its place.
        """
        if not values.size:
            return values, {}
        with np.errstate(invalid="ignore", over="ignore"):
            low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
            known = np.isfinite([self.low, self.high]).all()
            inside = known and low >= self.low and high <= self.high and not self._apart(values, low, high)
            if inside or low > high:
                return values, {}
            found, values = self._codes(values)
            wrong = np.isinf(values) | (values < self.low) | (values > self.high)
            if not known:
                wrong |= np.abs(values) >= ENORMOUS
        if wrong.any():
            raise self._refusal(values, wrong, start)
        return values, found

    def _apart(self, values: np.ndarray, low: float, high: float) -> bool:
        """Whether the smallest or the largest value is one of the codes."""
        return any(np.isclose(edge, self.codes, rtol=1e-6, atol=0).any() for edge in (low, high))

    def _codes(self, values: np.ndarray) -> tuple[dict[float, int], np.ndarray]:
        found: dict[float, int] = {}
        for edge in (np.nanmin, np.nanmax):
            while True:
                rest = values[np.isfinite(values)]
                if not rest.size:
                    break
                extreme = float(edge(rest))
                if not np.isclose(extreme, self.codes, rtol=1e-6, atol=0).any():
                    break
                here = np.isclose(values, extreme, rtol=1e-6, atol=0)
                if not self._cannot_be(extreme, rest[~np.isclose(rest, extreme, rtol=1e-6, atol=0)]):
                    break
                values = np.where(here, np.nan, values)
                found[extreme] = found.get(extreme, 0) + int(here.sum())
        return found, values

    def _cannot_be(self, code: float, others: np.ndarray) -> bool:
        """Whether a code lies outside what is possible, or far from all other values."""
        if not self.low <= code <= self.high or abs(code) >= ENORMOUS:
            return True
        others = (
            others[~np.isclose(others[:, None], self.codes, rtol=1e-6, atol=0).any(1)] if others.size < 1e5 else others
        )
        if not others.size:
            return False
        low, high = float(others.min()), float(others.max())
        spread = max(high - low, 0.1 * max(abs(low), abs(high)), 1e-30)
        return code < low - APART * spread or code > high + APART * spread

    def _refusal(self, values: np.ndarray, wrong: np.ndarray, start: Sequence[int]) -> FieldError:
        first = np.unravel_index(int(wrong.argmax()), wrong.shape)
        value = float(values[first])
        what = "is no number that a field can have"
        if np.isfinite([self.low, self.high]).all() and np.isfinite(value):
            what = f"lies outside {self.low:.6g} to {self.high:.6g}, all that is possible"
        count = int(wrong.sum())
        others = f" ({count} such values)" if count > 1 else ""
        return FieldError(
            f"'{self.file}': '{self.name}' at {self.place(first, start)} is "
            f"{value:.6g}{' ' if self.units else ''}{self.units}, "
            f"which {what}{others}: {self.remedy}"
        )

    def place(self, index: Sequence[Any], start: Sequence[int] = ()) -> str:
        """Words for the place of an element, by coordinates as far as they are there."""
        words = []
        for axis, (i, (dim, values)) in enumerate(zip(index, self.coords, strict=False)):
            at = int(i) + (int(start[axis]) if len(start) else 0)
            if values is None:
                words.append(f"{dim} number {at}")
            elif values.dtype.kind == "M":
                words.append(f"{dim} {np.datetime_as_string(values[at], unit='m')}")
            elif values.dtype.kind == "f":
                words.append(f"{dim} {values[at]:g}")
            else:
                words.append(f"{dim} {values[at]}")
        return ", ".join(words) or "its one point"

    def block(self, values: np.ndarray, block_info: Mapping | None = None) -> np.ndarray:
        """:meth:`clean` on a chunk of dask."""
        start = [edges[0] for edges in block_info[0]["array-location"]] if block_info else ()
        return self.clean(values, start)[0]


def masked_by_range(da: xr.DataArray, low: float, high: float) -> xr.DataArray:
    """NaN outside the valid range that an attribute states, by a hair's breadth of rounding more."""
    slack = 1e-6 * max((abs(v) for v in (low, high) if np.isfinite(v)), default=0.0)
    return da.where((da >= low - slack) & (da <= high + slack) | da.isnull())


def tell(found: Mapping[float, int], name: str) -> str:
    """Words for codes that were found."""
    parts = [f"{count} values {code:.6g} of {name}" for code, count in list(found.items())[:NAMED]]
    return ", ".join(parts) + " are missing values, though no attribute says so: NaN"
