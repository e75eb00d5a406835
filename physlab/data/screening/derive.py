r"""Quantities that a state has, from those that stations measure.

Wind from where it blows, with :math:`\theta` clockwise from north: :math:`u = -s \sin\theta,\; v = -s \cos\theta`.
Humidity from the dew point, with the saturation pressure of Bolton (1980, Mon. Weather Rev. 108, 1046-1053, eq. 10):

.. math:: e = 611.2 \exp\frac{17.67\,(T_d - 273.15)}{T_d - 29.65}, \qquad q = \frac{\epsilon e}{p - (1 - \epsilon) e} .

From relative humidity e = r e_s(T), over water as stations report it. Errors go along to first order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from physlab.constants import EPSILON
from physlab.data.screening.match import Known, find
from physlab.data.stations.account import Account
from physlab.data.stations.words import quantity

NEEDED = ("wind_speed", "wind_direction", "td", "d2m", "rh", "t2m", "t", "sp")
"""Quantities from which others are made."""
KEYS = ["station", "latitude", "longitude", "level", "time"]


def vapour_pressure(t: np.ndarray) -> np.ndarray:
    """Of saturation over water, Pa, of a temperature or a dew point in K."""
    celsius = np.asarray(t, dtype=float) - 273.15
    return 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))


def dewpoint(e: np.ndarray) -> np.ndarray:
    """K, of a vapour pressure in Pa: the inverse of :func:`vapour_pressure`."""
    x = np.log(np.asarray(e, dtype=float) / 611.2)
    return 273.15 + 243.5 * x / (17.67 - x)


def specific_humidity(e: np.ndarray, p: np.ndarray) -> np.ndarray:
    """kg kg-1, of vapour pressure and pressure in Pa."""
    return EPSILON * e / (p - (1 - EPSILON) * e)


def derive(
    frame: pd.DataFrame,
    known: dict[str, Known],
    account: Account,
    pressure: Callable[[pd.DataFrame], np.ndarray],
    temperature: Callable[[pd.DataFrame], np.ndarray],
) -> pd.DataFrame:
    """Rows of what the state lacks, turned into rows of what it has where that is possible.

    Parameters
    ----------
    frame : rows in the units of the library, with the column `quantity`.
    pressure, temperature : of the state (Pa, K) at rows, NaN where it has none; for stations that do not measure it.
    """
    frame = _wind(frame, known, account)
    return _humidity(frame, known, account, pressure, temperature)


def _same_place(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Rows of a with the values of b at the same station, level and time (columns value_b, error_b); without "
    "doubles."""
    other = b.drop_duplicates(KEYS).set_index(KEYS)[["value", "error"]]
    other.columns = pd.Index(["value_b", "error_b"])
    return a.join(other, on=KEYS, how="left")


def _wind(frame: pd.DataFrame, known: dict[str, Known], account: Account) -> pd.DataFrame:
    speed, direction = (
        frame[(frame["quantity"] == k) & (frame["found"] == "")] for k in ("wind_speed", "wind_direction")
    )
    if not len(speed):
        return frame
    pairs = _same_place(speed, direction)
    theta, s = np.deg2rad(pairs["value_b"].to_numpy(float)), pairs["value"].to_numpy(float)
    calm = s == 0
    theta = np.where(calm & np.isnan(theta), 0.0, theta)
    e_s, e_d = pairs["error"].to_numpy(float), np.deg2rad(pairs["error_b"].to_numpy(float))
    e_d = np.where(
        np.isfinite(e_d), e_d, np.where(s > 0, e_s / np.where(s > 0, s, 1.0), 0.0)
    )  # as large across as along
    made = []
    for name, value, error in (
        ("u", -s * np.sin(theta), np.hypot(np.sin(theta) * e_s, s * np.cos(theta) * e_d)),
        ("v", -s * np.cos(theta), np.hypot(np.cos(theta) * e_s, s * np.sin(theta) * e_d)),
    ):
        error = np.where(calm, e_s, error)
        part = pairs.drop(columns=["value_b", "error_b"]).assign(
            value=value + 0.0, error=error, variable=name, quantity=name
        )
        part["found"] = [k.name if (k := find(known, name, level)) else "" for level in part["level"]]
        made.append(part[np.isfinite(value) & (part["found"] != "").to_numpy()])
    if not sum(map(len, made)):
        return frame
    account.note(f"{len(made[0])} winds turned from speed and direction into u and v")
    spent = speed.index.union(direction.index)
    alone = int(np.isnan(theta).sum())
    account.leave("wind speeds without a direction", [""] * alone)
    return pd.concat([frame.drop(index=spent), *made], ignore_index=True)


def _humidity(frame, known, account, pressure, temperature) -> pd.DataFrame:
    """Dew point or relative humidity into q, or relative humidity into a dew point.

    A station that reports both has measured one: its relative humidity is left out.
    """
    relative = frame["quantity"] == "rh"
    if relative.any() and (frame["found"][relative] == "").any():
        dew = _same_place(frame, frame[frame["quantity"].isin(("td", "d2m", "q", "q2m"))])["value_b"].notna()
        double = (relative & dew & (frame["found"] == "")).to_numpy()
        account.leave("relative humidities beside a dew point", [""] * int(double.sum()))
        frame = frame[~double]
    moist = frame[frame["quantity"].isin(("td", "d2m", "rh")) & (frame["found"] == "")]
    if not len(moist):
        return frame
    made, spent = [], []
    for kind, rows in moist.groupby("quantity", sort=False):
        target = pd.Series([_target(known, str(kind), level) for level in rows["level"]], index=rows.index)
        rows = rows[target != ""]
        if not len(rows):
            continue
        wanted = target[rows.index].str.split(" ", n=1, expand=True)
        air = _same_place(rows, frame[frame["quantity"].isin(("t2m", "t"))])["value_b"].to_numpy(float)
        air = np.where(np.isfinite(air), air, temperature(rows))
        own = _same_place(rows, frame[frame["quantity"] == "sp"])["value_b"].to_numpy(float)
        level = 100.0 * rows["level"].to_numpy(float)
        p = np.where(np.isfinite(level), level, np.where(np.isfinite(own), own, pressure(rows)))
        value, error = rows["value"].to_numpy(float), rows["error"].to_numpy(float)

        def turn(x, kind=kind, air=air, p=p, wanted=wanted):
            e = np.clip(x, 1e-4, None) * vapour_pressure(air) if kind == "rh" else vapour_pressure(x)
            return np.where(wanted[0] == "q", specific_humidity(e, p), dewpoint(e))

        step = 1e-3 if kind == "rh" else 0.1
        slope = (turn(value + step) - turn(value - step)) / (2 * step)
        part = rows.assign(value=turn(value), error=np.abs(slope) * error, variable=wanted[1], found=wanted[1])
        part["quantity"] = [known[n].quantity for n in wanted[1]]
        fit = np.isfinite(part["value"].to_numpy(float))
        made.append(part[fit])
        spent.extend(rows.index)
        what = "dew points" if kind != "rh" else "relative humidities"
        account.note(f"{int(fit.sum())} {what} turned into {' and '.join(sorted(set(wanted[1])))} (Bolton 1980)")
        account.leave(f"{what} without a pressure or temperature", [""] * int((~fit).sum()))
    return pd.concat([frame.drop(index=spent), *made], ignore_index=True) if made else frame


def _target(known: dict[str, Known], kind: str, level: float) -> str:
    """ "q NAME" or "td NAME" of the state's variable that a humidity becomes; "" if there is none."""
    for what in ("td", "q") if kind == "rh" else ("q",):
        found = find(known, what, level)
        if found is not None and quantity(what):
            return f"{what} {found.name}"
    return ""
