"""Assimilation of your own fields: a background and a table of observations as Datasets, an analysis as Dataset.

>>> background = physlab.open_dataset("era5-ensemble").isel(time=0)       # members
>>> stations = physlab.data.read_stations("stations.csv", variable="t", level=850)
>>> analysis = FieldAssimilator("letkf", radius=1.2e6).analyse(background, stations)

The core works on vectors; here are the two doors to it, and the choices that a field needs: how far an observation
reaches, and, where there are no members, how large background errors are and over which distance they are alike.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr

from physlab.assimilate.base import Method
from physlab.assimilate.checking import Checked
from physlab.assimilate.enkf import EnKF
from physlab.assimilate.etkf import ETKF
from physlab.assimilate.gridded import GriddedOI
from physlab.assimilate.instruments import Instrument, with_seen
from physlab.assimilate.letkf import LETKF
from physlab.assimilate.localisation import gaspari_cohn, grid_points, sphere_distance
from physlab.assimilate.nearby import Nearby
from physlab.assimilate.optimal import OptimalInterpolation
from physlab.data.observe import Interpolation, checked, fields_of
from physlab.data.screening import Checks, background_check, screen, set_aside, time_of, variables
from physlab.data.stations.account import Account
from physlab.errors import Cancelled, FieldError, PhysLabError
from physlab.fields import to_tensor
from physlab.grid import Grid
from physlab.registry import Cancel, Progress, Registered, Spec, check_options, register, unknown

LARGEST = 6000  # numbers of a state whose covariance is written down
DENSE = 2**22  # weights of points and observations that are written down at once, 32 MiB
STALE = ("valid_range", "valid_min", "valid_max", "actual_range", "missing_value", "_FillValue", "scale_factor",
         "add_offset", "_Unsigned", "least_significant_digit")  # fmt: skip
"""Attributes that speak of the numbers of the background, not of the analysis."""


@dataclass(frozen=True)
class FieldMethod(Checked):
    """Base of the methods that correct your own fields; made by name with :func:`FieldAssimilator`.

    A method is a frozen dataclass of its own options, entered by :func:`physlab.registry.register`; it implements
    :meth:`core`.

    Raises
    ------
    PhysLabError : a value beyond its bounds.
    """

    registry: ClassVar[str] = "methods"
    entry: ClassVar[Spec]
    name: ClassVar[str] = ""
    ensemble: ClassVar[bool] = True
    instruments: ClassVar[Mapping[str, Instrument]] = {}

    def __post_init__(self) -> None:
        check_options(type(self), {field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @property
    def spec(self) -> Spec:
        """What the method takes and gives."""
        return self.entry

    def core(self, one: xr.Dataset, see: Interpolation) -> Method:
        """The method of the classical core for a state and what is observed of it."""
        raise NotImplementedError(f"{type(self).__name__} is a base: use FieldAssimilator('letkf')")

    def spread(self, seen: torch.Tensor, found: xr.Dataset) -> np.ndarray:
        """Standard deviation of the background's errors at the observations, (m,), of what it shows there, ([N,] m)."""
        return getattr(self, "inflation", 1.0) * seen.std(0).numpy()

    def with_instruments(self, **instruments: Instrument | str) -> FieldMethod:
        """The same method for observations of other kinds, name of the observed quantity -> instrument or its text.

        >>> FieldAssimilator("letkf").with_instruments(tcw="column:q", t_sounder="layer:t:500-300:100km")

        Raises
        ------
        PhysLabError : a method without members, whose covariance knows nothing of them.
        """
        if not self.ensemble:
            raise PhysLabError(f"{self.name} has no covariance of what instruments see with the state: use letkf")
        made = copy.copy(self)
        made.__dict__["instruments"] = {
            name: Instrument.named(one) if isinstance(one, str) else one for name, one in instruments.items()
        }
        return made

    def analyse(
        self,
        background: xr.Dataset,
        observations: xr.Dataset,
        *,
        members: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> xr.Dataset:
        """The background, corrected.

        Parameters
        ----------
        background : ([member,] [level,] latitude, longitude), one time; the variables share their grid. Height of the
            surface and masks are not analysed; they come out as they went in.
        observations : a table as from :mod:`physlab.data.observe`; missing values are left out, doubles merged. They
            have to keep the rules of `checks` (:meth:`with_checks` chooses others).
        members : None, or as many as the background has: a classical method corrects those that it is given.
        seed : of perturbed observations (enkf).
        progress, cancel : see :mod:`physlab.assimilate.learned`; asked and told between neighbourhoods of points
        (letkf on
            a large grid), else a classical analysis is one step.

        Returns
        -------
        Dataset like the background (floating-point numbers), its attributes naming method, observations and settings,
        what was left out and what was rejected. Without any observation it is the background.

        Raises
        ------
        FieldError : several times, members that the method does not take or lacks, missing values in the background;
            observations none of which belongs to the background, or whose unit is not said and cannot be its unit.
        PhysLabError : observation errors that are not above 0, oi without the errors of the background, or another
            number of members than the background has; an analysis that is not finite.
        """
        if background.sizes.get("time", 1) != 1:
            raise FieldError(f"background has {background.sizes['time']} times: select one, e.g. with .isel(time=0)")
        if "member" in background.dims and not self.ensemble:
            raise FieldError(
                f"{self.name} takes one state and the background has members: use letkf, or .mean('member')"
            )
        if "member" not in background.dims and self.ensemble:
            raise FieldError(f"{self.name} needs an ensemble (dimension member): pass one, or use oi")
        there = background.sizes.get("member", 1)
        if members not in (None, there):
            raise PhysLabError(
                f"{members} members of {self.name}: it corrects the {there} of the background; leave it out"
            )
        if cancel is not None and cancel():
            raise Cancelled(f"{self.name} was cancelled before its only step")
        background, fixed = set_aside(background)
        background = with_seen(background, self.instruments)
        state = background.squeeze("time", drop=True) if "time" in background.dims else background
        one = state.isel(member=0, drop=True) if "member" in state.dims else state
        time = time_of(background)
        found, account = screen(observations, one, time, self.checks, fixed)
        counted = found.attrs
        found = checked(found, one)
        x = to_tensor(state, dtype=torch.float64)[..., 0, :, :, :]  # ([member,] channel, H, W)
        shape, vector = x.shape, x.flatten(-3)
        if found.sizes["observation"]:
            seen = Interpolation(found, one)(vector)
            mean = seen.mean(0) if "member" in state.dims else seen
            spread = self.spread(seen, found)
            before = found.attrs
            keep = background_check(found, mean.numpy(), spread, self.checks.sigmas, account, variables(one))
            found = found.isel(observation=np.flatnonzero(keep)).assign_attrs(before)
        counts = {k: counted[k] + found.attrs[k] for k in ("missing", "merged")}
        y, error = (torch.tensor(found[k].values, dtype=torch.float64) for k in ("value", "error"))
        if len(y):
            see = Interpolation(found, one)
            generator = torch.Generator().manual_seed(seed)
            method = self._watched(self.core(one, see), progress, cancel)
            vector = method.analyse(vector, y, see, error**2, generator)
            self._finite(vector, y)
        made = channels_to_dataset(vector.reshape(shape), background).drop_vars(list(self.instruments))
        if progress is not None:
            progress(1, 1)
        note = f"{self.name}, {len(y)} observations ({', '.join(f'{counts[k]} {k}' for k in counts)})"
        told = provenance(note, len(y), account, time, self.checks, self.settings(), background.attrs)
        return made.assign({str(n): da for n, da in fixed.data_vars.items()}).assign_attrs(told)

    def _watched(self, method: Method, progress: Progress | None, cancel: Cancel | None) -> Method:
        """The method of the core, telling how far it is, where it can."""
        if not any(field.name == "watch" for field in dataclasses.fields(method)):
            return method

        def watch(done: int, total: int) -> None:
            if cancel is not None and cancel():
                raise Cancelled(f"{self.name} was cancelled after {done} of {total} points")
            if progress is not None:
                progress(done, total)

        return dataclasses.replace(method, watch=watch)  # type: ignore[call-arg]

    def _finite(self, vector: torch.Tensor, y: torch.Tensor) -> None:
        """Raise if an analysis holds what no weather is."""
        if not bool(torch.isfinite(vector).all()):
            raise PhysLabError(
                f"the analysis of {self.name} is not finite: an observation of {float(y[y.abs().argmax()]):g} is "
                "too large, leave "
                "it out, or let the background check reject it"
            )

    def settings(self) -> dict[str, float | str]:
        """The options as attributes of a file: radius_m in metres, errors as NAME=VALUE."""
        made: dict[str, float | str] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Mapping):
                made[f"{field.name}s"] = " ".join(f"{k}={v:g}" for k, v in value.items())
            else:
                made["radius_m" if field.name == "radius" else field.name] = value
        return made


@register(
    "letkf",
    title="LETKF",
    kind="field assimilation",
    order=1,
    ensemble=True,
    reference="Hunt et al. (2007)",
    bounds={"radius": (0, None), "inflation": (1, None)},
)
@dataclass(frozen=True)
class FieldLETKF(FieldMethod):
    """Local ensemble transform Kalman filter: each point takes the observations near it.

    Attributes
    ----------
    radius : m; the weight of an observation is zero from twice this distance on.
    inflation : of the members' spread before the analysis, at least 1.
    """

    radius: float = 1.0e6
    inflation: float = 1.0

    def core(self, one: xr.Dataset, see: Interpolation) -> Method:
        near = Nearby(_points(one), see.place, self.radius)
        if near.shape[0] * near.shape[1] > DENSE:
            return LETKF(inflation=self.inflation, taper=near)
        taper = gaspari_cohn(sphere_distance(near.points, near.places), self.radius)
        return LETKF(inflation=self.inflation, taper=taper)


@register(
    "etkf",
    title="ETKF",
    kind="field assimilation",
    order=2,
    ensemble=True,
    reference="Bishop et al. (2001)",
    bounds={"inflation": (1, None)},
)
@dataclass(frozen=True)
class FieldETKF(FieldMethod):
    """Ensemble transform Kalman filter: every observation corrects every point.

    Attributes
    ----------
    inflation : of the members' spread before the analysis, at least 1.
    """

    inflation: float = 1.0

    def core(self, one: xr.Dataset, see: Interpolation) -> Method:
        return ETKF(inflation=self.inflation)


@register(
    "enkf",
    title="EnKF with perturbed observations",
    kind="field assimilation",
    order=3,
    ensemble=True,
    reference="Burgers et al. (1998)",
    bounds={"inflation": (1, None)},
)
@dataclass(frozen=True)
class FieldEnKF(FieldMethod):
    """Ensemble Kalman filter: each member is corrected by observations with noise of their error.

    Attributes
    ----------
    inflation : of the members' spread before the analysis, at least 1.
    """

    inflation: float = 1.0

    def core(self, one: xr.Dataset, see: Interpolation) -> Method:
        return EnKF(inflation=self.inflation)


@register(
    "oi",
    title="Optimal interpolation",
    kind="field assimilation",
    order=4,
    reference="Gandin (1963)",
    bounds={"radius": (0, None)},
)
@dataclass(frozen=True)
class FieldOI(FieldMethod):
    """Optimal interpolation of one state, with errors of the background that are given.

    Attributes
    ----------
    radius : m; errors of the background are uncorrelated from twice this distance on.
    error : standard deviation of the background errors of each variable, in its unit.
    """

    ensemble: ClassVar[bool] = False
    radius: float = 1.0e6
    error: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def spread(self, seen: torch.Tensor, found: xr.Dataset) -> np.ndarray:
        self._asked(dict.fromkeys(map(str, found["variable"].values)))
        return np.array([self.error[str(name)] for name in found["variable"].values], dtype=float)

    def _asked(self, names: Iterable[str]) -> None:
        """Raise if the background error of a variable is not given, or none."""
        missing = [name for name in names if name not in self.error]
        if missing:
            raise PhysLabError(f"oi needs the background error of {', '.join(missing)}: pass error={{name: std}}")
        wrong = [name for name in names if not (np.isfinite(self.error[name]) and self.error[name] > 0)]
        if wrong:
            raise PhysLabError(f"the background error of {wrong[0]} is {self.error[wrong[0]]}: pass one above 0")

    def core(self, one: xr.Dataset, see: Interpolation) -> Method:
        names = [name for name, _ in fields_of(one)]
        self._asked(list(dict.fromkeys(names)))
        points = _points(one)
        size = len(points) * len(names)
        if size > LARGEST:
            return GriddedOI(points, torch.tensor([self.error[name] for name in names]).double(), self.radius)
        alike = gaspari_cohn(sphere_distance(points, points), self.radius)
        return OptimalInterpolation(torch.block_diag(*(self.error[name] ** 2 * alike for name in names)))


def FieldAssimilator(method: str = "letkf", **options: Any) -> FieldMethod:
    """A method for your own fields by name.

    Parameters
    ----------
    method : "letkf", "etkf", "enkf" for a background with members, "oi" for one without, or another that is registered.
    options : of that method, such as `radius` (m) and `inflation`.

    Raises
    ------
    PhysLabError : unknown name, an option that the method does not have, or a value beyond its bounds.
    """
    if method not in FIELD_METHODS:
        raise PhysLabError(unknown("method", method, FIELD_METHODS))
    chosen = FIELD_METHODS[method]
    check_options(chosen, options)
    return chosen(**options)


#: Name -> class of the methods for your own fields.
FIELD_METHODS: Registered[type[FieldMethod]] = Registered("methods", lambda s: s.kind == "field assimilation")


def _points(one: xr.Dataset) -> torch.Tensor:
    """(H * W, 2) latitude and longitude."""
    grid = Grid.from_dataset(one)
    return grid_points(grid.latitude, grid.longitude)


def channels_to_dataset(x: torch.Tensor, like: xr.Dataset) -> xr.Dataset:
    """Channels ([member,] C, H, W), in the order of :func:`physlab.fields.to_tensor`, back to variables.

    Each gets the dimensions, attributes and dtype that it has in `like`, whose members may be more or fewer; whole
    numbers become floating-point ones, and attributes that speak of the numbers of `like` go.
    """
    out, at = {}, 0
    lead = ("member",) if x.ndim == 4 else ()
    for name, da in like.data_vars.items():
        levels = da.sizes.get("level", 0)
        part = x[..., at : at + max(levels, 1), :, :]
        part = part if levels else part[..., 0, :, :]
        at += max(levels, 1)
        dims = (*lead, *(("level",) if levels else ()), "latitude", "longitude")
        dtype = da.dtype if da.dtype.kind == "f" else np.dtype("f4" if da.dtype.itemsize <= 2 else "f8")
        attrs = {k: v for k, v in da.attrs.items() if k not in STALE}
        made = xr.DataArray(part.numpy().astype(dtype), dims=dims, attrs=attrs)
        made = made.expand_dims("time") if "time" in da.dims else made
        out[name] = made.transpose(*(da.dims if "member" in da.dims else (*lead, *da.dims)))
    return xr.Dataset(out, like.coords)


def provenance(
    note: str,
    used: int,
    account: Account,
    time: np.datetime64 | None,
    checks: Checks,
    settings: Mapping,
    before: Mapping,
) -> dict[str, Any]:
    """Attributes of an analysis: those of the background, and what became of the observations."""
    told = {**before, "analysis": note, **settings, "observations": account.name}
    told["observations_account"] = account.text() or ("all were used" if used else "no observation has a value")
    told["background_check"] = f"{checks.sigmas:g} standard deviations" if checks.sigmas else "none"
    if time is not None:
        told["background_time"] = f"{np.datetime_as_string(time, 'm')}Z"
        told["observation_window_hours"] = float(checks.window)
    history = f"analysis by {note} of {account.name}; {told['observations_account']}"
    told["history"] = "\n".join([*([str(before["history"])] if before.get("history") else []), history])
    return told


def compare(truth: xr.Dataset, **states: xr.Dataset) -> dict[str, dict[str, float]]:
    """Area-weighted RMSE of the (mean of the members of) states, by variable and level."""
    weights = xr.DataArray(Grid.from_dataset(truth).cell_area, dims=("latitude", "longitude"))
    rows: dict[str, dict[str, float]] = {}
    for label, state in states.items():
        mean = state.mean("member") if "member" in state.dims else state
        rows[label] = {}
        for name, level in fields_of(truth):
            a, b = (s[name] if np.isnan(level) else s[name].sel(level=level) for s in (mean, truth))
            square = (a.squeeze(drop=True) - b.squeeze(drop=True)) ** 2
            square = square.weighted(weights).mean(("latitude", "longitude"))
            rows[label][name if np.isnan(level) else f"{name}{level:g}"] = float(np.sqrt(square))
    return rows
