"""Downscalers: from a coarse field to a fine one. Every method has ``downscale(coarse) -> xarray.Dataset``."""

from __future__ import annotations

from physlab.downscale.base import Downscaler, FieldDownscaler, refine_grid
from physlab.downscale.cnn import CNN
from physlab.downscale.constrained import Constrained
from physlab.downscale.interpolate import Bicubic, BicubicConstrained, Interpolate, Nearest

__all__ = [
    "CNN",
    "Constrained",
    "Bicubic",
    "BicubicConstrained",
    "Downscaler",
    "FieldDownscaler",
    "Interpolate",
    "Nearest",
    "refine_grid",
]
