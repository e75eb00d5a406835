"""The control of every learned analysis: a U-Net that sees the background and no observation.

What it takes off is the part of the errors that can be read off the background alone, a bias correction that depends on
the weather. Whatever a method gains beyond it is what the observations brought.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from physlab.assimilate.regression import Regression
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.nn.parts import zero
from physlab.nn.unet import GridConv, UNet, pad_grid
from physlab.registry import register


@register("corrector", title="Background corrector", kind="assimilation", order=47)
class Corrector(Regression):
    """See the module docstring.

    Parameters
    ----------
    space : channels, grid and units.
    levels : widths of the U-Net, which works at half the resolution of the grid.
    """

    rate = 2e-3

    def __init__(self, space: StateSpace, levels: Sequence[int] = (48, 64)) -> None:
        super().__init__(space, levels=list(levels))
        C = space.shape[0]
        self.multiple = 2 ** len(levels)
        self.stem = GridConv(C + 2, levels[0], stride=2, periodic=True)
        self.unet = UNet(levels[0], levels[0], tuple(levels), 1, periodic=True, zero_start=False)
        self.last = zero(GridConv(levels[0], 4 * C, periodic=True))

    def forward(self, background: Tensor, columns: Columns) -> Tensor:
        """The increment (B, C, H, W), whatever was observed."""
        h, w = background.shape[-2:]
        x = self.stem(pad_grid(self.known(background), self.multiple, periodic=True))
        x = self.last(functional.silu(self.unet(x)))
        return functional.pixel_shuffle(x, 2)[..., :h, :w].float()
