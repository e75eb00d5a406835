"""EDSR: a deep residual network without normalisation, trunk at coarse resolution (Lim et al. 2017, arXiv:1707.02921).

conv3x3, R blocks x + s conv(relu(conv(x))), conv3x3, plus a skip around all blocks, sub-pixel upsampling by conv C ->
4C and pixel shuffle for each x2, conv3x3. The baseline has 64 channels and 16 blocks, the large one 256, 32 and s =
0.1. With one field in and out the baseline x4 has 1,515,265 parameters (1,517,571 with the published three colours).
Edges are replicated (published: zeros).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from physlab.nn.parts import SubPixel, same, zero
from physlab.nn.trunk import CoarseTrunk
from physlab.registry import register


class ScaledBlock(nn.Module):
    """x + s conv(relu(conv(x))), both 3x3."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.first = same(channels, channels)
        self.second = same(channels, channels)
        self.scale = float(scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.second(functional.relu(self.first(x)))


@register("EDSR", title="EDSR", order=1, reference="Lim et al. (2017)")
class EDSR(CoarseTrunk):
    """See the module docstring, and :class:`physlab.nn.trunk.CoarseTrunk` for the rest.

    Parameters
    ----------
    channels, blocks, residual_scale : width, number of residual blocks and their scale s.
    """

    def __init__(self, factor: int, channels: int = 64, blocks: int = 16, residual_scale: float = 1.0, **frame) -> None:
        super().__init__(factor, **frame)
        self.head = same(self.inputs, channels)
        self.blocks = nn.Sequential(*(ScaledBlock(channels, residual_scale) for _ in range(blocks)))
        self.body = same(channels, channels)
        self.up = nn.Identity() if self.single else SubPixel(channels, self.factor)
        self.last = zero(same(channels, self.outputs), self.zero_start)

    def refine(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.last(self.up(x + self.body(self.blocks(x))))
