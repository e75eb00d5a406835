"""Batches of fields that are larger than memory, with the same promise as those in memory: what makes a step follows
from (seed, step), and each process takes its share of it and reads no more than that.

>>> data = make_pairs(physlab.open_dataset("large.zarr")["t2m"], 4, blocks, gap=48, stream=True)
>>> report = fit(model, data, Settings(batch=16, crop=128))       # takes its batches from data.stream
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from physlab.data.stream import BUFFER, FieldStream, Plan, Windows
from physlab.nn.share import Draws, rows
from physlab.train.batches import Epochs
from physlab.train.settings import Settings


class Streamed(Epochs):
    """Pairs in epochs, as :class:`~physlab.train.batches.Patches` makes them of fields in memory.

    Parameters
    ----------
    stream : the training block.
    scale : of the layer: fields are divided by it.
    statics : (S, H, W) fields that do not change and ride behind the fine ones; or None.
    behind : ``behind(coarse)`` gives what else rides behind the fine fields, (B, K, H, W); or None.
    budget : bytes of a window, of which two are in memory.
    """

    def __init__(
        self, stream: FieldStream, settings: Settings, seed: int, scale: float = 1.0,
        device: torch.device | str = "cpu", statics: Tensor | None = None,
        behind: Callable[[Tensor], Tensor] | None = None, budget: int = BUFFER,
    ) -> None:  # fmt: skip
        super().__init__(settings, seed, stream.factor, stream.shape)
        self.stream, self.scale = stream, scale
        self.device, self.statics, self.behind = torch.device(device), statics, behind
        self.plan = Plan.of(stream, settings.batch, settings.crop, budget)
        self.size, self.per_epoch = self.plan.size, self.plan.per_epoch
        self._windows: Windows | None = None

    def take(self, step: int, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor, Tensor, Draws]:
        """Coarse (B, T, h, w), fine (B, T', H, W), weights (H, W) of a step, and its random numbers."""
        plan, mine = self.plan, rows(self.size, rank, world)
        lanes = range(mine.start // plan.rows, -(-mine.stop // plan.rows))
        if self._windows is None or self._windows.lanes != lanes:
            self._windows = Windows(self.stream, plan, self.seed, lanes)
        epoch, window, batch = plan.at(step)
        read = self._windows.get(epoch, window)
        band, batch = divmod(batch, read.fine.shape[2] // plan.rows)
        at = slice(batch * plan.rows, (batch + 1) * plan.rows)
        own = slice(mine.start - lanes.start * plan.rows, mine.stop - lanes.start * plan.rows)
        x, y = (part[band, :, at].flatten(0, 1)[own].to(self.device) / self.scale for part in (read.coarse, read.fine))
        weights = read.weights[band].to(self.device)
        generator = self.generator(step, 2)
        mirrored = (torch.rand(self.size, generator=generator) < 0.5)[mine].to(self.device)[:, None, None, None]
        upside_down = bool(torch.rand((), generator=generator) < 0.5)
        extra = [] if self.behind is None else [self.behind(x)]
        if self.statics is not None:
            height, width = y.shape[-2:]
            fixed = self.statics[:, read.rows[band] : read.rows[band] + height].to(y)
            corners = read.columns[band, :, at].flatten()[own]
            extra.insert(0, torch.stack([fixed[..., c : c + width] for c in corners]))
        y = torch.cat([y, *extra], dim=1) if extra else y
        return self.turned(step, x, y, weights, mirrored, upside_down)
