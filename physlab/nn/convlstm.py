r"""ConvLSTM: the recurrence of the precipitation nowcast (Shi et al. 2015), as a forecast model.

.. math:: i, f, o = \sigma(W_{ifo} * [x_t, h]), \quad g = \tanh(W_g * [x_t, h]), \quad
          c \leftarrow f c + i g, \quad h \leftarrow o \tanh c

Each frame is embedded by a convolution over patches of `patch` x `patch` cells, passes `layers` cells in turn, and the
last hidden states are decoded by a convolution and a pixel shuffle. The published one (METHODS A2) embeds each point
and averages the hidden states over time, so that the last frame counts no more than the first; ours keeps the last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.nn.parts import pad_to, same, zero


class LSTMCell(nn.Module):
    """One step: input (B, C, h, w), states h and c (B, D, h, w) -> new h and c."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.gates = same(inputs + channels, 4 * channels)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, o, g = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = (f + 1).sigmoid() * c + i.sigmoid() * g.tanh()  # remembers at the start (Jozefowicz et al. 2015)
        return o.sigmoid() * c.tanh(), c


class ConvLSTM(nn.Module):
    """(B, frames * C, H, W), the oldest frame first, then `statics` channels -> (B, outputs, H, W), any shape.

    Parameters
    ----------
    inputs : C, channels of a frame;  frames, outputs, statics : see above.
    channels, layers : width of the states and number of cells.
    patch : edge of the patches that become one point of the states.
    """

    def __init__(
        self, inputs: int, outputs: int, frames: int, statics: int = 0, channels: int = 48, layers: int = 2,
        patch: int = 2,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(inputs, outputs, frames, channels, layers, patch) < 1 or statics < 0:
            raise PhysLabError("ConvLSTM: all counts must be at least 1")
        self.inputs, self.frames, self.patch = inputs, frames, patch
        self.embed = nn.Conv2d(inputs + statics, channels, patch, stride=patch)
        self.cells = nn.ModuleList(LSTMCell(channels, channels) for _ in range(layers))
        self.mix = same(channels * (layers + 1), 2 * channels)
        self.last = zero(same(2 * channels, outputs * patch**2))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = pad_to(x, self.patch)
        statics = x[:, self.inputs * self.frames :]
        states: list[tuple[Tensor, Tensor]] = []
        for t in range(self.frames):
            frame = torch.cat([x[:, t * self.inputs : (t + 1) * self.inputs], statics], dim=1)
            embedded = y = functional.relu(self.embed(frame))
            if not states:
                states = [(torch.zeros_like(y), torch.zeros_like(y)) for _ in self.cells]
            for n, cell in enumerate(self.cells):
                states[n] = cell(y, *states[n])
                y = states[n][0]
        y = functional.relu(self.mix(torch.cat([embedded, *(h for h, _ in states)], dim=1)))
        return functional.pixel_shuffle(self.last(y), self.patch)[..., :height, :width]
