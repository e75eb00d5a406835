"""Learned denoisers: conventions against an oracle network, the loss in closed form, and small trainings."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from physlab.diffusion import (
    KINDS,
    PARAMETERISATIONS,
    Average,
    Denoiser,
    GaussianDenoiser,
    Heun,
    NoiseSchedule,
    SpectralDenoiser,
)
from physlab.errors import FieldError, PhysLabError
from physlab.nn import UNet

MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
S = 1.3  # data_std, on purpose not 1


class Oracle(nn.Module):
    """What a perfect network would name, from its two inputs alone: c_in x and ln(r) / 4, in the papers' letters."""

    def __init__(self, schedule: NoiseSchedule, parameterisation: str) -> None:
        super().__init__()
        self.schedule, self.parameterisation = schedule, parameterisation

    def forward(self, scaled: Tensor, level: Tensor) -> Tensor:
        r = (4 * level[:, None]).exp()
        alpha = self.schedule.alpha(self.schedule.time(r))
        sigma = r * alpha
        x = scaled * (S**2 * alpha**2 + sigma**2).sqrt()
        gain = torch.linalg.inv(COVARIANCE + r[..., None] ** 2 * torch.eye(2).double()) @ COVARIANCE
        mean = MEAN + torch.einsum("bij,bi->bj", gain, x / alpha - MEAN)
        eps = (x - alpha * mean) / sigma
        return {
            "x0": mean,
            "eps": eps,
            "v": (alpha * eps - sigma * mean) / (alpha**2 + sigma**2).sqrt(),
            "edm": (mean - S**2 / (r**2 + S**2) * x / alpha) * (r**2 + S**2).sqrt() / (r * S),
        }[self.parameterisation]


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_perfect_network_is_the_exact_denoiser(kind: str, parameterisation: str) -> None:
    schedule = NoiseSchedule(kind)
    denoiser = Denoiser(Oracle(schedule, parameterisation), schedule, parameterisation, data_std=S)
    exact = GaussianDenoiser(MEAN, COVARIANCE, schedule)
    t = schedule.time(torch.tensor([0.05, 0.5, 2.0], dtype=torch.float64))
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for found, known in ((denoiser(x, t), exact(x, t)), (denoiser.score(x, t), exact.score(x, t))):
        assert torch.allclose(found, known, rtol=1e-7, atol=1e-7)
    alone = denoiser(x[:1], t[0])
    assert torch.allclose(alone, denoiser(x, t)[:1], rtol=1e-10)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_least_loss_is_what_noise_hides(parameterisation: str) -> None:
    """E |named - target|^2 of the perfect network is its weight times the trace of Cov[x0 | x_t]."""
    r, batch = 0.7, 20_000
    t = float(NoiseSchedule("cosine").time(r))
    schedule = NoiseSchedule("cosine", t_min=t, t_max=t + 1e-9)
    denoiser = Denoiser(Oracle(schedule, parameterisation), schedule, parameterisation, data_std=S)
    exact = GaussianDenoiser(MEAN, COVARIANCE, schedule)
    weight = {"eps": 1 / r**2, "x0": 1.0, "v": 1 + 1 / r**2, "edm": 1 / r**2 + 1 / S**2}[parameterisation]
    expected = weight * float(exact.covariance(t).trace()) / 2
    generator = torch.Generator().manual_seed(0)
    x0 = exact.sample(batch, generator)
    loss = float(denoiser.loss(x0, generator=generator))
    assert loss == pytest.approx(expected, rel=4 / math.sqrt(batch))
    a, b = (denoiser.loss(x0, generator=torch.Generator().manual_seed(1), **o) for o in ({}, {"weight": lambda r: r}))
    assert float(b / a) == pytest.approx(r, rel=1e-6)


def test_penalty_sees_the_denoised_mean_and_its_level() -> None:
    schedule, seen = NoiseSchedule("cosine"), {}
    denoiser = Denoiser(Oracle(schedule, "v"), schedule, "v", data_std=S)
    x0 = GaussianDenoiser(MEAN, COVARIANCE).sample(6, torch.Generator().manual_seed(0))

    def penalty(mean: Tensor, r: Tensor) -> Tensor:
        seen.update(mean=mean, r=r)
        return mean.square().mean(1) / (1 + r.square())

    plain, whole = (denoiser.loss(x0, generator=torch.Generator().manual_seed(1), penalty=p) for p in (None, penalty))
    generator = torch.Generator().manual_seed(1)
    t = schedule.draw_times(6, generator)
    x = schedule.add_noise(x0, t, torch.randn(x0.shape, generator=generator).double())
    exact = GaussianDenoiser(MEAN, COVARIANCE, schedule)(x, t)
    assert torch.allclose(seen["mean"], exact, rtol=1e-6) and torch.allclose(seen["r"], schedule.ratio(t))
    assert torch.allclose(whole - plain, (exact.square().mean(1) / (1 + schedule.ratio(t).square())).mean())


def test_area_weights_the_points() -> None:
    schedule = NoiseSchedule("edm")
    denoiser = Denoiser(Oracle(schedule, "edm"), schedule, "edm", data_std=S)
    x0 = GaussianDenoiser(MEAN, COVARIANCE).sample(6, torch.Generator().manual_seed(0))
    whole, first, second = (
        denoiser.loss(x0, generator=torch.Generator().manual_seed(1), area=None if a is None else torch.tensor(a))
        for a in (None, [2.0, 0.0], [0.0, 2.0])
    )
    assert torch.isclose(whole, 0.5 * (first + second)) and not torch.isclose(first, second, rtol=0.01)


def test_average_forgets_the_start_and_follows() -> None:
    layer = nn.Linear(1, 1)
    average = Average(layer, decay=0.9)
    values, mean = [1.0, 3.0, 2.0, 5.0], None
    start = float(layer.weight.detach())
    mean = start
    for n, value in enumerate(values, start=1):
        layer.weight.data.fill_(value)
        average.update(layer)
        decay = min(0.9, (1 + n) / (10 + n))
        mean = decay * mean + (1 - decay) * value
    assert float(average.module.weight) == pytest.approx(mean, rel=1e-6)
    assert not average.module.weight.requires_grad and layer.weight.requires_grad
    with pytest.raises(PhysLabError, match=r"0\.999"):
        Average(layer, decay=1.0)


class Perceptron(nn.Module):
    """(B, 2) and (B,) -> (B, 2)."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        layers = [nn.Linear(3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.layers(torch.cat([x, level[:, None]], dim=1))


def two_clouds(batch: int, generator: torch.Generator) -> Tensor:
    """30 % around (-1.2, 0.9) and 70 % around (0.6, -0.4), standard deviations 0.3 and 0.2."""
    left = torch.rand(batch, 1, generator=generator) < 0.3
    noise = torch.randn(batch, 2, generator=generator) * torch.tensor([0.3, 0.2])
    return torch.where(left, torch.tensor([-1.2, 0.9]), torch.tensor([0.6, -0.4])) + noise


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "parameterisation"), [("edm", "edm"), ("cosine", "v")])
def test_learns_two_clouds(kind: str, parameterisation: str, train: Callable[..., Denoiser]) -> None:
    """Over six seeds: mean within 0.021, variance within 2 %, the width of the small cloud within 19 %."""
    torch.manual_seed(0)
    denoiser = Denoiser(Perceptron(), NoiseSchedule(kind), parameterisation)
    trained = train(denoiser, two_clouds, steps=1200, batch=512, rate=4e-3)
    x = Heun(trained, 64)((4000, 2), torch.Generator().manual_seed(1))
    left = x[:, 0] < -0.3
    assert float(left.float().mean()) == pytest.approx(0.3, abs=0.03)
    for cloud, centre in ((x[left], (-1.2, 0.9)), (x[~left], (0.6, -0.4))):
        assert (cloud.mean(0) - torch.tensor(centre)).abs().max() < 0.05
        assert (cloud.std(0) / torch.tensor([0.3, 0.2]) - 1).abs().max() < 0.3
    mean, variance = torch.tensor([0.06, -0.01]), torch.tensor([0.09 + 0.21 * 1.8**2, 0.04 + 0.21 * 1.3**2])
    assert (x.mean(0) - mean).abs().max() < 0.05
    assert (x.var(0) / variance - 1).abs().max() < 0.05


@pytest.mark.slow
def test_learns_random_fields(learned_fields: tuple[Denoiser, SpectralDenoiser]) -> None:
    """A small U-Net comes within a few percent of the Wiener filter, and its draws have the spectrum."""
    trained, exact = learned_fields
    generator = torch.Generator().manual_seed(1)
    x0 = exact.sample(256, generator)
    for r in (0.1, 0.3, 1.0, 3.0):
        t = float(exact.schedule.time(r))
        x = exact.schedule.add_noise(x0, t, torch.randn(x0.shape, generator=generator))
        with torch.no_grad():
            learned, least = ((d(x, t) - x0).square().mean() for d in (trained, exact))
        assert learned < 1.1 * least, (r, float(learned), float(least))
    draws, known = (Heun(d, 16)((128, 1, 8, 16), torch.Generator().manual_seed(2)) for d in (trained, exact))
    assert float(draws.var() / known.var()) == pytest.approx(1.0, abs=0.1)  # the same steps: what is left was learned
    modes, right = (torch.fft.fft2(x, norm="ortho").abs().square().mean((0, 1))[:4, 1:8] for x in (draws, known))
    assert (modes / right).log().square().mean().sqrt() < 0.2  # of modes whose variances differ by two hundred
    assert right.max() > 200 * right.min()


def test_half_precision() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, (8, 16), 1, level=True, zero_start=False)
    x = torch.randn(2, 1, 8, 8)
    full = Denoiser(network)
    half = Denoiser(UNet(1, 1, (8, 16), 1, level=True)).bfloat16()
    half.load_state_dict(full.state_dict())
    a, b = full(x, 0.5), half(x.bfloat16(), 0.5)
    assert b.dtype == torch.bfloat16 and (a - b.float()).abs().max() < 0.05 * a.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        loss = full.loss(x, generator=torch.Generator().manual_seed(0))
    assert loss.dtype == torch.float32 and torch.isfinite(loss)


def test_wrong_arguments() -> None:
    network = UNet(1, 1, (4, 4), level=True)
    with pytest.raises(PhysLabError, match="eps, x0, v, edm"):
        Denoiser(network, parameterisation="noise")
    with pytest.raises(PhysLabError, match="data_std"):
        Denoiser(network, data_std=0.0)
    with pytest.raises(PhysLabError, match="NoiseSchedule"):
        Denoiser(network, "cosine")
    with pytest.raises(FieldError, match="keep their shape"):
        Denoiser(UNet(1, 2, (4, 4), level=True))(torch.randn(2, 1, 8, 8), 0.5)
    with pytest.raises(FieldError, match="condition has shape"):
        Denoiser(network)(torch.randn(2, 1, 8, 8), 0.5, torch.zeros(2, 1, 8, 8))
