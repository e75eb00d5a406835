"""A baseline for each variable that suits it: what cannot be negative is multiplied, everything else shifted.

The additive layer shifts a whole block; where a dry cell lies beside rain its children become negative: a third of the
cells of a rain field. The multiplicative layer conserves as exactly and keeps the sign. A program gets the method that
it names from :meth:`~physlab.downscale.base.FieldDownscaler.downscale`; this is for the command line, which says what
it did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab import cf
from physlab.downscale.around import Around
from physlab.downscale.base import Downscaler, FieldDownscaler
from physlab.downscale.interpolate import METHODS, Interpolate
from physlab.downscale.masks import filled
from physlab.downscale.place import fields_of, space_of
from physlab.registry import Spec

DRY = 0.01
"""A field holds dry cells if some are below this share of the mean of those above zero; without, it is tried out."""
THRESHOLD = 1e-3
"""Of the multiplicative layer, in units of the mean of what is above zero, and at most in those of the field."""
LOOKED_AT = 8  # fields of a variable


class Suited(Around):
    """A method, and others in its place for some variables.

    Parameters
    ----------
    method : for all variables that `others` does not name.
    others : variable -> method of the same factor.
    """

    def __init__(self, method: FieldDownscaler, others: Mapping[str, FieldDownscaler]) -> None:
        super().__init__(method)
        self.method, self.others = method, dict(others)

    @property
    def spec(self) -> Spec:
        return replace(self.method.spec)

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """As the method does."""
        return self.method.predict(coarse, weights)

    def _now(
        self, values: np.ndarray, da: xr.DataArray, weights: Tensor, periodic: bool, watch: Callable[[], None] | None
    ) -> np.ndarray:
        chosen = self.others.get(str(da.name), self.method)
        return chosen._now(values, da, weights, periodic, watch)


class Within(Interpolate):
    """Interpolation of a share, with the scaled additive layer: nothing below 0 or above the whole.

    Parameters
    ----------
    method, factor : see :class:`Interpolate`.
    whole : 1, or 100 for per cent.
    """

    def __init__(self, method: str, factor: int, whole: float) -> None:
        super().__init__(method, factor, "scaled_add", bounds=(0.0, whole))
        self.whole = whole

    @torch.no_grad()
    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., h, w) -> (..., h*N, w*N): what the layer is given lies within the bounds, so that its result does."""
        fine = METHODS[self.method](coarse, self.factor).clamp(0.0, self.whole)
        return self.layer(fine, coarse, weights).clamp(0.0, max(self.whole, float(coarse.max())))


def suited(method: Downscaler, coarse: xr.Dataset) -> tuple[Downscaler, list[str]]:
    """What a baseline becomes for these fields, and what is to be said about it; any other method stays as it is."""
    if not isinstance(method, Interpolate) or method.constraint not in ("add", "scaled_add", "mult"):
        return method, []
    others: dict[str, FieldDownscaler] = {}
    notes = []
    for name in fields_of(coarse)[0]:
        da = coarse[name]
        if not cf.non_negative(da):
            continue
        some = _some(da, LOOKED_AT)
        values = some[np.isfinite(some)]
        wet = values[values > 0]
        mean, lowest, highest = (float(wet.mean()), float(values.min()), float(values.max())) if wet.size else (0, 0, 0)
        whole = _whole(da, highest)
        if not wet.size or (lowest > DRY * mean and not _crosses(method, some, whole)):
            continue
        if whole is not None:
            others[str(name)] = Within(method.method, method.factor, whole)
            does = f"is a share: {others[str(name)].name} within 0 and {whole:g} was used for it"
        else:
            threshold = min(THRESHOLD, THRESHOLD * mean)
            others[str(name)] = Interpolate(method.method, method.factor, "mult", threshold=threshold)
            does = f"cannot be negative and would become so: {others[str(name)].name} was used for it"
        if method.name != others[str(name)].name:
            notes.append(f"'{name}' {does}, which conserves as {method.name} does and keeps the sign")
    return (Suited(method, others), notes) if others else (method, [])


def _some(da: xr.DataArray, count: int) -> np.ndarray:
    """At most `count` fields along each leading dim of a variable, (n, h, w)."""
    space = space_of(da)
    for dim in (d for d in da.dims if d not in space):
        size = da.sizes[dim]
        da = da.isel({dim: np.unique(np.linspace(0, size - 1, min(size, count)).astype(int))})
    values = np.asarray(da.transpose(..., *space).values, dtype=np.float64)
    return values.reshape(-1, *values.shape[-2:])


def _whole(da: xr.DataArray, highest: float) -> float | None:
    """Upper bound of a share, or of a relative humidity, whose supersaturation is that of the input; else None."""
    text = f"{da.attrs.get('standard_name', '')} {da.name}".lower()
    if cf.kind(da) != "fraction" and not re.search(r"relative_humidity|\b(hurs?|r|rh|r2|rh2)$", text):
        return None
    percent = str(da.attrs.get("units", "")).strip().lower() in ("%", "percent") or highest > 2.0
    return max(100.0 if percent else 1.0, highest)


def _crosses(method: Interpolate, fields: np.ndarray, whole: float | None) -> bool:
    """Whether the method leaves the bounds for the first and the last of some fields that lie within them."""
    ends = filled(torch.from_numpy(fields[[0, -1]].astype(np.float32)))
    fine = method.predict(ends)
    return float(ends.min()) >= 0 and (float(fine.min()) < 0 or (whole is not None and float(fine.max()) > whole))
