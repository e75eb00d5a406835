"""Parts that several networks share: convolutions, upsampling steps, padding to a multiple, noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import FieldError, PhysLabError

M = TypeVar("M", bound=nn.Module)
Padding = Literal["zeros", "reflect", "replicate", "circular"]


def same(inputs: int, outputs: int, kernel: int = 3, bias: bool = True, padding: Padding = "replicate") -> nn.Conv2d:
    """Convolution that keeps the shape; edges are replicated by default: a patch is a cut-out, not an island."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias, padding_mode=padding)


def steps(factor: int) -> list[int]:
    """Upsampling steps: doublings for a power of two, otherwise one step of the whole factor; none for 1."""
    doublings = int(factor).bit_length() - 1
    return [2] * doublings if 2**doublings == factor else [int(factor)]


def zero(layer: nn.Conv2d, start: bool = True) -> nn.Conv2d:
    """Start a layer at zero, if `start`."""
    if start:
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layer


def choose(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is allowed."""
    if value not in allowed:
        raise PhysLabError(f"unknown {name} {value!r}: choose one of {', '.join(allowed)}")
    return value


class SubPixel(nn.Sequential):
    """Shi et al. (2016): conv C -> C f^2 and pixel shuffle for each step f, with `activation()` after each if given."""

    def __init__(self, channels: int, factor: int, activation: type[nn.Module] | None = None) -> None:
        layers: list[nn.Module] = []
        for step in steps(factor):
            layers += [same(channels, channels * step**2), nn.PixelShuffle(step)]
            layers += [activation()] if activation else []
        super().__init__(*layers)


def lay_out(module: M, layout: torch.memory_format) -> M:
    """The module with its weights in another order in memory, in place: ``torch.channels_last`` for convolutions."""
    return module.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs leave the argument out


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Replicate the lower and right edges until both axes are multiples; crop with ``[..., :h, :w]`` afterwards."""
    h, w = x.shape[-2:]
    return functional.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate")


def rise(x: Tensor, layers: Iterable[nn.Module], skips: Sequence[Tensor]) -> Tensor:
    """The way up of a U-Net: doubled, joined with what was kept on the way down, the last first, and convolved."""
    for layer, skip in zip(layers, reversed(skips), strict=True):
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = layer(torch.cat([x, skip], dim=1))
    return x


def check_noise(noise: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """The noise, if it has the shape that the network asks for."""
    if noise is None or tuple(noise.shape) != tuple(shape):
        came = "none" if noise is None else f"shape {tuple(noise.shape)}"
        raise FieldError(f"noise: {came} came, pass standard normal numbers of shape {tuple(shape)}")
    return noise


def with_noise(x: Tensor, noise: Tensor | None, shape: tuple[int, ...] | None) -> Tensor:
    """Append the noise field to the input channels; x as it is if the network takes none (shape None)."""
    return x if shape is None else torch.cat([x, check_noise(noise, shape).to(x)], dim=1)
