"""The balances that an analysis is held to: an analytic state that has them, and what is asked of the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from physlab.assimilate import StateSpace
from physlab.assimilate.proxy import LAWS, PhysicsProxy, balanced, residuals
from physlab.constants import EARTH_RADIUS, EPSILON, OMEGA, R_DRY

H, W, LEVELS = 64, 128, np.array([500.0, 700.0, 850.0])


@pytest.fixture(scope="module")
def space() -> StateSpace:
    channels = tuple((v, p) for v in "uvtqz" for p in LEVELS)
    one = torch.ones(len(channels), 1, 1)
    latitude = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0]))
    return StateSpace(channels, latitude, np.arange(W) * 360.0 / W, 0 * one, one, one)


def in_balance(space: StateSpace, seed: int = 0) -> Tensor:
    """(15, H, W) double: geopotential of a few waves, wind and temperature derived from it on paper.

    Virtual temperature is linear in ln p, for which the layer mean of two levels is exact.
    """
    rng = np.random.default_rng(seed)
    phi, lam = np.meshgrid(np.deg2rad(space.latitude), np.deg2rad(space.longitude), indexing="ij")
    s, c = np.sin(phi), np.cos(phi)
    tv, z, zx, zy = (np.zeros((3, H, W)) for _ in range(4))
    x = np.log(LEVELS / 1000.0)[:, None, None]

    def part(amplitude: float):
        """A field of waves, and its derivatives east and north in radians (east without 1 / cos)."""
        f, fe, fn = amplitude * s**2, 0 * s, 2 * amplitude * s * c
        for m in (1, 2, 3):
            a, shift = amplitude * rng.uniform(0.2, 0.6), rng.uniform(0, 6)
            wave = np.cos(m * lam + shift)
            f = f + a * c**m * s * wave
            fe = fe - a * m * c**m * s * np.sin(m * lam + shift)
            fn = fn + a * (c ** (m + 1) - m * c ** (m - 1) * s**2) * wave
        return f, fe, fn

    ground, slope, bend = part(2000.0), part(-20.0), part(3.0)
    t0, t1 = 290.0 + slope[0], 40.0 + bend[0]  # tv = t0 + t1 x
    tv = t0 + t1 * x
    z = ground[0] - R_DRY * (t0 * x + 0.5 * t1 * x**2)
    for k, target in ((1, zx), (2, zy)):
        target += ground[k] - R_DRY * (slope[k] * x + 0.5 * bend[k] * x**2)
    f = 2 * OMEGA * s
    u, v = -zy / (EARTH_RADIUS * f), zx / (EARTH_RADIUS * c * f)
    q = 1e-4 * np.exp(2 * x) * (1 + 0.5 * s**2)
    t = tv / (1 + (1 / EPSILON - 1) * q)
    return torch.from_numpy(np.concatenate([u, v, t, q, z]))


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_a_state_in_balance_has_no_residual(space) -> None:
    x = in_balance(space)
    found, terms = residuals(x, space), balanced(x, space)
    assert tuple(found) == tuple(terms) == LAWS
    assert found["hypsometric"].shape == (2, H, W) and found["geostrophic"].shape == (6, H, W)
    assert found["humidity"].shape == (3, H, W)
    assert rms(found["hypsometric"]) < 1e-9 * rms(terms["hypsometric"])
    assert 0 < rms(found["geostrophic"]) < 2e-4 * rms(terms["geostrophic"])  # differences of fourth order to the north
    assert rms(found["geostrophic"][:3]) < 1e-10 * rms(terms["geostrophic"])  # spectral to the east
    assert not found["humidity"].any()
    belt = (found["geostrophic"][3:].abs().amax((0, 2)) > 0).numpy()
    inside = (abs(space.latitude) >= 25) & (abs(space.latitude) <= 75)
    assert np.array_equal(belt, inside)


def test_each_residual_is_what_was_put_in(space) -> None:
    x, base = in_balance(space), residuals(in_balance(space), space)
    f = 2 * OMEGA * np.sin(np.deg2rad(space.latitude))[:, None] * np.ones(W)
    inside = torch.from_numpy((abs(space.latitude) >= 25) & (abs(space.latitude) <= 75))
    wrong = x.clone()
    wrong[3] += 3.0  # v500 by 3 m/s
    wrong[7] += 2.0  # t700 by 2 K
    wrong[9] = -1e-4  # q500 below zero
    wrong[11] = 0.5  # q850 far above saturation
    found = residuals(wrong, space)
    difference = (found["geostrophic"] - base["geostrophic"])[:, inside]
    assert torch.allclose(difference[0], torch.from_numpy(3.0 * f)[inside], atol=1e-9)
    assert not difference[1:].abs().gt(1e-12).any()
    moist = 1 + (1 / EPSILON - 1) * x[10]
    first = -R_DRY * 0.5 * 2.0 * moist * np.log(500 / 700)
    dry = R_DRY * 0.5 * np.log(500 / 700) * x[6] * (1 / EPSILON - 1) * (x[9] + 1e-4)
    assert torch.allclose((found["hypsometric"] - base["hypsometric"])[0], first + dry, rtol=1e-6)
    assert torch.allclose(found["humidity"][0], torch.full((H, W), -1e-4, dtype=torch.double))
    assert not found["humidity"][1].any()
    t = x[8] - 273.15  # Bolton (1980), eq. 10
    e = 611.2 * torch.exp(17.67 * t / (t + 243.5))
    saturated = EPSILON * e / (85000.0 - (1 - EPSILON) * e)
    assert torch.allclose(found["humidity"][2], 0.5 - saturated, rtol=1e-6)


def imbalanced(space: StateSpace, count: int, seed: int, size: float = 1.0) -> Tensor:
    """Balanced states and noise that balances nothing, between dry and saturated."""
    x = torch.stack([in_balance(space, seed + k) for k in range(count)])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    scale = torch.tensor([0.5, 0.5, 0.5, 1e-6, 20.0], dtype=torch.double).repeat_interleave(3)[:, None, None]
    return x + size * scale * noise


@pytest.fixture(scope="module")
def truths(space) -> Tensor:
    return imbalanced(space, 24, 0)


@pytest.fixture(scope="module")
def proxy(space, truths) -> PhysicsProxy:
    return PhysicsProxy(space).fit(truths.split(7))


def test_the_fit_is_the_moments_of_the_truth(space, truths, proxy) -> None:
    """By numpy: g / sigma with g = 1 - (sigma / sigma_0)^2, sigma at least a tenth of its mean."""
    values, terms = residuals(truths, space), balanced(truths, space)
    area = np.cos(np.deg2rad(space.latitude))[:, None]
    for law in ("hypsometric", "geostrophic"):
        r, b = values[law].numpy(), terms[law].numpy()
        sigma, signal = r.std(0), b.std(0)
        assert np.allclose(getattr(proxy, f"{law}_mean"), r.mean(0), rtol=1e-3, atol=1e-3 * sigma.max())
        floor = 0.1 * np.sqrt((sigma**2 * area / area.mean()).mean((-2, -1), keepdims=True))
        rows = sigma.max((0, 2)) > 0
        g = np.clip(1 - (sigma[:, rows] / signal[:, rows]) ** 2, 0, None)
        expected = g / np.maximum(sigma[:, rows], floor)
        assert np.allclose(getattr(proxy, f"{law}_weight")[:, rows], expected, rtol=0.01), law
    again = PhysicsProxy(space).fit([truths])
    assert torch.allclose(again.geostrophic_weight, proxy.geostrophic_weight, rtol=1e-3)


def test_the_truth_costs_about_one_and_less_balance_costs_more(space, truths, proxy) -> None:
    own = proxy.penalty(truths.float())
    assert own.shape == (24,) and 0.2 < own.mean() <= 1.0
    other = proxy.penalty(imbalanced(space, 4, 100).float()).mean()  # of the same kind
    assert 0.2 < other < 1.5
    twice = proxy.penalty(imbalanced(space, 4, 100, 2.0).float()).mean()
    assert 2.5 * other < twice < 5 * other
    assert proxy.penalty(imbalanced(space, 4, 100, 0.1).float()).mean() < other
    r = proxy(truths[:2].float())
    by_hand = sum((v.square() * space.area).mean((1, 2, 3)) for v in r.values()) / 3
    assert torch.allclose(proxy.penalty(truths[:2].float()), by_hand)


def test_a_law_that_explains_nothing_is_left_out(space) -> None:
    """Where noise is larger than what should be balanced there is no weight; elsewhere there is."""
    x = imbalanced(space, 24, 0)
    middle = slice(H // 2 + 16, H // 2 + 20)  # rows near 47 N
    x[:, :3, middle] += 200 * torch.randn(24, 3, 4, W, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    weight = PhysicsProxy(space).fit([x]).geostrophic_weight
    assert not weight[3:, middle].any()  # u is in the meridional balance
    assert weight[:3, middle].gt(0).float().mean() > 0.9
    assert weight[3:, H // 2 + 24].gt(0).float().mean() > 0.9


def test_gradients_point_back_to_balance(space, proxy) -> None:
    x = imbalanced(space, 1, 50, 4.0).float().requires_grad_()
    cost = proxy.penalty(x).sum()
    cost.backward()
    assert x.grad.isfinite().all() and all(x.grad[:, space.part(v)].any() for v in "uvtz")
    scale = torch.tensor([0.5, 0.5, 0.5, 0.0, 20.0]).repeat_interleave(3)[:, None, None]
    step = x.grad * scale**2
    with torch.no_grad():
        nearer = proxy.penalty(x - 0.1 * cost / (x.grad * step).sum() * step)
    assert nearer.sum() < 0.95 * cost
    assert not proxy.state_dict()  # serves the training, is not written
