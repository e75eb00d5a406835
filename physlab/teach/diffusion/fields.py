"""A small field: windows of column water, the Gaussian with the same spectrum, a network, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.data.patches import SRData
from physlab.diffusion import Average, Denoiser, NoiseSchedule, SpectralDenoiser
from physlab.nn.unet import UNet
from physlab.teach.pictures import closed

SIZE = 16


@dataclass(frozen=True, eq=False)
class Patches:
    """Windows of 16 x 16 cells in the northern storm track, standardised by the training block.

    Attributes
    ----------
    known, held : (S, 1, 16, 16) of the training and of the test block.
    mean, scale : kg m-2.
    """

    known: Tensor
    held: Tensor
    mean: float
    scale: float

    @classmethod
    def of(cls, data: SRData, rows: slice = slice(80, 112)) -> Patches:
        """Sixteen windows from every frame."""
        cut = {}
        for split in ("train", "test"):
            windows = data.fine[split][:, 0, rows].unfold(1, SIZE, SIZE).unfold(2, SIZE, SIZE)
            cut[split] = windows.reshape(-1, 1, SIZE, SIZE)
        mean, scale = float(cut["train"].mean()), float(cut["train"].std())
        return cls((cut["train"] - mean) / scale, (cut["test"] - mean) / scale, mean, scale)


def gaussian(fields: Tensor) -> SpectralDenoiser:
    """Exact denoiser of the Gaussian fields that have the mean map and the mean spectrum of the given ones."""
    mean = fields.double().mean(0)
    spectrum = torch.fft.fft2(fields.double() - mean, norm="ortho").abs().square().mean(0)
    mirrored = spectrum.flip(-2, -1).roll((1, 1), (-2, -1))
    return SpectralDenoiser(mean, 0.5 * (spectrum + mirrored), NoiseSchedule("edm", t_max=20.0))


def train(fields: Tensor, steps: int = 250, batch: int = 16, seed: int = 0) -> Denoiser:
    """A small U-Net as a denoiser, its weights averaged over the last steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet(1, 1, (16, 32), blocks=1, level=True)
    model, generator = Denoiser(network, NoiseSchedule("edm", t_max=20.0)), torch.Generator().manual_seed(seed)
    optimiser, average = torch.optim.Adam(model.parameters(), lr=3e-3), Average(model, 0.98)
    for _ in range(steps):
        loss = model.loss(fields[torch.randint(len(fields), (batch,), generator=generator)], generator=generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(model)
    return cast(Denoiser, average.module)


def kurtosis(fields: Tensor) -> float:
    """Fourth moment of differences of neighbours over the squared second: 3 for Gaussian fields, more for fronts."""
    d = (fields[..., 1:] - fields[..., :-1]).double()
    return float((d - d.mean()).pow(4).mean() / (d - d.mean()).square().mean().square())


def power(fields: Tensor) -> Tensor:
    """Power of zonal waves 1 to 7 of windowed rows, mean over fields."""
    bell = torch.hann_window(SIZE, dtype=torch.float64)
    return (
        torch.fft.rfft((fields.double() - fields.double().mean(-1, keepdim=True)) * bell)
        .abs()
        .square()
        .mean((0, 1, 2))[1:8]
    )


def draw_fields(rows: Mapping[str, Tensor], count: int = 5) -> Figure:
    """A row of fields for each source, one scale for all."""
    fig, axes = plt.subplots(len(rows), count, figsize=(1.7 * count, 1.75 * len(rows)), layout="constrained")
    for line, (name, fields) in zip(axes, rows.items(), strict=True):
        for ax, field in zip(line, fields[:count, 0], strict=True):
            ax.imshow(field.numpy(), origin="lower", cmap="viridis", vmin=-1.8, vmax=2.8)
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=9)
    return closed(fig)


def draw_power(rows: Mapping[str, Tensor]) -> Figure:
    """Power by zonal wave of every source."""
    fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
    for (name, fields), colour in zip(rows.items(), ("k", "C0", "C3"), strict=False):
        ax.plot(range(1, 8), power(fields), color=colour, label=f"{name}, kurtosis {kurtosis(fields):.1f}")
    ax.set(yscale="log", xlabel="waves per window", ylabel="power")
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)
