r"""Observation operators of other kinds than a value at a point: what a satellite or a wide instrument sees of a state.

    point    the value at a place, bilinear
    column   water (or any other mass) above a place, :math:`\frac1g \sum_k q_k \Delta p_k`, kg m-2, of q on levels
    layer    mean over :math:`\ln p` between two pressures, of a variable on levels: T as a sounder sees it

and each of them over a footprint: a Gaussian mean over the field of view. All are linear, so each is a :class:`Sums`:
for m observations k numbers of the state vector (..., n) and their weights, with its adjoint beside it; any method of
the classical core takes it as H, and the guided denoisers of :mod:`physlab.diffusion` as A.

>>> see = operator(Instrument("layer", "t", low=500, high=300, footprint=100), places, state)
>>> OptimalInterpolation(B).analyse(x, y, see, R)

Own fields take instruments by name: what they see becomes a field of the background, member by member, that is observed
like any other, and the covariance of the members carries it to all that is analysed
(:meth:`physlab.assimilate.fields.FieldMethod.with_instruments`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate.localisation import grid_points, sphere_distance
from physlab.constants import GRAVITY
from physlab.data.observe import Interpolation, fields_of, table
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid
from physlab.nn.parts import choose

KINDS = ("point", "column", "layer")
GROUND = 1013.25
"""hPa, of the ground where a state does not say it."""
REACH = 2.5
"""Footprints end at so many standard deviations."""


class Sums:
    """A linear operator (..., n) -> (..., m): m weighted sums of k numbers each.

    Parameters
    ----------
    index, weight : (k, m); an observation of fewer numbers has weights of zero.
    place : (m, 2) latitude and longitude, for localisation.
    """

    def __init__(self, index: Tensor, weight: Tensor, place: Tensor) -> None:
        self.index, self.weight, self.place = index, weight.double(), place

    def __call__(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x)
        return sum((w * x[..., i] for w, i in zip(weight, self.index.to(x.device), strict=True)),
                   torch.zeros(*x.shape[:-1], self.index.shape[1], dtype=x.dtype, device=x.device))  # fmt: skip

    def adjoint(self, y: Tensor, n: int) -> Tensor:
        """(..., m) -> (..., n)."""
        made = torch.zeros(*y.shape[:-1], n, dtype=y.dtype, device=y.device)
        for w, i in zip(self.weight.to(y), self.index.to(y.device), strict=True):
            made.index_add_(-1, i, w * y)
        return made

    def __add__(self, other: Sums) -> Sums:
        """Both, one after the other."""
        k = max(len(self.index), len(other.index))
        index, weight = ([torch.nn.functional.pad(x, (0, 0, 0, k - len(x))) for x in pair]
                         for pair in ((self.index, other.index), (self.weight, other.weight)))  # fmt: skip
        return Sums(torch.cat(index, 1), torch.cat(weight, 1), torch.cat([self.place, other.place]))


@dataclass(frozen=True)
class Instrument:
    """What is measured.

    Attributes
    ----------
    kind : "point", "column" or "layer".
    variable : of the state.
    level : hPa, of a point in a variable on levels.
    low, high : hPa, of a layer: its larger and its smaller pressure.
    footprint : km, standard deviation of the field of view; 0 for none.

    Raises
    ------
    PhysLabError : an unknown kind, or numbers that are none.
    """

    kind: str
    variable: str
    level: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    footprint: float = 0.0

    def __post_init__(self) -> None:
        choose("kind of instrument", self.kind, KINDS)
        if self.kind == "layer" and not self.low > self.high > 0:
            raise PhysLabError(f"layer from {self.low:g} to {self.high:g} hPa: pass the larger pressure as low")
        if not self.footprint >= 0:
            raise PhysLabError(f"footprint of {self.footprint:g} km: pass 0 or more")

    @classmethod
    def named(cls, text: str) -> Instrument:
        """From text: ``column:q``, ``layer:t:500-300``, ``point:t:850``, each with ``:100km`` of footprint at the end.

        Raises
        ------
        PhysLabError : another text.
        """
        parts = text.split(":")
        wide = 0.0
        try:
            if parts[-1].endswith("km"):
                wide = float(parts.pop()[:-2])
            if parts[0] == "column" and len(parts) == 2:
                return cls("column", parts[1], footprint=wide)
            if parts[0] == "point" and len(parts) in (2, 3):
                return cls("point", parts[1], float(parts[2]) if len(parts) == 3 else np.nan, footprint=wide)
            if parts[0] == "layer" and len(parts) == 3:
                low, high = (float(p) for p in parts[2].split("-"))
                return cls("layer", parts[1], low=max(low, high), high=min(low, high), footprint=wide)
        except PhysLabError:
            raise
        except ValueError:
            pass
        raise PhysLabError(f"instrument {text!r}: write column:q, layer:t:500-300 or point:t:850, and :100km for a "
                           "footprint")  # fmt: skip

    def levels(self, state: xr.Dataset) -> dict[float, float]:
        """Level (NaN for none) -> weight.

        Raises
        ------
        FieldError : the state has no such variable or levels.
        """
        if self.variable not in state:
            raise FieldError(f"no {self.variable} in the state: it has {', '.join(map(str, state.data_vars))}")
        da = state[self.variable]
        known = [float(p) for p in np.atleast_1d(da["level"].values)] if "level" in da.dims else []
        if self.kind == "point":
            if known and self.level not in known:
                raise FieldError(
                    f"{self.variable} at {self.level:g} hPa: the state has {', '.join(f'{p:g}' for p in known)}"
                )
            return {self.level if known else np.nan: 1.0}
        if len(known) < 2:
            raise FieldError(
                f"a {self.kind} of {self.variable} needs it on two levels at least: the state has {len(known)}"
            )
        p = np.sort(known)
        if self.kind == "column":
            edges = np.concatenate([[max(0.0, 1.5 * p[0] - 0.5 * p[1])], 0.5 * (p[1:] + p[:-1]), [max(GROUND, p[-1])]])
            return dict(zip(p.tolist(), (100 * np.diff(edges) / GRAVITY).tolist(), strict=True))
        if self.high < p[0] - 1e-6 or self.low > p[-1] + 1e-6:
            raise FieldError(
                f"layer from {self.low:g} to {self.high:g} hPa: the state reaches from {p[-1]:g} to {p[0]:g}"
            )
        fine = np.linspace(np.log(self.high), np.log(self.low), 201)  # hats between levels, integrated by trapezoids
        share = np.full(len(fine), 1.0)
        share[[0, -1]] = 0.5
        hats = np.stack([np.interp(fine, np.log(p), row) for row in np.eye(len(p))])
        return {float(level): float(w) for level, w in zip(p, hats @ share / share.sum(), strict=True) if w > 1e-12}


def operator(instrument: Instrument, places: Tensor, state: xr.Dataset) -> Sums:
    """H of an instrument at places (m, 2), latitude and longitude, for vectors of states in the order of
    :func:`physlab.fields.to_tensor`."""
    grid, known = Grid.from_dataset(state), fields_of(state)
    size = grid.shape[0] * grid.shape[1]
    index, weight = _over(instrument, places, grid)
    rows, shares = [], []
    for level, share in instrument.levels(state).items():
        fit = (v == instrument.variable and (p == level or np.isnan(level)) for v, p in known)
        at = list(fit).index(True)
        rows.append(at * size + index)
        shares.append(share * weight)
    return Sums(torch.cat(rows), torch.cat(shares), places)


def _over(instrument: Instrument, places: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Points of one field and their weights, (k, m): the four around a place, or those of a footprint."""
    points = grid_points(grid.latitude, grid.longitude)
    area = torch.from_numpy(grid.cell_area.ravel().copy())
    if instrument.footprint:
        std = 1e3 * instrument.footprint
        parts = [sphere_distance(points, place[None])[:, 0] for place in places]
        chosen = [torch.nonzero(d <= REACH * std)[:, 0] for d in parts]
        if all(len(c) >= 4 for c in chosen):
            k = max(map(len, chosen))
            index, weight = torch.zeros(k, len(places), dtype=torch.long), torch.zeros(k, len(places)).double()
            for j, (d, c) in enumerate(zip(parts, chosen, strict=True)):
                w = area[c] * torch.exp(-0.5 * (d[c] / std).square())
                index[: len(c), j], weight[: len(c), j] = c, w / w.sum()
            return index, weight
    m = len(places)  # a footprint smaller than the cells is a point
    found = table(["field"] * m, [np.nan] * m, places[:, 0], places[:, 1], np.zeros(m), np.ones(m))
    like = xr.Dataset({"field": (("latitude", "longitude"), np.zeros(grid.shape))},
                      {"latitude": grid.latitude, "longitude": grid.longitude})  # fmt: skip
    see = Interpolation(found, like)
    return see.index, see.weight


def with_seen(background: xr.Dataset, instruments: Mapping[str, Instrument]) -> xr.Dataset:
    """A background with what instruments would show everywhere, each as a field by its name.

    Raises
    ------
    FieldError : a name that the background has already, or nothing to see there.
    """
    for name, one in instruments.items():
        if name in background:
            raise FieldError(f"the background has {name} already: give the instrument another name")
        da, weights = background[one.variable] if one.variable in background else None, one.levels(background)
        assert da is not None
        parts = [w * (da if np.isnan(p) else da.sel(level=p, drop=True)) for p, w in weights.items()]
        seen = sum(parts[1:], parts[0])
        if one.footprint:
            seen = _widened(seen, one)
        units = "kg m-2" if one.kind == "column" else str(da.attrs.get("units", ""))
        background = background.assign(
            {name: seen.assign_attrs(units=units, long_name=f"{one.kind} of {one.variable}")}
        )
    return background


def _widened(field: xr.DataArray, one: Instrument) -> xr.DataArray:
    """A field averaged over the footprint around each of its points."""
    grid = Grid.from_dataset(field.to_dataset(name="field"))
    points = grid_points(grid.latitude, grid.longitude)
    index, weight = _over(one, points, grid)
    da = field.transpose(..., "latitude", "longitude")
    x = torch.from_numpy(np.asarray(da.values, dtype=np.float64)).flatten(-2)
    made = Sums(index, weight, points)(x).unflatten(-1, grid.shape)
    return da.copy(data=made.numpy()).transpose(*field.dims)


def adjoint_gap(see, n: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> float:
    r"""How far :math:`\langle H x, y \rangle` and :math:`\langle x, H^T y \rangle` are apart, over :math:`|H x| |y|`.

    The adjoint is that of :class:`Sums`, or autograd's of any function (..., n) -> (..., m).
    """
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=draw, dtype=torch.float64).to(dtype)
    seen = see(x)
    y = torch.randn(seen.shape, generator=draw, dtype=torch.float64).to(dtype)
    if isinstance(see, Sums):
        back = see.adjoint(y, n)
    else:
        with torch.enable_grad():
            at = x.clone().requires_grad_(True)
            back = torch.autograd.grad(see(at), at, y)[0]
    return float(((seen * y).sum() - (x * back).sum()).abs() / (seen.norm() * y.norm()))
