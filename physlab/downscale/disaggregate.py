r"""BCSD: a climate model on its own grid, adjusted there and disaggregated to the fine grid of the observations.

Wood et al. (2004): the observations are averaged over the model's cells; the model is adjusted to these means by
quantile delta mapping (or another rule); what is left of it after the coarse climate :math:`\bar o` is interpolated
and put onto the fine one, :math:`y = \bar o_f + I(x - \bar o)`, for rain :math:`y = \bar o_f \, I(x / \bar o)`. The
climates are monthly means of the calibration, linear in between. The grids need no whole ratio, and the model's may be
global.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import xarray as xr

from physlab.downscale.adjusters import DQM, EQM, QDM, Adjustment
from physlab.downscale.places import as_dataset, same_variables
from physlab.downscale.regrid import PLACES, Regrid
from physlab.downscale.seasons import decimal_years
from physlab.errors import PhysLabError
from physlab.registry import register

MAPPINGS: dict[str, type[Adjustment]] = {"EQM": EQM, "DQM": DQM, "QDM": QDM}
LEAST = 0.02  # of the coarse climate's mean: what a ratio of rain is taken of at least
WHOLE = 256e6  # bytes of a result that is made at once; larger ones are lazy, in pieces of PIECE
PIECE = 64e6


@register("BCSD", title="Bias correction and spatial disaggregation of a climate model", kind="adjustment", order=35,
          reference="Wood et al. (2004)")  # fmt: skip
@dataclass(eq=False)
class Disaggregation(Adjustment):
    """Adjustment on the grid of the model, then its anomalies on the fine climate of the observations.

    Attributes
    ----------
    mapping : on the coarse grid: EQM, DQM or QDM.
    """

    mapping: str = "QDM"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mapping not in MAPPINGS:
            raise PhysLabError(f"mapping={self.mapping!r} is unknown: choose one of {', '.join(MAPPINGS)}")

    def fit(self, observed: xr.Dataset | xr.DataArray, modelled: xr.Dataset | xr.DataArray) -> Self:
        """Take the observations on a fine grid and the model on a coarse one, both in the calibration."""
        fine, coarse = self.given = same_variables(as_dataset(observed), as_dataset(modelled))
        whole = Regrid.between(fine, coarse)
        self.region = whole.covered()
        coarse = coarse.isel(self.region)
        self.regrid = Regrid.between(fine, coarse)
        means = fine.map(self.regrid.coarsen, keep_attrs=True).assign_coords({name: coarse[name] for name in PLACES})
        kept = {f.name: getattr(self, f.name) for f in fields(Adjustment)}
        self.coarse = MAPPINGS[self.mapping](**kept).fit(means, coarse)
        self.fine, self.climate = fine, fine.map(monthly, keep_attrs=True).compute()
        self.observed, self.modelled = fine, coarse
        return self

    def adjust(self, model: xr.Dataset | xr.DataArray) -> xr.Dataset:
        """The model on the grid of the observations; lazy, in pieces of time, where it is large."""
        if self.observed is None:
            raise PhysLabError("BCSD is not fitted: call fit(observed, modelled) first")
        _, model = same_variables(self.fine, as_dataset(model))
        model = model.isel(self.region)
        adjusted = self.coarse.adjust(model)
        made = {}
        for name, da in adjusted.data_vars.items():
            made[name] = self._detail(da, self.climate[name]).assign_attrs(da.attrs)
        found = xr.Dataset(made).assign_coords({name: self.fine[name] for name in PLACES})
        return found.assign_attrs({**adjusted.attrs, "title": f"{model.attrs.get('title', 'model')}, by BCSD"})

    def _detail(self, x: xr.DataArray, climate: xr.DataArray) -> xr.DataArray:
        """The fine field of one variable from its adjusted coarse one."""
        size = x.dtype.itemsize * climate.sizes["latitude"] * climate.sizes["longitude"]
        if x.chunks is not None or x.sizes["time"] * size > WHOLE:
            x = x.chunk({"time": max(1, int(PIECE // size)), **dict.fromkeys(PLACES, -1)})
        share = phases(x["time"], x.chunks is not None and x.chunksizes["time"])
        coarse = self.regrid.coarsen(climate)
        past, past_fine = (xr.dot(share, part, dim="month") for part in (coarse, climate))
        if self.ratio(climate):
            least = LEAST * float(coarse.mean())
            made = past_fine * self.regrid.interpolate(x / np.maximum(past, least))
        else:
            made = past_fine + self.regrid.interpolate(x - past)
        return made.transpose("time", ..., *PLACES).astype(x.dtype)


def monthly(da: xr.DataArray) -> xr.DataArray:
    """Means of the twelve months, along `month`; of a month without data, the mean of all."""
    month = np.minimum((decimal_years(da["time"]) % 1.0 * 12).astype(int), 11)
    parts = [da.isel(time=np.flatnonzero(month == m)).mean("time") if (month == m).any() else da.mean("time")
             for m in range(12)]  # fmt: skip
    return xr.concat(parts, "month")


def phases(time: xr.DataArray, chunks: Any = None) -> xr.DataArray:
    """(time, month): the weights of the two nearest mid-months."""
    place = decimal_years(time) % 1.0 * 12 - 0.5
    low = np.floor(place).astype(int)
    weights = np.zeros((len(place), 12), np.float32)
    rows = np.arange(len(place))
    weights[rows, low % 12], weights[rows, (low + 1) % 12] = 1 - (place - low), place - low
    made = xr.DataArray(weights, {"time": time}, ("time", "month"))
    return made.chunk(time=chunks) if chunks else made
