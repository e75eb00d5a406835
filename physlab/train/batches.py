"""Batches of pairs: windows and mirror images of the training fields, together with their cell areas."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.train.settings import Settings


class Batches:
    """Which samples, windows and flips make the batch of a step; a function of (seed, step) alone."""

    def __init__(self, samples: int, factor: int, settings: Settings, seed: int, shape: tuple[int, int]) -> None:
        self.samples, self.factor, self.settings, self.seed, self.shape = samples, factor, settings, seed, shape
        self.size = min(settings.batch, samples)
        self.per_epoch = samples // self.size
        crop = settings.crop
        if crop is not None and (crop % factor or crop > min(shape)):
            raise PhysLabError(
                f"crop is {crop}: pass a multiple of the factor {factor} up to {min(shape)}, or None for whole fields"
            )
        self._epoch, self._order = -1, torch.empty(0)

    def take(
        self, step: int, fine: Tensor, coarse: Tensor, weights: Tensor, rank: int = 0, world: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Coarse (B, T, h, w), fine (B, T', H, W), weights (H, W) of a step: the share of process `rank` of `world`."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, torch.randperm(self.samples, generator=self.generator(epoch, 1))
        generator = self.generator(step, 2)
        chosen = self._order[position * self.size : (position + 1) * self.size]
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        upside_down = bool(torch.rand((), generator=generator) < 0.5)
        mine = slice(rank * self.size // world, (rank + 1) * self.size // world)
        chosen, mirrored = chosen[mine].to(fine.device), mirrored[mine].to(fine.device)[:, None, None, None]
        x, y = coarse[chosen], fine[chosen]
        if self.settings.crop is not None:
            n, edge = self.factor, self.settings.crop // self.factor
            row, column = (int(torch.randint(size // n - edge + 1, (), generator=generator)) for size in self.shape)
            x = x[..., row : row + edge, column : column + edge]
            fine_window = (slice(row * n, (row + edge) * n), slice(column * n, (column + edge) * n))
            y, weights = y[(..., *fine_window)], weights[fine_window]  # the areas are cut with the field
        if "x" in self.settings.flips:  # areas do not depend on longitude
            x, y = torch.where(mirrored, x.flip(-1), x), torch.where(mirrored, y.flip(-1), y)
        if "y" in self.settings.flips and upside_down:
            x, y, weights = x.flip(-2), y.flip(-2), weights.flip(-2)
        return x, y, weights

    def generator(self, number: int, kind: int) -> torch.Generator:
        """Random numbers of a step (or epoch); `kind` keeps independent uses apart."""
        # the CPU generator uses 32 bits of its seed: mix all three numbers into them
        return torch.Generator().manual_seed(
            int(np.random.SeedSequence([self.seed, kind, number]).generate_state(1)[0])
        )
