"""What EDSR, SRResNet and RRDBNet share: noise at the input, two ways up from a trunk at coarse resolution."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from physlab.nn.parts import choose, with_noise
from physlab.nn.upscaler import Upscaler


class CoarseTrunk(Upscaler):
    """Base of such networks: `refine` makes (B, `outputs`, h, w), or (B, 1, h*N, w*N) by steps; see `Upscaler`.

    Parameters
    ----------
    factor : N; a power of two is reached by doublings, any other in one step.
    noise_channels : white noise fields at coarse resolution; 0 for none, as published.
    upsample : "steps" (published), or "single": one conv C -> N*N and a pixel shuffle, all work at coarse resolution.
    """

    def __init__(self, factor: int, noise_channels: int = 0, upsample: str = "steps", **frame) -> None:
        super().__init__(factor, **frame)
        self.single = choose("upsample", upsample, ("steps", "single")) == "single"
        self.noise_channels = int(noise_channels)
        self.inputs = 1 + self.noise_channels
        self.outputs = self.factor**2 if self.single else 1

    def noise_shape(self, coarse: Tensor) -> tuple[int, ...] | None:
        """(B, noise_channels, h, w), or None without noise."""
        return (len(coarse), self.noise_channels, *coarse.shape[-2:]) if self.noise_channels else None

    def trunk(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.refine(with_noise(x, noise, self.noise_shape(x)))
        return functional.pixel_shuffle(x, self.factor) if self.single else x

    def refine(self, x: Tensor) -> Tensor:
        """(B, `inputs`, h, w) -> what the class makes."""
        raise NotImplementedError
