"""Pressure at the station and reduced to sea level, told apart by the state that they are compared with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from physlab.data.screening import when
from physlab.data.screening.heights import standard_temperature, to_height
from physlab.data.stations.account import Account
from physlab.errors import FieldError

APART = 0.025
"""Share of the pressure by which surface and sea level must differ before a value can tell which of both it is."""


def height_of_pressure(p: np.ndarray) -> np.ndarray:
    """m, of a pressure in Pa in the ICAO standard atmosphere."""
    with np.errstate(invalid="ignore"):
        return (1 - (np.asarray(p, dtype=float) / 101325.0) ** 0.190263) / 2.25577e-5


def mistaken(
    frame: pd.DataFrame, rows: np.ndarray, state: np.ndarray, is_sea: bool, surface: np.ndarray, lapse: float,
    account: Account,
) -> np.ndarray:  # fmt: skip
    """Rows whose pressure is of the other kind than its name says.

    Parameters
    ----------
    rows : those of a pressure at the station (or, with `is_sea`, at sea level), compared with the same of the state.
    state : its value at all rows, in the unit of the observations.  is_sea : both are at sea level.
    surface : m, of the state, NaN where it is not known.

    Raises
    ------
    FieldError : all that can be told are of the other kind.
    """
    own, z = state.copy(), frame["elevation"].to_numpy(float)
    scale = 1.0 if not rows.any() or np.nanmedian(own[rows]) > 2000 else 100.0
    if is_sea:
        ground = np.where(np.isfinite(z), z, surface)
        other = to_height(own, np.zeros(len(own)), ground, standard_temperature(np.zeros(len(own))), lapse)
    else:
        ground = np.where(np.isfinite(surface), surface, height_of_pressure(own * scale))
        other = to_height(own, ground, np.zeros(len(own)), standard_temperature(ground), lapse)
        height = np.where(np.isfinite(z), z, ground)
        own = to_height(own, ground, height, standard_temperature(ground), lapse)
    value = frame["value"].to_numpy(float)
    with np.errstate(invalid="ignore"):
        can_tell = rows & (np.abs(other - own) > APART * own)
        wrong = can_tell & (np.abs(value - other) < 0.5 * np.abs(value - own))
    if wrong.any() and wrong.sum() == can_tell.sum():
        at = int(wrong.argmax())
        here = when.where(frame, np.arange(len(frame)) == at)[0]
        said, is_, name = ("reduced to sea level", "measured at the station", "sp") if is_sea else (
            "measured at the station", "reduced to sea level", "msl")  # fmt: skip
        raise FieldError(
            f"{account.name}, {here}: the pressure {value[at]:g} is said to be {said}, where the background has "
            f"{own[at]:.0f}, and looks {is_} ({other[at]:.0f}): call it {name}, as in --columns YOURS={name}"
        )
    kind = "look measured at the station" if is_sea else "look reduced to sea level"
    account.leave(f"of pressures that {kind}", when.where(frame, wrong))
    return wrong
