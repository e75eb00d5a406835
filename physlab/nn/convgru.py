r"""ConvGRU: several frames in, as many out, with a memory from frame to frame (after Leinonen et al. 2021).

.. math:: z, r = \sigma(W_{zr} * [e_t, h]), \quad o = W_o * [e_t, r h], \quad h \leftarrow z h + (1 - z) \tanh o

Encoder conv3x3 and R pre-activation blocks x + conv(relu(conv(relu(x)))) on each frame e_t; the first state is conv3x3
and 3 blocks on the first frame; decoder block, (bilinear x2, block) for each doubling with LeakyReLU(0.01), conv3x3
(Harder et al. 2023). The block convolutions have no bias: with 64 channels and R = 4 this gives exactly the published
960,513 parameters for x4. Two changes: the factor and the width are free, and bilinear interpolation keeps the cell
centres (align_corners=False), where the published one stretches the field by up to half a coarse cell. The network is
causal: a frame depends on those before it only. upsample="shuffle" decodes at coarse resolution (one block, conv to
N*N, pixel shuffle), which together with half the width costs a tenth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.nn.parts import choose, same, steps, zero
from physlab.nn.upscaler import Upscaler
from physlab.registry import register


class PreBlock(nn.Module):
    """x + conv(a(conv(a(x)))), 3x3 without bias, reflected edges as published; a is LeakyReLU of `slope`."""

    def __init__(self, channels: int, slope: float = 0.0) -> None:
        super().__init__()
        self.first = same(channels, channels, bias=False, padding="reflect")
        self.second = same(channels, channels, bias=False, padding="reflect")
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(functional.leaky_relu(x, self.slope))
        return x + self.second(functional.leaky_relu(y, self.slope))


class GRUCell(nn.Module):
    """One step of the recurrence, (B, C, h, w) and (B, C, h, w) -> new state (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = same(2 * channels, 2 * channels, padding="reflect")
        self.candidate = same(2 * channels, channels, padding="reflect")

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        update, reset = self.gates(torch.cat([x, state], dim=1)).sigmoid().chunk(2, dim=1)
        candidate = self.candidate(torch.cat([x, reset * state], dim=1)).tanh()
        return update * state + (1 - update) * candidate


def encoder(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(same(1, channels, padding="reflect"), *(PreBlock(channels) for _ in range(blocks)))


@register("ConvGRU", title="ConvGRU", order=9, reference="after Leinonen et al. (2021)", frames=(3, 3))
class ConvGRU(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N; with "bilinear" a power of two is reached by doublings, any other in one step.
    channels : width of encoder, state and decoder.
    blocks : R, blocks of the encoder (published 4).
    frames : T, coarse frames in and fine frames out.
    upsample : "bilinear" (published) or "shuffle" (cheap).
    state_blocks : blocks between the first frame and the first state.

    Coarse fields must have at least 2 x 2 cells: edges are reflected.
    """

    frames = (3, 3)

    def __init__(
        self,
        factor: int,
        channels: int = 64,
        blocks: int = 4,
        frames: int = 3,
        upsample: str = "bilinear",
        state_blocks: int = 3,
        **frame,
    ) -> None:
        super().__init__(factor, **frame)
        if int(frames) < 1:
            raise PhysLabError(f"ConvGRU has {frames} frames: pass 1 or more")
        self.frames = (int(frames), int(frames))
        self.shuffle = choose("upsample", upsample, ("bilinear", "shuffle")) == "shuffle"
        self.start = encoder(channels, state_blocks)
        self.encode = encoder(channels, blocks)
        self.cell = GRUCell(channels)
        decoder: list[nn.Module] = [PreBlock(channels, 0.01)]
        for step in [] if self.shuffle else steps(self.factor):
            decoder += [nn.Upsample(scale_factor=step, mode="bilinear"), PreBlock(channels, 0.01)]
        self.decode = nn.Sequential(*decoder)
        self.last = zero(same(channels, self.factor**2 if self.shuffle else 1, padding="reflect"), self.zero_start)

    def trunk(self, x: Tensor) -> Tensor:
        batch, count = x.shape[:2]
        encoded = self.encode(x.reshape(batch * count, 1, *x.shape[-2:]))
        encoded = encoded.reshape(batch, count, *encoded.shape[1:])
        state = self.start(x[:, :1])
        states = []
        for t in range(count):
            state = self.cell(encoded[:, t], state)
            states.append(state)
        fine = self.last(self.decode(torch.stack(states, dim=1).flatten(0, 1)))
        fine = functional.pixel_shuffle(fine, self.factor) if self.shuffle else fine
        return fine.reshape(batch, count, *fine.shape[-2:])
