r"""PhyDL-NWP: the weather as one continuous function that obeys equations which it learns (Luo et al. 2025).

>>> model = PhyDL.of(coarse)                        # a Dataset (time, latitude, longitude) of several variables
>>> model.fit(coarse)
>>> fine = model.downscale(coarse, to=fine_grid)    # any longitude, latitude and time within the box
>>> model.coefficients()                            # with intervals, units and what theory expects

The field has no resolution: it is evaluated wherever it is asked. What it knows between the data points comes from its
own smoothness and from the equations, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid
from physlab.nn.coordinate import CoordinateNetwork
from physlab.phydl.background import DEGREES, basis, fit_background
from physlab.phydl.continuous import ContinuousField, frequencies
from physlab.phydl.domain import Domain, grid_points, seconds_of
from physlab.phydl.fit import FitReport, FitSettings, fit, relative_residuals, solve
from physlab.phydl.force import SmoothForce
from physlab.phydl.identify import coefficient_table, holdout
from physlab.phydl.library import Equation, atmosphere
from physlab.store import open_checkpoint, reading, refuse_sizes, write_checkpoint

PRESSURE = 7e4


class PhyDL(ContinuousField):
    """A continuous field that is fitted to data and equations, evaluated on grids, and kept in a folder.

    Attributes
    ----------
    pressure : Pa, of the level, which the saturation of humidity depends on.
    """

    pressure = PRESSURE

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        variables: Sequence[str] | None = None,
        equations: Sequence[Equation] | None = None,
        force: SmoothForce | None = None,
        network: Mapping | None = None,
        seed: int = 0,
        plane: bool = False,
    ) -> PhyDL:
        """For the box and the variables of a Dataset; None takes all variables, and the equations that fit them."""
        variables = tuple(map(str, ds.data_vars)) if variables is None else tuple(variables)
        missing = [v for v in variables if v not in ds]
        if missing:
            raise FieldError(f"no variable {', '.join(missing)}: the data hold {', '.join(map(str, ds.data_vars))}")
        domain = Domain.of(ds, plane)
        names = ("x", "y") if plane else ("longitude", "latitude")
        points = grid_points(domain, ds[names[0]].values, ds[names[1]].values, ds["time"].values)
        if equations is None:
            pressure = float(ds.attrs.get("pressure", PRESSURE))
            equations = () if plane else atmosphere(variables, pressure)
        values = torch.from_numpy(_values(ds, variables))
        model = cls.at_points(variables, domain, points, values, equations, force, network, seed)
        model.attributes = {v: {k: str(x) for k, x in ds[v].attrs.items()} for v in variables}
        model.pressure = float(ds.attrs.get("pressure", PRESSURE))
        return model

    @classmethod
    def at_points(
        cls,
        variables: Sequence[str],
        domain: Domain,
        points: Tensor,
        values: Tensor,
        equations=(),
        force=None,
        network=None,
        seed: int = 0,
        flat: bool = False,
    ) -> PhyDL:
        """For scattered data, (N, 3) points and (N, V) values; `flat` takes the mean as base state."""
        degrees = (0, 0, 0) if flat else DEGREES
        z = domain.scaled(points)
        background = fit_background(z, values, degrees)
        network = {"omega": frequencies(len(points)), **(network or {})}
        left = (values.double() - basis(z.double(), degrees).value @ background).numpy()
        return cls(variables, domain, background, torch.from_numpy(np.nanstd(left, 0)), equations, force, network, seed)

    # --- learning -----------------------------------------------------------------------------------------------------
    def fit(
        self,
        coarse: xr.Dataset | tuple[Tensor, Tensor],
        settings: FitSettings | None = None,
        seed: int = 0,
        state: str | Path | None = None,
        progress: bool = False,
        **options,
    ) -> FitReport:
        """Fit to a Dataset, or to (N, 3) points and (N, V) values; options as in :func:`physlab.phydl.fit.fit`."""
        settings = settings or FitSettings()
        points, values = coarse if isinstance(coarse, tuple) else self.data(coarse)
        report = fit(self, points, values, settings, seed, state, progress, **options)
        took = {key: getattr(report, key) for key in ("steps", "wall_time_s", "history")}
        self.card |= {"settings": asdict(settings), "seed": seed, "points": len(points), "training": took}
        return report

    def data(self, ds: xr.Dataset) -> tuple[Tensor, Tensor]:
        """Points and values of a Dataset on a grid."""
        x, y = ("x", "y") if self.domain.plane else ("longitude", "latitude")
        points = grid_points(self.domain, ds[x].values, ds[y].values, ds["time"].values)
        return points, torch.from_numpy(_values(ds, self.variables))

    # --- use ----------------------------------------------------------------------------------------------------------
    def downscale(
        self, coarse: xr.Dataset | None = None, to: Grid | xr.Dataset | None = None, time: np.ndarray | None = None
    ) -> xr.Dataset:
        """The field on a grid.

        Parameters
        ----------
        coarse : what was fitted; a field that has not been fitted yet is fitted to it first.
        to : grid or Dataset whose coordinates are wanted; None for those of `coarse`.
        time : wanted times (datetime64, or seconds after the start); None for those of `to` or `coarse`.

        Raises
        ------
        PhysLabError : neither fitted nor data given, or points outside the box of place and time.
        """
        if not self.card:
            if coarse is None:
                raise PhysLabError("this field has not been fitted: pass the coarse data, or call fit first")
            self.fit(coarse)
        names = ("x", "y") if self.domain.plane else ("longitude", "latitude")
        source = coarse if to is None else to
        if source is None:
            raise PhysLabError("pass the grid to evaluate on, or the coarse data")
        x, y = (source.longitude, source.latitude) if isinstance(source, Grid) else (source[n].values for n in names)
        if time is None:
            dated = next((d for d in (to, coarse) if isinstance(d, xr.Dataset) and "time" in d.coords), None)
            if dated is None:
                raise PhysLabError("pass time: neither the grid nor the data have one")
            time = np.atleast_1d(dated["time"].values)
        x, y, time = np.asarray(x, float), np.asarray(y, float), np.atleast_1d(np.asarray(time))
        seconds, _ = seconds_of(time, self.domain.start)
        for label, values, (low, high) in zip((*names, "time"), (x, y, seconds), self.domain.limits, strict=True):
            slack = 1e-6 * (high - low)
            if values.min() < low - slack or values.max() > high + slack:
                raise FieldError(
                    f"{label} {values.min():g} to {values.max():g} is asked, the field knows {low:g} to {high:g}: "
                    "it does not extrapolate"
                )
        values = self.evaluate(grid_points(self.domain, x, y, time)).reshape(len(time), len(y), len(x), -1).numpy()
        fields = {
            name: (("time", names[1], names[0]), values[..., at], self.attributes.get(name, {}))
            for at, name in enumerate(self.variables)
        }
        title = {"title": f"continuous field ({self.network.__class__.__name__}, PhyDL-NWP)"}
        return xr.Dataset(fields, {"time": time, names[1]: y, names[0]: x}, title)

    def coefficients(self, points: int = 16384, draws: int = 300, seed: int = 0) -> pd.DataFrame:
        """Each term: coefficient, interval (95 %, block bootstrap), unit, share of the tendency, expected value."""
        normals = solve(self.with_network(self.network), points, seed + 7)
        return pd.concat([coefficient_table(n, draws=draws, seed=seed) for n in normals.values()], ignore_index=True)

    def hold_out(self, points: int = 16384, seed: int = 0) -> pd.DataFrame:
        """Unexplained part of each tendency in blocks that were used for coefficients and force, and in others."""
        normals = solve(self.with_network(self.network), points, seed + 7)
        return pd.DataFrame({name: holdout(n, seed) for name, n in normals.items()}).T

    def force_at(self, points: Tensor, variable: str) -> Tensor:
        """(N,) latent force of an equation, unit of the variable per second (or per second squared)."""
        weights = self._solved(variable)[1]
        basis = self.force.basis(points.float(), self.domain)
        if not len(weights):
            return torch.zeros(len(points))
        return basis @ torch.from_numpy(weights).float() * self.tendency[variable]

    def residual_at(self, points: Tensor) -> dict[str, Tensor]:
        """Equation -> (N,) residual relative to the root mean square of its tendency."""
        with torch.no_grad():
            there = (p.to(self.std.device) for p in points.float().split(4096))
            parts = torch.cat([relative_residuals(self, p) for p in there]).to(points.device)
        return {e.variable: parts[:, at] for at, e in enumerate(self.equations)}

    def _solved(self, variable: str) -> tuple[np.ndarray, np.ndarray]:
        if variable not in self.solution:
            raise PhysLabError(f"no solved equation of {variable!r}: there are {', '.join(self.solution) or 'none'}")
        return self.solution[variable]

    # --- files --------------------------------------------------------------------------------------------------------
    def save(self, folder: str | Path, half: bool = False) -> Path:
        """Write weights and card; `half` rounds the weights to float16."""
        folder = Path(folder)
        tensors = {f"network.{k}": v.half() if half else v for k, v in self.network.state_dict().items()}
        tensors["background"] = self.background
        for name, (coefficients, weights) in self.solution.items():
            tensors[f"coefficients.{name}"] = torch.from_numpy(coefficients.copy())
            tensors[f"force.{name}"] = torch.from_numpy(weights.copy())
        card = {
            "class": "PhyDL", "variables": self.variables, "domain": asdict(self.domain),
            "std": self.std.tolist(), "force": asdict(self.force), "network": self.arguments,
            "tendency": self.tendency, "attributes": self.attributes,
            **({"pressure": self.pressure} if self.pressure != PRESSURE else {}),
            "equations": {e.variable: {"terms": e.names, "order": e.order, "known": dict(e.known)}
                          for e in self.equations},
            "parameters": sum(p.numel() for p in self.network.parameters()), **self.card,
        }  # fmt: skip
        return write_checkpoint(folder, card, tensors)

    @classmethod
    def load(cls, folder: str | Path, equations: Sequence[Equation] | None = None) -> PhyDL:
        """A fitted field.

        Parameters
        ----------
        equations : those that it was fitted with; None takes those of :func:`physlab.phydl.library.atmosphere`.

        Raises
        ------
        CheckpointError : missing or damaged files, or equations that differ from those on the card.
        """
        with reading("continuous field", folder, "fit"):
            found = open_checkpoint(folder)
            card = dict(found.card)
            if card["class"] != cls.__name__:
                raise ValueError(f"the card names class {card['class']!r}")
            box = card.pop("domain")
            domain = Domain(tuple(box["x"]), tuple(box["y"]), tuple(box["t"]), box["start"], box["plane"])
            variables, told = tuple(card.pop("variables")), card.pop("equations")
            pressure = float(card.pop("pressure", PRESSURE))
            equations = atmosphere(variables, pressure) if equations is None else equations
            equations = [replace(e, known=told[e.variable]["known"]) for e in equations if e.variable in told]
            known = {e.variable: list(e.names) for e in equations}
            if known != {name: entry["terms"] for name, entry in told.items()}:
                raise ValueError(f"the card has the equations {told}, these are {found}")
            arguments = card.pop("network")
            arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
            layers = sorted(k for k in found.shapes if k.startswith("network.layers.") and k.endswith(".weight"))
            if len(layers) != arguments["depth"] + 1 or found.shapes[layers[0]][0] != arguments["width"]:
                raise ValueError(f"the card names {arguments['depth']} x {arguments['width']} units, the file differs")
            refuse_sizes(arguments)
            with torch.device("meta"):
                outline = CoordinateNetwork(len(variables), **arguments).state_dict()
            others = {k: v for k, v in found.shapes.items() if not k.startswith("network.")}
            found.require(others | {f"network.{k}": tuple(v.shape) for k, v in outline.items()})
            tensors = found.tensors()
            force = card.pop("force")
            model = cls(
                variables, domain, tensors["background"], torch.tensor(card.pop("std")), equations,
                SmoothForce(tuple(force["modes"]), force["penalty"]), arguments,
            )  # fmt: skip
            weights = {k[len("network.") :]: v.float() for k, v in tensors.items() if k.startswith("network.")}
            model.network.load_state_dict(weights)
            model.solution = {
                e.variable: (tensors[f"coefficients.{e.variable}"].numpy(), tensors[f"force.{e.variable}"].numpy())
                for e in equations if f"coefficients.{e.variable}" in tensors
            }  # fmt: skip
            model.tendency, model.attributes = card.pop("tendency"), card.pop("attributes")
            model.card, model.pressure = card, pressure
        return model


def _values(ds: xr.Dataset, variables: Sequence[str]) -> np.ndarray:
    """(T * H * W, V) float32, in the order of :func:`physlab.phydl.domain.grid_points`."""
    first = ds[variables[0]]
    if first.ndim != 3 or first.dims[0] != "time":
        raise FieldError(f"{variables[0]} has dimensions {first.dims}: pass (time, latitude, longitude) on one level")
    return np.stack([ds[v].transpose(*first.dims).values.ravel() for v in variables], axis=-1).astype(np.float32)
