"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import math

import torch

from physlab.constants import GRAVITY, OMEGA, R_DRY
from physlab.teach.answers import Submission, answer
from physlab.teach.atmosphere.exercises import _TV

answer(
    "thickness",
    lambda t, q, lower, upper: R_DRY * t * (1 + _TV * q) * math.log(lower / upper),
    Submission("upside down", lambda t, q, a, b: R_DRY * t * (1 + _TV * q) * math.log(b / a), "negative thickness"),
    Submission(
        "in metres", lambda t, q, a, b: R_DRY * t * (1 + _TV * q) * math.log(a / b) / GRAVITY, "height in metres"
    ),
    Submission("log10", lambda t, q, a, b: R_DRY * t * (1 + _TV * q) * math.log10(a / b), "natural logarithm"),
    Submission("dry", lambda t, q, a, b: R_DRY * t * math.log(a / b), "virtual"),
    Submission("gas constant of the mole", lambda t, q, a, b: 8.314 * t * math.log(a / b), "times the hypsometric"),
)


def _f0(gx, gy, f):
    c = torch.full_like(f, 2 * OMEGA) * torch.sign(f)
    return -gy / c, gx / c


answer(
    "geostrophic-wind",
    lambda gx, gy, f: (-gy / f, gx / f),
    Submission("down the gradient", lambda gx, gy, f: (-gx / f, -gy / f), "across the contours"),
    Submission("signs swapped", lambda gx, gy, f: (gy / f, -gx / f), "anticyclonically"),
    Submission("absolute f", lambda gx, gy, f: (-gy / f.abs(), gx / f.abs()), "absolute value"),
    Submission("height, not geopotential", lambda gx, gy, f: (-GRAVITY * gy / f, GRAVITY * gx / f), "no g"),
    Submission("constant f", _f0, "f not 2 omega"),
    Submission("one component", lambda gx, gy, f: -gy / f, "two tensors"),
)

answer(
    "water-budget",
    lambda w0, w1, d, e, p, s: (w1 - w0 - e + p) / s + d,
    Submission(
        "evaporation sign", lambda w0, w1, d, e, p, s: (w1 - w0 + e + p) / s + d, "evaporation has the wrong sign"
    ),
    Submission("transport forgotten", lambda w0, w1, d, e, p, s: (w1 - w0 - e + p) / s, "flux divergence is missing"),
    Submission(
        "convergence for divergence", lambda w0, w1, d, e, p, s: (w1 - w0 - e + p) / s - d, "divergence has the wrong"
    ),
    Submission("units mixed", lambda w0, w1, d, e, p, s: (w1 - w0) / s - e + p + d, "amounts per hour"),
    Submission("negative residual", lambda w0, w1, d, e, p, s: (w0 - w1 + e - p) / s - d, "from nowhere"),
)


def _cosine_mean(field, latitude):
    w = torch.cos(torch.deg2rad(latitude))
    return (field.mean(-1) * w).sum() / w.sum()


answer(
    "global-mean",
    _cosine_mean,
    Submission("unweighted", lambda x, lat: x.mean(), "every row got the same weight"),
    Submission(
        "weights not normalised", lambda x, lat: (x.mean(-1) * torch.cos(torch.deg2rad(lat))).sum(), "sum to one"
    ),
    Submission("degrees as radians", lambda x, lat: (x.mean(-1) * torch.cos(lat)).sum() / torch.cos(lat).sum(), "1/3"),
    Submission("zonal mean", lambda x, lat: x.mean(-1), "one number"),
)


def _slope(fields, low, high, amplitude=False, linear=False):
    power = (torch.fft.rfft(fields, dim=-1).abs() ** (1 if amplitude else 2)).mean(0)
    k = torch.arange(power.numel(), dtype=torch.float64)[low : high + 1]
    x, y = (k if linear else torch.log(k)), torch.log(power[low : high + 1])
    return ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()


answer(
    "spectral-slope",
    _slope,
    Submission("amplitude", lambda x, a, b: _slope(x, a, b, amplitude=True), "slope of the amplitude"),
    Submission("sign lost", lambda x, a, b: -_slope(x, a, b), "positive slope"),
    Submission("linear axis", lambda x, a, b: _slope(x, a, b, linear=True), "average the power"),
)

answer(
    "predict-doubling",
    1.7,
    Submission("error per pixel count", 4.0, "variance beyond the cut-off"),
    Submission("no growth", 1.0, "white noise"),
    Submission("a word", "more", "a number is wanted"),
)

answer(
    "predict-lost-variance",
    4.0,
    Submission("fifteen of sixteen numbers", 93.75, "the spectrum is steep"),
    Submission("nothing", 0.0, "the fronts are in the rest"),
)
