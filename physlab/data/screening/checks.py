"""What observations have to pass before a state believes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from physlab.errors import FieldError, PhysLabError


@dataclass(frozen=True)
class Checks:
    """The rules.

    Attributes
    ----------
    window : hours; observations further from the time of the background are left out. `inf` takes all.
    every : all observations of a station within the window, each with its own error, instead of the nearest in time.
        Their errors then count as independent.
    sigmas : an observation further from the background than so many standard deviations of their difference,
        sqrt(sigma_o^2 + sigma_b^2), is rejected; 0 rejects none.
    lapse : K km-1; temperatures are brought from the height of the station to that of the background's surface by it.
    height : m; stations further above or below the background's surface are left out.
    orography : height of the background's surface (latitude, longitude), m, where the background does not hold it.

    Raises
    ------
    PhysLabError : a number below zero.
    """

    window: float = 1.5
    every: bool = False
    sigmas: float = 5.0
    lapse: float = 6.5
    height: float = 500.0
    orography: xr.DataArray | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("window", "sigmas", "height"):
            value = getattr(self, name)
            if not value >= 0:
                raise PhysLabError(f"{name} of the checks is {value}: pass a number of at least 0")
        if not np.isfinite(self.lapse):
            raise PhysLabError(f"lapse of the checks is {self.lapse}: pass K per km, such as 6.5")


def time_of(background: xr.Dataset) -> np.datetime64 | None:
    """The one time of a background in UTC, None if it says none.

    Raises
    ------
    FieldError : it has a calendar of its own, in which nothing was observed.
    """
    if "time" not in background.coords or background["time"].size != 1:
        return None
    value = background["time"].values.ravel()[0]
    if hasattr(value, "calendar"):
        if value.calendar not in ("standard", "gregorian", "proleptic_gregorian"):
            raise FieldError(
                f"the background's time {value} has the calendar {value.calendar}, observations have that of the "
                "world: "
                "leave their times out, or drop that of the background"
            )
        return np.datetime64(value.isoformat(), "ns")
    if np.asarray(value).dtype.kind != "M" or np.isnat(value):
        return None
    return np.datetime64(value, "ns")
