"""A small denoiser for states of few numbers, and the loop that trains it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Guess(nn.Module):
    """Names the clean state: a gate of the noise level between the noisy state and what three layers say.

    Parameters
    ----------
    size : numbers of a state.  width : of the hidden layers.
    """

    def __init__(self, size: int, width: int = 96) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(size + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, size)
        )

    def forward(self, u: Tensor, r: float | Tensor) -> Tensor:
        r = torch.as_tensor(r, dtype=u.dtype).expand(u.shape[:-1])[..., None]
        keep = 1 / (1 + r**2)
        said = self.layers(torch.cat([u * keep.sqrt(), 0.25 * r.log()], -1))
        return keep * u + (r * keep.sqrt()) * said


def learn(
    draw: Callable[[int, torch.Generator], Tensor], size: int, steps: int = 1500, batch: int = 512, seed: int = 0
) -> Guess:  # fmt: skip
    """Train on the square error of the clean state, at noise levels from 0.02 to 20, most of them around one third.

    Parameters
    ----------
    draw : draw(count, generator) -> (count, size) clean states.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Guess(size)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        clean = draw(batch, generator).float()
        r = (math.log(0.35) + 1.3 * torch.randn(batch, generator=generator)).exp().clamp(0.01, 40.0)
        noisy = clean + r[:, None] * torch.randn(clean.shape, generator=generator)
        weight = ((1 + r**2) / r**2)[:, None]  # an error counts in units of what can be known at this level
        loss = (weight * (network(noisy, r) - clean).square()).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval().requires_grad_(False)
