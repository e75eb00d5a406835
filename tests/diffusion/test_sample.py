"""Samplers against what the exact Gaussian denoiser makes of them: moments, orders of convergence, identities.

With that denoiser every step is affine. A deterministic sampler is then known from n + 1 starts, and the variance of an
ancestral one from a recursion, so that most checks here have no Monte Carlo error at all.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from physlab.diffusion import (
    DDIM,
    DDPM,
    KINDS,
    Euler,
    GaussianDenoiser,
    Heun,
    NoiseSchedule,
    PredictorCorrector,
    Sampler,
    SpectralDenoiser,
)
from physlab.errors import Cancelled, FieldError, PhysLabError

MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[2.0, 0.8, -0.3], [0.8, 1.0, 0.2], [-0.3, 0.2, 0.5]], dtype=torch.float64)


def gaussian(kind: str) -> GaussianDenoiser:
    return GaussianDenoiser(MEAN, COVARIANCE, NoiseSchedule(kind))


def moments(sampler: Sampler) -> tuple[Tensor, Tensor]:
    """Mean and covariance of what a deterministic, affine sampler returns from N(0, sigma^2 I) at t_max."""
    schedule = sampler.denoiser.schedule
    out = sampler(start=torch.cat([torch.zeros(1, 3), torch.eye(3)]).double())
    matrix = (out[1:] - out[0]).T * float(schedule.sigma(schedule.t_max))
    return out[0], matrix @ matrix.T


@pytest.mark.parametrize("kind", KINDS)
def test_denoiser_is_the_conditional_mean(kind: str) -> None:
    """Against the regression of x0 on x_t written with the joint covariance; score against autograd of log p(x_t)."""
    denoiser = gaussian(kind)
    t = 0.3 * denoiser.schedule.t_max
    alpha, sigma = float(denoiser.schedule.alpha(t)), float(denoiser.schedule.sigma(t))
    marginal = alpha**2 * COVARIANCE + sigma**2 * torch.eye(3, dtype=torch.float64)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    gain = alpha * torch.linalg.solve(marginal, COVARIANCE).T
    assert torch.allclose(denoiser(x, t), MEAN + (x - alpha * MEAN) @ gain.T, rtol=1e-12)
    density = torch.distributions.MultivariateNormal(alpha * MEAN, marginal).log_prob(x).sum()
    score = torch.autograd.grad(density, x)[0]
    assert torch.allclose(denoiser.score(x, t), score, rtol=1e-7, atol=1e-9)
    jacobian = torch.func.jacrev(lambda v: denoiser(v[None], t)[0])(x[0])
    assert torch.allclose(denoiser.covariance(t), sigma**2 / alpha * jacobian, rtol=1e-10)  # Tweedie, second order
    assert torch.allclose(denoiser.covariance(t), COVARIANCE - alpha * gain @ COVARIANCE, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_spectral_denoiser_is_the_dense_one() -> None:
    generator = torch.Generator().manual_seed(0)
    ky, kx = torch.fft.fftfreq(4).double() * 4, torch.fft.fftfreq(6).double() * 6
    spectrum = 5 / (1 + ky[:, None].square() + kx.square())
    mean = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    spectral = SpectralDenoiser(mean, spectrum)
    basis = torch.fft.fft2(torch.eye(24, dtype=torch.float64).reshape(24, 4, 6), norm="ortho").reshape(24, 24)
    dense = GaussianDenoiser(mean, (basis.conj() @ torch.diag(spectrum.flatten()).to(basis) @ basis.T).real)
    x = torch.randn(3, 4, 6, generator=generator, dtype=torch.float64)
    for t in (0.1, torch.tensor([0.2, 0.5, 0.9])):
        assert torch.allclose(spectral(x, t), dense(x, t), rtol=1e-6, atol=1e-9)
    draws = spectral.sample(40_000, generator)
    assert float((draws - mean).square().mean()) == pytest.approx(float(spectrum.mean()), rel=0.01)
    sampled = Heun(spectral, 128)((20_000, 4, 6), generator, dtype=torch.float64) - mean
    modes = torch.fft.fft2(sampled, norm="ortho").abs().square().mean(0)
    assert ((modes / spectrum).log().abs() < 0.07).all()  # 0.05 is five standard errors of a real mode


@pytest.mark.parametrize("kind", KINDS)
def test_flow_returns_mean_and_covariance(kind: str) -> None:
    """What is left is the start, N(0, sigma^2) instead of the marginal, and t_min: both below a percent."""
    mean, covariance = moments(Heun(gaussian(kind), steps=256))
    assert (mean - MEAN).abs().max() < 0.03
    assert (covariance - COVARIANCE).abs().max() < 0.003
    coarse = moments(Heun(gaussian(kind), steps=32))[1]
    assert (coarse - COVARIANCE).abs().max() < 0.2


@pytest.mark.parametrize(("sampler", "order"), [(Euler, 1), (DDIM, 1), (Heun, 2)], ids=["Euler", "DDIM", "Heun"])
@pytest.mark.parametrize("kind", KINDS)
def test_order_of_convergence(kind: str, sampler: type[Sampler], order: int) -> None:
    """Against the flow of a Gaussian in closed form: each component of u shrinks as sqrt((c + r_s^2) / (c + r_t^2))."""
    denoiser = gaussian(kind)
    schedule = NoiseSchedule(kind, t_min=float(denoiser.schedule.time(0.05)), t_max=float(denoiser.schedule.time(5.0)))
    denoiser.schedule = schedule
    start = torch.tensor([[3.0, -1.0, 2.0]], dtype=torch.float64)
    u = start / float(schedule.alpha(schedule.t_max)) - MEAN
    variances, basis = torch.linalg.eigh(COVARIANCE)
    shrink = ((variances + 0.05**2) / (variances + 5.0**2)).sqrt()
    exact = float(schedule.alpha(schedule.t_min)) * (MEAN + ((u @ basis) * shrink) @ basis.T)
    steps = np.array([64, 128, 256, 512])
    errors = [float((sampler(denoiser, int(n), denoise_last=False)(start=start) - exact).norm()) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.1), errors
    assert errors[-1] < {1: 2e-2, 2: 2e-4}[order]


@pytest.mark.parametrize("kind", KINDS)
def test_ddim_without_noise_is_euler_in_its_own_variables(kind: str) -> None:
    for grid in ("karras", "log"):
        a = DDIM(gaussian(kind), 16, grid)((5, 3), torch.Generator().manual_seed(0), dtype=torch.float64)
        b = Euler(gaussian(kind), 16, grid)((5, 3), torch.Generator().manual_seed(0), dtype=torch.float64)
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_ancestral_is_ddim_with_all_the_noise(kind: str) -> None:
    a = DDPM(gaussian(kind), 16)((5, 3), torch.Generator().manual_seed(0), dtype=torch.float64)
    b = DDIM(gaussian(kind), 16, eta=1.0)((5, 3), torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(a, b, rtol=1e-8, atol=1e-8)


def variance_of(schedule: NoiseSchedule, times: Tensor, c: float, eta: float, corrections: int = 0, tau=0.1) -> float:
    """Variance that DDIM returns for x0 ~ N(0, c): the recursion of its affine steps, written from the paper."""
    a, s = (np.asarray(f(times)) for f in (schedule.alpha, schedule.sigma))
    variance = s[0] ** 2
    for i in range(len(times)):
        gain = a[i] * c / (a[i] ** 2 * c + s[i] ** 2)
        if i + 1 == len(times):
            return gain**2 * variance
        tau2 = eta**2 * s[i + 1] ** 2 / s[i] ** 2 * (s[i] ** 2 - a[i] ** 2 / a[i + 1] ** 2 * s[i + 1] ** 2)
        factor = a[i + 1] * gain + math.sqrt(s[i + 1] ** 2 - tau2) / s[i] * (1 - a[i] * gain)
        variance = factor**2 * variance + tau2
        for _ in range(corrections):
            step = tau * s[i + 1] ** 2
            variance = (1 - step / (a[i + 1] ** 2 * c + s[i + 1] ** 2)) ** 2 * variance + 2 * step


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_noise_of_ancestral_sampling_is_that_of_its_recursion(eta: float) -> None:
    c, members = 0.7, 40_000
    denoiser = GaussianDenoiser(torch.zeros(1).double(), torch.tensor([[c]]).double(), NoiseSchedule("linear"))
    sampler = DDIM(denoiser, 24, "uniform", eta=eta)
    x = sampler((members, 1), torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = variance_of(denoiser.schedule, sampler.times(), c, eta)
    assert float(x.var()) == pytest.approx(expected, rel=4 * math.sqrt(2 / members))
    assert expected < 0.95 * c  # 24 steps are too few, and the check above sees it


def test_corrector_does_what_its_recursion_says_and_repairs_a_coarse_predictor() -> None:
    c, members = 0.7, 40_000
    denoiser = GaussianDenoiser(torch.zeros(1).double(), torch.tensor([[c]]).double(), NoiseSchedule("cosine"))
    sampler = PredictorCorrector(denoiser, 16, "log", corrections=4, tau=0.2)
    x = sampler((members, 1), torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = variance_of(denoiser.schedule, sampler.times(), c, 0.0, 4, 0.2)
    assert float(x.var()) == pytest.approx(expected, rel=4 * math.sqrt(2 / members))
    predicted = variance_of(denoiser.schedule, sampler.times(), c, 0.0)
    assert abs(expected - c) < 0.5 * abs(predicted - c), (expected, predicted)


@pytest.mark.slow
def test_all_samplers_agree_on_the_marginal() -> None:
    """Ancestral, implicit, flow and corrected draws: the same mean and covariance within Monte Carlo error."""
    denoiser, members = gaussian("cosine"), 20_000
    samplers = {
        "DDPM": DDPM(denoiser, 500, "log"),
        "Euler": Euler(denoiser, 500, "log"),
        "Heun": Heun(denoiser, 128),
        "corrected": PredictorCorrector(denoiser, 200, "log", tau=0.05),
    }
    errors = {}
    for name, sampler in samplers.items():
        x = sampler((members, 3), torch.Generator().manual_seed(1), dtype=torch.float64)
        mean_error = (x.mean(0) - MEAN) / (COVARIANCE.diag() / members).sqrt()
        scale = (COVARIANCE.diag()[:, None] * COVARIANCE.diag() + COVARIANCE.square()) / members
        covariance_error = (torch.cov(x.T) - COVARIANCE) / scale.sqrt()
        errors[name] = (float(mean_error.abs().max()), float(covariance_error.abs().max()))
    assert max(e[0] for e in errors.values()) < 4, errors
    assert max(e[1] for e in errors.values()) < 5, errors


@pytest.mark.parametrize("grid", ["karras", "log", "uniform"])
def test_times(grid: str) -> None:
    for kind in KINDS:
        sampler = Heun(gaussian(kind), 20, grid)
        times = sampler.times()
        assert len(times) == 20 and (times.diff() < 0).all()
        assert (float(times[0]), float(times[-1])) == (sampler.denoiser.schedule.t_max, sampler.denoiser.schedule.t_min)
        r = sampler.denoiser.schedule.ratio(times)
        even = {"karras": r ** (1 / 7), "log": r.log(), "uniform": times}[grid].diff()
        assert torch.allclose(even, even.mean().expand(19), rtol=1e-6)
        assert len(Heun(gaussian(kind), 20, grid, denoise_last=False).times()) == 21


def test_progress_cancel_and_reproducibility() -> None:
    seen, before = [], torch.get_rng_state()
    sampler = DDPM(gaussian("cosine"), 8)
    x = sampler((2, 3), torch.Generator().manual_seed(5), progress=lambda done, of, now: seen.append((done, of, now)))
    assert [s[:2] for s in seen] == [(i + 1, 8) for i in range(8)]
    assert torch.equal(seen[-1][2], x) and x.dtype == torch.float32
    assert torch.equal(x, sampler((2, 3), torch.Generator().manual_seed(5)))
    assert not torch.equal(x, sampler((2, 3), torch.Generator().manual_seed(6)))
    assert torch.equal(before, torch.get_rng_state())
    calls = []
    with pytest.raises(Cancelled, match="after 3 of 8 steps"):
        sampler((2, 3), torch.Generator().manual_seed(0), cancel=lambda: calls.append(0) or len(calls) > 3)


def test_wrong_arguments() -> None:
    denoiser = gaussian("cosine")
    with pytest.raises(PhysLabError, match="at least 2"):
        Heun(denoiser, 1)
    with pytest.raises(PhysLabError, match="karras, log, uniform"):
        Heun(denoiser, grid="linear")
    with pytest.raises(PhysLabError, match="no fresh noise"):
        DDIM(denoiser, eta=2.0)
    with pytest.raises(PhysLabError, match="exactly one"):
        Heun(denoiser)()
    with pytest.raises(PhysLabError, match="tau"):
        PredictorCorrector(denoiser, tau=0.0)
    with pytest.raises(PhysLabError, match="rho"):
        Heun(denoiser, rho=0.0)
    with pytest.raises(FieldError, match=r"pass \(B, 3\)"):
        Heun(denoiser, 4)((2, 5))
    with pytest.raises(FieldError, match="one for each draw"):
        Heun(denoiser, 4)((2, 3), condition=torch.zeros(3, 3))
    with pytest.raises(NotImplementedError, match="Heun"):
        Sampler(denoiser, 4)((2, 3))
    with pytest.raises(PhysLabError, match=r"pass \(3, 3\)"):
        GaussianDenoiser(MEAN, torch.eye(2))
    with pytest.raises(PhysLabError, match="not symmetric"):
        GaussianDenoiser(MEAN[:2], torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(PhysLabError, match="negative eigenvalue"):
        GaussianDenoiser(MEAN[:2], torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(PhysLabError, match="at k and -k"):
        SpectralDenoiser(torch.zeros(4, 4), torch.rand(4, 4, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(PhysLabError, match=r"end in \(H, W\)"):
        SpectralDenoiser(torch.zeros(4, 4), torch.ones(4, 3))
