"""Downscaling without learning: nearest neighbour and bicubic interpolation, alone or with a constraint layer on top.

These are the baselines that every learned method must stand beside. "bicubic+add" in particular costs nothing and
conserves exactly: most of what published tables credit to a trained network with a constraint layer is already there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from physlab.constrain import make_constraint
from physlab.downscale.base import FieldDownscaler
from physlab.errors import PhysLabError
from physlab.grid import refine
from physlab.nn import bicubic
from physlab.registry import Spec

METHODS: dict[str, Callable[[Tensor, int], Tensor]] = {"nearest": refine, "bicubic": bicubic}


class Interpolate(FieldDownscaler):
    """Interpolation of any field, made to agree with the coarse field if a constraint is named.

    Parameters
    ----------
    method : "nearest" or "bicubic".
    factor : N.
    constraint : "none" or a layer of :mod:`physlab.constrain`; the layer sees the field in its physical unit. For
        "softmax" it sees the logarithm of the interpolated field.
    """

    def __init__(self, method: str, factor: int, constraint: str = "none", **options) -> None:
        if method not in METHODS:
            raise PhysLabError(f"unknown interpolation {method!r}: choose one of {', '.join(METHODS)}")
        self.method, self.factor, self.constraint = method, int(factor), constraint
        self.layer = make_constraint(constraint, factor, **options)
        self.name = f"{method}{'' if constraint == 'none' else '+' + constraint}-x{factor}"

    @property
    def spec(self) -> Spec:
        then = "" if self.constraint == "none" else f", {self.layer.entry.title.lower()}"
        return replace(super().spec, title=f"{self.method.capitalize()}{then}", kind="baseline")

    @torch.no_grad()
    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., h, w) -> (..., h*N, w*N), physical units."""
        fine = METHODS[self.method](coarse, self.factor)
        if self.layer.logarithmic:
            fine = torch.log(fine.clamp_min(1e-6))
        return self.layer(fine, coarse, weights)


class InTime(FieldDownscaler):
    """Interpolation of two frames to three: linear in time, then a method in space; the middle hour is their mean.

    Takes (..., 2, h, w) and gives (..., 3, h*N, w*N). A constraint of the method acts on the middle frame too, with the
    mean of the two coarse frames, which is not what the truth holds there.
    """

    def __init__(self, method: Interpolate) -> None:
        self.method, self.factor, self.constraint, self.name = method, method.factor, method.constraint, method.name

    @property
    def spec(self) -> Spec:
        return replace(self.method.spec, frames=(2, 3))

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., 2, h, w) -> (..., 3, h*N, w*N), physical units."""
        if coarse.ndim < 3 or coarse.shape[-3] != 2:
            raise PhysLabError(f"coarse field has shape {tuple(coarse.shape)}: pass two frames, (..., 2, h, w)")
        first, last = coarse.unbind(-3)
        return self.method.predict(torch.stack([first, 0.5 * (first + last), last], dim=-3), weights)


def Nearest(factor: int) -> Interpolate:
    """Each fine cell has the value of its coarse cell."""
    return Interpolate("nearest", factor)


def Bicubic(factor: int) -> Interpolate:
    """Bicubic interpolation of the cell means."""
    return Interpolate("bicubic", factor)


def BicubicConstrained(factor: int, constraint: str = "add") -> Interpolate:
    """Bicubic interpolation with a constraint layer."""
    return Interpolate("bicubic", factor, constraint)
