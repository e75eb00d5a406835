"""SRResNet: the generator of SRGAN (Ledig et al. 2017, arXiv:1609.04802), trunk at coarse resolution.

conv9x9 + PReLU, R blocks x + BN(conv(PReLU(BN(conv(x))))), conv3x3 + BN, plus a skip around all blocks, sub-pixel
upsampling by conv C -> 4C, pixel shuffle and PReLU for each x2, conv9x9. norm=False leaves out the batch
normalisation, which ties the fields of a batch together and fits fields with a physical zero badly (EDSR and ESRGAN
drop it as well). The published network takes no noise; `noise_channels` adds white noise in every coarse cell, without
which a generator has one answer only. Edges are replicated (published: zeros).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from physlab.nn.parts import SubPixel, choose, same, with_noise, zero
from physlab.nn.upscaler import Upscaler
from physlab.registry import register


class NormedBlock(nn.Sequential):
    """x + BN(conv(PReLU(BN(conv(x))))); with `norm` the convolutions have no bias, which BN would take out again."""

    def __init__(self, channels: int, norm: bool) -> None:
        super().__init__(*normed(channels, norm), nn.PReLU(), *normed(channels, norm))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def normed(channels: int, norm: bool) -> list[nn.Module]:
    layer = same(channels, channels, bias=not norm)
    return [layer, nn.BatchNorm2d(channels)] if norm else [layer]


@register("SRResNet", title="SRGAN", order=7, reference="Ledig et al. (2017)")
class SRResNet(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N; a power of two is reached by doublings, any other in one step.
    channels, blocks : width and number of residual blocks.
    norm : batch normalisation, as published.
    noise_channels : white noise fields at coarse resolution; 0 for none, as published.
    upsample : "steps" (published), or "single": one conv C -> N*N and a pixel shuffle, all work at coarse resolution.
    zero_start : start the last layer at zero, so that the untrained network is its skip.
    """

    def __init__(
        self,
        factor: int,
        channels: int = 64,
        blocks: int = 16,
        norm: bool = True,
        noise_channels: int = 0,
        upsample: str = "steps",
        zero_start: bool = False,
        **frame,
    ) -> None:
        super().__init__(factor, **frame)
        self.single = choose("upsample", upsample, ("steps", "single")) == "single"
        self.noise_channels = int(noise_channels)
        self.head = nn.Sequential(same(1 + self.noise_channels, channels, 9), nn.PReLU())
        self.blocks = nn.Sequential(*(NormedBlock(channels, norm) for _ in range(blocks)))
        self.body = nn.Sequential(*normed(channels, norm))
        self.up = nn.Identity() if self.single else SubPixel(channels, self.factor, nn.PReLU)
        last = same(channels, self.factor**2) if self.single else same(channels, 1, 9)
        self.last = zero(last, zero_start)

    def noise_shape(self, coarse: Tensor) -> tuple[int, ...] | None:
        """(B, noise_channels, h, w), or None without noise."""
        return (len(coarse), self.noise_channels, *coarse.shape[-2:]) if self.noise_channels else None

    def trunk(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.head(with_noise(x, noise, self.noise_shape(x)))
        x = self.last(self.up(x + self.body(self.blocks(x))))
        return functional.pixel_shuffle(x, self.factor) if self.single else x
