"""Batches: what makes a step is a function of (seed, step) alone, whatever the number of processes.

The loop knows :class:`Batches` only, so that a source may hold its data in memory, as those here do, or read them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.nn.share import Draws, rows
from physlab.train.settings import Settings


class Batches(Protocol):
    """A source of batches.

    Attributes
    ----------
    size : samples of a whole batch.
    """

    size: int

    def take(self, step: int, rank: int = 0, world: int = 1) -> tuple:
        """What the objective wants of a step, for the share of process `rank` of `world`: the samples from
        rank * size // world to (rank + 1) * size // world. Random numbers that the loss will draw come last, as
        :class:`~physlab.nn.share.Draws`."""
        ...


class Drawn:
    """Samples at random, each step with a generator of its own.

    Parameters
    ----------
    size : of a batch.
    make : ``make(generator, mine)`` gives what the objective wants of the samples `mine`, drawn with the generator.
    """

    def __init__(self, size: int, seed: int, make: Callable[[Draws, slice], tuple] | None = None) -> None:
        self.size, self.seed, self.make = size, seed, make

    def take(self, step: int, rank: int = 0, world: int = 1) -> tuple:
        generator = Draws((self.seed << 24) + step, self.size)
        made = () if self.make is None else self.make(generator, rows(self.size, rank, world))
        return *made, generator


class Epochs:
    """Base of the sources that take pairs in epochs: random numbers, windows and mirror images are theirs alike.

    Parameters
    ----------
    factor : of the pairs.  shape : (H, W) of the fine fields that are there.

    Raises
    ------
    PhysLabError : windows that do not fit.
    """

    size: int

    def __init__(self, settings: Settings, seed: int, factor: int, shape: tuple[int, ...]) -> None:
        crop = settings.crop
        if crop is not None and (crop % factor or crop > min(shape)):
            raise PhysLabError(
                f"crop is {crop}: pass a multiple of the factor {factor} up to {min(shape)}, or None for whole fields"
            )
        self.settings, self.seed = settings, seed

    def generator(self, number: int, kind: int) -> Draws:
        """Random numbers of a step (or epoch); `kind` keeps independent uses apart."""
        # the CPU generator uses 32 bits of its seed: mix all three numbers into them
        mixed = np.random.SeedSequence([self.seed, kind, number]).generate_state(1)[0]
        return Draws(int(mixed), self.size)

    def turned(
        self, step: int, x: Tensor, y: Tensor, weights: Tensor, mirrored: Tensor, upside_down: bool
    ) -> tuple[Tensor, Tensor, Tensor, Draws]:
        """What a step is given: coarse and fine fields and their areas, east-west where `mirrored` says so,
        north-south as a whole; and random numbers for its loss."""
        if "x" in self.settings.flips:  # areas do not depend on longitude
            x, y = torch.where(mirrored, x.flip(-1), x), torch.where(mirrored, y.flip(-1), y)
        if "y" in self.settings.flips and upside_down:
            x, y, weights = x.flip(-2), y.flip(-2), weights.flip(-2)
        return x, y, weights, self.generator(step, 3)


class Patches(Epochs):
    """Pairs in epochs: windows and mirror images of the training fields, together with their cell areas.

    Parameters
    ----------
    fine, coarse : (N, T', H, W) and (N, T, h, w).  weights : (H, W) areas.
    """

    def __init__(self, fine: Tensor, coarse: Tensor, weights: Tensor, settings: Settings, seed: int) -> None:
        self.fine, self.coarse, self.weights = fine, coarse, weights
        self.shape, self.factor = tuple(fine.shape[-2:]), fine.shape[-1] // coarse.shape[-1]
        super().__init__(settings, seed, self.factor, self.shape)
        self.size = min(settings.batch, len(fine))
        self.per_epoch = len(fine) // self.size
        self._epoch, self._order = -1, torch.empty(0)

    def take(self, step: int, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor, Tensor, Draws]:
        """Coarse (B, T, h, w), fine (B, T', H, W), weights (H, W) of a step, and its random numbers."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(len(self.fine), generator=self.generator(epoch, 1))
            self._epoch, self._order = epoch, order
        generator = self.generator(step, 2)
        chosen = self._order[position * self.size : (position + 1) * self.size]
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        upside_down = bool(torch.rand((), generator=generator) < 0.5)
        mine, device = rows(self.size, rank, world), self.fine.device
        chosen, mirrored = chosen[mine].to(device), mirrored[mine].to(device)[:, None, None, None]
        x, y, weights = self.coarse[chosen], self.fine[chosen], self.weights
        if self.settings.crop is not None:
            n, edge = self.factor, self.settings.crop // self.factor
            row, column = (int(torch.randint(size // n - edge + 1, (), generator=generator)) for size in self.shape)
            x = x[..., row : row + edge, column : column + edge]
            fine_window = (slice(row * n, (row + edge) * n), slice(column * n, (column + edge) * n))
            y, weights = y[(..., *fine_window)], weights[fine_window]  # the areas are cut with the field
        return self.turned(step, x, y, weights, mirrored, upside_down)
