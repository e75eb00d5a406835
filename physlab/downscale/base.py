"""What every downscaling method is: ``method.downscale(coarse) -> fine``, xarray in, xarray out.

A method says in its :class:`~physlab.registry.Spec` what it takes and whether it has members. Methods that work field
by field implement :meth:`FieldDownscaler.predict` on tensors; the way from and to xarray, the refined grid with its
cell areas, batches, tiles and the wrap-around of global fields are the same for all and live here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.errors import Cancelled, FieldError, PhysLabError
from physlab.fields import check_finite, standardise, to_dataset, to_tensor
from physlab.grid import Grid
from physlab.registry import Cancel, Progress, Spec

TILE = 256  # coarse cells along an edge of a tile
HALO = 24  # coarse cells of overlap on each side, more than the reach of the shipped networks
BATCH = 32  # fields at a time


@runtime_checkable
class Downscaler(Protocol):
    """A method that refines fields by a whole factor."""

    name: str
    factor: int

    @property
    def spec(self) -> Spec:
        """What the method takes and gives."""
        ...

    def downscale(
        self,
        coarse: xr.DataArray | xr.Dataset,
        *,
        statics: xr.Dataset | None = None,
        members: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> xr.Dataset:
        """Fine fields on the refined grid; with a `member` dimension if the method is an ensemble.

        Parameters
        ----------
        coarse : the fields that are given.
        statics : fine fields that do not change and that the method asks for (`spec.statics`); without them those of
            the laboratory atmosphere.
        members : of an ensemble; None for as many as the method thinks right.
        seed : of what is random.
        progress, cancel : see :data:`Progress` and :data:`Cancel`.
        """
        ...


class GriddedDownscaler:
    """Base of all methods: names, units and grids, checked in one place.

    Attributes
    ----------
    name, factor : for people, and N.
    variable : name of the variable that the method was made for, or None for any.
    domain : (h, w) that the method is bound to, or None.
    training_grid : "latitude" (H,), and for a fixed place "longitude" (W,), of the fine training data, in degrees.
    """

    name: str = ""
    factor: int = 1
    variable: str | None = None
    domain: tuple[int, int] | None = None
    training_grid: Mapping = MappingProxyType({})

    @property
    def spec(self) -> Spec:
        """What the method takes and gives, see :class:`physlab.registry.Spec`."""
        entry: Spec = getattr(type(self), "entry", None) or Spec(type(self).__name__, kind="downscaling")
        units = (getattr(self, "card", None) or {}).get("units", "")
        grid = "regular in latitude and longitude"
        if self.domain is not None:
            grid = f"the domain of {self.domain[0]} x {self.domain[1]} coarse cells that it has learned"
        return dataclasses.replace(
            entry, name=self.name or entry.name, inputs={self.variable: units} if self.variable else {},
            factors=(self.factor,), grid=grid,
        )  # fmt: skip

    def downscale(
        self,
        coarse: xr.DataArray | xr.Dataset,
        *,
        statics: xr.Dataset | None = None,
        members: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> xr.Dataset:
        """See :meth:`Downscaler.downscale`."""
        raise NotImplementedError

    def check_members(self, members: int | None) -> None:
        """Refuse a number of members that the method cannot give.

        Raises
        ------
        PhysLabError : members of a method without an ensemble, or fewer than one.
        """
        if members is not None and not self.spec.ensemble:
            raise PhysLabError(f"{self.name} gives one field, no ensemble: leave out members")
        if members is not None and members < 1:
            raise PhysLabError(f"members is {members}: pass at least 1")

    def refine_grid(self, grid: Grid) -> Grid:
        """The fine grid of the training data where the coarse grid is theirs; else each cell is divided evenly."""
        fine, latitude = refine_grid(grid, self.factor), self.training_grid.get("latitude")
        if latitude is None or len(latitude) != fine.latitude.size:
            return fine
        exact = Grid(np.asarray(latitude), fine.longitude)
        return exact if np.allclose(exact.coarsen(self.factor).latitude, grid.latitude, atol=1e-3) else fine

    def _dataset(self, coarse: xr.DataArray | xr.Dataset) -> xr.Dataset:
        """Standard names; only the fields that the method is for."""
        if isinstance(coarse, xr.DataArray):
            coarse = coarse.to_dataset(name=self.variable or coarse.name or "field")
        coarse = standardise(coarse)
        if self.variable is not None:
            if self.variable not in coarse:
                raise FieldError(
                    f"no variable '{self.variable}': found {', '.join(map(str, coarse.data_vars))}; rename "
                    f"yours, or pass it alone as a DataArray, if it is the quantity that {self.name} was trained for"
                )
            coarse = coarse[[self.variable]]
            check_units(coarse[self.variable])
        gridded = [name for name, da in coarse.data_vars.items() if {"latitude", "longitude"} <= set(da.dims)]
        if not gridded:
            raise FieldError(
                f"no field on (latitude, longitude) among {', '.join(map(str, coarse.data_vars))}: pass gridded fields"
            )
        return coarse[gridded]

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that the method is not for: another domain, or another place than the one it has learned."""
        if self.domain is not None and tuple(grid.shape) != tuple(self.domain):
            raise FieldError(
                f"{self.name} has learned one domain of {self.domain} coarse cells, the field has {tuple(grid.shape)}: "
                f"pass that domain, or a method without a map such as bicubic+add-x{self.factor}"
            )
        if self.domain is None or "longitude" not in self.training_grid:
            return
        own = Grid(self.training_grid["latitude"], self.training_grid["longitude"]).coarsen(self.factor)
        pairs = ((own.latitude, grid.latitude), (own.longitude, grid.longitude))
        if not all(np.allclose(mine, theirs, atol=0.01) for mine, theirs in pairs):
            raise FieldError(
                f"{self.name} has learned the map of latitude {own.latitude[0]:g} to {own.latitude[-1]:g}, longitude "
                f"{own.longitude[0]:g} to {own.longitude[-1]:g} (coarse cells): pass that domain in that order, or a "
                f"method without a map such as bicubic+add-x{self.factor}"
            )


class FieldDownscaler(GriddedDownscaler):
    """Base of the methods that treat each field on its own."""

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., h, w) -> (..., h*N, w*N), physical units; `weights`: fine cell areas, broadcastable to (h*N, w*N)."""
        raise NotImplementedError

    def downscale(
        self,
        coarse: xr.DataArray | xr.Dataset,
        *,
        statics: xr.Dataset | None = None,
        members: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> xr.Dataset:
        """Downscale fields of your own.

        Parameters
        ----------
        coarse : fields on a regular latitude-longitude grid, with or without time, level and member, physical units.
            A Dataset may hold further variables: they are left out if the method was made for one. Fields in dask
            chunks (along time, say) stay lazy: the result has the same chunks, each computed when it is asked for.
        statics : for methods that ask for static fields.
        members, seed : for methods that have an ensemble.
        progress : called with (tiles done, tiles in all);  cancel : asked before each tile.

        Returns
        -------
        Dataset on the refined grid, same names, units and times.

        Raises
        ------
        FieldError : no latitude or longitude, NaNs, a variable, unit or domain that the method does not know; static
            fields that it does not ask for.
        PhysLabError : members that the method does not have.
        Cancelled : `cancel` returned True.
        """
        self.check_members(members)
        if statics is not None and not self.spec.statics:
            raise FieldError(f"{self.name} takes no static fields: leave out {', '.join(map(str, statics.data_vars))}")
        coarse = self._dataset(coarse)
        grid = Grid.from_dataset(coarse)
        self.check_grid(grid)
        fine_grid = self.refine_grid(grid)
        weights = torch.from_numpy(fine_grid.area_weights[:, :1].copy())
        parts = []
        watch = _Watch(progress, cancel, self._count(coarse, grid), self.name)
        for name, da in coarse.data_vars.items():
            if da.chunks is not None and "time" in da.dims:
                parts.append(self._lazily(da, weights, fine_grid, grid.periodic))
                continue
            check_finite(da)
            fine = self.in_tiles(to_tensor(da), weights, grid.periodic, watch)
            parts.append(to_dataset(fine, da.to_dataset(name=name), str(name), grid=fine_grid))
        return xr.merge(parts).assign_attrs({**coarse.attrs, "title": f"downscaled by {self.factor} with {self.name}"})

    def _lazily(self, da: xr.DataArray, weights: Tensor, grid: Grid, periodic: bool) -> xr.Dataset:
        """The result of a field in dask chunks, none of them computed yet; errors of the data come when they are."""
        order = [d for d in ("member", "time", "level", "latitude", "longitude") if d in da.dims]
        da = da.transpose(*order, ...).chunk(latitude=-1, longitude=-1)

        def refined(chunk: np.ndarray) -> np.ndarray:
            check_finite(xr.DataArray(chunk, dims=order, name=da.name))
            x = torch.from_numpy(np.array(chunk, dtype=np.float32))
            return self.in_tiles(x, weights, periodic).float().numpy()

        lead, n = da.shape[:-2], self.factor
        assert da.chunks is not None
        chunks = (*da.chunks[:-2], (da.shape[-2] * n,), (da.shape[-1] * n,))
        fine = da.data.map_blocks(refined, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * da.ndim, np.float32))
        if "level" not in order:
            lead = (*lead, 1)
        # coordinates and attributes are those of an eager result: of one number, repeated without memory
        frame = to_dataset(
            torch.zeros(1).expand(*lead, *grid.shape), da.to_dataset(name=da.name), str(da.name), grid=grid
        )
        return frame.assign({da.name: frame[da.name].copy(data=fine)})

    def in_tiles(
        self, coarse: Tensor, weights: Tensor, periodic: bool = False, watch: Callable[[], None] | None = None
    ) -> Tensor:
        """predict() on (..., h, w) by batches and tiles with a halo: bounded memory; global fields wrap around.

        `watch` is called before each tile.
        """
        flat = coarse.reshape(-1, *coarse.shape[-2:])
        fine = torch.cat([self._tiles(part, weights, periodic, watch or (lambda: None)) for part in flat.split(BATCH)])
        return fine.reshape(*coarse.shape[:-2], *fine.shape[-2:])

    def _count(self, coarse: xr.Dataset, grid: Grid) -> int:
        """Tiles of all eager fields."""
        height, width = grid.shape
        whole = self.domain is not None or (not grid.periodic and height <= TILE and width <= TILE)
        tiles = 1 if whole else -(-height // TILE) * -(-width // TILE)
        fields = [da.size // (height * width) for da in coarse.data_vars.values() if da.chunks is None]
        return tiles * sum(-(-n // BATCH) for n in fields)

    def _tiles(self, coarse: Tensor, weights: Tensor, periodic: bool, watch: Callable[[], None]) -> Tensor:
        n, (height, width) = self.factor, coarse.shape[-2:]
        if self.domain is not None or (not periodic and height <= TILE and width <= TILE):
            watch()
            return self.predict(coarse, weights)
        fine = coarse.new_empty(*coarse.shape[:-2], height * n, width * n)
        halo = min(HALO, width)
        wrapped = torch.cat([coarse[..., -halo:], coarse, coarse[..., :halo]], -1) if periodic else coarse
        left = halo if periodic else 0
        for row, column in ((r, c) for r in range(0, height, TILE) for c in range(0, width, TILE)):
            watch()
            bottom, top = max(row - HALO, 0), min(row + TILE + HALO, height)
            first, last = max(column + left - HALO, 0), min(column + left + TILE + HALO, wrapped.shape[-1])
            # cell areas depend on latitude alone here, so that the rows choose the weights
            tile = self.predict(wrapped[..., bottom:top, first:last], weights[bottom * n : top * n])
            rows, columns = min(TILE, height - row), min(TILE, width - column)
            y, x = (row - bottom) * n, (column + left - first) * n
            fine[..., row * n : (row + rows) * n, column * n : (column + columns) * n] = tile[
                ..., y : y + rows * n, x : x + columns * n
            ]
        return fine


class _Watch:
    """Tells of each tile before it is made, and stops when it is asked to."""

    def __init__(self, progress: Progress | None, cancel: Cancel | None, total: int, name: str) -> None:
        self.progress, self.cancel, self.total, self.name, self.done = progress, cancel, total, name, 0

    def __call__(self) -> None:
        if self.cancel is not None and self.cancel():
            raise Cancelled(f"{self.name} was cancelled after {self.done} of {self.total} tiles")
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)


def refine_grid(grid: Grid, factor: int) -> Grid:
    """Each cell divided into `factor` x `factor`, evenly in degrees; coarsening gives the same grid again."""
    cells = np.arange(grid.latitude.size + 1)
    edges = np.interp(np.arange(grid.latitude.size * factor + 1) / factor, cells, grid.edges)
    offsets = (np.arange(factor) - (factor - 1) / 2) / factor * grid.dlon
    longitude = (grid.longitude[:, None] + offsets).ravel()
    return dataclasses.replace(grid, latitude=0.5 * (edges[:-1] + edges[1:]), longitude=longitude, edges=edges)


def check_units(da: xr.DataArray) -> None:
    """Refuse a temperature in degrees Celsius: methods and constraints work in kelvin."""
    units = str(da.attrs.get("units", "")).strip().lower()
    celsius = units in {"c", "degc", "deg_c", "celsius", "degree_celsius", "degrees_celsius", "°c"}
    if da.chunks is not None and "time" in da.dims:
        da = da.isel(time=slice(0, 1))  # the first chunk says it, the others stay lazy
    if celsius or (str(da.name).startswith(("t2m", "t_low")) and float(np.nanmax(np.abs(da.values))) < 150.0):
        raise FieldError(
            f"'{da.name}' is in degrees Celsius, or at least not in kelvin: add 273.15 and set its units to 'K'"
        )


def batched(function: Callable[[Tensor], Tensor], x: Tensor, size: int = BATCH) -> Tensor:
    """function on the first axis of x in batches."""
    return torch.cat([function(part) for part in x.split(size)])
