"""RRDBNet: the generator of ESRGAN, residual-in-residual dense blocks (Wang et al. 2018, arXiv:1809.00219).

A dense block has five 3x3 convolutions with LeakyReLU(0.2), each on all that came before, and adds beta = 0.2 times
the last to its input; an RRDB is three of them and adds beta times their result to its own input. No normalisation.
conv3x3, R RRDBs, conv3x3 plus a skip around all, (nearest x2, conv3x3, LeakyReLU) for each doubling, conv3x3 +
LeakyReLU, conv3x3. With 64 channels, growth 32 and 23 blocks and one field it has 16,695,681 parameters for x4
(16,697,987 with the published three colours). The dense blocks start with a tenth of the He initialisation, as
published. Edges are replicated (published: zeros).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.nn.parts import same, steps, zero
from physlab.nn.trunk import CoarseTrunk
from physlab.registry import register

BETA = 0.2
SLOPE = 0.2


class DenseBlock(nn.Module):
    """x + beta conv5([x, y1, ..., y4]) with y_n = lrelu(conv_n([x, y1, ..., y_(n-1)]))."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [channels]
        layers = [same(channels + n * growth, width) for n, width in enumerate(widths)]
        self.layers = nn.ModuleList(layers)
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers[:-1]:
            seen.append(functional.leaky_relu(layer(torch.cat(seen, dim=1)), SLOPE))
        return x + BETA * self.layers[-1](torch.cat(seen, dim=1))


class RRDB(nn.Sequential):
    """x + beta (d3(d2(d1(x)))) with three dense blocks."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + BETA * super().forward(x)


@register("RRDBNet", title="ESRGAN", order=8, reference="Wang et al. (2018)")
class RRDBNet(CoarseTrunk):
    """See the module docstring, and :class:`physlab.nn.trunk.CoarseTrunk` for the rest.

    Parameters
    ----------
    channels, growth, blocks : width, growth of the dense blocks and number of RRDBs.
    """

    def __init__(self, factor: int, channels: int = 64, growth: int = 32, blocks: int = 23, **frame) -> None:
        super().__init__(factor, **frame)
        self.head = same(self.inputs, channels)
        self.blocks = nn.Sequential(*(RRDB(channels, growth) for _ in range(blocks)))
        self.body = same(channels, channels)
        self.steps = [] if self.single else steps(self.factor)
        self.up = nn.ModuleList(same(channels, channels) for _ in self.steps)
        self.tail = nn.Identity() if self.single else same(channels, channels)
        self.last = zero(same(channels, self.outputs), self.zero_start)

    def refine(self, x: Tensor) -> Tensor:
        x = self.head(x)
        x = x + self.body(self.blocks(x))
        for step, layer in zip(self.steps, self.up, strict=True):
            x = functional.leaky_relu(layer(functional.interpolate(x, scale_factor=step, mode="nearest")), SLOPE)
        return self.last(functional.leaky_relu(self.tail(x), SLOPE))
