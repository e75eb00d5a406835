"""MotionResNet: the compact network on each frame of a sequence, with the changes to its neighbours as further inputs.

Between two hours a filament moves by a fraction of a coarse cell, and how the coarse values change tells where inside
the cell it lies: several frames hold more than one. The network sees, for each frame t, the fields

    x_t,    a (x_(t-1) - x_t),    a (x_(t+1) - x_t)

(no change beyond the ends; a amplifies the small hourly changes to order one) and is otherwise
:class:`physlab.nn.compact.CompactResNet`. With zero weights for the changes it *is* the frame-by-frame network, so that
it can start from one that was trained on many single frames and has only the motion left to learn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.nn.compact import CompactResNet, conv
from physlab.registry import register


@register("MotionResNet", title="Compact network with motion", order=12, frames=(3, 3))
class MotionResNet(CompactResNet):
    """See the module docstring.

    Parameters
    ----------
    factor, channels, blocks : as in CompactResNet.
    frames : length T of the sequences.
    amplify : a.
    """

    def __init__(
        self, factor: int, channels: int = 32, blocks: int = 5, frames: int = 3, amplify: float = 5.0, **frame
    ) -> None:
        super().__init__(factor, channels, blocks, **frame)
        if int(frames) < 2 or self.domain is not None:
            raise PhysLabError(f"MotionResNet has frames {frames}, domain {self.domain}: pass 2 or more, and no domain")
        self.frames = (int(frames), int(frames))
        self.amplify = float(amplify)
        self.head = conv(3, channels)

    def trunk(self, x: Tensor) -> Tensor:
        before = torch.cat([x[:, :1], x[:, :-1]], dim=1)
        after = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
        seen = torch.stack([x, self.amplify * (before - x), self.amplify * (after - x)], dim=2)
        fine = super().trunk(seen.flatten(0, 1))
        return fine.unflatten(0, (len(x), -1)).squeeze(2)
