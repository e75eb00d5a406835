r"""Where the numbers sit: the grid and the one coarsening operator of the library.

A coarse cell holds the (area-weighted) block mean of its N x N fine cells,

.. math:: \bar x_{IJ} = \sum_{(i,j) \in (I,J)} w_{ij} x_{ij} \Big/ \sum_{(i,j) \in (I,J)} w_{ij} ,

the mean, not the sum: right for an amount per area such as column water (kg m-2) and for an intensive quantity such as
temperature. Everything that coarsens, constrains or measures conservation uses :func:`coarsen`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import torch

from physlab import cf, projection
from physlab.constants import EARTH_RADIUS, OMEGA
from physlab.errors import CoarseningError, FieldError

Array = np.ndarray | torch.Tensor
A = TypeVar("A", np.ndarray, torch.Tensor)  # what goes in comes out


def _check_whole(factor: int) -> None:
    if isinstance(factor, bool) or int(factor) != factor or factor < 1:
        raise CoarseningError(f"factor {factor!r} is not a whole number >= 1: pass 2, 4 or 8, for example")


def _check_factor(shape: tuple[int, ...], factor: int) -> None:
    _check_whole(factor)
    if len(shape) < 2:
        raise CoarseningError(f"field has shape {tuple(shape)}: pass (..., H, W) with latitude and longitude last")
    height, width = shape[-2:]
    if height % factor or width % factor:
        raise CoarseningError(
            f"field of {height} x {width} is not divisible by factor {factor}: crop it to "
            f"{height // factor * factor} x "
            f"{width // factor * factor}, for example with physlab.fields.crop_to_multiple(ds, {factor})"
        )


def _blocks(x: A, factor: int) -> A:
    """(..., H, W) -> (..., H/N, N, W/N, N)."""
    return x.reshape(*x.shape[:-2], x.shape[-2] // factor, factor, x.shape[-1] // factor, factor)


def coarsen(x: A, factor: int, weights: Array | None = None) -> A:
    """Block mean of `factor` x `factor` cells, area-weighted if weights are given.

    Parameters
    ----------
    x : (..., H, W) tensor or numpy array, any unit.
    factor : block edge N; must divide H and W.
    weights : broadcastable to (H, W), positive in sum over each block; only their ratios within a block matter.

    Returns
    -------
    (..., H/N, W/N), same kind and floating dtype as `x` (integers become floating point).

    Raises
    ------
    CoarseningError : H or W not divisible by the factor, or weights that do not fit the field.
    """
    if not isinstance(x, torch.Tensor):
        x = np.asarray(x)
    _check_factor(x.shape, factor)
    if isinstance(x, torch.Tensor) and not (x.is_floating_point() or x.is_complex()):
        x = x.to(torch.get_default_dtype())
    if weights is None:
        return _blocks(x, factor).mean((-3, -1))
    if isinstance(x, torch.Tensor):
        half = x.dtype in (torch.float16, torch.bfloat16)
        values = x.float() if half else x
        w = _block_weights(torch.as_tensor(weights, dtype=values.dtype, device=x.device), x.shape, factor)
        return (_blocks(values, factor) * w).sum((-3, -1)).to(x.dtype)
    shares = _block_weights(np.asarray(weights, dtype=np.result_type(x.dtype, np.float32)), x.shape, factor)
    return (_blocks(x, factor) * shares).sum((-3, -1))


def coarsen_valid(x: A, factor: int, weights: Array | None = None, share: float = 0.0) -> A:
    r"""Block mean over the cells that have a value: :func:`coarsen` where none is NaN, and else weighted by valid area.

    .. math:: \bar x_{IJ} = \sum_{v} w_{ij} x_{ij} \Big/ \sum_{v} w_{ij} , \quad v: x_{ij} \text{ is a number} .

    Parameters
    ----------
    x : (..., H, W) tensor or numpy array with NaN where there is no value.
    factor, weights : as for :func:`coarsen`.
    share : a block of which at most this share of the area has a value has none itself; 0: one cell is enough.

    Returns
    -------
    (..., H/N, W/N), NaN where no cell of the block (or too little of it) has a value.
    """
    valid = torch.isfinite(x) if isinstance(x, torch.Tensor) else np.isfinite(x)
    if bool(valid.all()):
        return coarsen(x, factor, weights)
    ones = torch.ones_like(x) if isinstance(x, torch.Tensor) else np.ones(np.shape(x), dtype=np.result_type(x, "f4"))
    counted = coarsen(ones * valid, factor, weights)  # share of the area of each block
    if isinstance(x, torch.Tensor):
        sums = coarsen(torch.where(valid, x, torch.zeros_like(x)), factor, weights)
        return torch.where(counted > share, sums / counted, torch.full_like(sums, float("nan")))
    sums = coarsen(np.where(valid, x, 0), factor, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counted > share, sums / counted, np.nan).astype(sums.dtype)


def valid_weights(valid: A, factor: int, weights: Array | None = None) -> A:
    """Weights for :func:`coarsen` and the constraint layers that count valid cells alone, (H, W).

    Parameters
    ----------
    valid : (H, W), true where a fine cell has a value.
    factor : N.
    weights : cell areas, broadcastable to (H, W); None for equal ones.

    Returns
    -------
    The weights, zero in cells without a value; in a block without any they are all one, so that nothing is divided by
    zero there (mask the result).
    """
    if isinstance(valid, torch.Tensor):
        there = valid.to(torch.float64)
        area = torch.ones_like(there) if weights is None else torch.as_tensor(weights, dtype=torch.float64) + 0 * there
        made = area * there
        return torch.where(refine(coarsen(there, factor), factor) > 0, made, torch.ones_like(made))
    there = np.asarray(valid, dtype=np.float64)
    made = (np.ones_like(there) if weights is None else np.broadcast_to(weights, there.shape)) * there
    return np.where(refine(coarsen(there, factor), factor) > 0, made, 1.0)


def _block_weights(weights: A, shape: tuple[int, ...], factor: int) -> A:
    """Weights of the blocks, (H/N, N, W/N, N), that sum to one over each block."""
    try:
        if isinstance(weights, torch.Tensor):
            blocks = _blocks(torch.broadcast_to(weights, shape[-2:]), factor)
            return blocks / blocks.sum((-3, -1), keepdim=True)
        parts = _blocks(np.broadcast_to(weights, shape[-2:]), factor)
        return parts / parts.sum((-3, -1), keepdims=True)
    except (RuntimeError, ValueError):
        raise CoarseningError(
            f"weights of shape {tuple(weights.shape)} do not fit a field of {tuple(shape[-2:])}: pass "
            "(H, W), (H, 1) or (W,)"
        ) from None


def refine(x: A, factor: int) -> A:
    """Nearest-neighbour refinement: each cell repeated `factor` x `factor` times, so that coarsen(refine(x)) = x.

    (..., h, w) -> (..., h*N, w*N), tensor or numpy array.
    """
    _check_whole(factor)
    if isinstance(x, torch.Tensor):
        blocks = x[..., :, None, :, None].expand(*x.shape[:-1], factor, x.shape[-1], factor)
        return blocks.reshape(*x.shape[:-2], x.shape[-2] * factor, x.shape[-1] * factor)
    return np.repeat(np.repeat(np.asarray(x), factor, axis=-2), factor, axis=-1)


def coarsening_residual(fine: A, coarse: A, factor: int, weights: Array | None = None) -> A:
    """coarsen(fine) - coarse, (..., H/N, W/N), in the unit of the field: zero where the pair is consistent."""
    mean = coarsen(fine, factor, weights)
    if mean.shape[-2:] != coarse.shape[-2:]:
        raise CoarseningError(
            f"fine {tuple(fine.shape)} coarsened by {factor} gives {tuple(mean.shape[-2:])}, but coarse is "
            f"{tuple(coarse.shape[-2:])}: pass the factor that relates them"
        )
    return mean - coarse


def check_coarsening(fine: A, coarse: A, factor: int, weights: Array | None = None, tolerance: float = 1e-5) -> float:
    """Assert that `coarse` is the block mean of `fine`.

    Returns
    -------
    Largest absolute violation divided by the largest absolute coarse value (the field's scale), dimensionless.

    Raises
    ------
    CoarseningError : the violation exceeds `tolerance`, or is not a number.
    """
    residual = coarsening_residual(fine, coarse, factor, weights)
    scale = float(abs(coarse).max())
    violation = float(abs(residual).max()) / (scale if scale > 0 else 1.0)
    if not violation <= tolerance:
        raise CoarseningError(
            f"coarse field is not the block mean of the fine one: relative violation {violation:.2e}, "
            f"allowed {tolerance:.0e}: "
            f"make the coarse field with physlab.grid.coarsen(fine, {factor}, weights), or use no hard constraint"
        )
    return violation


def latitude_edges(latitude: np.ndarray) -> np.ndarray:
    """Edges (H+1,) in degrees of the cells around (H,) latitudes, ascending or descending.

    Inner edges are midpoints; an outer edge lies half a spacing outside, or at the pole if no further row would fit
    before it (so a global grid, Gaussian or regular, with or without pole points, covers the whole sphere).
    """
    lat = np.asarray(latitude, dtype=np.float64)
    if lat.ndim != 1 or lat.size < 2:
        raise FieldError(f"latitude has shape {lat.shape}: cell edges need at least 2 rows in one dimension")
    step = np.diff(lat)
    if not (np.all(step > 0) or np.all(step < 0)) or np.abs(lat).max() > 90 + 1e-6:
        raise FieldError("latitude must rise or fall strictly within -90 to 90 degrees: sort the data set by latitude")
    edges = np.empty(lat.size + 1)
    edges[1:-1] = 0.5 * (lat[:-1] + lat[1:])
    for index, end, delta in ((0, lat[0], -step[0]), (-1, lat[-1], step[-1])):
        pole = np.copysign(90.0, delta)
        beyond = abs(end + delta) > 90.0 + 1e-6 and np.sign(end) == np.sign(delta)
        edges[index] = pole if beyond else np.clip(end + 0.5 * delta, -90.0, 90.0)
    return edges


def _noise(x: np.ndarray) -> float:
    """How far rounding moves coordinates that were stored in single precision: 0.00003 degrees near 360."""
    single = np.array_equal(x, x.astype(np.float32))
    return 4 * float(np.finfo(np.float32 if single else np.float64).eps) * float(np.abs(x).max())


@dataclass(frozen=True, eq=False)
class Grid:
    """A latitude-longitude grid on the sphere, or a plane grid (metric terms switched off).

    Attributes
    ----------
    latitude : (H,) degrees, ascending or descending, as stored; on a plane y in metres.
    longitude : (W,) degrees, evenly spaced, may cross the date line; on a plane x in metres.
    edges : (H+1,) degrees, latitude of the cell edges; made by :func:`latitude_edges` if not given.
    is_plane : no metric terms, distances in metres.
    doubly_periodic : of a plane only: both directions wrap around.
    radius : of the sphere, m.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    edges: np.ndarray = None  # type: ignore[assignment]  # never None once made, see __post_init__
    is_plane: bool = False
    doubly_periodic: bool = False
    radius: float = EARTH_RADIUS

    def __post_init__(self) -> None:
        lat = np.array(self.latitude, dtype=np.float64)
        lon = np.array(self.longitude, dtype=np.float64)
        if lat.ndim == lon.ndim == 1 and min(lat.size, lon.size) < 2:
            raise FieldError(
                f"grid of {lat.size} x {lon.size} points: at least 2 rows and 2 columns are needed; take a larger "
                f"part of "
                "the field"
            )
        if lat.ndim != 1 or lon.ndim != 1:
            raise FieldError(
                f"grid needs one-dimensional latitude and longitude with at least 2 points each: found {lat.shape} and "
                f"{lon.shape}; interpolate a curvilinear field to a latitude-longitude grid first"
            )
        if not self.is_plane:
            lon = np.unwrap(lon, period=360.0)
        step = np.diff(lon)
        off = np.abs(step - step.mean()).max()
        if 1e-6 * abs(step.mean()) < off <= _noise(lon):
            lon = np.linspace(lon[0], lon[-1], lon.size)  # even but for the rounding of single precision
        elif off > 1e-3 * abs(step.mean()) or step.mean() == 0:
            raise FieldError("longitude is not evenly spaced: interpolate to an even spacing or crop to an even part")
        edges: np.ndarray | None = self.edges
        if edges is None:
            half = 0.5 * np.diff(lat)
            edges = (
                np.concatenate([lat[:1] - half[:1], lat[:-1] + half, lat[-1:] + half[-1:]])
                if self.is_plane
                else latitude_edges(lat)
            )
        edges = np.array(edges, dtype=np.float64)
        if edges.shape != (lat.size + 1,):
            raise FieldError(f"grid edges have shape {edges.shape}: pass one more than the {lat.size} latitudes")
        for name, value in (("latitude", lat), ("longitude", lon), ("edges", edges)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        same = (self.is_plane, self.doubly_periodic, self.radius, self.shape) == (
            other.is_plane, other.doubly_periodic, other.radius, other.shape)  # fmt: skip
        return same and np.allclose(self.edges, other.edges) and np.allclose(self.longitude, other.longitude)

    def __hash__(self) -> int:
        return hash((self.is_plane, self.doubly_periodic, self.radius, self.shape))

    # --- makers -------------------------------------------------------------------------------------------------------
    @classmethod
    def from_dataset(cls, ds) -> Grid:
        """Grid of an xarray Dataset or DataArray; its coordinates are found by CF attributes or common names.

        A projected grid, as :func:`physlab.open_dataset` gives it, becomes a :class:`ProjectedGrid`.
        """
        if cf.is_projected(ds):
            return ProjectedGrid.from_dataset(ds)
        return cls(ds[cf.latitude_name(ds)].values, ds[cf.longitude_name(ds)].values)

    @classmethod
    def plane(cls, dx: float, dy: float, shape: tuple[int, int], periodic: bool = True) -> Grid:
        """Even plane grid of shape (H, W) with spacings dx, dy in metres, periodic in both directions or in neither."""
        return cls(dy * np.arange(shape[0]), dx * np.arange(shape[1]), is_plane=True, doubly_periodic=periodic)

    # --- geometry -----------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.latitude.size, self.longitude.size

    @property
    def dlon(self) -> float:
        """Longitude step in degrees (metres on a plane), negative if longitude falls."""
        return float(np.diff(self.longitude).mean())

    @property
    def periodic(self) -> bool:
        """True if the last column is the neighbour of the first one: whole latitude circles, or a periodic plane."""
        if self.is_plane:
            return self.doubly_periodic
        return abs(abs(self.dlon) * self.longitude.size - 360.0) < 0.01 * abs(self.dlon)

    @property
    def dx(self) -> np.ndarray:
        """(H, 1) eastward spacing a cos(lat) dlon in metres, positive; zero at a pole."""
        if self.is_plane:
            return np.full((self.latitude.size, 1), abs(self.dlon))
        cosine = np.clip(np.cos(np.deg2rad(self.latitude)), 0.0, None)
        return (self.radius * np.deg2rad(abs(self.dlon)) * cosine)[:, None]

    @property
    def dy(self) -> np.ndarray:
        """(H, 1) northward size of the cells in metres, positive."""
        height = np.abs(np.diff(self.edges))[:, None]
        return height if self.is_plane else self.radius * np.deg2rad(height)

    @property
    def cell_area(self) -> np.ndarray:
        """(H, W) exact cell areas a^2 dlon (sin(upper) - sin(lower)) in m2."""
        if self.is_plane:
            return np.broadcast_to(self.dx * self.dy, self.shape).copy()
        band = np.abs(np.diff(np.sin(np.deg2rad(self.edges))))[:, None]
        return np.broadcast_to(self.radius**2 * np.deg2rad(abs(self.dlon)) * band, self.shape).copy()

    @property
    def area_weights(self) -> np.ndarray:
        """(H, W) cell areas divided by their mean."""
        area = self.cell_area
        return area / area.mean()

    @property
    def row_weights(self) -> torch.Tensor:
        """(H, 1) the same for grids whose areas depend on the row alone."""
        return torch.from_numpy(self.area_weights[:, :1].copy())

    @property
    def coriolis(self) -> np.ndarray:
        """(H, 1) Coriolis parameter f = 2 Omega sin(lat) in s-1; zero on a plane."""
        if self.is_plane:
            return np.zeros((self.latitude.size, 1))
        return (2.0 * OMEGA * np.sin(np.deg2rad(self.latitude)))[:, None]

    # --- parts --------------------------------------------------------------------------------------------------------
    def coarsen(self, factor: int) -> Grid:
        """The grid of the block means: its cells are exact unions of `factor` x `factor` cells of this grid."""
        _check_factor(self.shape, factor)
        return dataclasses.replace(
            self,
            latitude=self.latitude.reshape(-1, factor).mean(1),
            longitude=self.longitude.reshape(-1, factor).mean(1),
            edges=self.edges[::factor],
        )

    def crop(self, rows: slice = slice(None), columns: slice = slice(None)) -> Self:
        """The part of consecutive `rows` and `columns` (slices without a step); a cut plane is not periodic."""
        if rows.step not in (None, 1) or columns.step not in (None, 1):
            raise FieldError("crop takes consecutive rows and columns: pass slices without a step, or coarsen(factor)")
        first, last, _ = rows.indices(self.latitude.size)
        lat, lon = self.latitude[rows], self.longitude[columns]
        whole = (lat.size, lon.size) == self.shape
        return dataclasses.replace(
            self, latitude=lat, longitude=lon, edges=self.edges[first : last + 1],
            doubly_periodic=self.doubly_periodic and whole, **self._cropped(rows, columns),
        )  # fmt: skip

    def _cropped(self, rows: slice, columns: slice) -> dict[str, Any]:
        """What else of a grid is cut with its rows and columns."""
        return {}


@dataclass(frozen=True, eq=False)
class ProjectedGrid(Grid):
    """A grid of rows y and columns x of a map, or of any other even rows and columns whose places are known.

    Attributes
    ----------
    latitude, longitude : y (H,) and x (W,) of the map: metres, or degrees on the sphere of a rotated pole, or without a
        map the numbers of rows and columns.
    mapping : attributes of the CF grid mapping; empty if the map is unknown and `places` alone say where cells lie.
    places : (2, H, W) latitude and longitude in degrees; by pyproj if not given.
    areas : (H, W) cell areas in m2; of the map by pyproj, or of the quadrilaterals between `places`, if not given.
    """

    mapping: Mapping = dataclasses.field(default_factory=dict)
    places: Any = None  # an array once made, as `areas`
    areas: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_plane", True)
        super().__post_init__()
        crs = projection.crs_of(self.mapping) if self.mapping else None
        if self.places is None:
            if crs is None:
                raise FieldError(
                    "grid has no map and no places: pass the grid mapping, or latitude and longitude (2, H, W)"
                )
            object.__setattr__(self, "places", projection.positions(crs, self.latitude, self.longitude))
        if self.areas is None:
            width = 0.5 * abs(self.dlon)
            sides = np.append(
                self.longitude - np.copysign(width, self.dlon), self.longitude[-1] + np.copysign(width, self.dlon)
            )
            if crs is not None:
                value = projection.areas(crs, self.edges, sides)
            else:
                height, breadth = self.shape
                corners = projection.at(
                    self.places[0], self.places[1], np.arange(height + 1) - 0.5, np.arange(breadth + 1) - 0.5
                )
                value = projection.quadrilaterals(*corners)
            object.__setattr__(self, "areas", value)
        for name in ("places", "areas"):
            value = np.array(getattr(self, name), dtype=np.float64)
            if value.shape[-2:] != self.shape:
                raise FieldError(f"grid of {self.shape} has {name} of shape {value.shape}: pass one for each cell")
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProjectedGrid):
            return NotImplemented
        turns = (self.places[1] - other.places[1] + 180) % 360 - 180 if self.shape == other.shape else None
        return (
            turns is not None and np.allclose(self.places[0], other.places[0], atol=1e-3) and np.abs(turns).max() < 1e-2
        )

    __hash__ = Grid.__hash__

    @classmethod
    def from_dataset(cls, ds) -> ProjectedGrid:
        """Grid of a data set with y, x, latitude (y, x), longitude (y, x) and, as far as known, crs and cell_area."""
        places = np.stack([ds[name].transpose("y", "x").values for name in ("latitude", "longitude")])
        known = dict(ds["crs"].attrs) if "crs" in ds.coords else {}
        areas = ds["cell_area"].transpose("y", "x").values if "cell_area" in ds.coords else None
        return cls(ds["y"].values, ds["x"].values, mapping=known, places=places, areas=areas)

    @property
    def rotated(self) -> bool:
        """Whether y and x are degrees on the sphere of a rotated pole."""
        return bool(self.mapping) and projection.is_rotated(projection.crs_of(self.mapping))

    @property
    def dx(self) -> np.ndarray:
        """(H, 1) mean distance of neighbours in a row, m."""
        points = projection.unit_vectors(*self.places)
        return self.radius * np.linalg.norm(np.diff(points, axis=2), axis=0).mean(1, keepdims=True)

    @property
    def dy(self) -> np.ndarray:
        """(H, 1) mean height of the cells of a row, m."""
        return self.areas.mean(1, keepdims=True) / self.dx

    @property
    def cell_area(self) -> np.ndarray:
        """(H, W) cell areas in m2."""
        return self.areas.copy()

    @property
    def coriolis(self) -> np.ndarray:
        """(H, W) Coriolis parameter in s-1."""
        return 2.0 * OMEGA * np.sin(np.deg2rad(self.places[0]))

    def refine(self, factor: int) -> ProjectedGrid:
        """Each cell divided evenly on the map into `factor` x `factor`; the areas of its parts add up to its own."""
        height, width = self.shape
        rows = (np.arange(height * factor) + 0.5) / factor - 0.5
        columns = (np.arange(width * factor) + 0.5) / factor - 0.5
        edges = np.interp(np.arange(height * factor + 1) / factor, np.arange(height + 1), self.edges)
        x = self.longitude[0] + columns * self.dlon
        places = None if self.mapping else projection.at(self.places[0], self.places[1], rows, columns)
        fine = ProjectedGrid(0.5 * (edges[:-1] + edges[1:]), x, edges, mapping=self.mapping, places=places)
        own = _blocks(fine.areas, factor).sum((-3, -1))
        return dataclasses.replace(fine, areas=fine.areas * refine(self.areas / own, factor))

    def coarsen(self, factor: int) -> ProjectedGrid:
        """The grid of the block means: its cells are exact unions of `factor` x `factor` cells of this grid."""
        _check_factor(self.shape, factor)
        middle = (
            np.arange(0, self.shape[0], factor) + (factor - 1) / 2,
            np.arange(0, self.shape[1], factor) + (factor - 1) / 2,
        )
        return dataclasses.replace(
            self, latitude=self.latitude.reshape(-1, factor).mean(1),
            longitude=self.longitude.reshape(-1, factor).mean(1), edges=self.edges[::factor],
            places=None if self.mapping else projection.at(self.places[0], self.places[1], *middle),
            areas=_blocks(self.areas, factor).sum((-3, -1)),
        )  # fmt: skip

    def _cropped(self, rows: slice, columns: slice) -> dict[str, Any]:
        return {"places": self.places[:, rows, columns], "areas": self.areas[rows, columns]}

    def coordinates(self) -> dict:
        """The coordinates of a data set on this grid, for xarray: y, x, latitude, longitude, crs, cell_area."""
        degrees = {"units": "degrees"} if self.rotated else {"units": "m"}
        names = (
            ("grid_latitude", "grid_longitude")
            if self.rotated
            else ("projection_y_coordinate", "projection_x_coordinate")
        )
        if not self.mapping:
            degrees, names = {"units": "1"}, ("", "")
        made: dict[str, Any] = {}
        for dim, axis, standard, values in (("y", "Y", names[0], self.latitude), ("x", "X", names[1], self.longitude)):
            attrs = (
                {"standard_name": standard, **degrees} if standard else {"long_name": f"number along {dim}", **degrees}
            )
            made[dim] = (dim, values, {**attrs, "axis": axis})
        for name, units, values in zip(("latitude", "longitude"), ("north", "east"), self.places, strict=True):
            made[name] = (("y", "x"), values, {"standard_name": name, "units": f"degrees_{units}"})
        made["cell_area"] = (("y", "x"), self.areas, {"standard_name": "cell_area", "units": "m2"})
        if self.mapping:
            made["crs"] = ((), 0, dict(self.mapping))
        return made
