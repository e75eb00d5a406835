"""Stations from a file: which column is what, units, codes for what is missing, quality, places and times.

What can be understood in one way only is understood, what cannot is refused with line and value, and all that was
converted or left out is counted in the attribute `history` of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from physlab.data.stations import cells, isd, times, units
from physlab.data.stations.account import Account, lines_of
from physlab.data.stations.netcdf import read_netcdf
from physlab.data.stations.table import EXTRAS, table
from physlab.data.stations.text import Raw, read_text
from physlab.data.stations.words import ROLES, UNITS, Heading, heading, key, quantity
from physlab.errors import FieldError

NETCDF = (".nc", ".nc4", ".netcdf", ".cdf")
MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF")
NOWHERE = ("VRB", "VARIABLE", "CALM", "CLM", "UMLAUFEND")
"""Words for a wind without a direction."""
NEEDED = "a station needs lat, lon, value and error, and a variable (a column, or one for all)"


@dataclass
class Asked:
    """What the caller says of a file, see :func:`read_stations`."""

    variable: str = ""
    level: float = float("nan")
    error: float | Mapping[str, float] | None = None
    units: str | Mapping[str, str] = ""
    good: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


def read_stations(
    path: str | Path,
    variable: str = "",
    level: float = np.nan,
    *,
    error: float | Mapping[str, float] | None = None,
    units: str | Mapping[str, str] = "",
    good: Sequence[str | float] = (),
    missing: Sequence[float] = (),
    columns: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """A table of observations from a CSV or NetCDF file, one observation a row or one column for each variable.

    Text may be separated by commas, semicolons, tabs or spaces, have decimal commas and be UTF-8, UTF-16 or Latin-1;
    lines that begin with # are comments. Columns are known by usual names (lat, Breite, station_id, alt, t2m [degC],
    drct, ...). Values come in the unit of the library where their unit is said; where it is not, they are judged
    against
    the background (:func:`physlab.data.stations.against`).

    Parameters
    ----------
    path : text, also packed by gzip, or NetCDF.
    variable, level : of all rows where the file does not say; of a table with a column for each variable, the only one.
    error : standard deviation of all rows, or of each variable, in the unit of the variable in the library, where the
        file has none.
    units : of the values, or of each variable, where the file does not say.
    good : values of the quality columns that are to be trusted; other rows are left out.
    missing : further codes for what is missing.
    columns : your names -> latitude, longitude, elevation, station, variable, level, value, error, units, time, or the
        name of a variable.

    Returns
    -------
    Dataset, see :mod:`physlab.data.observe`; attribute `history` says what was understood.

    Raises
    ------
    FileNotFoundError : no such file.
    FieldError : columns that are not there, cells that are no numbers or times, units of something else.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no file '{path}': pass a CSV or NetCDF file of stations")
    raw = read_netcdf(path) if is_netcdf(path) else isd.lite(path) or read_text(path)
    asked = Asked(variable, level, error, units, tuple(map(str, good)), tuple(map(float, missing)), dict(columns or {}))
    account = Account(path.name)
    if not len(raw.frame):
        raise FieldError(f"{path.name} has names of columns and no row below them: there is nothing to read")
    frame = _Reader(isd.expand(raw), asked, account).frame()
    ds = table(*(frame[k] for k in ("variable", "level", "latitude", "longitude", "value", "error")),
               **{k: frame[k] for k in EXTRAS})  # fmt: skip
    count = pd.Series(ds["variable"].values).value_counts(sort=False)
    said = {v: sorted(set(frame.loc[frame["variable"] == v, "units"])) for v in count.index}
    found = ", ".join(f"{n} of {v} ({' and '.join(u or 'no unit' for u in said[v])})" for v, n in count.items())
    line = f"PhysLab read {path.name}: {len(raw.frame)} rows, {found or 'no observation'}"
    return ds.assign_attrs(history="; ".join([line, *([text] if (text := account.text()) else [])]), source=path.name)


def is_netcdf(path: Path) -> bool:
    """Whether a file is read as NetCDF: by its name, or by how it begins."""
    with path.open("rb") as stream:
        return stream.read(4) in MAGIC or path.suffix.lower() in NETCDF


class _Reader:
    """One table on its way from cells to observations."""

    def __init__(self, raw: Raw, asked: Asked, account: Account) -> None:
        self.raw, self.asked, self.account, self.name = raw, asked, account, account.name
        for note in raw.notes:
            account.note(note)
        self.lines = raw.lines
        self.kinds = self._kinds()
        self.comma = self._decimal_comma()

    # --- which column is what -----------------------------------------------------------------------------------------
    def _kinds(self) -> dict[str, Heading]:
        """Column -> what it is. Of two with one role the first counts."""
        names = [str(c) for c in self.raw.frame.columns]
        absent = [name for name in self.asked.columns if name not in names]
        if absent:
            raise FieldError(f"{self.name} has no column '{absent[0]}': it has {', '.join(names)}")
        made: dict[str, Heading] = {}
        for name in names:
            said = self.asked.columns.get(name)
            h = heading(name)
            if said is not None:
                h = (
                    Heading(key(name), said, "", h.units)
                    if said in ROLES
                    else Heading(said, "", quantity(said), h.units)
                )
            if name in self.raw.good:
                h = Heading(h.name, h.role or ("" if h.variable else "quality"), h.variable, h.units)
            made[name] = h
        self._names_of_variables(made)
        if self.asked.variable and not self._has(made, "value"):  # a table with one column for each variable
            own = [
                n for n, h in made.items() if key(n) == key(self.asked.variable) or h.name == key(self.asked.variable)
            ]
            own = own or [
                n for n, h in made.items() if h.variable and h.variable == quantity(self.asked.variable) and not h.role
            ]
            if own:
                for n, h in made.items():
                    if not h.role and (h.variable or n == own[0]):
                        made[n] = Heading(h.name, "value" if n == own[0] else "unused", "", h.units)
        return made

    def _names_of_variables(self, made: dict[str, Heading]) -> None:
        """A column `name` holds the names of variables only if nothing else does and all its cells are such names."""
        if self.asked.variable or self._has(made, "variable") or not self._has(made, "value"):
            return
        for name, h in made.items():
            if h.name == "name" and h.role == "station":
                held = {str(c).strip() for c in self.raw.frame[name]} - {""}
                if held and all(quantity(c) for c in held):
                    made[name] = Heading(h.name, "variable")

    @staticmethod
    def _has(kinds: Mapping[str, Heading], role: str) -> bool:
        return any(h.role == role for h in kinds.values())

    def column(self, role: str) -> str | None:
        """The first column of a role that holds anything; the first one where none does."""
        found = [n for n, h in self.kinds.items() if h.role == role]
        if len(found) > 1 and role in ("latitude", "longitude", "value", "level", "elevation"):
            self.account.note(f"columns {', '.join(found)} are all {role}: {found[0]} counts")
        return found[0] if found else None

    def _decimal_comma(self) -> bool:
        words = ("station", "variable", "units", "time", "zone", "clock", "quality", "unused")
        text = {n: cells.text_of(self.raw.frame[n]) for n, h in self.kinds.items()
                if h.role not in words and (h.role or h.variable) and self.raw.frame[n].dtype.kind == "O"}  # fmt: skip
        comma = cells.decimal_comma(text, self.lines, self.name)
        if comma:
            self.account.note("decimal commas")
        return comma

    # --- columns ------------------------------------------------------------------------------------------------------
    def numbers(self, column: str) -> np.ndarray:
        """A column as numbers; NaN where it says that nothing was measured."""
        text = self.raw.frame[column]
        if self.kinds[column].variable == "wind_direction" and text.dtype.kind == "O":
            text = text.where(~cells.text_of(text).str.upper().isin(NOWHERE).to_numpy(), "")
        values, _, wrong = cells.numbers(text, self.comma)
        numbers = "level, latitude, longitude, value and error are numbers, and an empty cell or NaN is what is missing"
        self._refuse(column, wrong, f"in column '{column}' is no number; {numbers}")
        return values

    def _refuse(self, column: str, wrong: np.ndarray, said: str) -> None:
        """Raise if cells of a column are wrong, naming the first and its line."""
        if wrong.any():
            at = int(wrong.argmax())
            raise FieldError(f"{self.name}, line {self.lines[at]}: '{self.raw.frame[column].iloc[at]}' {said}")

    def unit_of(self, column: str) -> str:
        """What heading or attributes say."""
        return self.kinds[column].units or self.raw.units.get(column, "")

    def frame(self) -> pd.DataFrame:
        """One observation a row: the columns of the table."""
        place = {k: self.column(k) for k in ("latitude", "longitude")}
        value = self.column("value")
        wide = [] if value else [n for n, h in self.kinds.items() if not h.role and h.variable]
        wide += [] if value else [*self._pressures(), *self._heights(place)]
        lacking = [k for k, c in place.items() if c is None]
        if value is None and not wide:
            lacking.append("value")
        if value and self.column("variable") is None and not self.asked.variable:
            lacking.append("variable")
        if self.column("error") is None and self.asked.error is None and not any(self._error_of(n) for n in wide):
            lacking.append("error")
        if lacking:
            raise FieldError(
                f"{self.name} has the columns {', '.join(map(str, self.raw.frame.columns))} and lacks "
                f"{', '.join(lacking)}: {NEEDED}"
                + ("; errors may be given for all (--std t2m=1)" if "error" in lacking else "")
            )
        base = self._base(place)
        parts = [self._long(base, value)] if value else [self._wide(base, n) for n in wide]
        out = pd.concat(parts, ignore_index=True)
        self._unused(set(wide) | ({value} if value else set()))
        out = self._converted(out)
        keep = self._places(out)
        return out[keep].reset_index(drop=True)

    def _base(self, place: Mapping[str, str | None]) -> pd.DataFrame:
        """What the variables of a row share."""
        n = len(self.raw.frame)
        base = pd.DataFrame({"line": self.lines, "row": np.arange(n)})
        for kind, column in place.items():
            assert column is not None
            values, wrong = cells.places(self.raw.frame[column], self.comma)
            degrees = "latitude and longitude are numbers in degrees, such as 54.25 or 2.1W"
            self._refuse(column, wrong, f"is no {kind}; {degrees}")
            base[kind] = values
        base["level"] = self._levels(n)
        base["elevation"] = self._elevation(n)
        station = self.column("station")
        base["station"] = cells.text_of(self.raw.frame[station]).to_numpy() if station else ""
        base["time"] = self._times(n)
        return base

    def _levels(self, n: int) -> np.ndarray:
        column = self.column("level")
        if column is None:
            return np.full(n, self.asked.level)
        words = cells.text_of(self.raw.frame[column]).str.lower()
        near = words.isin(("surface", "sfc", "boden", "2m", "10m")).to_numpy()
        values, _, wrong = cells.numbers(words.where(~near, ""), self.comma)
        if (wrong & ~near).any():
            at = int((wrong & ~near).argmax())
            raise FieldError(f"{self.name}, line {self.lines[at]}: level '{words.iloc[at]}' is no number of hPa; "
                             "level, latitude, longitude, value and error are numbers")  # fmt: skip
        values = np.where(cells.codes(values) | (values == 0), np.nan, values)
        unit = self.unit_of(column)
        if unit and unit not in ("1", "level"):
            try:
                values = units.convert(values, unit, "hPa")
            except FieldError:
                raise FieldError(
                    f"{self.name}: levels are in '{unit}': PhysLab compares at levels of pressure, in hPa or Pa"
                ) from None
        elif np.isfinite(values).any() and np.nanmin(values) > 1200:
            values = values / 100.0
            self.account.note("levels without a unit are taken as Pa")
        return np.where(np.isnan(values), self.asked.level, np.round(values, 6))

    def _elevation(self, n: int) -> np.ndarray:
        column = self.column("elevation")
        if column is None:
            return np.full(n, np.nan)
        values = self.numbers(column)
        values = np.where(cells.codes(values), np.nan, values)
        unit = self.unit_of(column)
        if unit and units.parse(unit) is not None:
            values = units.convert(values, unit, "m")
        high = ~np.isnan(values) & ((values < -500) | (values > 9000))
        if high.any():
            self.account.note(f"{int(high.sum())} elevations are impossible in m (the first {values[high][0]:g}, "
                              f"line {self.lines[high][0]}) and count as missing")  # fmt: skip
        return np.where(high, np.nan, values)

    def _times(self, n: int) -> np.ndarray:
        found = [c for c, h in self.kinds.items() if h.role == "time"]
        clock = [c for c, h in self.kinds.items() if h.role == "clock"]
        parts = {k: self.column(k) for k in ("year", "month", "day", "hour", "minute")}
        if not found and all(parts[k] for k in ("year", "month", "day")):
            numbers = {k: self.numbers(c) for k, c in parts.items() if c}
            self.account.note("times without a zone are taken as UTC")
            return times.from_parts(numbers, self.lines, self.name)
        if not found:
            return np.full(n, np.datetime64("NaT", "ns"))
        frame = self.raw.frame
        if all(frame[c].dtype.kind == "O" for c in found):  # date and time of day in two columns
            short = [
                c for c in found if cells.text_of(frame[c]).str.fullmatch(r"(\d{1,2}(:\d{2}){0,2}|\d{3,4}|)Z?").all()
            ]
            days = [c for c in found if c not in short]
            clock += short
            if not days:
                raise FieldError(f"{self.name}, line {self.lines[0]}: time '{frame[short[0]].iloc[0]}' has no "
                                 f"day; {times.ADVICE}"
                                 if n else f"{self.name}: no time has a day")  # fmt: skip
            found = days
        if len(found) > 1:
            self.account.note(f"of {', '.join(found)} the column {found[0]} is the time")
        zone = self.column("zone")
        text: Sequence = frame[found[0]].to_numpy()
        zones: Sequence | None = None if zone is None else list(frame[zone])
        said = self.kinds[found[0]].units.strip()
        if frame[found[0]].dtype.kind == "O":
            hour = clock[0] if clock else (parts["hour"] if parts["hour"] else None)
            if hour is not None:
                short_text = cells.text_of(frame[hour]).str.replace(r"^(\d{1,2})(\d{2})(Z?)$", r"\1:\2\3", regex=True)
                short_text = short_text.str.replace(r"^(\d)(\D|$)", r"0\1\2", regex=True)
                text = list(cells.text_of(frame[found[0]]) + " " + short_text)
            if said and zones is None and said.lower() not in ("iso", "iso8601", "-", "1"):
                zones = [said] * n
        elif frame[found[0]].dtype.kind in "fiu":
            text = [f"{x:.10g}" if np.isfinite(x) else "" for x in frame[found[0]].to_numpy(float)]
        return times.parse(text, self.lines, self.name, self.account.notes, zones)

    # --- rows ---------------------------------------------------------------------------------------------------------
    def _long(self, base: pd.DataFrame, value: str) -> pd.DataFrame:
        column = self.column("variable")
        out = base.copy()
        out["variable"] = cells.text_of(self.raw.frame[column]).to_numpy() if column else self.asked.variable
        if column and (empty := (out["variable"] == "").to_numpy()).any():
            if not self.asked.variable:
                raise FieldError(
                    f"{self.name}, line {self.lines[int(empty.argmax())]}: no name of a variable; {NEEDED}"
                )
            out.loc[empty, "variable"] = self.asked.variable
        out["value"] = self.numbers(value)
        said = self.column("units")
        own = cells.text_of(self.raw.frame[said]).to_numpy() if said else np.full(len(out), "", dtype=object)
        out["units"] = np.where(own == "", self.unit_of(value), own)
        error = self.column("error")
        out["error"] = self.numbers(error) if error else np.nan
        out["error_units"] = self.unit_of(error) if error else ""
        out["good"] = self._good(value, "")
        return out

    def _wide(self, base: pd.DataFrame, column: str) -> pd.DataFrame:
        out = base.copy()
        h = self.kinds[column]
        out["variable"] = h.variable or h.name
        out["value"] = self.numbers(column)
        out["units"] = self.unit_of(column)
        error = self._error_of(column)
        out["error"] = self.numbers(error) if error else np.nan
        out["error_units"] = self.unit_of(error) if error else ""
        out["good"] = self._good(column, h.variable)
        return out[out["value"].notna()] if len(self.raw.frame) else out

    def _pressures(self) -> list[str]:
        """Columns called `pressure`: levels where a station has many, else the pressure at the station."""
        made = []
        for column, h in list(self.kinds.items()):
            if h.role != "pressure":
                continue
            values = self.numbers(column)
            values = np.where(cells.codes(values, "sp", h.units), np.nan, values)
            wide = np.isfinite(values).any() and np.nanmin(values) < 0.6 * np.nanmax(values)
            if wide:
                self.kinds[column] = Heading(h.name, "level", "", h.units)
                self.account.note(f"column {column} is the level")
                continue
            reduced = self._at_sea_level(values, self.unit_of(column))
            self.kinds[column] = Heading(h.name, "", "msl" if reduced else "sp", h.units)
            what = f"reduced to sea level (msl): {reduced}" if reduced else "the pressure at the station (sp)"
            self.account.note(f"column {column} is {what}")
            made.append(column)
        return made

    def _at_sea_level(self, values: np.ndarray, unit: str) -> str:
        """What tells pressures that are reduced to sea level from those at the stations: they are nearer to 1013 hPa
        than to what a standard atmosphere has at the heights of the stations; "" where they are not."""
        z = self._elevation(len(values))
        unit = unit or ("Pa" if np.nanmedian(values) > 2000 else "hPa")
        p = units.convert(values, unit, "hPa")
        there = 1013.25 * (1 - 2.25577e-5 * np.clip(z, -500, 9000)) ** 5.25588
        high = np.isfinite(p) & (np.abs(there - 1013.25) > 25)
        if not high.any() or np.median(np.abs(p - there)[high]) <= np.median(np.abs(p - 1013.25)[high]):
            return ""
        at = int(high.argmax())
        return f"{p[at]:.1f} hPa at {z[at]:.0f} m (line {self.lines[at]}), where some {there[at]:.0f} hPa are usual"

    def _heights(self, place: Mapping[str, str | None]) -> list[str]:
        """A column called `height` that is none of the station: of a sounding, or in geopotential metres."""
        made = []
        for column, h in list(self.kinds.items()):
            if h.role != "elevation" or h.name not in ("height", "hgt", "alt", "altitude", "hoehe"):
                continue
            places = [self.raw.frame[c].astype(str) for c in place.values() if c]
            many = self._has(self.kinds, "level") and (self.raw.frame[column].groupby(places).nunique() > 1).any()
            if many or h.units.lower().startswith("gp"):
                self.kinds[column] = Heading(h.name, "", "z", h.units)
                self.account.note(f"column {column} is the height of the level (z)")
                made.append(column)
        return made

    def _error_of(self, column: str) -> str | None:
        """The column with the errors of another one."""
        wide = [n for n, h in self.kinds.items() if not h.role and h.variable]
        names = {key(n): n for n in self.kinds}
        stem = self.kinds[column].name
        for word in ROLES["error"]:
            for name in (f"{stem}_{word}", f"{word}_{stem}"):
                if name in names:
                    return names[name]
        return self.column("error") if len(wide) == 1 else None

    def _good(self, column: str, variable: str) -> np.ndarray:
        """Whether the quality columns that speak of a column call each row good."""
        good = self.raw.good.get(column, np.ones(len(self.raw.frame), dtype=bool)).copy()
        for name, h in self.kinds.items():
            if h.role != "quality" or (h.variable and variable and h.variable != variable):
                continue
            if self.asked.good:
                text = cells.text_of(self.raw.frame[name])
                wanted = {_plain(g) for g in self.asked.good}
                good &= text.map(_plain).isin(wanted).to_numpy(bool)
            elif name in self.raw.good:
                good &= self.raw.good[name]
            else:
                held = list(dict.fromkeys(cells.text_of(self.raw.frame[name])))[:4]
                self.account.note(f"column {name} ({', '.join(held)}) is not used, for it does not say which "
                                  "values are good: "
                                  "say it by --good")  # fmt: skip
        return good

    def _unused(self, used: set[str]) -> None:
        spare = [n for n, h in self.kinds.items() if n not in used and (h.role in ("", "unused"))
                 and not any(n == self._error_of(u) for u in used)]  # fmt: skip
        if spare:
            shown = ", ".join(spare[:6]) + (f" and {len(spare) - 6} more" if len(spare) > 6 else "")
            self.account.note(f"columns not used: {shown}")

    # --- values -------------------------------------------------------------------------------------------------------
    def _converted(self, out: pd.DataFrame) -> pd.DataFrame:
        """Values and errors in the units of the library, codes for what is missing turned into NaN, bad rows gone."""
        bad = ~out["good"].to_numpy(bool)
        self.account.leave("not of the quality that is called good", lines_of(out["line"].to_numpy(), bad))
        out = out[~bad].reset_index(drop=True)
        blank = (out["units"] == "").to_numpy()
        for variable in out.loc[blank, "variable"].unique():
            said = (
                self.asked.units if isinstance(self.asked.units, str) else self._option(self.asked.units, variable, "")
            )
            out.loc[blank & (out["variable"] == variable).to_numpy(), "units"] = said
        missing: dict[float, int] = {}
        for (variable, unit), part in out.groupby(["variable", "units"], sort=False):
            known, at = quantity(variable), part.index
            values = part["value"].to_numpy(float)
            self._check_unit(str(variable), str(unit), known, part)
            lost = cells.codes(values, known, str(unit), self.asked.missing)
            for code in values[lost]:
                missing[float(code)] = missing.get(float(code), 0) + 1
            values = np.where(lost, np.nan, values)
            errors = part["error"].to_numpy(float)
            errors = np.where(cells.codes(errors), np.nan, errors)
            own = part["error_units"].iloc[0] or str(unit)
            if known and unit:
                to = UNITS[known]
                with np.errstate(over="ignore"):
                    values = units.convert(values, str(unit), to)
                errors = units.convert(errors, own, to, difference=True)
                out.loc[at, "units"] = to
            elif own != unit and unit:
                errors = units.convert(errors, own, str(unit), difference=True)
            if isinstance(self.asked.error, Mapping):
                given = self._option(self.asked.error, str(variable), np.nan)
            else:
                given = np.nan if self.asked.error is None else self.asked.error
            out.loc[at, "value"] = values
            out.loc[at, "error"] = np.where(np.isnan(errors), given, errors)
        if missing:
            shown = ", ".join(f"{code:g} ({n})" for code, n in list(missing.items())[:4])
            self.account.note(f"taken as missing: {shown}")
        return out

    @staticmethod
    def _option(given: Mapping, variable: str, default):
        """What an option by variable says of one, under its own name or another of the same quantity."""
        if variable in given:
            return given[variable]
        same = [v for k, v in given.items() if quantity(k) and quantity(k) == quantity(variable)]
        return same[0] if same else default

    def _check_unit(self, variable: str, unit: str, known: str, part: pd.DataFrame) -> None:
        if not unit:
            return
        at = f"{self.name}, line {int(part['line'].iloc[0])}"
        if units.parse(unit) is None:
            raise FieldError(
                f"{at}: {variable} is in '{unit}', which is no unit that is known: write one such as K, degC, hPa "
                "or m s-1"
            )
        if known:
            try:
                units.convert(np.zeros(1), unit, UNITS[known])
            except FieldError:
                raise FieldError(
                    f"{at}: {variable} is in '{unit}', which does not measure {variable} (its unit is {UNITS[known]}): "
                    "correct the unit or the name of the variable"
                ) from None

    def _places(self, out: pd.DataFrame) -> np.ndarray:
        """Which rows have a place on Earth."""
        lat, lon, lines = (out[k].to_numpy() for k in ("latitude", "longitude", "line"))
        absent = np.isnan(lat) | np.isnan(lon)
        self.account.leave("without a place", lines_of(lines, absent))
        beyond = ~absent & ((np.abs(lat) > 90) | (lon < -360) | (lon > 360))
        if beyond.any():
            at = int(beyond.argmax())
            where = f"{self.name}, line {lines[at]}: {lat[at]:g} N, {lon[at]:g} E is no place on Earth"
            if (np.abs(lon[beyond]) <= 90).all() and (np.abs(lat[beyond]) <= 360).all():
                raise FieldError(
                    f"{where}: latitude and longitude seem to be swapped, correct the names of the columns"
                )
            if 2 * beyond.sum() >= len(out):
                raise FieldError(f"{where}: write degrees, not metres or codes")
            self.account.leave("at no place on Earth", lines_of(lines, beyond))
        return ~(absent | beyond)


def _plain(text: object) -> str:
    """A number as short as it can be written, so that 0, 0.0 and 00 are one; other text as it is."""
    try:
        return f"{float(str(text)):g}"
    except ValueError:
        return str(text)
