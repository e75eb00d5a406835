r"""What a method uses: which coarse cells its value at one place rests on.

*Integrated gradients* (Sundararajan et al. 2017, ICML, eq. 1) divide the difference between the value :math:`f(x)` and
that of a field without weather, :math:`f(b)`, among the coarse cells,

.. math:: A_i = (x_i - b_i) \int_0^1 \partial_i f\bigl(b + \alpha (x - b)\bigr)\, d\alpha, \qquad
          \sum_i A_i = f(x) - f(b) ,

by the midpoint rule; :math:`b` is the mean of each field over the domain. *Gradients* are :math:`\partial_i f` at the
field itself. *Occlusion* (Zeiler and Fergus 2014, ECCV) replaces one coarse cell by :math:`b` at a time and needs no
derivative, so that it explains regressions and interpolation too.

A picture of influence convinces easily, and a network with random weights has one as well (Adebayo et al. 2018,
NeurIPS): :func:`untrained` is the control.

>>> import physlab
>>> found = physlab.explain(physlab.load_model("tcw-x4-edsr-add"), coarse, at=(35.0, 200.0))
>>> found["influence"].plot(); found.attrs["radius"]
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from physlab.downscale.base import FieldDownscaler
from physlab.downscale.cnn import CNN
from physlab.downscale.informed import Informed
from physlab.errors import FieldError, PhysLabError
from physlab.fields import standardise, to_tensor
from physlab.grid import Grid

WAYS = ("integrated gradients", "gradients", "occlusion")
STEPS = 32  # of the midpoint rule
SHARE = 0.9  # of the influence that lies within the radius


def explain(
    method: FieldDownscaler,
    coarse: xr.DataArray | xr.Dataset,
    at: tuple[float, float],
    how: str = "integrated gradients",
    *,
    frame: int | None = None,
    steps: int = STEPS,
) -> xr.Dataset:
    """How much each coarse cell counts for the fine value at a place.

    Parameters
    ----------
    method : a network, alone or with other variables and predictors; with "occlusion" any method that works field by
        field.
    coarse : one time, or as many successive ones as a network for sequences takes; all its fields.
    at : latitude and longitude, degrees; the nearest fine cell is explained.
    how : one of :data:`WAYS`.
    frame : which of the fine frames of a sequence, counted from 0; None for the middle one. Of several variables, the
        first is explained.
    steps : of the integral.

    Returns
    -------
    Dataset: influence (channel, latitude, longitude), in units of the result (for "gradients" per unit of the input);
    channel are the names of the fields, or the times of a sequence. Attributes: value and without (f(x) and f(b)),
    left_out (f(x) - f(b) minus the sum, of integrated gradients), radius (coarse cells from the place within which 90 %
    of the absolute influence lies, as a half-width of a square), latitude and longitude of the fine cell.

    Raises
    ------
    FieldError : another number of times, a place outside, missing fields.
    PhysLabError : an unknown way, or gradients of what has none.
    """
    if how not in WAYS:
        raise PhysLabError(f"how is {how!r}: choose one of {', '.join(WAYS)}")
    if how != "occlusion" and not isinstance(method, CNN):
        raise PhysLabError(f"{getattr(method, 'name', method)} is no network: pass how='occlusion'")
    x, names, grid = channels_of(method, coarse)
    fine = method.refine_grid(grid)
    weights = torch.from_numpy(np.asarray(fine.area_weights)).float()
    row, column = nearest(fine, at)
    made = method.spec.frames[1]
    number = (made // 2 if frame is None else frame) if made > 1 else 0
    if not 0 <= number < made:
        raise FieldError(f"frame is {frame}: {method.name} makes {made}, counted from 0")

    def value(fields: Tensor) -> Tensor:
        """(B, C, h, w) -> (B,) values at the place."""
        return _run(method, fields, weights)[:, number, row, column]

    base = x.mean((-2, -1), keepdim=True).expand_as(x)
    influence = {"occlusion": _occluded, "gradients": _slopes}.get(how, _integrated)(value, x, base, steps)
    with torch.no_grad():
        full, without = (float(value(part[None])[0]) for part in (x, base))
    total = float(influence.double().sum())
    place = (row // method.factor, column // method.factor)
    out = xr.Dataset(
        {"influence": (("channel", "latitude", "longitude"), influence.double().numpy())},
        {"channel": names, "latitude": grid.latitude, "longitude": grid.longitude},
        {"method": method.name, "how": how, "value": full, "without": without,
         "radius": radius_of(influence, place), "latitude": float(fine.latitude[row]),
         "longitude": float(fine.longitude[column])},
    )  # fmt: skip
    if how == "integrated gradients":
        out.attrs["left_out"] = full - without - total
    return out


def untrained(method: CNN, seed: int = 0) -> CNN:
    """The same method with random weights: the control of every explanation. A new one is returned.

    Layers that have a start of their own are started again, those that began at zero too, since a network that answers
    nothing explains nothing.
    """
    other = copy.deepcopy(method)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in other.network.modules():
            start = getattr(part, "reset_parameters", None)
            if isinstance(part, nn.Module) and callable(start):
                start()
    other.name = f"{method.name}, random weights"
    return other.eval()


def displacement(influence: Tensor | np.ndarray, place: tuple[float, float]) -> tuple[float, float]:
    """Mean place of the absolute influence (h, w) relative to `place`, rows and columns, in coarse cells."""
    size = np.abs(np.asarray(influence, dtype=np.float64))
    rows, columns = np.arange(size.shape[0]), np.arange(size.shape[1])
    total = max(size.sum(), 1e-30)
    return (float((size.sum(1) * rows).sum() / total - place[0]),
            float((size.sum(0) * columns).sum() / total - place[1]))  # fmt: skip


def radius_of(influence: Tensor, place: tuple[int, int]) -> int:
    """Smallest r, in coarse cells, such that the square of 2 r + 1 cells around a place holds 90 % of the influence."""
    size = influence.detach().abs().double().sum(0)
    rows = (torch.arange(size.shape[0]) - place[0]).abs()[:, None]
    columns = (torch.arange(size.shape[1]) - place[1]).abs()[None]
    distance = torch.maximum(rows, columns)
    held = torch.stack([size[distance <= r].sum() for r in range(int(distance.max()) + 1)])
    return int((held < SHARE * held[-1]).sum())


def channels_of(method: FieldDownscaler, coarse: xr.DataArray | xr.Dataset) -> tuple[Tensor, list[str], Grid]:
    """(C, h, w) what the method is given, names of the channels, and the coarse grid."""
    several = isinstance(method, Informed)
    if isinstance(coarse, xr.DataArray):
        coarse = coarse.to_dataset(name=coarse.name or method.variable or "field")
    coarse = standardise(coarse)
    names = (*method.variables, *method.predictors) if isinstance(method, Informed) else ()
    if not several:
        known = [str(n) for n in coarse.data_vars if n == method.variable] or [str(n) for n in coarse.data_vars]
        names = (known[0],)
    missing = [n for n in names if n not in coarse]
    if missing:
        raise FieldError(f"no {', '.join(missing)} in the coarse data: {method.name} takes {', '.join(names)}")
    grid = Grid.from_dataset(coarse)
    method.check_grid(grid)
    x = to_tensor(coarse[list(names)], names)  # (T, C, h, w)
    wanted = 1 if several else method.spec.frames[0]
    if len(x) != wanted or not bool(torch.isfinite(x).all()):
        raise FieldError(
            f"the coarse data have {len(x)} times"
            + ("" if len(x) != wanted else " and missing values")
            + f": {method.name} is explained at {wanted}, without gaps; select with .isel(time=...)"
        )
    if not several and wanted > 1:
        return x[:, 0], [str(t) for t in coarse["time"].values.astype("datetime64[m]")], grid
    return x[0], list(names), grid


def nearest(grid: Grid, at: tuple[float, float]) -> tuple[int, int]:
    """Row and column of the fine cell nearest to a place.

    Raises
    ------
    FieldError : a place outside.
    """
    latitude, longitude = np.asarray(grid.latitude), np.asarray(grid.longitude)
    away = np.abs((longitude - at[1] + 180) % 360 - 180)
    row, column = int(np.abs(latitude - at[0]).argmin()), int(away.argmin())
    step = max(float(np.abs(np.diff(latitude)).max()), float(np.abs(np.diff(longitude)).max()))
    if abs(latitude[row] - at[0]) > step or away[column] > step:
        raise FieldError(
            f"the place {at[0]:g}, {at[1]:g} lies outside of the data, {latitude.min():g} to {latitude.max():g} north "
            f"and {longitude.min():g} to {longitude.max():g} east"
        )
    return row, column


def _run(method: FieldDownscaler, fields: Tensor, weights: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, made, H, W), physical units, with gradients where the method is a network."""
    if not isinstance(method, CNN):
        return method.predict(fields, weights)
    scale = method.given_scale
    if method.network.statics:
        raise PhysLabError(f"{method.name} has static fields: only networks without them are explained")
    x = fields / scale
    shape = method.network.noise_shape(x)
    noise = None if shape is None else torch.zeros(shape)  # the middle of what it draws
    return method(x, weights, noise) * method.scale


Value = Callable[[Tensor], Tensor]


def _integrated(value: Value, x: Tensor, base: Tensor, steps: int) -> Tensor:
    if steps < 1:
        raise PhysLabError(f"steps is {steps}: pass at least 1")
    slopes = torch.zeros_like(x)
    for alpha in (torch.arange(steps) + 0.5) / steps:
        slopes += _slopes(value, base + float(alpha) * (x - base), base, 1)
    return (x - base) * slopes / steps


def _slopes(value: Value, x: Tensor, base: Tensor, steps: int) -> Tensor:
    point = x.detach().clone().requires_grad_()
    return torch.autograd.grad(value(point[None])[0], point)[0]


@torch.no_grad()
def _occluded(value: Value, x: Tensor, base: Tensor, steps: int) -> Tensor:
    full, parts = value(x[None])[0], []
    cells = torch.arange(x.numel())
    for some in cells.split(64):
        fields = x.repeat(len(some), 1, 1, 1).flatten(1)
        fields[torch.arange(len(some)), some] = base.flatten()[some]
        parts.append(full - value(fields.reshape(len(some), *x.shape)))
    return torch.cat(parts).reshape(x.shape)
