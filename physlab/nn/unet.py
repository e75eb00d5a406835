r"""U-Net: one network that sees a field at several resolutions at once (after Ronneberger et al. 2015; Ho et al. 2020).

Head conv3x3; on each level R residual blocks, whose result is kept, and conv3x3 of stride 2 to the next; at the lowest
level two blocks, with attention between them if asked for; upwards nearest x2 and conv3x3, the kept field joined, R
blocks; last norm, SiLU, conv3x3, started at zero. A block is

.. math:: x + W_2 * \mathrm{SiLU}\big((1 + a)\, N(W_1 * \mathrm{SiLU}(N(x))) + b\big)

with N group normalisation and :math:`W_2` started at zero. With a noise level (or a lead time) :math:`(a, b)` are a
linear function of its embedding, feature-wise modulation (Perez et al. 2018); without one they are 0, and the network
is a regression from channels to channels. Fields of any shape are padded at the lower and right edges to a multiple of
2^(levels - 1) and cropped afterwards. On a globe (`periodic`) columns wrap around: shifting the input by a multiple of
2^(levels - 1) columns shifts the output, if the number of columns is such a multiple; rows are replicated at the edges.

Parameters with one channel in and out, widths (32, 64, 128) and R = 2: 1,204,193, and 1,390,049 with a level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import FieldError, PhysLabError
from physlab.nn.parts import zero


class GridConv(nn.Conv2d):
    """Convolution that pads as the grid asks: rows replicated, columns wrapped (`periodic`) or replicated."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, periodic: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride)
        self.edge, self.columns = kernel // 2, "circular" if periodic else "replicate"

    def forward(self, x: Tensor) -> Tensor:
        p = self.edge
        x = functional.pad(functional.pad(x, (p, p, 0, 0), mode=self.columns), (0, 0, p, p), mode="replicate")
        return super().forward(x)


def pad_grid(x: Tensor, multiple: int, periodic: bool = False) -> Tensor:
    """Extend (B, C, H, W) below and to the right to multiples: rows replicated, columns wrapped or replicated."""
    h, w = x.shape[-2:]
    if -h % multiple:
        x = functional.pad(x, (0, 0, 0, -h % multiple), mode="replicate")
    if -w % multiple and not periodic:
        x = functional.pad(x, (0, -w % multiple, 0, 0), mode="replicate")
    elif -w % multiple:
        x = x[..., torch.arange(w + -w % multiple, device=x.device) % w]
    return x


@runtime_checkable
class _OnGrid(Protocol):
    """A network that was built for whole latitude circles or for a region."""

    periodic: bool


def wrap_columns(module: nn.Module, periodic: bool) -> None:
    """Use networks of this module on whole latitude circles, or on a region, whatever they were built for."""
    for part in module.modules():
        if isinstance(part, GridConv):
            part.columns = "circular" if periodic else "replicate"
        elif isinstance(part, _OnGrid):
            part.periodic = periodic


def norm(channels: int, use: bool = True) -> nn.Module:
    """Group normalisation with up to 8 groups, or nothing."""
    return nn.GroupNorm(math.gcd(channels, 8), channels) if use else nn.Identity()


class ResBlock(nn.Module):
    """The block of the module docstring, (B, I, H, W) -> (B, O, H, W); `embedding` is the width of the level, or 0."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int = 0, periodic: bool = False, normalise: bool = True
    ) -> None:
        super().__init__()
        self.before, self.between = norm(inputs, normalise), norm(outputs, normalise)
        self.first = GridConv(inputs, outputs, periodic=periodic)
        self.second = zero(GridConv(outputs, outputs, periodic=periodic))
        self.modulate = nn.Linear(embedding, 2 * outputs) if embedding else None
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        y = self.between(self.first(functional.silu(self.before(x))))
        if self.modulate is not None:
            scale, shift = self.modulate(level)[..., None, None].chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return self.skip(x) + self.second(functional.silu(y))


class Attention(nn.Module):
    """Each point looks at all others, (B, C, H, W) -> same; no position enters, so that shifts stay shifts."""

    def __init__(self, channels: int, normalise: bool = True) -> None:
        super().__init__()
        self.norm, self.heads = norm(channels, normalise), max(channels // 64, 1)
        if channels % self.heads:
            raise PhysLabError(f"attention over {channels} channels: above 64, pass a multiple of 64")
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.last = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.project(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).mT.unbind(1)
        y = functional.scaled_dot_product_attention(q, k, v)
        return x + self.last(y.mT.reshape(b, c, h, w))


class LevelEmbedding(nn.Module):
    """(B,) numbers of order one -> (B, width): sines and cosines of 16 frequencies, then two layers."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        octaves = torch.logspace(-3, 2, 16, base=2.0, device="cpu")  # on "meta" torch would load its compiler
        self.register_buffer("frequencies", 2 * math.pi * octaves, persistent=False)
        self.layers = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, level: Tensor) -> Tensor:
        phase = level.float()[:, None] * self.frequencies.float()
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        return self.layers(torch.cat([phase.sin(), phase.cos()], dim=1).to(first.weight.dtype))


class UNet(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    inputs, outputs : channels.
    channels : width of each level, from fine to coarse.
    blocks : R, residual blocks of a level on the way down, and again on the way up.
    level : whether a number for each sample (noise level, lead time), of order one, modulates the blocks.
    condition : further input channels that are known, on the grid of the input: forecasts, land and sea, orography.
    attention : self-attention at the lowest level.
    periodic : columns are longitudes of a whole globe.
    normalise : group normalisation; False where the network learns on patches and is used on larger fields.
    zero_start : start the last layer at zero, so that the untrained network returns zero.

    Raises
    ------
    PhysLabError : fewer than one channel, level or block.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 2,
        level: bool = False,
        condition: int = 0,
        attention: bool = False,
        periodic: bool = False,
        normalise: bool = True,
        zero_start: bool = True,
    ) -> None:
        super().__init__()
        widths = [int(c) for c in channels]
        if min([inputs, outputs, blocks, len(widths), *widths]) < 1 or condition < 0:
            raise PhysLabError(
                f"U-Net with {inputs} inputs, {outputs} outputs, {condition} conditions, widths {tuple(channels)} and "
                f"{blocks} blocks: pass at least 1 of each (conditions at least 0)"
            )
        self.inputs, self.condition, self.periodic = int(inputs), int(condition), bool(periodic)
        self.multiple, self.blocks = 2 ** (len(widths) - 1), int(blocks)
        width = 4 * widths[0] if level else 0
        block = partial(ResBlock, embedding=width, periodic=periodic, normalise=normalise)
        self.embed = LevelEmbedding(width) if level else None
        self.head = GridConv(inputs + condition, widths[0], periodic=periodic)
        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        for fine, coarse in pairwise(widths):
            self.down.append(nn.ModuleList(block(fine, fine) for _ in range(blocks)))
            self.shrink.append(GridConv(fine, coarse, stride=2, periodic=periodic))
            self.grow.append(GridConv(coarse, fine, periodic=periodic))
            self.up.append(nn.ModuleList(block(fine * (1 + (i == 0)), fine) for i in range(blocks)))
        self.middle = nn.ModuleList(block(widths[-1], widths[-1]) for _ in range(2))
        self.attention = Attention(widths[-1], normalise) if attention else nn.Identity()
        self.last = nn.Sequential(
            norm(widths[0], normalise), nn.SiLU(), zero(GridConv(widths[0], outputs, periodic=periodic), zero_start)
        )

    @property
    def reach(self) -> int:
        """Points that the output looks away at most, without attention and normalisation."""
        m = self.multiple
        return 2 + (m - 1) * (4 * self.blocks + 2) + 4 * m + m - 1  # ends, levels, middle, blocks of m points

    def forward(self, x: Tensor, level: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W), level (B,), condition (B, C, H, W) -> (B, outputs, H, W).

        Raises
        ------
        FieldError : channels, level or condition that the network was not built for, or lacks.
        """
        if x.ndim != 4 or x.shape[1] != self.inputs:
            raise FieldError(f"input has shape {tuple(x.shape)}: pass (B, {self.inputs}, H, W)")
        if (level is None) != (self.embed is None):
            came, built = ("no level", "with") if level is None else ("a level", "without")
            raise FieldError(f"{came} came, but the U-Net was built {built} one: see its argument level")
        if level is not None and level.shape != (len(x),):
            raise FieldError(f"level has shape {tuple(level.shape)}: pass one number for each sample, ({len(x)},)")
        expected = (len(x), self.condition, *x.shape[-2:]) if self.condition else None
        found = None if condition is None else tuple(condition.shape)
        if found != expected:
            raise FieldError(f"condition has shape {found}: pass {expected}")
        level = None if self.embed is None else self.embed(level)
        h, w = x.shape[-2:]
        x = pad_grid(x if condition is None else torch.cat([x, condition], dim=1), self.multiple, self.periodic)
        x, kept = self.head(x), []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x, level)
            kept.append(x)
            x = shrink(x)
        x = self.middle[1](self.attention(self.middle[0](x, level)), level)
        for blocks, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            x = torch.cat([grow(functional.interpolate(x, scale_factor=2.0, mode="nearest")), kept.pop()], dim=1)
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x, level)
        return self.last(x)[..., :h, :w]
