"""Downscalers: from a coarse field to a fine one. Every method has ``downscale(coarse) -> xarray.Dataset``."""

from __future__ import annotations

from physlab.downscale.adjusters import DQM, EQM, QDM, MBCn
from physlab.downscale.analog import Analog, WeatherTypes
from physlab.downscale.base import Downscaler, FieldDownscaler, refine_grid
from physlab.downscale.calibration import adjusted
from physlab.downscale.cnn import CNN
from physlab.downscale.constrained import Constrained
from physlab.downscale.gan import GAN, make_downscaler
from physlab.downscale.generator import WeatherGenerator
from physlab.downscale.influence import explain
from physlab.downscale.interpolate import Bicubic, BicubicConstrained, Interpolate, Nearest
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.methods import STATISTICAL, make_statistical
from physlab.downscale.quantile import BCSD, EmpiricalQuantileMapping, QuantileDeltaMapping
from physlab.downscale.regression import (
    MultipleRegression,
    NeuralRegression,
    QuantileRegression,
    StochasticRegression,
    SupportVector,
)
from physlab.downscale.statistical import Statistical
from physlab.downscale.terrain import TerrainFields
from physlab.downscale.trees import RandomForest
from physlab.downscale.validation import cross_validate, score_against, stationarity

__all__ = [
    "BCSD",
    "CNN",
    "DQM",
    "EQM",
    "GAN",
    "MBCn",
    "QDM",
    "STATISTICAL",
    "Analog",
    "Constrained",
    "Bicubic",
    "BicubicConstrained",
    "Downscaler",
    "EmpiricalQuantileMapping",
    "FieldDownscaler",
    "Interpolate",
    "LatentDownscaler",
    "MultipleRegression",
    "Nearest",
    "NeuralRegression",
    "QuantileDeltaMapping",
    "QuantileRegression",
    "RandomForest",
    "Statistical",
    "StochasticRegression",
    "SupportVector",
    "TerrainFields",
    "WeatherGenerator",
    "WeatherTypes",
    "adjusted",
    "cross_validate",
    "explain",
    "make_downscaler",
    "make_statistical",
    "refine_grid",
    "score_against",
    "stationarity",
]
