"""ESPCN: all convolutions at coarse resolution, then a pixel shuffle (Shi et al. 2016, arXiv:1609.05158).

conv5x5 + tanh, conv3x3 + tanh, conv3x3 to N*N channels, pixel shuffle: each fine cell of a coarse cell has its own
filter. Edges are replicated.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from physlab.nn.parts import same, zero
from physlab.nn.upscaler import Upscaler
from physlab.registry import register


@register("ESPCN", title="ESPCN", order=3, reference="Shi et al. (2016)")
class ESPCN(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N, any whole number.
    channels : widths of the two hidden layers.
    """

    def __init__(self, factor: int, channels: Sequence[int] = (64, 32), **frame) -> None:
        super().__init__(factor, **frame)
        first, second = (int(width) for width in channels)
        self.first = same(1, first, 5)
        self.second = same(first, second)
        self.last = zero(same(second, self.factor**2), self.zero_start)

    def trunk(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).tanh()).tanh()
        return functional.pixel_shuffle(self.last(x), self.factor)
