"""What is asked of a training on data of one's own, and the data set opened, cut and checked by it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from physlab import cf
from physlab.cf import VARIABLES
from physlab.data.ingest import select
from physlab.data.patches import NON_NEGATIVE
from physlab.errors import FieldError
from physlab.grid import ProjectedGrid
from physlab.registry import unknown

SMALLEST = 12
"""Fine cells a side: the window of a structure score."""


@dataclass(frozen=True)
class Request:
    """Which data, cut how.

    Attributes
    ----------
    truth : file, Zarr store, or name of a data set.
    variables : what is refined, several of them jointly; none where the truth has one variable alone.
    factor : N.
    coarse : file of the coarse fields; "" for block means of the truth.
    predictors : further coarse fields that are given.
    statics : file with orog (m), land (share) or other fine fields that do not change; "" for none.
    frames : successive times that a sample holds, for sequence networks.
    region : south, north, west, east, degrees.  period : first and last time.  level : hPa, of variables with levels.
    held_out : share of the test block, and of the validation block.
    gap : least distance of the blocks, hours; None for two days.
    patch : edge of the patches in fine cells; 0 for whole fields; None for whichever suits the data.
    most : patches at most, over all blocks.
    mapping : (own name, name of the library).
    """

    truth: str
    variables: tuple[str, ...] = ()
    factor: int = 4
    coarse: str = ""
    predictors: tuple[str, ...] = ()
    statics: str = ""
    frames: int = 1
    region: tuple[float, float, float, float] | None = None
    period: tuple[str, str] | None = None
    level: float | None = None
    held_out: float = 0.2
    gap: float | None = None
    patch: int | None = None
    most: int = 1500
    mapping: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.factor, bool) or int(self.factor) != self.factor or not 2 <= self.factor <= 16:
            raise FieldError(f"factor is {self.factor}: pass a whole number from 2 to 16")
        if not 0 < self.held_out <= 0.4:
            raise FieldError(f"held_out is {self.held_out:g}: pass a share of the times between 0 and 0.4")
        if self.frames < 1 or (self.gap is not None and not self.gap >= 0) or self.most < 3:
            raise FieldError(
                f"frames {self.frames}, gap {self.gap}, most {self.most}: pass at least 1 frame, hours of 0 or "
                f"more, and "
                "at least 3 patches"
            )
        least = -(-max(4 * self.factor, SMALLEST) // self.factor) * self.factor
        if self.patch and (self.patch % self.factor or self.patch < least):
            raise FieldError(
                f"patch is {self.patch}: pass a multiple of the factor {self.factor}, at least {least}, or 0 for whole "
                "fields"
            )

    def plain(self) -> dict[str, Any]:
        """As JSON holds it, for a card."""
        return {k: _listed(v) for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Request:
        """The request of a card."""
        fields = {f.name for f in dataclasses.fields(cls)}
        given = {k: _tupled(v) for k, v in plain.items() if k in fields}
        return cls(**given)


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def opened(request: Request, name: str, times: bool = True) -> xr.Dataset:
    """A file of the request: checked, region, period and level selected; values are not read yet if the file is large.

    Raises
    ------
    FieldError : nothing is left by the selection.
    """
    from physlab.data.guard import open_checked

    ds = open_checked(name, dict(request.mapping) or None)
    if request.region is not None:
        ds = select.region(ds, *request.region)
    if times and request.period is not None and "time" in ds.dims:
        ds = select.period(ds, *request.period)
    if "level" in ds.dims and request.level is not None:
        near = ds["level"].values[np.abs(ds["level"].values - request.level).argmin()]
        if abs(near - request.level) > 0.01 * abs(request.level):
            levels = ", ".join(f"{v:g}" for v in ds["level"].values)
            raise FieldError(f"no level {request.level:g} hPa in {name}: found {levels}")
        ds = ds.sel(level=near)
    return on_axes(ds)


def on_axes(ds: xr.Dataset) -> xr.Dataset:
    """A data set whose rows and columns are called latitude and longitude, also where they are those of a map: then the
    attribute `plane` holds its grid."""
    if not cf.is_projected(ds):
        return ds
    plane = ProjectedGrid.from_dataset(ds)
    ds = ds.drop_vars([name for name in ds.coords if name != "time" and "time" not in ds[name].dims])
    return ds.rename(y="latitude", x="longitude").assign_attrs(plane=plane)


def chosen(ds: xr.Dataset, names: tuple[str, ...], source: str) -> tuple[str, ...]:
    """The variables that are wanted, or the only one that there is.

    Raises
    ------
    FieldError : a name that is not there, with the near ones; several, and none named; text, flags or no grid.
    """
    gridded = [str(n) for n, da in ds.data_vars.items() if {"latitude", "longitude"} <= set(da.dims)]
    timed = [n for n in gridded if "time" in ds[n].dims] or gridded
    if not names:
        if len(timed) != 1:
            raise FieldError(f"{source} has {', '.join(timed) or 'no gridded variable'}: name one with --variable")
        return (timed[0],)
    for name in names:
        if name not in gridded:
            raise FieldError(unknown(f"variable of {source}", name, gridded).replace("? `physlab list` shows all", "?"))
        if ds[name].dtype.kind not in "fiu":
            raise FieldError(f"{name} of {source} holds {ds[name].dtype}, no numbers: choose another variable")
    return tuple(dict.fromkeys(names))


def never_negative(da: xr.DataArray, smallest: float) -> bool:
    """Whether a variable cannot be negative by its kind, and is not in these data."""
    return smallest >= 0 and (str(da.name) in NON_NEGATIVE or cf.non_negative(da))


def units_of(da: xr.DataArray) -> str:
    """Of the file, else those of the library for this name."""
    return str(da.attrs.get("units", VARIABLES.get(str(da.name), {}).get("units", "")))
