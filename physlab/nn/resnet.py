"""SR-CNN: the residual network of Harder et al. (2023), JMLR 24, trunk at fine resolution.

conv3x3 + ReLU, log2(N) transposed convolutions that double the grid, conv3x3 + ReLU, R residual blocks (conv3x3,
ReLU, conv3x3, no bias, plus skip, ReLU), conv3x3 + ReLU, conv1x1. No normalisation. With 64 channels and 4 blocks it
has 385,921 parameters for x2 and 402,369 for x4. The published network has no skip around it (skip="none");
skip="bicubic" is the honest variant that has to learn only what interpolation lacks.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.nn.parts import zero
from physlab.nn.upscaler import Upscaler
from physlab.registry import register


class ResidualBlock(nn.Module):
    """relu(x + conv(relu(conv(x)))), both 3x3 without bias, zero padding as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


@register("ResNet", title="SR-CNN", order=2, reference="Harder et al. (2023), JMLR 24")
class ResNet(Upscaler):
    """SR-CNN; see the module docstring and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N, a power of two.
    channels, blocks : width C and number R of residual blocks.
    """

    def __init__(self, factor: int, channels: int = 64, blocks: int = 4, **frame) -> None:
        super().__init__(factor, **frame)
        doublings = int(factor).bit_length() - 1
        if factor < 1 or 2**doublings != factor:
            raise PhysLabError(
                f"SR-CNN has factor {factor}: it doubles the grid, so pass a power of two: 2, 4, 8 or 16"
            )
        self.head = nn.Conv2d(1, channels, 3, padding=1)
        self.doublings = nn.ModuleList(nn.ConvTranspose2d(channels, channels, 2, stride=2) for _ in range(doublings))
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks))
        self.tail = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = zero(nn.Conv2d(channels, 1, 1), self.zero_start)

    def trunk(self, x: Tensor) -> Tensor:
        x = functional.relu(self.head(x))
        for double in self.doublings:
            x = double(x)
        x = functional.relu(self.mix(x))
        for block in self.blocks:
            x = block(x)
        return self.last(functional.relu(self.tail(x)))
