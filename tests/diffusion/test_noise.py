"""Noise schedules: closed forms, the differential equation they solve, and conversions between what a network names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physlab.diffusion import KINDS, QUANTITIES, NoiseSchedule
from physlab.errors import PhysLabError


def times(schedule: NoiseSchedule, count: int = 41) -> torch.Tensor:
    return torch.linspace(schedule.t_min, schedule.t_max, count, dtype=torch.float64)


def closed_form(kind: str, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha and sigma^2 in extended precision, as the papers print them."""
    t = t.astype(np.longdouble)
    if kind == "linear":
        alpha = np.exp(-0.5 * (0.1 * t + 0.5 * 19.9 * t**2))
    elif kind == "cosine":
        alpha = np.cos(np.arccos(np.longdouble(1e-2)) * t)
    elif kind == "sda":
        alpha = np.cos(np.arccos(np.sqrt(np.longdouble(1e-3))) * t) ** 2
    else:
        return np.ones_like(t), t**2
    return alpha, 1 - alpha**2 + (np.longdouble(1e-6) if kind == "sda" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_marginals_are_those_of_the_papers(kind: str) -> None:
    schedule = NoiseSchedule(kind)
    t = times(schedule)
    alpha, variance = closed_form(kind, t.numpy())
    np.testing.assert_allclose(schedule.alpha(t).numpy(), alpha.astype(float), rtol=1e-12)
    np.testing.assert_allclose(schedule.sigma(t).square().numpy(), variance.astype(float), rtol=1e-11)
    np.testing.assert_allclose(schedule.snr(t).numpy(), (alpha**2 / variance).astype(float), rtol=1e-11)
    assert (schedule.snr(t).diff() < 0).all()


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_small_noise_is_exact_in_single_precision(kind: str) -> None:
    """1 - alpha^2 loses every digit in float32 at the first time; the schedule does not."""
    schedule = NoiseSchedule(kind)
    t = torch.tensor([schedule.t_min], dtype=torch.float32)
    alpha, exact = schedule.alpha(t), schedule.sigma(t.double())
    assert abs(float((1 - alpha.square()).clamp(min=0).sqrt() / exact) - 1) > 1e-3
    assert abs(float(schedule.sigma(t) / exact) - 1) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_time_is_the_inverse_of_the_ratio(kind: str) -> None:
    schedule = NoiseSchedule(kind)
    t = times(schedule)
    assert torch.allclose(schedule.time(schedule.ratio(t)), t, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_moments_solve_the_stochastic_equation(kind: str) -> None:
    """dm/dt = f m and dP/dt = 2 f P + g^2, integrated by Runge-Kutta from t_min, end at alpha and sigma^2."""
    schedule = NoiseSchedule(kind, t_max=10.0 if kind == "edm" else 0.9)
    count = 4000
    h = (schedule.t_max - schedule.t_min) / count
    state = np.array([float(schedule.alpha(schedule.t_min)), float(schedule.sigma(schedule.t_min)) ** 2])

    t = schedule.t_min + 0.5 * h * torch.arange(2 * count + 1, dtype=torch.float64)
    f, g2 = schedule.drift(t).numpy(), schedule.diffusion(t).square().numpy()

    def rate(i: int, y: np.ndarray) -> np.ndarray:
        return np.array([f[i] * y[0], 2 * f[i] * y[1] + g2[i]])

    for i in range(count):
        a = rate(2 * i, state)
        b = rate(2 * i + 1, state + 0.5 * h * a)
        c = rate(2 * i + 1, state + 0.5 * h * b)
        d = rate(2 * i + 2, state + h * c)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    assert state[0] == pytest.approx(float(schedule.alpha(schedule.t_max)), rel=1e-7)
    assert state[1] == pytest.approx(float(schedule.sigma(schedule.t_max)) ** 2, rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_the_marginal(kind: str) -> None:
    schedule, generator = NoiseSchedule(kind), torch.Generator().manual_seed(0)
    t = 0.4 * schedule.t_max
    x0 = 3 + 2 * torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    x = schedule.add_noise(x0, t, torch.randn(x0.shape, generator=generator, dtype=torch.float64))
    mean, variance = float(3 * schedule.alpha(t)), float(4 * schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2)
    assert float(x.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / len(x)))
    assert float(x.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / len(x)))


@pytest.mark.parametrize("source", QUANTITIES)
@pytest.mark.parametrize("kind", KINDS)
def test_conversions_return(kind: str, source: str) -> None:
    schedule, generator = NoiseSchedule(kind), torch.Generator().manual_seed(1)
    t = times(schedule, 7)[1:-1]
    x0, eps = (torch.randn(5, 3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    x = schedule.add_noise(x0, t, eps)
    alpha, sigma = (c.reshape(5, 1, 1) for c in (schedule.alpha(t), schedule.sigma(t)))
    n = (alpha**2 + sigma**2).sqrt()
    known = {"x0": x0, "eps": eps, "v": (alpha * eps - sigma * x0) / n, "score": -eps / sigma}
    for target in QUANTITIES:
        there = schedule.convert(known[source], x, t, source, target)
        assert torch.allclose(there, known[target], rtol=1e-6, atol=1e-6), target
        back = schedule.convert(there, x, t, target, source)
        assert torch.allclose(back, known[source], rtol=1e-6, atol=1e-6), target


def test_training_times_fill_their_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    uniform = NoiseSchedule("cosine").draw_times(1000, generator)
    counts = torch.histc(uniform, 10, 1e-3, 1.0)
    assert (counts - 100).abs().max() <= 1  # one in each share, which independent draws never reach
    logs = NoiseSchedule("edm").draw_times(4000, generator).log()
    assert float(logs.mean()) == pytest.approx(-1.2, abs=0.02) and float(logs.std()) == pytest.approx(1.2, abs=0.02)
    a, b = (NoiseSchedule().draw_times(5, torch.Generator().manual_seed(s)) for s in (3, 3))
    assert torch.equal(a, b)


def test_wrong_arguments() -> None:
    with pytest.raises(PhysLabError, match="linear, cosine, sda, edm"):
        NoiseSchedule("quadratic")
    with pytest.raises(PhysLabError, match="0 < t_min < t_max <= 1"):
        NoiseSchedule("cosine", t_max=2.0)
    with pytest.raises(PhysLabError, match="0 < t_min < t_max"):
        NoiseSchedule("edm", t_min=0.0)
    with pytest.raises(PhysLabError, match="beta0 <= beta1"):
        NoiseSchedule("linear", beta=(20.0, 0.1))
    schedule, x = NoiseSchedule(), torch.zeros(3, 2)
    with pytest.raises(PhysLabError, match="each of the 3 samples"):
        schedule.add_noise(x, torch.tensor([0.1, 0.2]), x)
    with pytest.raises(PhysLabError, match="x0, eps, v, score"):
        schedule.convert(x, x, 0.5, "noise", "x0")
