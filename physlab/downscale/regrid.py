"""Means over coarse cells and interpolation between regular grids of any ratio, as matrices of latitude and longitude.

Where a coarse cell is a block of fine cells its mean is that of :func:`physlab.grid.coarsen` with the cells' areas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from physlab.errors import FieldError

PLACES = ("latitude", "longitude")


@dataclass(frozen=True)
class Regrid:
    """From a fine grid to a coarse one and back.

    Attributes
    ----------
    share : dimension -> (coarse, fine) share of each coarse cell that a fine cell takes.
    weight : dimension -> (fine, coarse) linear interpolation, constant beyond the outermost coarse cells.
    """

    share: dict[str, xr.DataArray]
    weight: dict[str, xr.DataArray]

    @classmethod
    def between(cls, fine: xr.Dataset, coarse: xr.Dataset) -> Regrid:
        """For two data sets with latitude and longitude.

        Raises
        ------
        FieldError : no regular grid, or the "fine" one is coarser than the coarse one.
        """
        for what, ds in (("the observations", fine), ("the model", coarse)):
            if not all(name in ds.dims and ds.sizes[name] > 1 for name in PLACES):
                raise FieldError(
                    f"{what} have dims ({', '.join(map(str, ds.dims))}): pass a regular latitude-longitude grid"
                )
        share, weight = {}, {}
        for name in PLACES:
            x, y = fine[name].values.astype(float), coarse[name].values.astype(float)
            if abs(np.median(np.diff(x))) > abs(np.median(np.diff(y))) * 1.001:
                raise FieldError(
                    f"the observations are {abs(np.median(np.diff(x))):g} degrees of {name} apart, the model "
                    f"{abs(np.median(np.diff(y))):g}: pass observations on the finer grid"
                )
            turn = 360.0 if name == "longitude" else 0.0
            share[name] = xr.DataArray(overlap(x, y, turn), dims=(f"_{name}", name))
            weight[name] = xr.DataArray(linear(x, y, turn), dims=(f"_{name}", name))
        return cls(share, weight)

    def covered(self) -> dict[str, slice]:
        """The rows and columns of the coarse grid that fine cells lie in.

        Raises
        ------
        FieldError : none.
        """
        found = {}
        for name, matrix in self.share.items():
            inside = np.flatnonzero(matrix.values.sum(1) > 0)
            if not len(inside):
                raise FieldError(f"the observations and the model have no {name} in common: pass the same region")
            found[name] = slice(int(inside[0]), int(inside[-1]) + 1)
        return found

    def coarsen(self, fine: xr.DataArray) -> xr.DataArray:
        """Area means over coarse cells of the fine cells that are there; NaN where there is none."""
        return _mean(fine, self.share)

    def interpolate(self, coarse: xr.DataArray) -> xr.DataArray:
        """Linear between the centres of the coarse cells that are there; NaN where none is near."""
        return _mean(coarse, self.weight)


def _mean(field: xr.DataArray, matrices: dict[str, xr.DataArray]) -> xr.DataArray:
    """The means of a field by matrices of latitude and of longitude, over what is there."""
    total, share = (
        xr.dot(part, *matrices.values(), dim=PLACES).rename({f"_{name}": name for name in PLACES})
        for part in (field.fillna(0.0), field.notnull().astype(field.dtype))
    )
    return (total / share.where(share > 1e-6)).transpose(*field.dims)


def edges(centres: np.ndarray, turn: float = 0.0) -> np.ndarray:
    """(n + 1,) midway between centres, and as far beyond the outermost; latitudes end at the poles."""
    middle = 0.5 * (centres[1:] + centres[:-1])
    found = np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
    return found if turn else np.clip(found, -90.0, 90.0)


def overlap(fine: np.ndarray, coarse: np.ndarray, turn: float = 0.0) -> np.ndarray:
    """(coarse, fine): the part of each coarse cell's area that lies in a fine one; latitudes by the sine."""
    sides = [edges(centres, turn) for centres in (fine, coarse)]
    sides = [side if turn else np.sin(np.radians(side)) for side in sides]
    (low, high), (first, last) = ((np.minimum(s[1:], s[:-1]), np.maximum(s[1:], s[:-1])) for s in sides)
    total = np.zeros((len(coarse), len(fine)))
    for shift in (-turn, 0.0, turn) if turn else (0.0,):
        ends = np.minimum(high[None] + shift, last[:, None]) - np.maximum(low[None] + shift, first[:, None])
        total += np.maximum(ends, 0.0)
    return np.where(total > 1e-9 * total.max(), total, 0.0) / (last - first)[:, None]


def linear(fine: np.ndarray, coarse: np.ndarray, turn: float = 0.0) -> np.ndarray:
    """(fine, coarse) weights; a circle of longitudes is closed."""
    step = abs(np.median(np.diff(coarse)))
    if turn:
        fine = coarse.min() + (fine - coarse.min() + step) % turn - step
        closed = abs(step * len(coarse) - turn) < 0.01 * step
    else:
        closed = False
    order = np.argsort(coarse)
    nodes, owners = coarse[order], order
    if closed:
        nodes = np.concatenate([[nodes[-1] - turn], nodes, [nodes[0] + turn]])
        owners = np.concatenate([owners[-1:], owners, owners[:1]])
    place = np.interp(fine, nodes, np.arange(len(nodes)))
    low = np.minimum(place.astype(int), len(nodes) - 2)
    weights = np.zeros((len(fine), len(coarse)))
    rows = np.arange(len(fine))
    np.add.at(weights, (rows, owners[low]), 1 - (place - low))
    np.add.at(weights, (rows, owners[low + 1]), place - low)
    return weights
