r"""ERUNet: temporal and spatial downscaling by a residual U-Net with flow, after the idea of ERU-Net.

Wang et al. (2024, Remote Sens. 16, 442) refine ERA5 in time with a residual U-Net, a regularised flow and an
advection loss; their code is not public, so this is our network of that idea, not theirs. A small U-Net estimates
from the two given coarse frames the motion u (coarse cells per interval between them) and a share m, and

.. math:: W_{1/2}(p) = m\, W_0(p - u/2) + (1 - m)\, W_1(p + u/2)

fills in the middle one; a residual U-Net at coarse resolution and a pixel shuffle refine all three. The last layer of
the flow starts at zero: the untrained network interpolates linearly in time. The loss gets

.. math:: a \, \langle (\partial_t \bar W + u \cdot \nabla \bar W)^2 \rangle + s\, \sigma^2 \langle |\nabla u|^2 \rangle

at the middle time, with the block means of the predicted frames and central differences in time (over the whole
interval) and space. Column water is no conserved tracer of one wind: sources, convergence and shear between the levels
are in the residual, so the weight a is a regularisation, not a law.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.grid import coarsen
from physlab.nn.compact import CompactBlock
from physlab.nn.parts import pad_to, rise, same, zero
from physlab.nn.upscaler import Upscaler
from physlab.nn.voxelflow import with_middle
from physlab.registry import register


class ResidualUNet(nn.Module):
    """conv3x3, residual blocks at each of `levels` resolutions down and up with skips, conv3x3; any shape.

    The width doubles with each halving; down: mean over 2 x 2 cells, up: bilinear; joined by concatenation and conv3x3.
    """

    def __init__(self, inputs: int, outputs: int, channels: int, blocks: int, levels: int, zero_start: bool) -> None:
        super().__init__()
        widths = [channels * 2**n for n in range(levels)]

        def stack(before: int, width: int) -> nn.Sequential:
            return nn.Sequential(same(before, width), *(CompactBlock(width) for _ in range(blocks)), nn.ReLU())

        self.down = nn.ModuleList(stack(a, b) for a, b in zip([inputs, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(stack(widths[n] + widths[n + 1], widths[n]) for n in reversed(range(levels - 1)))
        self.last = zero(same(channels, outputs), zero_start)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        x, skips = pad_to(x, 2 ** len(self.up)), []
        for layer in self.down[:-1]:
            x = layer(x)
            skips.append(x)
            x = functional.avg_pool2d(x, 2)
        x = self.down[-1](x)
        return self.last(rise(x, self.up, skips))[..., :h, :w]


def advection_residual(frames: Tensor, motion: Tensor) -> Tensor:
    """dW/dt + u . grad W at the middle of three frames, (B, 3, h, w), per interval; inner cells (B, h - 2, w - 2).

    Parameters
    ----------
    frames : at the start, the middle and the end of the interval.
    motion : (B, 2, h, w), cells per interval along the columns (x) and the rows (y).
    """
    early, middle, late = frames.unbind(1)
    along_x = (middle[:, 1:-1, 2:] - middle[:, 1:-1, :-2]) / 2
    along_y = (middle[:, 2:, 1:-1] - middle[:, :-2, 1:-1]) / 2
    u, v = motion[:, :, 1:-1, 1:-1].unbind(1)
    return (late - early)[:, 1:-1, 1:-1] + u * along_x + v * along_y


@register("ERUNet", title="ERU-Net", order=11, frames=(2, 3))
class ERUNet(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N, any whole number.
    channels, blocks, levels : width at coarse resolution, residual blocks at each resolution, number of resolutions.
    flow_channels : width of the U-Net of the flow (one block, the same levels).
    reach : largest motion, coarse cells per interval.
    advection, smoothness : weights a and s of the penalty, no units.
    frames : (2, 3), the only pair.

    Coarse fields must have at least 3 x 3 cells for the penalty.
    """

    frames = (2, 3)

    def __init__(
        self,
        factor: int,
        channels: int = 32,
        blocks: int = 2,
        levels: int = 3,
        flow_channels: int = 16,
        reach: float = 16.0,
        advection: float = 0.1,
        smoothness: float = 0.01,
        frames: Sequence[int] = (2, 3),
        **frame,
    ) -> None:
        super().__init__(factor, **frame)
        if tuple(frames) != (2, 3):
            raise PhysLabError(f"ERUNet has frames {tuple(frames)}: it fills in the middle one, so pass (2, 3)")
        if levels < 1 or not reach > 0 or advection < 0 or smoothness < 0:
            raise PhysLabError(
                f"ERUNet has levels {levels}, reach {reach}, advection {advection}, smoothness {smoothness}: "
                "pass levels >= 1, reach > 0 and weights >= 0"
            )
        self.reach, self.advection, self.smoothness = float(reach), float(advection), float(smoothness)
        self.flow = ResidualUNet(2, 3, flow_channels, 1, levels, zero_start=True)
        self.refiner = ResidualUNet(3, 3 * self.factor**2, channels, blocks, levels, self.zero_start)

    def motion(self, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """u (B, 2, h, w) in coarse cells per interval, and m (B, 1, h, w), from the two given frames in layer units."""
        raw = self.flow((coarse - self.shift) / self.spread)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        return self.reach * torch.tanh(raw[:, :2] / self.reach), raw[:, 2:].sigmoid()

    def complete(self, coarse: Tensor) -> Tensor:
        """First, estimated middle and last coarse frame."""
        motion, share = self.motion(coarse)
        return with_middle(coarse, motion / 2, share)

    def penalty(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """a <(dW/dt + u.grad W)^2> + s spread^2 <|grad u|^2>; `fine` (B, 3, h*N, w*N) are the predicted frames."""
        motion, _ = self.motion(coarse)
        with torch.autocast(coarse.device.type, enabled=False):
            frames = coarsen(fine.to(torch.promote_types(fine.dtype, torch.float32)), self.factor)
            residual = advection_residual(frames, motion).square().mean()
            rough = motion.diff(dim=-1).square().mean() + motion.diff(dim=-2).square().mean()
            return self.advection * residual + self.smoothness * self.spread**2 * rough

    def trunk(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.refiner(x), self.factor)
