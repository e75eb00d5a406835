"""NoiseResNet: the generator of the GAN of Harder et al. (2023), a residual network with a noise input.

Published (noise="map", upsample="transposed"): a transposed convolution turns z ~ N(0, I) in R^100 into one map of
the size of the coarse field, which is concatenated to it; conv3x3 + ReLU, R residual blocks at coarse resolution,
conv3x3 + ReLU, log2(N) transposed convolutions that double the grid, conv3x3 + ReLU, conv1x1. With 64 channels and 4
blocks it has 505,346 parameters for x4 on 32 x 32 coarse cells and 444,994 for x8 on 16 x 16. One map bound to one
size, from 100 numbers, is a weak source of spread: noise="field" gives white noise in every coarse cell, for any
shape. upsample="shuffle" leaves all work at coarse resolution (as in CompactResNet), for a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import FieldError, PhysLabError
from physlab.nn.compact import CompactBlock
from physlab.nn.parts import Padding, check_noise, choose, same, with_noise, zero
from physlab.nn.resnet import ResidualBlock
from physlab.nn.upscaler import Upscaler
from physlab.registry import register


@register("NoiseResNet", title="SR-CNN with noise", order=6, ensemble=True)
class NoiseResNet(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N; a power of two for upsample="transposed".
    channels, blocks : width and number of residual blocks.
    noise : "field" (white noise at coarse resolution) or "map" (published; binds the network to one `size`).
    size : (h, w) of the coarse field, for noise="map" only.
    noise_channels : white noise fields for noise="field", length of z for noise="map" (published: 100).
    upsample : "transposed" (published) or "shuffle" (cheap).
    """

    def __init__(
        self,
        factor: int,
        channels: int = 64,
        blocks: int = 4,
        noise: str = "field",
        size: Sequence[int] | None = None,
        noise_channels: int | None = None,
        upsample: str = "transposed",
        **frame,
    ) -> None:
        super().__init__(factor, **frame)
        mapped = choose("noise", noise, ("map", "field")) == "map"
        self.shuffle = choose("upsample", upsample, ("transposed", "shuffle")) == "shuffle"
        doublings = self.factor.bit_length() - 1
        if not self.shuffle and 2**doublings != factor:
            raise PhysLabError(f"factor {factor} is no power of two: pass 2, 4, 8 or 16, or upsample='shuffle'")
        if mapped != (size is not None):
            raise PhysLabError(f"size is {size} for noise={noise!r}: pass size=(h, w) for 'map', and none for 'field'")
        self.size = None
        if size is not None:
            height, width = size
            self.size = (int(height), int(width))
        self.noise_channels = int(noise_channels or (100 if mapped else 4))
        self.map = None if self.size is None else nn.ConvTranspose2d(self.noise_channels, 1, self.size)
        inputs = 1 + (1 if mapped else self.noise_channels)
        padding: Padding = "replicate" if self.shuffle else "zeros"
        block = CompactBlock if self.shuffle else ResidualBlock
        self.head = same(inputs, channels, padding=padding)
        self.blocks = nn.Sequential(*(block(channels) for _ in range(blocks)))
        if self.shuffle:
            self.last = zero(same(channels, self.factor**2), self.zero_start)
        else:
            self.mix = same(channels, channels, padding=padding)
            self.doublings = nn.Sequential(*(nn.ConvTranspose2d(channels, channels, 2, 2) for _ in range(doublings)))
            self.tail = same(channels, channels, padding=padding)
            self.last = zero(nn.Conv2d(channels, 1, 1), self.zero_start)

    @property
    def domain(self) -> tuple[int, int] | None:
        """(h, w) of the coarse field that a map of noise binds the network to; None for a field of noise."""
        return self.size

    def noise_shape(self, coarse: Tensor) -> tuple[int, ...]:
        """(B, 100, 1, 1) for a map, (B, noise_channels, h, w) for a field."""
        if self.size is None:
            return (len(coarse), self.noise_channels, *coarse.shape[-2:])
        if tuple(coarse.shape[-2:]) != self.size:
            raise FieldError(
                f"coarse field of {tuple(coarse.shape[-2:])}, but the noise map of this network has {self.size}: "
                "pass that size, or a network with noise='field'"
            )
        return (len(coarse), self.noise_channels, 1, 1)

    @property
    def takes_noise(self) -> bool:
        return True

    def trunk(self, x: Tensor, noise: Tensor) -> Tensor:
        if self.map is None:
            x = with_noise(x, noise, self.noise_shape(x))
        else:
            noise = check_noise(noise, self.noise_shape(x))
            x = torch.cat([x, self.map(noise.to(x)).to(x)], dim=1)
        x = self.blocks(functional.relu(self.head(x)))
        if self.shuffle:
            return functional.pixel_shuffle(self.last(functional.relu(x)), self.factor)
        x = self.doublings(functional.relu(self.mix(x)))
        return self.last(functional.relu(self.tail(x)))
