"""SRCNN: three convolutions on the bicubically interpolated field (Dong et al. 2014, arXiv:1501.00092).

conv9x9 + ReLU, conv3x3 + ReLU, conv5x5; channels 64-32-1. Dong et al. use a kernel of 1 or 3 in the middle and pixels
as input; the form 9-3-5 is the stage of DeepSD (Vandal et al. 2017). All work is done at fine resolution. The number
of parameters does not depend on the factor. Edges are replicated (published: valid convolutions on cut-outs).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from physlab.nn.parts import same, zero
from physlab.nn.upscaler import Upscaler, bicubic
from physlab.registry import register


def srcnn_layers(inputs: int, channels: Sequence[int], kernels: Sequence[int], zero_start: bool) -> nn.Sequential:
    """conv, ReLU, conv, ReLU, ..., conv to one field; one kernel more than there are channels."""
    layers: list[nn.Module] = []
    for width, kernel in zip(channels, kernels[:-1], strict=True):
        layers += [same(inputs, int(width), int(kernel)), nn.ReLU()]
        inputs = int(width)
    return nn.Sequential(*layers, zero(same(inputs, 1, int(kernels[-1])), zero_start))


@register("SRCNN", title="SRCNN of Dong", order=4, reference="Dong et al. (2014)")
class SRCNN(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N, any whole number.
    channels : widths of the hidden layers.
    kernels : odd sizes of the kernels, one more than `channels`.
    """

    def __init__(
        self,
        factor: int,
        channels: Sequence[int] = (64, 32),
        kernels: Sequence[int] = (9, 3, 5),
        **frame,
    ) -> None:
        super().__init__(factor, **frame)
        self.layers = srcnn_layers(1, channels, kernels, self.zero_start)

    def trunk(self, x: Tensor) -> Tensor:
        return self.layers(bicubic(x, self.factor))
