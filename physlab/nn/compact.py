"""CompactResNet: the trunk at coarse resolution, sub-pixel upsampling, a skip around everything.

conv3x3, R residual blocks (Lim et al. 2017, EDSR: no normalisation), conv3x3 to N*N channels, pixel shuffle (Shi et
al. 2016, ESPCN). A trunk at coarse resolution costs a twentieth of the SR-CNN of the same depth, so that it trains in
minutes on a CPU. Unless `zero_start` is False the last convolution starts at zero: training starts at bicubic
interpolation (with the constraint on top).

On a fixed domain, such as the British Isles of ``era5-uk-t2m``, coastlines and hills stay where they are. With
`domain` the network learns a map of them: `maps` static fields at coarse resolution that are appended to its input,
and as many at fine resolution that its output modulates, f = sum_m a_m(x) S_m. Such a network is right for that
domain only, and refuses any other shape.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import FieldError
from physlab.nn.parts import zero
from physlab.nn.upscaler import Upscaler
from physlab.registry import register


class CompactBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3; edges are replicated: a patch is a cut-out, not an island of zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(x)))


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


@register("CompactResNet", title="Compact network", order=0)
class CompactResNet(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N, any whole number.
    channels, blocks : width and number of residual blocks; 32 and 5 give about 100,000 parameters.
    domain : (h, w) of the coarse grid of a fixed domain, or None for any shape and place.
    maps : number of learned static maps at each resolution on a fixed domain.
    """

    def __init__(
        self,
        factor: int,
        channels: int = 32,
        blocks: int = 5,
        domain: tuple[int, int] | None = None,
        maps: int = 8,
        **frame,
    ) -> None:
        super().__init__(factor, **{"zero_start": True, **frame})
        self.domain = None if domain is None else tuple(int(n) for n in domain)
        maps = maps if self.domain else 0
        self.head = conv(1 + maps, channels)
        self.blocks = nn.ModuleList(CompactBlock(channels) for _ in range(blocks))
        self.last = zero(conv(channels, (1 + maps) * factor**2), self.zero_start)
        if self.domain:
            h, w = self.domain
            self.coarse_maps = nn.Parameter(torch.randn(maps, h, w))
            self.fine_maps = nn.Parameter(torch.randn(maps, h * factor, w * factor))

    def trunk(self, x: Tensor) -> Tensor:
        if self.domain:
            if tuple(x.shape[-2:]) != self.domain:
                raise FieldError(
                    f"coarse field of {tuple(x.shape[-2:])}, but this network has learned the map of one domain of "
                    f"{self.domain}: pass that domain, or use a model without a map"
                )
            x = torch.cat([x, self.coarse_maps.to(x.dtype).expand(len(x), -1, -1, -1)], dim=1)
        x = self.head(x)
        for block in self.blocks:
            x = block(x)
        x = functional.pixel_shuffle(self.last(functional.relu(x)), self.factor)
        if self.domain:
            x = x[:, :1] + (x[:, 1:] * self.fine_maps).sum(1, keepdim=True)
        return x
