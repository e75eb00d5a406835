"""Methods of the registry that adjust a climate model to observations: EQM, DQM, QDM and MBCn, on xarray.

    method = physlab.load_model("QDM").fit(observed, modelled)      # the calibration, 1950 to 1980, say
    method.adjust(model)                                            # any period of the same model

Calendars may differ; results have the calendar and the times of the model and the units of the observations. Fields in
dask chunks along space stay lazy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from physlab import cf
from physlab.data.series import amount
from physlab.downscale.by_xsdba import adjust_by_xsdba, mbcn_by_xsdba
from physlab.downscale.kept import load_adjustment, save_adjustment
from physlab.downscale.mapping import adjust_series
from physlab.downscale.multivariate import ROTATIONS, reordered, rotations, transform
from physlab.downscale.places import along_time, as_dataset, matched
from physlab.downscale.seasons import check_seasons, decimal_years, groups, spans
from physlab.errors import FieldError, PhysLabError
from physlab.registry import Spec, register

CHANGES, ENGINES = ("auto", "add", "ratio"), ("physlab", "xsdba")
DRY = {"kg m-2 s-1": "0.01 mm day-1", "kg m-2": "0.01 mm"}
"""A drop that no gauge sees: what "auto" calls dry, by what the units measure."""
RAIN = re.compile(r"precipitation|rainfall|snowfall|thickness_of_rainfall")
RAIN_NAMES = re.compile(r"^(pr|tp|prec|precip|precipitation|rain|rainfall|rr|ppt|prcp)$")
RATIOS = re.compile(r"wind_speed|downwelling|net_downward_shortwave|specific_humidity")


def is_rain(da: xr.DataArray) -> bool:
    """Whether a variable is dry on some days."""
    return bool(RAIN.search(str(da.attrs.get("standard_name", ""))) or RAIN_NAMES.match(str(da.name).lower()))


@dataclass(eq=False)
class Adjustment:
    """Base of the methods that adjust series.

    Attributes
    ----------
    nodes : quantiles of the map.
    seasons : "day" (a window around each day of the year), "month", or "all" days together.
    window : days of "day".
    change : what is corrected and kept, "add" for differences, "ratio" for ratios; "auto" takes ratios of rain,
        amounts, wind speed, radiation and specific humidity.
    wet : below it a day is dry, for example "0.1 mm day-1"; "auto" is 0.01 mm for rain and nothing else, "0" never.
    span : years of the model that are ranked (and detrended) together; 0 for all that is given.
    engine : "physlab", or "xsdba" (extra climate).
    seed : of the random amounts of dry days, and of rotations.
    """

    registry: ClassVar[str] = "methods"
    entry: ClassVar[Spec]
    name: ClassVar[str] = ""
    rule: ClassVar[str] = "QDM"

    nodes: int = 100
    seasons: str = "day"
    window: int = 31
    change: str = "auto"
    wet: str = "auto"
    span: int = 30
    engine: str = "physlab"
    seed: int = 0

    def __post_init__(self) -> None:
        check_seasons(self.seasons, self.window)
        for what, value, allowed in (("change", self.change, CHANGES), ("engine", self.engine, ENGINES)):
            if value not in allowed:
                raise PhysLabError(f"{what}={value!r} is unknown: choose one of {', '.join(allowed)}")
        if self.nodes < 2 or self.span < 0:
            raise PhysLabError(f"{self.nodes} nodes, a span of {self.span} years: pass at least 2 and 0")
        self.observed: xr.Dataset | None = None
        self.modelled: xr.Dataset | None = None
        self.given: tuple[xr.Dataset, xr.Dataset] | None = None
        self.card: dict = {}

    @property
    def spec(self) -> Spec:
        """What is known of it."""
        return self.entry

    def fit(self, observed: xr.Dataset | xr.DataArray, modelled: xr.Dataset | xr.DataArray) -> Self:
        """Take the observations and the model in the calibration.

        Parameters
        ----------
        observed : with a time; what else it has (stations, a grid) the model has too.
        modelled : the same variables in units that can be converted, in any calendar; the years may differ.

        Raises
        ------
        PhysLabError : fewer than two years.
        FieldError : no variable or place in common, units that do not fit, no dates.
        """
        observed, modelled = (as_dataset(part) for part in (observed, modelled))
        self.observed, self.modelled = self.given = matched(observed, modelled)
        for what, ds in (("observations", self.observed), ("model", self.modelled)):
            years = decimal_years(ds["time"])
            if not len(years) or np.ptp(years) < 1.9:
                raise PhysLabError(f"the {what} have {len(years)} times in the calibration: pass at least two years")
        return self

    def adjust(self, model: xr.Dataset | xr.DataArray) -> xr.Dataset:
        """The model as the observations would have it.

        Parameters
        ----------
        model : any period, of the variables and places that were fitted.

        Returns
        -------
        Dataset, times and calendar of `model`, units of the observations.
        """
        if self.observed is None or self.modelled is None:
            raise PhysLabError(f"{self.name} is not fitted: call fit(observed, modelled) first")
        _, model = matched(self.observed, as_dataset(model))
        made = self._adjust(self.observed, self.modelled, model)
        for name, da in made.data_vars.items():
            kept = {k: v for k, v in self.observed[name].attrs.items() if k in ("units", "standard_name", "long_name")}
            cells = {k: v for k, v in model[name].attrs.items() if k == "cell_methods"}
            da.attrs = {**kept, **cells}
        return made.assign_attrs(
            {**model.attrs, "title": f"{model.attrs.get('title', 'model')}, adjusted by {self.name}"}
        )

    def save(self, folder: str | Path) -> Path:
        """Write what was fitted, for :func:`physlab.load_model`; see :mod:`physlab.downscale.kept`."""
        return save_adjustment(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A fitted one.

        Raises
        ------
        CheckpointError : missing or damaged files.
        """
        return load_adjustment(cls, folder)

    def ratio(self, da: xr.DataArray) -> bool:
        """Whether corrections of a variable are ratios."""
        if self.change != "auto":
            return self.change == "ratio"
        standard = str(da.attrs.get("standard_name", ""))
        return is_rain(da) or cf.kind(da) == "amount" or bool(RATIOS.search(standard))

    def threshold(self, da: xr.DataArray) -> float:
        """Below it a day is dry, in the units of the variable; 0 where there are no dry days."""
        if not is_rain(da) or not self.ratio(da):
            return 0.0
        units = str(da.attrs.get("units", ""))
        if self.wet != "auto":
            return amount(self.wet, units)
        for known in DRY.values():
            try:
                return amount(known, units)
            except FieldError:
                continue
        raise FieldError(f"'{da.name}' is in '{units}': pass wet=, the least rain of a wet day in these units")

    def _adjust(self, observed: xr.Dataset, modelled: xr.Dataset, model: xr.Dataset) -> xr.Dataset:
        return xr.Dataset({v: self._one(observed[v], modelled[v], model[v]) for v in model.data_vars})

    def _one(self, observed: xr.DataArray, modelled: xr.DataArray, model: xr.DataArray) -> xr.DataArray:
        """A variable by its own distribution alone."""
        ratio, threshold = self.ratio(observed), self.threshold(observed)
        settings: dict[str, Any] = {
            "count": self.nodes, "ratio": ratio, "threshold": threshold, "seasons": self.seasons, "window": self.window,
        }  # fmt: skip
        if self.engine == "xsdba":
            runs = spans(decimal_years(model["time"]), self.span)
            parts = [adjust_by_xsdba(self.rule, observed, modelled, model.isel(time=run), **settings) for run in runs]
            return xr.concat(parts, "time")
        years = (decimal_years(observed["time"]), decimal_years(modelled["time"]), decimal_years(model["time"]))

        def made(o: np.ndarray, h: np.ndarray, x: np.ndarray, number: np.ndarray) -> np.ndarray:
            o, h, new = (np.asarray(part, np.float64).reshape(-1, part.shape[-1]).T for part in (o, h, x))
            places = np.ravel(number)
            out = adjust_series(self.rule, o, h, new, years, **settings, span=self.span, places=places, seed=self.seed)
            return out.T.reshape(x.shape).astype(x.dtype)

        return along_time(made, observed, modelled, model)


@register("EQM", title="Empirical quantile mapping of series", kind="adjustment", order=31)
@dataclass(eq=False)
class EQM(Adjustment):
    """Empirical quantile mapping: each value of the model becomes the observed value of the same rank."""

    rule: ClassVar[str] = "EQM"


@register(
    "DQM", title="Detrended quantile mapping of series", kind="adjustment", order=32, reference="Cannon et al. (2015)"
)
@dataclass(eq=False)
class DQM(Adjustment):
    """Detrended quantile mapping: the change of the mean is the model's."""

    rule: ClassVar[str] = "DQM"


@register(
    "QDM", title="Quantile delta mapping of series", kind="adjustment", order=33, reference="Cannon et al. (2015)"
)
@dataclass(eq=False)
class QDM(Adjustment):
    """Quantile delta mapping: the change of every quantile is the model's."""

    rule: ClassVar[str] = "QDM"


@register("MBCn", title="Multivariate adjustment of series", kind="adjustment", order=34, reference="Cannon (2018)")
@dataclass(eq=False)
class MBCn(Adjustment):
    """Quantile delta mapping of each variable, and the dependence between the variables as observed.

    Attributes
    ----------
    rotations : of the variables' space.
    seasons : "month" by default: the dependence is learned in each of them.
    """

    seasons: str = "month"
    rotations: int = ROTATIONS

    def _adjust(self, observed: xr.Dataset, modelled: xr.Dataset, model: xr.Dataset) -> xr.Dataset:
        names = list(model.data_vars)
        if len(names) < 2:
            raise PhysLabError(f"MBCn adjusts variables together and was given {', '.join(map(str, names))}: use QDM")
        turns = rotations(self.rotations, len(names), np.random.default_rng(self.seed))
        if self.engine == "xsdba":
            return self._by_xsdba(observed, modelled, model, turns)
        alone = super()._adjust(observed, modelled, model)
        times = tuple(decimal_years(part["time"]) for part in (observed, modelled, model))

        def made(o: np.ndarray, h: np.ndarray, both: np.ndarray, number: np.ndarray) -> np.ndarray:
            x, y = both[..., : len(names), :], both[..., len(names) :, :]
            out = np.array(y)
            for place in np.ndindex(x.shape[:-2]):
                out[place] = self._place(o[place].T, h[place].T, x[place].T, y[place].T, times, turns).T
            return out

        own, past, new, first = (_stacked(part, names) for part in (observed, modelled, model, alone))
        both = xr.concat([new, first], "variable").rename(variable="_both")
        joint = along_time(made, own, past, both, ("variable",), ("_both",))
        return xr.Dataset({name: joint.isel(variable=k, drop=True) for k, name in enumerate(names)})

    def _place(self, o, h, x, y, times, turns) -> np.ndarray:
        """(T, V) of one place: y in the order of the transformed x."""
        out = np.array(y)
        o_years, h_years = times[0], times[1]
        for run in spans(times[2], self.span):
            part, own = x[run], y[run]
            for target, sample, near, far in groups(self.seasons, self.window, times[2][run], o_years, h_years):
                there = sample[np.isfinite(part[sample]).all(1)]
                known = [p[at][np.isfinite(p[at]).all(1)] for p, at in ((o, near), (h, far))]
                if len(there) < 2 or min(map(len, known)) < 2:
                    continue
                turned = transform(known[0], known[1], part[there], turns, self.nodes)
                mine = np.isin(there, target)
                out[run[there[mine]]] = reordered(own[there[mine]], turned[mine])
        return out

    def _by_xsdba(self, observed, modelled, model, turns) -> xr.Dataset:
        if self.seasons != "all":
            raise PhysLabError(f"MBCn by xsdba with seasons={self.seasons!r}: pass seasons='all', or engine='physlab'")
        ratios = {str(name): self.ratio(observed[name]) for name in model.data_vars}
        return mbcn_by_xsdba(observed, modelled, model, turns, count=self.nodes, ratios=ratios)


def _stacked(ds: xr.Dataset, names: list) -> xr.DataArray:
    return ds[names].to_array("variable").drop_vars("variable")
