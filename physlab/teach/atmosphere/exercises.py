"""Exercises about the laboratory atmosphere: thickness, geostrophic wind, water budget, spectra, global means."""

from __future__ import annotations

import math

import numpy as np
import torch

from physlab.constants import EPSILON, GRAVITY, OMEGA, R_DRY
from physlab.grid import refine
from physlab.teach.case import held_out_water, interpolation_rmse
from physlab.teach.check import Wrong, call, exercise, require, same_shape, uniform

_TV = 1.0 / EPSILON - 1.0  # virtual temperature: Tv = T (1 + 0.608 q)


@exercise("thickness", wants="function")
def _grade_thickness(answer, generator: torch.Generator) -> str:
    """a function thickness(t, q, lower, upper) -> m2 s-2; layer-mean t in K, q in kg/kg, pressures in hPa"""
    # Phi(p2) - Phi(p1) = R_d Tv ln(p1 / p2), in m2 s-2.
    t = uniform((6, 8), 230.0, 300.0, generator)
    q = uniform((6, 8), 0.002, 0.018, generator)
    lower, upper = 850.0, float(uniform((), 300.0, 700.0, generator))
    out = same_shape(call(answer, t, q, lower, upper), t.shape, "the thickness")
    exact = R_DRY * t * (1.0 + _TV * q) * math.log(lower / upper)
    if not torch.allclose(out, exact, rtol=3e-3):
        ratio = float((out / exact).mean())
        dry = R_DRY * t * math.log(lower / upper)
        require(
            ratio > 0,
            "negative thickness: the upper level (lower pressure) lies higher, so the logarithm is ln(lower / upper)",
        )
        if abs(ratio - 1.0 / GRAVITY) < 1e-3:
            raise Wrong("this is a height in metres: geopotential thickness is g times that, in m2 s-2")
        if abs(ratio - math.log10(math.e)) < 1e-3:
            raise Wrong("a factor of 2.303: the integral of dp/p is the NATURAL logarithm")
        if torch.allclose(out, dry, rtol=1e-4):
            raise Wrong(
                "dry air only: moist air is lighter, so at the same temperature the layer is thicker. Use the "
                "virtual temperature T (1 + 0.608 q): near 300 K and q = 18 g/kg it is worth 3 K, ten times the "
                "error we look for",
            )
        raise Wrong(f"on average {ratio:.3f} times the hypsometric thickness R_d Tv ln(p1/p2)")
    double = call(answer, t, q, lower, lower)
    require(float(double.abs().max()) < 1e-9, "a layer between equal pressures must have no thickness")
    return "hypsometric equation with virtual temperature, right sign, right logarithm, in m2 s-2"


@exercise("geostrophic-wind", wants="function")
def _grade_geostrophic(answer, generator: torch.Generator) -> str:
    """a function wind(dphi_dx, dphi_dy, f) -> (u_g, v_g) in m/s; gradients of geopotential in m s-2, f in s-1"""
    # f k x u_g = -grad Phi: along the isobars, lows cyclonic in both hemispheres, linear, right magnitude.
    gx = 1e-3 * torch.randn((5, 7), generator=generator, dtype=torch.float64)
    gy = 1e-3 * torch.randn((5, 7), generator=generator, dtype=torch.float64)
    latitude = uniform((5, 1), 25.0, 80.0, generator) * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[:, None]
    f = 2 * OMEGA * torch.sin(torch.deg2rad(latitude))
    out = call(answer, gx, gy, f)
    require(isinstance(out, (tuple, list)) and len(out) == 2, "return two tensors: (u_g, v_g)")
    u, v = same_shape(out[0], gx.shape, "u_g"), same_shape(out[1], gx.shape, "v_g")
    speed = torch.hypot(gx, gy)
    across = (u * gx + v * gy).abs() / (torch.hypot(u, v) * speed + 1e-300)
    require(
        float(across.max()) < 1e-6,
        "the wind blows across the contours: the geostrophic wind is along them (u_g . grad Phi = 0), with high "
        "to its right in the northern hemisphere",
    )
    north = (f > 0).expand_as(gx)
    low = u * gy - v * gx  # u_g x grad Phi; equals -|grad Phi|^2 / f
    require(
        (low[north] < 0).all(),
        "northern lows turn anticyclonically: the two signs are swapped. Where Phi falls northward (dPhi/dy < 0), "
        "u_g must be west wind",
    )
    require(
        (low[~north] > 0).all(),
        "right in the north, wrong in the south: keep the sign of f, do not take its absolute value",
    )
    size = torch.hypot(u, v) * f.abs() / speed
    require(
        torch.allclose(size, torch.ones_like(size), rtol=1e-6),
        f"right direction, but the speed is {float(size.mean()):.3g} times |grad Phi| / |f|: Phi is geopotential, "
        "so no g, and f not 2 Omega",
    )
    return "along the contours, cyclonic around lows in both hemispheres, speed |grad Phi| / |f|"


@exercise("water-budget", wants="function")
def _grade_budget(answer, generator: torch.Generator) -> str:
    """a function residual(w0, w1, div_q, evaporation, rain, seconds) -> kg m-2 s-1; both fluxes are kg m-2 over the
    interval"""
    # dW/dt + div Q = E - P on exact budgets, kg m-2 s-1.
    shape = (4, 6)
    w0 = uniform(shape, 5.0, 50.0, generator)
    div = uniform(shape, -3e-4, 3e-4, generator)
    evaporation = uniform(shape, 0.0, 0.3, generator)  # kg m-2 in the hour
    rain = uniform(shape, 0.0, 2.0, generator)
    seconds = 3600.0
    w1 = w0 + evaporation - rain - div * seconds
    out = same_shape(call(answer, w0, w1, div, evaporation, rain, seconds), shape, "the residual")
    if float(out.abs().max()) > 5e-9:  # an answer in float32 rounds by a tenth of this
        terms = {
            "evaporation": evaporation / seconds,
            "rain": rain / seconds,
            "flux divergence": div,
            "storage change": (w1 - w0) / seconds,
        }
        for name, term in terms.items():
            for factor, what in (
                (1.0, "is missing"),
                (-1.0, "is missing"),
                (2.0, "has the wrong sign"),
                (-2.0, "has the wrong sign"),
            ):
                if torch.allclose(out, factor * term, rtol=1e-5, atol=5e-9):
                    raise Wrong(f"an exact budget leaves a residual because the {name} {what}: dW/dt + div Q = E - P")
        if torch.allclose(out, (evaporation - rain) * (1 - 1 / seconds), rtol=1e-6) or torch.allclose(
            out, (rain - evaporation) * (1 - 1 / seconds), rtol=1e-6
        ):
            raise Wrong(
                "rain and evaporation are amounts per hour, the other terms per second: divide them by the seconds too",
            )
        raise Wrong(f"an exact budget leaves up to {float(out.abs().max()) * 86400:.3g} kg m-2 per day")
    wet = call(answer, w0, w1 + 1.0, div, evaporation, rain, seconds)
    require(
        (wet > 0).all(), "water that appears from nowhere must give a positive residual (left side minus right side)"
    )
    return "exact budgets close to rounding; an extra kilogram from nowhere gives a positive residual"


@exercise("global-mean", wants="function")
def _grade_mean(answer, generator: torch.Generator) -> str:
    """a function mean(field, latitude) -> number; field (H, W), latitude (H,) in degrees"""
    # The mean over the sphere: <1> = 1, <sin^2> = 1/3, also on latitudes that are not evenly spaced.
    for kind in ("even", "gauss"):
        n = 64
        if kind == "even":
            latitude = torch.linspace(-90 + 90 / n, 90 - 90 / n, n, dtype=torch.float64)
        else:
            nodes, _ = np.polynomial.legendre.leggauss(n)
            latitude = torch.from_numpy(np.degrees(np.arcsin(nodes)))
        level = float(uniform((), 1.0, 50.0, generator))
        field = torch.full((n, 2 * n), level, dtype=torch.float64)
        one = torch.as_tensor(call(answer, field, latitude))
        require(one.numel() == 1, f"one number is wanted, got shape {tuple(one.shape)}")
        require(
            abs(float(one) - level) < 1e-5 * level,
            f"the mean of a constant {level:.4g} came out as {float(one):.4g}: the weights must sum to one",
        )
        wave = torch.sin(torch.deg2rad(latitude))[:, None].expand(n, 2 * n) ** 2
        got = float(torch.as_tensor(call(answer, wave.contiguous(), latitude)))
        require(
            abs(got - 0.5) > 0.02,
            "the mean of sin^2(latitude) over the sphere is 1/3, you have 1/2: every row got the same weight, but "
            "a row near the pole covers hardly any area",
        )
        require(abs(got - 1 / 3) < 2e-3, f"the mean of sin^2(latitude) over the sphere is 1/3, you have {got:.4f}")
    return "a constant keeps its value and sin^2(latitude) averages to 1/3 on even and on Gaussian latitudes"


@exercise("spectral-slope", wants="function")
def _grade_slope(answer, generator: torch.Generator) -> str:
    """a function slope(fields, low, high) -> number; fields (samples, W) on a latitude circle, wavenumbers low to
    high"""
    # The slope of an ensemble of spectra: average the power of each sample, then fit in logarithms.
    true = -float(uniform((), 1.5, 4.0, generator))
    k = torch.arange(1, 65, dtype=torch.float64)
    phase = torch.rand((40, 64), generator=generator, dtype=torch.float64) * 2 * math.pi
    x = torch.arange(256, dtype=torch.float64) / 256 * 2 * math.pi
    amplitude = (k ** (true / 2))[None, :, None]
    fields = (amplitude * torch.cos(k[None, :, None] * x + phase[:, :, None])).sum(1) + 20.0
    got = float(torch.as_tensor(call(answer, fields, 10, 40)))
    if abs(got - true) > 0.05:
        if abs(got - true / 2) < 0.05:
            raise Wrong(f"half the true slope {true:.2f}: this is the slope of the amplitude; power is its square")
        require(got < 0, f"a positive slope {got:.2f}: power falls with the wavenumber; fit log(power) against log(k)")
        raise Wrong(
            f"slope {got:.2f} for fields made with {true:.2f}: transform every sample first and average the power. "
            "Averaging fields first lets random phases cancel and leaves noise",
        )
    return f"recovers a prescribed slope ({true:.2f}) from samples with random phases"


def _log2(x: float) -> float:
    return float(torch.log2(torch.tensor(x)))


@exercise("predict-doubling", wants="number")
def _grade_doubling(got: float, generator: torch.Generator) -> str:
    """a number: RMSE of nearest at x8 divided by its RMSE at x4"""
    ratio = interpolation_rmse("nearest", 8) / interpolation_rmse("nearest", 4)
    require(
        abs(got - ratio) < 0.35,
        f"measured otherwise: you said {got:.2f}. What coarsening "
        "removes is the variance beyond the cut-off wavenumber; for power ~ k^-s it grows as (block edge)^(s - "
        "1), the RMSE as its root. White noise (s = 1) would give 1, and s = 3 gives 2",
    )
    return (
        f"measured: {ratio:.2f}. By power ~ k^-s and RMSE ~ (block edge)^((s - 1)/2) this corresponds to s = "
        f"{1 + 2 * _log2(ratio):.1f}"
    )


@exercise("predict-lost-variance", wants="number")
def _grade_lost(got: float, generator: torch.Generator) -> str:
    """a number in per cent: share of the spatial variance of column water that a 4 x 4 block mean removes"""
    fine, coarse, weights = held_out_water(4)
    weights = weights / weights.mean()
    mean = (weights * fine).mean((-2, -1), keepdim=True)
    lost = 100 * float((weights * (fine - refine(coarse, 4)) ** 2).mean() / (weights * (fine - mean) ** 2).mean())
    require(
        lost / 3 < got < lost * 3,
        f"measured otherwise: you said {got:.3g} %. How much lives inside the blocks depends on the spectrum. The "
        "spectrum "
        "is steep: most variance sits in the contrast between tropics and poles, so a high correlation proves "
        "little. The fronts are in the rest",
    )
    return f"measured: {lost:.2g} % of the spatial variance. Everything a downscaling method can win is in there"
