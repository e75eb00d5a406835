"""Assimilation of your own fields: a background and a table of observations as Datasets, an analysis as Dataset.

>>> background = physlab.open_dataset("era5-ensemble").isel(time=0)       # members
>>> stations = physlab.data.read_stations("stations.csv", variable="t", level=850)
>>> analysis = FieldAssimilator("letkf", radius=1.2e6).analyse(background, stations)

The core works on vectors; here are the two doors to it, and the choices that a field needs: how far an observation
reaches, and, where there are no members, how large background errors are and over which distance they are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr

from physlab.assimilate.base import Method
from physlab.assimilate.enkf import EnKF
from physlab.assimilate.etkf import ETKF
from physlab.assimilate.letkf import LETKF
from physlab.assimilate.localisation import gaspari_cohn, sphere_distance
from physlab.assimilate.optimal import OptimalInterpolation
from physlab.data.observe import Interpolation, checked, fields_of
from physlab.errors import FieldError, PhysLabError
from physlab.fields import to_tensor
from physlab.grid import Grid

METHODS = ("letkf", "etkf", "enkf", "oi")
LARGEST = 6000  # numbers of a state whose covariance is written down


@dataclass(frozen=True)
class FieldAssimilator:
    """See the head of this module.

    Attributes
    ----------
    method : "letkf", "etkf" or "enkf" for a background with members, "oi" (optimal interpolation) for one without.
    radius : m; the weight of an observation is zero from twice this distance on (letkf), or the correlation of
        background errors is (oi).
    inflation : of the members' spread before the analysis.
    error : for oi: standard deviation of the background errors of each variable, in its unit.
    seed : of the perturbed observations of enkf.
    """

    method: str = "letkf"
    radius: float = 1.0e6
    inflation: float = 1.0
    error: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise PhysLabError(f"unknown method {self.method!r}: choose one of {', '.join(METHODS)}")
        if not self.radius > 0 or not self.inflation >= 1:
            raise PhysLabError(f"radius {self.radius} m and inflation {self.inflation}: pass above 0 and at least 1")

    def analyse(self, background: xr.Dataset, observations: xr.Dataset) -> xr.Dataset:
        """The background, corrected.

        Parameters
        ----------
        background : ([member,] [level,] latitude, longitude), one time; the variables share their grid.
        observations : a table as from :mod:`physlab.data.observe`; missing values are left out, doubles merged.

        Returns
        -------
        Dataset like the background, its attributes naming method, observations and settings. Without any observation
        it is the background.

        Raises
        ------
        FieldError : several times, members that the method does not take or lacks, stations outside the grid or of
            other fields, missing values in the background.
        PhysLabError : observation errors that are not above 0, or oi without the errors of the background.
        """
        if background.sizes.get("time", 1) != 1:
            raise FieldError(f"background has {background.sizes['time']} times: select one, e.g. with .isel(time=0)")
        if "member" in background.dims and self.method == "oi":
            raise FieldError("oi takes one state and the background has members: use letkf, or .mean('member')")
        if "member" not in background.dims and self.method != "oi":
            raise FieldError(f"{self.method} needs an ensemble (dimension member): pass one, or use oi")
        state = background.squeeze("time", drop=True) if "time" in background.dims else background
        one = state.isel(member=0, drop=True) if "member" in state.dims else state
        found = checked(observations, one)
        x = to_tensor(state, dtype=torch.float64)[..., 0, :, :, :]  # ([member,] channel, H, W)
        shape, vector = x.shape, x.flatten(-3)
        y, error = (torch.tensor(found[k].values, dtype=torch.float64) for k in ("value", "error"))
        if len(y):
            see = Interpolation(found, one)
            method = self._method(one, see)
            generator = torch.Generator().manual_seed(self.seed)
            vector = method.analyse(vector, y, see, error**2, generator)
        made = channels_to_dataset(vector.reshape(shape), background)
        left = ", ".join(f"{found.attrs[k]} {k}" for k in ("missing", "merged"))
        note = f"{self.method}, {len(y)} observations ({left})"
        return made.assign_attrs({**background.attrs, "analysis": note, "radius_m": self.radius,
                                  "inflation": self.inflation})  # fmt: skip

    def _method(self, one: xr.Dataset, see: Interpolation) -> Method:
        if self.method == "enkf":
            return EnKF(inflation=self.inflation)
        if self.method == "etkf":
            return ETKF(inflation=self.inflation)
        grid, names = Grid.from_dataset(one), [name for name, _ in fields_of(one)]
        lat, lon = (a.ravel() for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
        points = torch.from_numpy(np.stack([lat, lon], 1).astype(np.float64))
        if self.method == "letkf":
            return LETKF(inflation=self.inflation, taper=gaspari_cohn(sphere_distance(points, see.place), self.radius))
        missing = [name for name in dict.fromkeys(names) if name not in self.error]
        if missing:
            raise PhysLabError(f"oi needs the background error of {', '.join(missing)}: pass error={{name: std}}")
        size = len(points) * len(names)
        if size > LARGEST:
            raise PhysLabError(
                f"oi writes the covariance of {size} numbers down, at most {LARGEST} are sensible: select a level or a "
                "region, or use an ensemble with letkf"
            )
        alike = gaspari_cohn(sphere_distance(points, points), self.radius)
        return OptimalInterpolation(torch.block_diag(*(self.error[name] ** 2 * alike for name in names)))


def channels_to_dataset(x: torch.Tensor, like: xr.Dataset) -> xr.Dataset:
    """Channels ([member,] C, H, W), in the order of :func:`physlab.fields.to_tensor`, back to variables.

    Each gets the dimensions, attributes and dtype that it has in `like`, whose members may be more or fewer.
    """
    out, at = {}, 0
    lead = ("member",) if x.ndim == 4 else ()
    for name, da in like.data_vars.items():
        levels = da.sizes.get("level", 0)
        part = x[..., at : at + max(levels, 1), :, :]
        part = part if levels else part[..., 0, :, :]
        at += max(levels, 1)
        dims = (*lead, *(("level",) if levels else ()), "latitude", "longitude")
        made = xr.DataArray(part.numpy().astype(da.dtype), dims=dims, attrs=da.attrs)
        made = made.expand_dims("time") if "time" in da.dims else made
        out[name] = made.transpose(*(da.dims if "member" in da.dims else (*lead, *da.dims)))
    return xr.Dataset(out, like.coords)


def compare(truth: xr.Dataset, **states: xr.Dataset) -> dict[str, dict[str, float]]:
    """Area-weighted RMSE of the (mean of the members of) states, by variable and level."""
    weights = xr.DataArray(Grid.from_dataset(truth).cell_area, dims=("latitude", "longitude"))
    rows = {}
    for label, state in states.items():
        mean = state.mean("member") if "member" in state.dims else state
        rows[label] = {}
        for name, level in fields_of(truth):
            a, b = (s[name] if np.isnan(level) else s[name].sel(level=level) for s in (mean, truth))
            square = (a.squeeze(drop=True) - b.squeeze(drop=True)) ** 2
            square = square.weighted(weights).mean(("latitude", "longitude"))
            rows[label][name if np.isnan(level) else f"{name}{level:g}"] = float(np.sqrt(square))
    return rows
