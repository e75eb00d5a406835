"""Forecasts from the analyses of a cycle: what an analysis is worth shows days later.

    physlab cycle truth-21 cycle-21 --method 3d-var-cycled --days 30 --forecasts 5

The forecast of a cycle goes on past the next analysis, with the same model and without further observations; of several
members their mean is taken as the state that the forecast starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from physlab.errors import PhysLabError

FIELDS, LEVELS = ("z", "t", "u", "v"), (500.0, 850.0)


@dataclass(frozen=True)
class Ahead:
    """Which forecasts are kept.

    Attributes
    ----------
    days : length of each; 0 for none.
    each : every so many analyses starts one.
    """

    days: int = 0
    each: int = 4

    def __post_init__(self) -> None:
        if self.days < 0 or self.each < 1:
            raise PhysLabError(
                f"forecasts of {self.days} days, one for {self.each} analyses: pass 0 or more, and 1 or more"
            )

    def check(self, folder: Path, done: int) -> None:
        """Refuse a cycle that was begun with other forecasts: they start from states of the model, which are not kept.

        Parameters
        ----------
        folder : of the cycle.  done : analyses that are there.

        Raises
        ------
        PhysLabError : analyses without these forecasts.
        """
        if not any(self.due(number) for number in range(done)):
            return
        there = sorted(folder.glob("ahead-*.nc"))
        longest = 0.0
        if there:
            with xr.open_dataset(there[0], decode_timedelta=False) as ds:
                longest = float(ds["lead"].max()) / 24
        if longest != self.days:
            raise PhysLabError(
                f"{folder} has {done} analyses with {f'forecasts of {longest:g} days' if there else 'no forecasts'}, "
                f"asked for are {self.days} days, and the states that they would start from are not kept: choose "
                "another folder"
            )

    def due(self, number: int) -> bool:
        """Whether a forecast starts from an analysis, counted from 0."""
        return self.days > 0 and number % self.each == self.each - 1


NO_FORECASTS = Ahead()


def look_ahead(
    model: Any, seen: Callable[[Any], xr.Dataset], states: Sequence[Any], passed: float, days: int
) -> xr.Dataset:
    """The forecast of a state, or of the mean of several, at the end of each day.

    Parameters
    ----------
    model : what advances a state by hours.
    seen : what a state shows, on pressure levels (hPa).
    states : of the model, `passed` hours after the analysis.

    Returns
    -------
    Dataset of :data:`FIELDS` at those of :data:`LEVELS` that are there, with the dimension `lead` (hours).
    """
    import jax

    state, shown = states[0], []
    if len(states) > 1:
        mean = jax.tree.map(lambda *x: sum(x) / len(x), *(s["dynamics"] for s in states))
        state = {**state, "dynamics": mean}
    for day in range(1, days + 1):
        state = model.advance(state, 24 * day - passed)
        passed = 24.0 * day
        ds = seen(state)
        kept = ds[[name for name in FIELDS if name in ds]]
        kept = kept.sel(level=[level for level in LEVELS if level in ds["level"]])
        shown.append(kept.expand_dims(lead=[np.float64(passed)]))
    made = xr.concat(shown, "lead")
    return made.assign_coords(lead=made["lead"].assign_attrs(long_name="time since the analysis", units="h"))
