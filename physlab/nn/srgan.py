"""SRResNet: the generator of SRGAN (Ledig et al. 2017, arXiv:1609.04802), trunk at coarse resolution.

conv9x9 + PReLU, R blocks x + BN(conv(PReLU(BN(conv(x))))), conv3x3 + BN, plus a skip around all blocks, sub-pixel
upsampling by conv C -> 4C, pixel shuffle and PReLU for each x2, conv9x9. norm=False leaves out the batch
normalisation, which ties the fields of a batch together and fits fields with a physical zero badly (EDSR and ESRGAN
drop it as well). The published network takes no noise; `noise_channels` adds white noise in every coarse cell, without
which a generator has one answer only. Edges are replicated (published: zeros).
"""

from __future__ import annotations

from torch import Tensor, nn

from physlab.nn.parts import SubPixel, same, zero
from physlab.nn.share import BatchNorm2d
from physlab.nn.trunk import CoarseTrunk
from physlab.registry import register


class NormedBlock(nn.Sequential):
    """x + BN(conv(PReLU(BN(conv(x))))); with `norm` the convolutions have no bias, which BN would take out again."""

    def __init__(self, channels: int, norm: bool) -> None:
        super().__init__(*normed(channels, norm), nn.PReLU(), *normed(channels, norm))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def normed(channels: int, norm: bool) -> list[nn.Module]:
    layer = same(channels, channels, bias=not norm)
    return [layer, BatchNorm2d(channels)] if norm else [layer]


@register("SRResNet", title="SRGAN", order=7, reference="Ledig et al. (2017)")
class SRResNet(CoarseTrunk):
    """See the module docstring, and :class:`physlab.nn.trunk.CoarseTrunk` for the rest.

    Parameters
    ----------
    channels, blocks : width and number of residual blocks.
    norm : batch normalisation, as published.
    """

    def __init__(self, factor: int, channels: int = 64, blocks: int = 16, norm: bool = True, **frame) -> None:
        super().__init__(factor, **frame)
        self.head = nn.Sequential(same(self.inputs, channels, 9), nn.PReLU())
        self.blocks = nn.Sequential(*(NormedBlock(channels, norm) for _ in range(blocks)))
        self.body = nn.Sequential(*normed(channels, norm))
        self.up = nn.Identity() if self.single else SubPixel(channels, self.factor, nn.PReLU)
        last = same(channels, self.outputs) if self.single else same(channels, 1, 9)
        self.last = zero(last, self.zero_start)

    def refine(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.last(self.up(x + self.body(self.blocks(x))))
