"""The window at one moment, also between two hours and between two points: what each method says within a box.

>>> window = Window.open()                              # the truth, and the fields with and without equations
>>> box = window.box(zoom=4, east=-30, north=45)        # a quarter of the window each way
>>> window.field("equations", 100.5, box)["q"]          # as fine as you like: a function has no grid
>>> window.numbers("q", 100.5, "equations", box)        # all that can be said of it

A moment is a number of hours after the first. Where it is whole there is truth, at 33 x 33 points; between two hours
nobody has data, and `truth` is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.benchmark.continuous import (
    GRIDDED,
    HOURS,
    REGULAR,
    VARIABLES,
    given_points,
    interpolate_grid,
    read_continuous,
    thinned,
    window,
)
from physlab.errors import PhysLabError
from physlab.phydl import Domain, PhyDL, gridded_state
from physlab.phydl.domain import grid_points
from physlab.zoo import load_model

FIELDS = ("equations", "no-equations")
POINTS, LAW_POINTS = 97, 33  # each way within a box: of maps, and of residuals, which cost seven times as much
HOUR = 3600.0


@dataclass(frozen=True)
class Box:
    """Limits of longitude and latitude, degrees."""

    west: float
    east: float
    south: float
    north: float

    @classmethod
    def of(cls, domain: Domain, zoom: float = 1.0, east: float | None = None, north: float | None = None) -> Box:
        """One `zoom`-th of a domain each way, around a centre, and moved back where it would leave the domain."""
        if not zoom >= 1:
            raise PhysLabError(f"magnification {zoom}: 1 is the whole window, more is less of it")
        limits = []
        for (low, high), centre in ((domain.x, east), (domain.y, north)):
            half = (high - low) / (2 * zoom)
            centre = 0.5 * (low + high) if centre is None else centre
            if (low, high) == domain.x:  # a longitude may be counted from either side of Greenwich
                middle = 0.5 * (low + high)
                centre = middle + (centre - middle + 180) % 360 - 180
            centre = min(max(centre, low + half), high - half)
            limits += [max(centre - half, low), min(centre + half, high)]
        return cls(*limits)

    def grid(self, time: np.datetime64, points: int = POINTS) -> xr.Dataset:
        """Coordinates of points x points at one time, the first and last on the limits."""
        longitude, latitude = (np.linspace(*limits, points) for limits in ((self.west, self.east), self.latitudes))
        return xr.Dataset(coords={"time": [time], "latitude": latitude, "longitude": longitude})

    @property
    def latitudes(self) -> tuple[float, float]:
        return self.south, self.north

    def holds(self, ds: xr.Dataset) -> np.ndarray:
        """(latitude, longitude) bool: which points of a grid lie within."""
        x, y, slack = ds["longitude"].values, ds["latitude"].values, 1e-9
        rows = (y >= self.south - slack) & (y <= self.north + slack)
        return np.outer(rows, (x >= self.west - slack) & (x <= self.east + slack))


@dataclass(frozen=True, eq=False)
class Window:
    """Truth, given points, interpolation and fields.

    Attributes
    ----------
    ds : the truth (time, latitude, longitude);  fields : name of :data:`FIELDS` -> field.
    results : the benchmark's table.
    """

    ds: xr.Dataset
    fields: Mapping[str, PhyDL]
    results: pd.DataFrame = field(default_factory=read_continuous)

    @classmethod
    def open(cls) -> Window:
        """What ships."""
        return cls(window(), {name: load_model(f"nature-window-{name}-s0") for name in FIELDS})

    @property
    def law(self) -> PhyDL:
        """The field whose coefficients, force and typical tendencies are the law for all."""
        return self.fields["equations"]

    @property
    def last(self) -> int:
        """The last hour."""
        return self.ds.sizes["time"] - 1

    def box(self, zoom: float = 1.0, east: float | None = None, north: float | None = None) -> Box:
        """A box of the window."""
        return Box.of(self.law.domain, zoom, east, north)

    def time(self, hour: float) -> np.datetime64:
        """The moment, to the second."""
        if not 0 <= hour <= self.last:
            raise PhysLabError(f"hour {hour}: the window has 0 to {self.last}, and nothing here extrapolates")
        return self.ds["time"].values[0] + np.timedelta64(round(HOUR * hour), "s")

    # --- maps, SI units -----------------------------------------------------------------------------------------------
    def truth(self, hour: float) -> xr.Dataset | None:
        """All variables at the window's points; None between two hours."""
        self.time(hour)
        return self.ds.isel(time=[int(hour)]) if float(hour).is_integer() else None

    def given(self, hour: float) -> xr.Dataset:
        """The given points of the nearest given hour."""
        self.time(hour)
        return thinned(self.ds).isel(time=[nearest_given(hour) // HOURS])

    def interpolation(self, variable: str, hour: float, box: Box | None = None, points: int = POINTS) -> np.ndarray:
        """(latitude, longitude): the best interpolation of the given points, within a box or at the window's points."""
        grid = self._grid(hour, box, points)
        return interpolate_grid(thinned(self.ds), grid, self.best(variable))[variable].values[0]

    def field(self, name: str, hour: float, box: Box | None = None, points: int = POINTS) -> xr.Dataset:
        """A field at points x points of a box, or at the window's own points."""
        return self.fields[name].downscale(to=self._grid(hour, box, points))

    def _grid(self, hour: float, box: Box | None, points: int) -> xr.Dataset:
        """Coordinates at one time."""
        if box is not None:
            return box.grid(self.time(hour), points)
        return xr.Dataset(coords={d: self.ds[d] for d in ("latitude", "longitude")} | {"time": [self.time(hour)]})

    def residual(self, name: str, hour: float, box: Box, points: int = LAW_POINTS) -> dict[str, np.ndarray]:
        """Equation -> (points, points): residual of a field under the law, relative to the typical tendency."""
        found = under(self.fields[name], self.law).residual_at(self._points(hour, box, points))
        return {v: r.reshape(points, points).numpy() for v, r in found.items()}

    def force(self, variable: str, hour: float, box: Box, points: int = LAW_POINTS) -> np.ndarray:
        """(points, points): the latent force of an equation, unit of the variable per hour."""
        return HOUR * self.law.force_at(self._points(hour, box, points), variable).reshape(points, points).numpy()

    def _points(self, hour: float, box: Box, points: int) -> torch.Tensor:
        grid = self._grid(hour, box, points)
        return grid_points(self.law.domain, *(grid[d].values for d in ("longitude", "latitude", "time")))

    # --- numbers ------------------------------------------------------------------------------------------------------
    def best(self, variable: str) -> str:
        """The interpolation of :data:`physlab.benchmark.continuous.GRIDDED` with the least error in the benchmark."""
        rows = self.results[(self.results["data"] == REGULAR) & self.results["method"].isin(GRIDDED)]
        return str(rows.set_index("method")[f"rmse_{variable}"].idxmin())

    def errors(self, variable: str) -> dict[str, float]:
        """Root mean square error at all points and hours that were not given, by cards and the benchmark's table."""
        rows = self.results[self.results["data"] == REGULAR].set_index("method")
        found = {name: float(model.card["scores"][f"rmse_{variable}"]) for name, model in self.fields.items()}
        return found | {"interpolation": float(rows.loc[self.best(variable), f"rmse_{variable}"])}

    def numbers(self, variable: str, hour: float, name: str, box: Box) -> dict[str, dict[str, float]]:
        """What can be said of a variable at a moment, in the units of :func:`shown`.

        Parameters
        ----------
        name : of the field whose range within the box is wanted.

        Returns
        -------
        "equations", "no-equations", "interpolation", "truth" -> numbers: `rmse` at the points of this hour that were
        not given, `rmse_all` at those of all hours, `ratio` and `ratio_all` to the interpolation; within the box `low`,
        `high` and `mean`, and the root mean squares `residual` (relative to the typical tendency), `rate` (the same per
        hour) and `force` (per hour).
        """
        scale, truth = shown(variable)[0], self.truth(hour)
        found: dict[str, dict[str, float]] = {n: {} for n in (*FIELDS, "interpolation", "truth")}
        if truth is not None:
            held = ~given_points(self.ds)[int(hour)]
            made = {n: self.field(n, hour)[variable].values[0] for n in FIELDS}
            made["interpolation"] = self.interpolation(variable, hour)
            y = truth[variable].values[0]
            for n, x in made.items():
                found[n]["rmse"] = scale * rms((x - y)[held])
            for n in made:
                found[n]["ratio"] = found[n]["rmse"] / found["interpolation"]["rmse"]
            inside = y[box.holds(self.ds)]
            found["truth"] |= extent(scale * inside) if inside.size else {}
        for n, error in self.errors(variable).items():
            found[n] |= {"rmse_all": scale * error, "ratio_all": error / self.errors(variable)["interpolation"]}
        found[name] |= extent(scale * self.field(name, hour, box)[variable].values[0].astype(float))
        found["interpolation"] |= extent(scale * self.interpolation(variable, hour, box))
        if variable in self.law.solution:
            for n in FIELDS:
                residual = rms(self.residual(n, hour, box)[variable])
                found[n] |= {"residual": residual, "rate": scale * HOUR * self.law.tendency[variable] * residual}
            found["equations"]["force"] = scale * rms(self.force(variable, hour, box))
        return found

    def balance(self, points: int = 4096, seed: int = 0) -> dict[str, dict[str, float]]:
        """Equation -> root mean square residual in the whole window and all hours, relative to the typical tendency, of
        both fields (at random points) and of the truth (by finite differences, half-way between its hours)."""
        drawn = self.law.domain.sample(points, torch.Generator().manual_seed(seed))
        made = {n: under(model, self.law).residual_at(drawn) for n, model in self.fields.items()}
        found = {v: {n: rms(r[v].numpy()) for n, r in made.items()} for v in self.law.solution}
        state = gridded_state(self.ds, VARIABLES)
        for equation in self.law.equations:
            v, (coefficients, weights) = equation.variable, self.law.solution[equation.variable]
            parts = state.points.float().split(1 << 14)
            force = torch.cat([self.law.force_at(p, v) for p in parts]) if len(weights) else None
            residual = equation.residual(state, torch.from_numpy(coefficients).double(), force)
            found[v]["truth"] = rms(residual.numpy()) / self.law.tendency[v]
        return found


def under(model: PhyDL, law: PhyDL) -> PhyDL:
    """The same field, judged by the coefficients, the force and the typical tendencies of another."""
    other = model.with_network(model.network)
    other.equations, other.force = law.equations, law.force
    other.solution, other.tendency = dict(law.solution), dict(law.tendency)
    return other


def shown(variable: str) -> tuple[float, str]:
    """Factor from SI units to those in which a variable is read, and their name."""
    names = {"u": "m s⁻¹", "v": "m s⁻¹", "t": "K", "z": "m² s⁻²", "q": "g kg⁻¹", "tcw": "kg m⁻²"}
    return (1e3 if variable == "q" else 1.0), names[variable]


def nearest_given(hour: float) -> int:
    """The given hour that :meth:`Window.given` takes; half-way the later one."""
    return HOURS * int(hour / HOURS + 0.5)


def extent(x: np.ndarray) -> dict[str, float]:
    """Least, largest and mean value."""
    return {"low": float(x.min()), "high": float(x.max()), "mean": float(x.mean())}


def rms(x: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(np.asarray(x, dtype=np.float64)))))
