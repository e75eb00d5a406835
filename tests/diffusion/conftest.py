"""A training loop of ten lines, and a small U-Net that learned random fields, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from physlab.diffusion import Average, Denoiser, NoiseSchedule, SpectralDenoiser
from physlab.nn import UNet


def train_denoiser(
    denoiser: Denoiser, draw: Callable[[int, torch.Generator], Tensor], steps: int, batch: int, rate: float
) -> Denoiser:
    """Adam with a falling rate and averaged weights."""
    generator, average = torch.Generator().manual_seed(0), Average(denoiser, 0.99)
    optimiser = torch.optim.Adam(denoiser.parameters(), rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        loss = denoiser.loss(draw(batch, generator), generator=generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(denoiser)
    return average.module


@pytest.fixture(scope="session")
def train() -> Callable[..., Denoiser]:
    return train_denoiser


@pytest.fixture(scope="session")
def learned_fields() -> tuple[Denoiser, SpectralDenoiser]:
    """A U-Net after 250 steps on homogeneous fields of 8 x 16 points (about ten seconds), and their exact denoiser."""
    ky, kx = torch.fft.fftfreq(8) * 8, torch.fft.fftfreq(16) * 16
    spectrum = (1 + (ky[:, None].square() + kx.square()) / 2) ** -2.0
    exact = SpectralDenoiser(torch.zeros(1, 8, 16), spectrum / spectrum.mean(), NoiseSchedule("cosine"))
    torch.manual_seed(0)
    network = UNet(1, 1, (16, 32), 1, level=True, periodic=True)
    denoiser = Denoiser(network, exact.schedule, "v")
    return train_denoiser(denoiser, exact.sample, steps=250, batch=32, rate=3e-3), exact
