r"""One batch over several processes: each computes its share, and what comes out is that of the whole batch.

Gradients are means over the samples of a batch, so that the mean over processes of their gradients (each weighted by
its share) is the gradient of one process. Three things do not follow from that, and are here: random numbers (each
process draws those of the whole batch and keeps its rows: :class:`Draws`), statistics of a batch inside a loss
(:func:`mean`, :class:`BatchNorm2d`), and choices among its samples (:func:`least`). With one process each of them is
the plain operation.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def processes() -> tuple[int, int]:
    """Number of this process and how many there are: 0 and 1 outside torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def rows(count: int, rank: int | None = None, world: int | None = None) -> slice:
    """The rows of process `rank` of `world`, or of this one, among `count`."""
    if rank is None or world is None:
        rank, world = processes()
    return slice(rank * count // world, (rank + 1) * count // world)


class Draws(torch.Generator):
    """Random numbers of a step, for a batch of which this process computes its share.

    Parameters
    ----------
    size : samples of the whole batch.
    """

    size: int

    def __new__(cls, seed: int, size: int) -> Draws:
        made = super().__new__(cls)
        made.manual_seed(seed)
        made.size = size
        return made


def whole(count: int, generator: torch.Generator | None) -> tuple[int, slice]:
    """How many rows are to be drawn for `count` samples of this process, and which of them are theirs."""
    if not isinstance(generator, Draws) or processes()[1] == 1:
        return count, slice(None)
    return generator.size, rows(generator.size)


def total(x: Tensor) -> Tensor:
    """Sum over the processes; gradients pass, twice if need be."""
    return x if processes()[1] == 1 else _Sum.apply(x)


class _Sum(torch.autograd.Function):
    """What depends on a sum in one process depends on the terms in all: the gradient is summed as well."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(_, slope: Tensor) -> Tensor:
        return _Sum.apply(slope)


def mean(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Mean over dimensions, the first of which is that of the batch."""
    if processes()[1] == 1:
        return x.mean(dim)
    count = x.new_tensor(float(torch.tensor([x.shape[d] for d in dim]).prod()))
    return total(x.sum(dim)) / total(count)


def least(x: Tensor, part: int) -> Tensor:
    """Rows of this process among the smallest n // part (at least one) of the n values (B,) of the whole batch."""
    rank, world = processes()
    if world == 1:
        return x.argsort()[: max(1, len(x) // part)]
    counts = torch.zeros(world, dtype=torch.long, device=x.device)
    counts[rank] = len(x)
    lengths = [int(count) for count in total(counts)]
    begin = sum(lengths[:rank])
    values = x.new_zeros(sum(lengths))
    values[begin : begin + len(x)] = x.detach()
    chosen = total(values).argsort()[: max(1, len(values) // part)] - begin
    return chosen[(chosen >= 0) & (chosen < len(x))]


class BatchNorm2d(nn.BatchNorm2d):
    """Normalisation by the statistics of the whole batch, wherever its samples are; for the rest torch's own."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or processes()[1] == 1:
            return super().forward(x)
        y, at = x.float(), (0, 2, 3)
        centre = mean(y, at)
        variance = mean((y - centre[:, None, None]).square(), at)
        with torch.no_grad():
            count = float(total(y.new_tensor(float(y[:, 0].numel()))))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            for kept, found in ((self.running_mean, centre), (self.running_var, variance * count / (count - 1))):
                if kept is not None:
                    kept.lerp_(found, self.momentum or 0.0)
        y = (y - centre[:, None, None]) * (variance[:, None, None] + self.eps).rsqrt()
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


@torch.no_grad()
def average(tensors: list[Tensor]) -> None:
    """The mean over the processes, in place: of gradients, or of numbers that all are to know."""
    world = processes()[1]
    if world == 1 or not tensors:
        return
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_((part / world).view_as(tensor))


@torch.no_grad()
def align(module: nn.Module) -> None:
    """Parameters and buffers of process 0 for all."""
    if processes()[1] > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)


def told(content: Any) -> Any:
    """What process 0 says, for all."""
    if processes()[1] == 1:
        return content
    box = [content if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(box)
    return box[0]
