"""What the Continuous view shows: calls into `physlab.views.window`, remembered under scalar keys.

One store serves all sessions. All methods may be called from worker threads. What a moment costs is the evaluation of
two networks: about 0.1 s for a map of 97 x 97 points, and as much for both residuals at 33 x 33. A field comes with all
its variables, so that another variable of the same moment costs next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from apps.cache import Cache
from apps.globe import moment
from apps.problems import Overtaken, needed, never
from apps.state import Look
from physlab.benchmark.continuous import interpolate_grid, thinned
from physlab.score import radial_spectrum
from physlab.views.window import FIELDS, HOUR, Box, Window, shown, under

Edges = tuple[float, float, float, float]  # west, east, south, north of an image, degrees
SAMPLE = 4096  # random points of the colour limits of residual and force


@dataclass(frozen=True, eq=False)
class Moment:
    """All that one selection shows. Maps have row 0 southernmost, float32, in `units`."""

    look: Look
    time: str
    given_time: str
    whole: bool  # hour, so that there is truth
    units: str
    box: Edges
    maps: dict[str, tuple[np.ndarray, Edges]]  # given, interpolation, continuous, truth, error, law, bare, force
    limits: dict[str, tuple[float, float]]  # field, error, residual, force
    points: tuple[np.ndarray, np.ndarray]  # longitude and latitude of what was given
    wavenumber: np.ndarray
    spectra: dict[str, np.ndarray]  # truth, interpolation, equations, no-equations: of the whole window
    cutoff: float  # largest wavenumber of the given points
    best: str  # interpolation
    numbers: dict[str, dict[str, float]]
    seconds: float


@dataclass(frozen=True, eq=False)
class Laws:
    """What the equations learned: `coefficients` and, for each equation, root mean square residuals of all hours."""

    coefficients: pd.DataFrame
    balance: dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class Remembered(Window):
    """A window that keeps what it has computed."""

    kept: Cache = field(default_factory=lambda: Cache(300))

    def field(self, name, hour, box=None, *points):
        return self.kept.get(("field", name, hour, box), lambda: super(Remembered, self).field(name, hour, box))

    def interpolation(self, variable, hour, box=None, *points):
        make = super().interpolation
        return self.kept.get(("interpolation", variable, hour, box), lambda: make(variable, hour, box))

    def residual(self, name, hour, box, *points):
        make = super().residual
        return self.kept.get(("residual", name, hour, box), lambda: make(name, hour, box))


class Moments:
    """Everything the Continuous view draws."""

    def __init__(self) -> None:
        self._window, self._moments, self._limits, self._laws = Cache(1), Cache(128), Cache(64), Cache(1)

    def window(self) -> Remembered:
        """Truth and fields, opened once."""

        def open_() -> Remembered:
            with needed("The continuous fields are not available"):
                there = Window.open()
            return Remembered(there.ds, there.fields, there.results)

        return self._window.get("window", open_)

    def cached(self, look: Look) -> Moment | None:
        """The moment if it was made before."""
        return self._moments.peek(self.resolve(look))

    def resolve(self, look: Look) -> Look:
        """The whole window has no centre."""
        return replace(look, east=Look.east, north=Look.north) if look.zoom == 1 else look

    def box(self, look: Look) -> Box:
        """What part of the window is shown."""
        return self.window().box(look.zoom, look.east, look.north)

    def moment(self, look: Look, cancelled: Callable[[], bool] = never) -> Moment:
        """Everything that one selection shows.

        Raises
        ------
        Overtaken : `cancelled` said so between two evaluations.
        """
        look = self.resolve(look)
        return self._moments.get(look, lambda: self._make(look, cancelled))

    def _make(self, look: Look, cancelled: Callable[[], bool]) -> Moment:
        start = time.perf_counter()
        window, box, v, hour = self.window(), self.box(look), look.variable, look.moment
        scale, units = shown(v)
        at = {}
        for n in FIELDS:  # the dear ones, one by one, so that a dragged slider stops them
            at[n] = window.field(n, hour)[v].values[0]
            if v in window.law.solution:
                window.residual(n, hour, box)
            if cancelled():
                raise Overtaken
        truth, given = window.truth(hour), window.given(hour)
        spectra = {**at, "interpolation": window.interpolation(v, hour)}
        fine, own = _edges(box.grid(window.time(hour))), _edges(window.ds)
        maps = {
            "given": (scale * given[v].values[0], _edges(given)),
            "interpolation": (scale * window.interpolation(v, hour, box), fine),
            "continuous": (scale * window.field(look.field, hour, box)[v].values[0], fine),
        }
        if truth is not None:
            y = truth[v].values[0]
            spectra["truth"] = y
            maps |= {"truth": (scale * y, own), "error": (scale * (at[look.field] - y), own)}
        if v in window.law.solution:
            law = [window.residual(n, hour, box)[v] for n in FIELDS]
            force = scale * window.force(v, hour, box)
            coarse = _edges(box.grid(window.time(hour), len(force)))
            maps |= {"law": (law[0], coarse), "bare": (law[1], coarse), "force": (force, coarse)}
        power = {n: radial_spectrum(torch.as_tensor(scale * y), window="hann") for n, y in spectra.items()}
        longitude, latitude = np.meshgrid(given.longitude.values, given.latitude.values)
        return Moment(
            look=look,
            time=moment(window.time(hour)),
            given_time=moment(given.time.values[0]),
            whole=truth is not None,
            units=units,
            box=(box.west, box.east, box.south, box.north),
            maps={name: (np.asarray(y, dtype=np.float32), edges) for name, (y, edges) in maps.items()},
            limits=self.limits(v, box),
            points=(longitude.ravel(), latitude.ravel()),
            wavenumber=power["equations"][0].numpy().astype(float),
            spectra={n: p.numpy() for n, (_, p) in power.items()},
            cutoff=given.sizes["longitude"] // 2,
            best=window.best(v),
            numbers=window.numbers(v, hour, look.field, box),
            seconds=time.perf_counter() - start,
        )

    def limits(self, variable: str, box: Box) -> dict[str, tuple[float, float]]:
        """Colour limits of a variable in a box, the same for all hours and both fields.

        Field: the central 99.8 % of the truth in the box, symmetric for winds. Error: 99.5 % of the size of those of
        interpolation. Residual: 95 % of the size of those of the field without equations. Force: 99.5 % of its size.
        """
        return self._limits.get((variable, box), lambda: self._make_limits(variable, box))

    def _make_limits(self, variable: str, box: Box) -> dict[str, tuple[float, float]]:
        window, (scale, _) = self.window(), shown(variable)
        inside = box.holds(window.ds)
        low, high = np.quantile(scale * window.ds[variable].values[:, inside], [0.001, 0.999])
        if variable in "uv":
            low, high = -max(-low, high), max(-low, high)
        sizes = {"error": 0.995, "residual": 0.95, "force": 0.995}
        reach = {n: float(np.quantile(scale * np.abs(self._sample(n, variable, box)), q)) for n, q in sizes.items()}
        reach["residual"] /= scale  # relative
        return {"field": (float(low), float(high)), **{n: (-x, x) if x > 0 else (-1.0, 1.0) for n, x in reach.items()}}

    def _sample(self, name: str, variable: str, box: Box) -> np.ndarray:
        """Errors of interpolation in the box at every fifth hour; residuals and force at random points and times."""
        window = self.window()
        if name == "error":
            return self._limits.get(("error", variable), lambda: _misses(window, variable))[:, box.holds(window.ds)]
        if variable not in window.law.solution:
            return np.zeros(1)
        points = window.law.domain.sample(SAMPLE, torch.Generator().manual_seed(0))
        if name == "force":
            return HOUR * window.law.force_at(points, variable).numpy()
        bare = under(window.fields["no-equations"], window.law)
        return self._limits.get("residual", lambda: bare.residual_at(points))[variable].numpy()

    def laws(self, *_) -> Laws:
        """Coefficients with their intervals, and who obeys: seconds, once."""

        def make() -> Laws:
            window = self.window()
            return Laws(window.law.coefficients(), window.balance())

        return self._laws.get("laws", make)

    def cached_laws(self) -> Laws | None:
        """The same if it was made before."""
        return self._laws.peek("laws")

    def card(self, name: str) -> dict[str, Any]:
        """The card of a field."""
        return dict(self.window().fields[name].card)


def _misses(window: Window, variable: str) -> np.ndarray:
    """(hours, latitude, longitude): errors of interpolation at every fifth hour, SI units."""
    some = window.ds.isel(time=slice(None, None, 5))
    made = interpolate_grid(thinned(window.ds), some, window.best(variable))
    return (made[variable] - some[variable]).values


def _edges(ds) -> Edges:
    """Of an image with a pixel around each point."""

    def ends(x: np.ndarray) -> tuple[float, float]:
        half = (x[-1] - x[0]) / (len(x) - 1) / 2
        return float(x[0] - half), float(x[-1] + half)

    return (*ends(ds["longitude"].values), *ends(ds["latitude"].values))
