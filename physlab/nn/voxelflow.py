r"""Deep voxel flow: the coarse frame between two coarse frames (Liu et al. 2017, arXiv:1702.02463), then a ConvGRU.

.. math:: x_{1/2}(p) = m(p)\, x_0(p - d(p)) + (1 - m(p))\, x_1(p + d(p))

A U-Net (conv5x5 64, conv5x5 128, conv3x3 256, bottleneck 256; max pooling down, bilinear up, skips by concatenation;
batch normalisation and ReLU) returns the displacement d of half an interval and the share m; the values between the
cells are bilinear, cells beyond the border have the value at the border. 3,815,491 parameters; with the ConvGRU x4 of
64 channels, FlowConvGRU of Harder et al. (2023), 4,776,004. Two changes: displacements are counted in coarse cells,
at most `reach` (published: half of the domain's half-width, 8 cells of 32, so that the meaning of the output changed
with the shape), and norm=False leaves out the batch normalisation for small batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.nn.convgru import ConvGRU
from physlab.nn.parts import pad_to, rise, same, zero
from physlab.nn.share import BatchNorm2d
from physlab.registry import register


def warp(x: Tensor, displacement: Tensor) -> Tensor:
    """x at p + displacement(p), bilinear, with the border value beyond the border.

    Parameters
    ----------
    x : (B, C, h, w).
    displacement : (B, 2, h, w) in cells: along the columns first (x, to the right), then along the rows (y, down).
    """
    h, w = x.shape[-2:]
    with torch.autocast(x.device.type, enabled=False):
        dtype = torch.promote_types(x.dtype, torch.float32)
        moved = displacement.to(dtype)
        columns = torch.arange(w, device=x.device, dtype=dtype) + moved[:, 0]
        rows = torch.arange(h, device=x.device, dtype=dtype)[:, None] + moved[:, 1]
        places = torch.stack([(2 * columns + 1) / w - 1, (2 * rows + 1) / h - 1], dim=-1)
        return functional.grid_sample(x.to(dtype), places, "bilinear", "border", align_corners=False)


def between(first: Tensor, last: Tensor, displacement: Tensor, share: Tensor) -> Tensor:
    """The middle frame: share * first(p - d) + (1 - share) * last(p + d)."""
    early, late = warp(first, -displacement), warp(last, displacement)
    share = share.to(early.dtype)
    return share * early + (1 - share) * late


def with_middle(coarse: Tensor, displacement: Tensor, share: Tensor) -> Tensor:
    """(B, 3, h, w): the first, the estimated middle and the last of two frames (B, 2, h, w)."""
    first, last = coarse[:, :1], coarse[:, 1:]
    middle = between(first, last, displacement, share)
    return torch.cat([first.to(middle.dtype), middle, last.to(middle.dtype)], dim=1)


def layer(inputs: int, outputs: int, kernel: int, norm: bool) -> nn.Sequential:
    convolution = same(inputs, outputs, kernel, bias=not norm)
    return nn.Sequential(convolution, *([BatchNorm2d(outputs)] if norm else []), nn.ReLU())


class VoxelFlow(nn.Module):
    """Displacement and share from two standardised frames (B, 2, h, w); no Upscaler: the part that completes frames.

    Parameters
    ----------
    channels : widths at the three resolutions.
    norm : batch normalisation, as published.
    reach : largest displacement in half an interval, coarse cells.
    zero_start : start the last layer at zero: the untrained network is linear interpolation.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256),
        norm: bool = True,
        reach: float = 8.0,
        zero_start: bool = False,
    ) -> None:
        super().__init__()
        if not reach > 0:
            raise PhysLabError(f"voxel flow has a reach of {reach}: pass coarse cells > 0")
        a, b, c = (int(width) for width in channels)
        self.reach = float(reach)
        self.down = nn.ModuleList([layer(2, a, 5, norm), layer(a, b, 5, norm), layer(b, c, 3, norm)])
        self.bottom = layer(c, c, 3, norm)
        self.up = nn.ModuleList([layer(2 * c, c, 3, norm), layer(c + b, b, 5, norm), layer(b + a, a, 5, norm)])
        self.last = zero(same(a, 3, 5), zero_start)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Displacement (B, 2, h, w) in coarse cells, and share of the first frame (B, 1, h, w) in 0..1."""
        h, w = pair.shape[-2:]
        x, skips = pad_to(pair, 8), []
        for convolve in self.down:
            x = convolve(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottom(x)
        x = self.last(rise(x, self.up, skips)).tanh()[..., :h, :w]
        return self.reach * x[:, :2], 0.5 + 0.5 * x[:, 2:]


@register("FlowConvGRU", title="Voxel flow + ConvGRU", order=10, frames=(2, 3))
class FlowConvGRU(ConvGRU):
    """Voxel flow fills in the middle coarse frame, the ConvGRU refines all three; trained end to end.

    Parameters
    ----------
    factor : N; all that is not named here is for the ConvGRU.
    frames : (2, 3): the first and the last frame are given; or (3, 3): all are given, and the network is a ConvGRU.
    flow_channels, norm, reach : of the voxel flow.

    With `zero_start` both last layers start at zero: interpolation linear in time, and the skip in space.
    """

    frames = (2, 3)

    def __init__(
        self,
        factor: int,
        frames: Sequence[int] = (2, 3),
        flow_channels: Sequence[int] = (64, 128, 256),
        norm: bool = True,
        reach: float = 8.0,
        **rest,
    ) -> None:
        given = tuple(int(count) for count in frames)
        if given not in ((2, 3), (3, 3)):
            raise PhysLabError(f"FlowConvGRU has frames {given}: pass (2, 3), or (3, 3) if the middle one is given")
        super().__init__(factor, frames=3, **rest)
        self.frames = given
        self.flow = VoxelFlow(flow_channels, norm, reach, self.zero_start) if given == (2, 3) else None

    def complete(self, coarse: Tensor) -> Tensor:
        """First, estimated middle and last coarse frame; three given frames as they are."""
        if self.flow is None:
            return coarse
        return with_middle(coarse, *self.flow((coarse - self.shift) / self.spread))
