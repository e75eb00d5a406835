"""From a table of observations to one that a state can be compared with, and an account of all that was left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from physlab.data.observe import COLUMNS, Interpolation, check_table, table, wrapped
from physlab.data.screening import derive, heights, match, pressures, when
from physlab.data.screening.checks import Checks
from physlab.data.screening.match import Known
from physlab.data.stations import units
from physlab.data.stations.account import Account
from physlab.data.stations.cells import possible
from physlab.data.stations.words import UNITS, quantity
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid

LARGEST = 1e100
"""Error of an observation that is a number of a computer, not of a measurement; its square is finite."""


def screen(
    observations: xr.Dataset,
    state: xr.Dataset,
    time: np.datetime64 | None = None,
    checks: Checks | None = None,
    fixed: xr.Dataset | None = None,
) -> tuple[xr.Dataset, Account]:
    """Observations of fields that a state has, at its time, in its units, on its ground.

    Parameters
    ----------
    observations : a table, see :mod:`physlab.data.observe`.
    state : ([level,] latitude, longitude), one time, no members.
    time : of the state, see :func:`physlab.data.screening.time_of`.
    checks : the rules; None for the usual ones.
    fixed : what the background holds beside the state: height of its surface.

    Returns
    -------
    The table, with the column `time` where it is known, and the account; its counts `missing` and `merged` (doubled
    reports) are attributes of the table.

    Raises
    ------
    FieldError : nothing is left though something was observed; units that are not said and cannot be those of the
    state.
    PhysLabError : an observation error that is not a positive number.
    """
    checks = checks or Checks()
    account = Account(str(observations.attrs.get("source", "observations")))
    frame = _frame(observations)
    absent = ~np.isfinite(frame["value"].to_numpy(float))
    missing, frame = int(absent.sum()), frame[~absent]
    before = len(frame)
    frame = frame.drop_duplicates([*COLUMNS, "time", "station", "units"])
    doubled = before - len(frame)
    given = len(frame)
    if given:
        _errors(frame, account)
        frame = when.within(frame, time, checks, account)
        known = match.variables(state)
        frame = _matched(frame, known, account)
        frame = _inside(frame, Grid.from_dataset(state), account)
        frame = _units(frame, known, account)
        frame = _derived(frame, state, known, account)
        frame = _fields(frame, known, account)
        frame = when.nearest(frame, time, checks, account)
        frame = _grounded(frame, state, known, checks, fixed, account)
    if given and not len(frame):
        have = ", ".join(dict.fromkeys(map(str, state.data_vars)))
        raise FieldError(
            f"{account.name}: none of {given} observations can be used; {account.text()}; the background has {have}"
        )
    extras = {"time": frame["time"].to_numpy(), "line": frame["line"].to_numpy()}
    if frame["time"].isna().all():
        extras.pop("time")
    if not (frame["line"] > 0).any():
        extras.pop("line")
    out = table(*(frame[k].to_numpy() for k in COLUMNS), **extras)
    return out.assign_attrs(missing=missing, merged=doubled), account


def _frame(observations: xr.Dataset) -> pd.DataFrame:
    """The table with all columns that it may have."""
    check_table(observations)
    n = observations["value"].size
    given = {k: observations[k].values for k in COLUMNS}
    for name, empty in (("elevation", np.nan), ("station", ""), ("units", ""), ("line", 0)):
        given[name] = observations[name].values if name in observations else np.full(n, empty)
    given["time"] = (
        observations["time"].values.astype("datetime64[ns]")
        if "time" in observations and observations["time"].ndim == 1
        else np.full(n, np.datetime64("NaT", "ns"))
    )
    if not np.asarray(given["units"]).astype(str).any():
        given["units"] = np.full(n, str(observations["value"].attrs.get("units", "")))
    frame = pd.DataFrame({k: pd.Series(np.asarray(v)) for k, v in given.items()})
    for name in ("variable", "station", "units"):
        frame[name] = frame[name].astype(str).str.strip()
    frame[["level", "latitude", "longitude", "value", "error", "elevation"]] = frame[
        ["level", "latitude", "longitude", "value", "error", "elevation"]
    ].astype(float)
    return frame


def _errors(frame: pd.DataFrame, account: Account) -> None:
    wrong = frame[~((frame["error"] < LARGEST) & (frame["error"] > 1 / LARGEST))]
    if len(wrong):
        at = when.where(wrong, np.arange(len(wrong)) == 0)[0]
        raise PhysLabError(
            f"{account.name}: {len(wrong)} observations have an error that is not above 0 (the first "
            f"{wrong['error'].iloc[0]:g}, "
            f"{at}): pass standard deviations; an exact observation gets a small one"
        )
    if not np.isfinite(frame[["latitude", "longitude"]].to_numpy(float)).all():
        raise FieldError("observations with a place that is not finite: leave them out")


def _matched(frame: pd.DataFrame, known: dict[str, Known], account: Account) -> pd.DataFrame:
    """Columns `quantity`, and `found`: the variable of the state, "" where it has none."""
    frame = frame.assign(quantity="", found="")
    for (name, level), part in frame.groupby(["variable", "level"], dropna=False, sort=False):
        one = match.find(known, str(name), float(level))
        frame.loc[part.index, "quantity"] = quantity(name) or (one.quantity if one else "")
        frame.loc[part.index, "found"] = one.name if one else ""
    return frame


def _inside(frame: pd.DataFrame, grid: Grid, account: Account) -> pd.DataFrame:
    """Rows on the grid; on a globe all, those beyond its last circle of latitude included."""
    frame = frame.assign(longitude=wrapped(frame["longitude"].to_numpy(float), grid))
    outside = _outside(frame["latitude"].to_numpy(float), frame["longitude"].to_numpy(float), grid)
    if outside.any():
        low, high = grid.latitude.min(), grid.latitude.max()
        reach = f"the grid ({low:g} to {high:g} N, {grid.longitude.min():g} to {grid.longitude.max():g} E)"
        part = frame[outside]
        swapped = _outside(part["longitude"].to_numpy(float), wrapped(part["latitude"].to_numpy(float), grid), grid)
        if outside.all() and not swapped.any() and (part["longitude"].abs() <= 90).all():
            account.note("latitude and longitude seem to be swapped: exchanged they would lie inside")
        shown = [f"{w}: {a:g} N {o:g} E" if w.startswith("line") else w for w, a, o in
                 zip(when.where(frame, outside), part["latitude"], part["longitude"], strict=True)]  # fmt: skip
        account.leave(f"outside {reach}", shown)
    return frame[~outside]


def _outside(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> np.ndarray:
    low, high = grid.latitude.min(), grid.latitude.max()
    if grid.periodic:
        return np.abs(lat) > 90
    beyond = (lat < low - 1e-6) | (lat > high + 1e-6)
    return beyond | (lon < grid.longitude.min() - 1e-6) | (lon > grid.longitude.max() + 1e-6)


def _units(frame: pd.DataFrame, known: dict[str, Known], account: Account) -> pd.DataFrame:
    """Values in the unit of the state's variable, of what it lacks in that of the library; the impossible gone.

    A row without a unit is taken to have that unit, unless its quantity cannot have the value in it.
    """
    parts = [frame[:0]]
    for (name, own, unit), part in frame.groupby(["variable", "found", "units"], sort=False):
        one = known.get(str(own))
        what = str(part["quantity"].iloc[0])
        if one is None and what not in derive.NEEDED:
            parts.append(part)  # the background has no use for it
            continue
        to = one.units if one else UNITS.get(what, "")
        part = part.copy()
        if unit and to:
            try:
                with np.errstate(over="ignore"):
                    part["value"] = units.convert(part["value"].to_numpy(float), str(unit), to)
                part["error"] = units.convert(part["error"].to_numpy(float), str(unit), to, difference=True)
            except FieldError as error:
                at = when.where(part, np.arange(len(part)) == 0)[0]
                raise FieldError(
                    f"{account.name}, {at}: {name} is in '{unit}', the background's {own or name} in '{to}': {error}"
                ) from None
        elif to and not unit:
            account.assumed.add(str(own or name))
            if (part["line"] > 0).any():
                account.note(f"{name} without a unit is taken to be in {to}")
        elif unit and not to and one is not None:
            account.note(f"the background does not say the unit of {own}: {unit} is believed")
        parts.append(_credible(part, str(name), what, to, bool(unit), one, account))
    return pd.concat(parts, ignore_index=True)


def _credible(part, name: str, what: str, to: str, said: bool, one: Known | None, account: Account) -> pd.DataFrame:
    """Rows of one variable and unit that its quantity can have.

    Raises
    ------
    FieldError : most cannot be, and nobody said their unit.
    """
    if what not in UNITS or not units.measures(to, UNITS[what]):
        return part  # nothing is known of it, or the background means something else by the name
    values = part["value"].to_numpy(float)
    fit = possible(values, what, to)
    if one is not None and not possible(np.array([one.low, one.high]), what, to).all():
        return part  # a state that is no weather: anomalies, a toy
    if fit.all():
        return part
    wrong = ~fit
    fits = guess(values[wrong], what, to, one)
    if not said and fits and 2 * wrong.sum() >= len(part):
        raise FieldError(no_unit(part[wrong], name, to, account.name, fits))
    account.leave(f"of {name} with a value that cannot be",
                  [f"{w}: {v:g}" for w, v in zip(when.where(part, wrong), values[wrong], strict=True)])  # fmt: skip
    return part[fit]


def guess(values: np.ndarray, what: str, to: str, one: Known | None = None) -> str:
    """The unit in which most values are possible, of several the one that brings them nearest to the state; "" if there
    is none."""
    fit = [other for other in units.OTHERS.get(to, ()) if possible(values, what, other).mean() > 0.5]
    if one is None or len(fit) < 2:
        return fit[0] if fit else ""
    middle = 0.5 * (one.low + one.high)
    return min(fit, key=lambda other: float(np.median(np.abs(units.convert(values, other, to) - middle))))


def no_unit(wrong: pd.DataFrame, name: str, to: str, source: str, fits: str) -> str:
    """The sentence for values that nobody gave a unit and that fit in another one than the background's."""
    row = wrong.iloc[0]
    line = f"line {int(row['line'])}, " if row.get("line", 0) > 0 else ""
    return (
        f"{source}: {name} {row['value']:g} ({line}{row['latitude']:g} N {row['longitude']:g} E) comes without a "
        f"unit and cannot be in {to}, the unit of the background, but may be in {fits}: write units, as a column "
        f"`units`, in the heading ({name} [{fits}]) or by --units {fits}"
    )


def _derived(frame: pd.DataFrame, state: xr.Dataset, known: dict[str, Known], account: Account) -> pd.DataFrame:
    """Winds, humidities and pressures that the state has in another form."""
    lacking = frame["found"] == ""
    if not (lacking & frame["quantity"].isin(("wind_speed", "td", "d2m", "rh"))).any():
        return frame
    si = frame.copy()
    for name, part in frame[frame["found"] != ""].groupby("found", sort=False):
        one = known[str(name)]
        if _other_unit(one):
            si.loc[part.index, "value"] = units.convert(part["value"].to_numpy(float), one.units, UNITS[one.quantity])
    made = derive.derive(si, known, account, lambda rows: _of_state(rows, state, known, "sp"),
                         lambda rows: _of_state(rows, state, known, "t2m"))  # fmt: skip
    for name, part in made[made["found"] != ""].groupby("found", sort=False):
        one = known[str(name)]
        if _other_unit(one):
            value = units.convert(part["value"].to_numpy(float), UNITS[one.quantity], one.units)
            made.loc[part.index, "value"] = value
            made.loc[part.index, "error"] = units.convert(
                part["error"].to_numpy(float), UNITS[one.quantity], one.units, True
            )
    return made


def _other_unit(one: Known) -> bool:
    """Whether a state holds a known quantity in another unit than the library."""
    return one.quantity in UNITS and units.measures(one.units, UNITS[one.quantity]) and one.units != UNITS[one.quantity]


def _of_state(rows: pd.DataFrame, state: xr.Dataset, known: dict[str, Known], what: str) -> np.ndarray:
    """What the state has at the places of rows, in the unit of the library; NaN where it has nothing."""
    one = match.find(known, what, np.nan)
    if one is None or one.levels or not len(rows):
        return np.full(len(rows), np.nan)
    values = sample(state[one.name], rows)
    return units.convert(values, one.units, UNITS[what]) if _other_unit(one) else values


def sample(field: xr.DataArray, rows: pd.DataFrame) -> np.ndarray:
    """A field (latitude, longitude) at the places of rows, bilinear."""
    import torch

    ds = field.reset_coords(drop=True).transpose("latitude", "longitude").to_dataset(name="field")
    n = len(rows)
    places = table(["field"] * n, [np.nan] * n, rows["latitude"], rows["longitude"], np.zeros(n), np.ones(n))
    return Interpolation(places, ds)(torch.tensor(np.asarray(ds["field"].values, dtype=float).ravel())).numpy()


def _fields(frame: pd.DataFrame, known: dict[str, Known], account: Account) -> pd.DataFrame:
    """Rows of fields that the state has, under its names."""
    absent = (frame["found"] == "").to_numpy()
    for name, part in frame[absent].groupby("variable", sort=False):
        account.leave(
            f"observations of {name}, which the background lacks", when.where(part, np.ones(len(part), dtype=bool))
        )
    frame = frame[~absent].assign(variable=lambda f: f["found"])
    pairs = zip(frame["found"], frame["level"], strict=True)
    fit = np.array([match.has_level(known[n], float(p)) for n, p in pairs], dtype=bool)
    for (name, level), part in frame[~fit].groupby(["found", "level"], dropna=False, sort=False):
        levels = known[str(name)].levels
        have = f"at {', '.join(f'{p:g}' for p in sorted(levels))} hPa" if levels else "without levels"
        at = "without a level" if np.isnan(level) else f"at {level:g} hPa"
        account.leave(f"observations of {name} {at} (the state has {name} {have})",
                      when.where(part, np.ones(len(part), dtype=bool)))  # fmt: skip
    frame = frame[fit]
    exact = []
    for name, level in zip(frame["found"], frame["level"], strict=True):
        one = known[name]
        exact.append(float(min(one.levels, key=lambda p: abs(p - level))) if one.levels and not np.isnan(level) else
                     (level if one.levels else np.nan))  # fmt: skip
    return frame.assign(level=exact)


def _at_ground(one: Known, observed: str) -> bool:
    """Whether a field and what was observed of it belong to the ground of the station."""
    return not one.levels and bool(np.isnan(one.at)) and (one.quantity in match.SURFACE or observed in match.SURFACE)


def _grounded(frame, state, known, checks: Checks, fixed: xr.Dataset | None, account: Account) -> pd.DataFrame:
    """Temperatures and pressures brought to the height of the state's surface; stations far from it left out."""
    ground = np.array(
        [_at_ground(known[n], q) for n, q in zip(frame["found"], frame["quantity"], strict=True)], dtype=bool
    )
    has = np.array([known[n].quantity for n in frame["found"]], dtype=object)
    if not (ground | np.isin(has, ("sp", "msl"))).any():
        return frame
    orography = heights.height_of(fixed if fixed is not None else xr.Dataset(), checks.orography)
    if orography is not None:
        _same_grid(orography, state)
    frame, ground = _pressures(frame, ground, state, known, checks, orography, account)
    if not ground.any():
        return frame
    pressure = np.array([known[n].quantity for n in frame["found"]], dtype=object)
    observed = frame["quantity"].to_numpy(object)
    to_sea, from_sea = (pressure == "msl") & (observed == "sp"), (pressure == "sp") & (observed == "msl")
    elevation = np.where(from_sea, 0.0, frame["elevation"].to_numpy(float))
    given = np.isfinite(elevation)
    if orography is None:
        frame = _to_sea(frame, to_sea, elevation, None, state, known, checks, account)
    if orography is None or not (given & ground).any():
        if (given & ground & ~to_sea).any():
            account.note("the heights of the stations are not used, for the background does not hold that of its "
                         "surface "
                         "(orog): give it by --orography FILE")  # fmt: skip
        elif orography is not None and (frame["line"] > 0).any():
            account.note("no heights of stations: their differences from the background's surface are not treated")
        return frame
    use = ground & given
    surface = np.full(len(frame), np.nan)
    surface[use] = sample(orography, frame[use])
    rise = elevation - surface  # station above the model
    far = use & (np.abs(rise) > checks.height)
    account.leave(
        f"further than {checks.height:g} m above or below the background's surface",
        [f"{w}: {z:g} m, surface {s:.0f} m" for w, z, s in
         zip(when.where(frame, far), elevation[far], surface[far], strict=True)],
    )  # fmt: skip
    frame = _to_sea(frame, to_sea & ~far, elevation, surface, state, known, checks, account)
    value = frame["value"].to_numpy(float).copy()
    what = np.array([known[n].quantity or q for n, q in zip(frame["found"], frame["quantity"], strict=True)])
    lapse = checks.lapse / 1000.0
    warm = use & ~far & np.isin(what, ("t2m", "t"))
    heavy = use & ~far & (what == "sp")
    for name in set(frame["found"][warm]):
        rows = warm & (frame["found"] == name).to_numpy()
        value[rows] += units.convert(lapse * rise[rows], "K", known[name].units or "K", difference=True)
    if heavy.any():
        air = _of_state(frame[heavy], state, known, "t2m") - lapse * rise[heavy]
        air = np.where(np.isfinite(air), air, heights.standard_temperature(elevation[heavy]))
        value[heavy] = heights.to_height(value[heavy], elevation[heavy], surface[heavy], air, lapse)
    changed = warm | heavy
    if changed.any():
        account.note(f"{int(changed.sum())} temperatures and pressures brought to the height of the background's "
                     "surface "
                     f"(up to {np.abs(rise[changed]).max():.0f} m, {checks.lapse:g} K per km)")  # fmt: skip
    if (ground & ~given).any():
        account.note(f"{int((ground & ~given).sum())} surface observations without a height are taken as they are")
    return frame.assign(value=value)[~far]


def _same_grid(orography: xr.DataArray, state: xr.Dataset) -> None:
    grid, mine = Grid.from_dataset(state), Grid.from_dataset(orography.to_dataset())
    if (
        grid.shape != mine.shape
        or max(np.abs(grid.latitude - mine.latitude).max(), np.abs(grid.longitude - mine.longitude).max()) > 1e-3
    ):
        raise FieldError(f"the orography has {mine.shape[0]} x {mine.shape[1]} points, the background "
                         f"{grid.shape[0]} x {grid.shape[1]}: "
                         "pass it on the grid of the background")  # fmt: skip


def _pressures(
    frame: pd.DataFrame, ground: np.ndarray, state, known, checks: Checks, orography, account: Account
) -> tuple[pd.DataFrame, np.ndarray]:
    """Pressures of the kind that their name says, and those that can be turned into the kind that the state has."""
    kept = np.ones(len(frame), dtype=bool)
    has = np.array([known[n].quantity for n in frame["found"]], dtype=object)
    observed = frame["quantity"].to_numpy(object)
    surface = np.full(len(frame), np.nan) if orography is None else sample(orography, frame)
    for kind in ("sp", "msl"):
        rows = (has == kind) & (observed == kind)
        for name in set(frame["found"][rows]):
            own = np.full(len(frame), np.nan)
            mine = rows & (frame["found"] == name).to_numpy()
            own[mine] = sample(state[name], frame[mine])
            kept &= ~pressures.mistaken(frame, mine, own, kind == "msl", surface, checks.lapse / 1000.0, account)
    homeless = (has == "msl") & (observed == "sp") & ~np.isfinite(frame["elevation"].to_numpy(float))
    account.leave("of pressures at stations without a height, for the background's is at sea level",
                  when.where(frame, homeless))  # fmt: skip
    kept &= ~homeless
    if orography is None:
        aloft = (has == "sp") & (observed == "msl")
        account.leave("of pressures at sea level, for the background's is at its surface, whose height nobody says "
                      "(--orography FILE)", when.where(frame, aloft))  # fmt: skip
        kept &= ~aloft
    return frame[kept].reset_index(drop=True), ground[kept]


def _to_sea(
    frame: pd.DataFrame, rows: np.ndarray, elevation: np.ndarray, surface: np.ndarray | None, state, known,
    checks: Checks, account: Account,
) -> pd.DataFrame:  # fmt: skip
    """Pressures measured at stations, at sea level."""
    if not rows.any():
        return frame
    lapse, z = checks.lapse / 1000.0, elevation[rows]
    air = _of_state(frame[rows], state, known, "t2m")
    air = air - lapse * (z - surface[rows]) if surface is not None else air
    air = np.where(np.isfinite(air), air, heights.standard_temperature(z))
    value = frame["value"].to_numpy(float).copy()
    value[rows] = heights.to_height(value[rows], z, np.zeros(len(z)), air, lapse)
    account.note(f"{int(rows.sum())} pressures at stations (up to {np.abs(z).max():.0f} m) reduced to sea level")
    return frame.assign(value=value)
