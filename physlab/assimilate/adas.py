r"""Adas (Chen et al. 2023, arXiv:2312.12462): a confidence matrix decides what is taken from observations.

Three streams run side by side through a U-Net: features b of the background, o of the observations and m of the
confidence matrix, which says where something was observed and how good it is. On each level

.. math:: o \leftarrow o + \phi(W_o * o) \odot \mathrm{sigmoid}(V_o * m) , \qquad m \leftarrow \phi(W_m * m)

is a gated convolution: where nothing was observed the gate keeps invented features out. Then the background asks the
observations, and the gate decides how much of the answer it takes,

.. math:: b \leftarrow b + \mathrm{sigmoid}(V_b * m) \odot A\, W_v o , \qquad
          A_{ij} = \mathrm{softmax}_j\big( (W_q b)_i \cdot (W_k o)_j / \sqrt{r} - a\, \delta_{ij} \big) ,

gated cross-attention, followed by a residual block; all is joined before the end.

Differences from the published network, which has windows of a three-dimensional Swin transformer, 128 x 256 points and
a graphics card: convolutions are two-dimensional; windows are replaced by the chord :math:`\delta` between places on
the unit sphere with a learned slope a for each head, which is local, has no borders and commutes with shifts along
longitude; at the finest level, half the grid's resolution, attention is over the place itself only (A = 1); the
confidence is the trust 1 / (1 + noise^2) of :class:`~physlab.assimilate.statespace.Columns`. The loss is the squared
error in units of background error, so that channels weigh the same, which the published one brings about by rescaling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.assimilate.regression import Regression
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.nn.parts import zero
from physlab.nn.unet import GridConv, ResBlock, norm, pad_grid
from physlab.registry import register

CONFIDENCE = 8  # channels of the stream m: it is made of two fields, mask and trust


class GatedCross(nn.Module):
    """One level of the module docstring: streams b, o (B, width, h, w), m (B, CONFIDENCE, h, w) -> same.

    Parameters
    ----------
    width, heads : of the attention.
    chord : (h w, h w) between places, or None for attention over the place itself.
    """

    chord: Tensor | None

    def __init__(self, width: int, heads: int, chord: Tensor | None) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(norm(width) for _ in range(2))
        self.observed = GridConv(width, width, periodic=True)
        self.confidence = GridConv(CONFIDENCE, CONFIDENCE, periodic=True)
        self.gate = nn.Conv2d(CONFIDENCE, 2 * width, 1)
        self.value, self.take = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.block = ResBlock(width, width, periodic=True)
        self.register_buffer("chord", chord, persistent=False)
        if chord is not None:
            self.asking = norm(width)
            self.query, self.key = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
            # one radian is 6371 km: heads start with reaches of about 200, 400, 800, ... km
            self.log_slope = nn.Parameter(math.log(32.0) - math.log(2.0) * torch.arange(heads, device="cpu"))

    def forward(self, b: Tensor, o: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m = functional.silu(self.confidence(m))
        gate, taken = self.gate(m).sigmoid().chunk(2, dim=1)
        o = o + functional.silu(self.observed(self.norms[0](o))) * gate
        y = self.norms[1](o)
        answer = self.value(y)
        if self.chord is not None:
            streams = (self.query(self.asking(b)), self.key(y), answer)
            query, key, value = (z.unflatten(1, (self.heads, -1)).flatten(3).mT for z in streams)
            bias = -self.log_slope.exp()[:, None, None] * self.chord
            weighed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
            answer = weighed.mT.reshape(b.shape)
        return self.block(b + taken * self.take(answer)), o, m


def chords(latitude: np.ndarray, longitude: np.ndarray, stride: int, closed: bool = True, multiple: int = 1) -> Tensor:
    """(n, n) chords on the unit sphere between the n points of a grid, extended to multiples as by
    :func:`~physlab.nn.unet.pad_grid` and coarsened; `closed` for whole circles."""
    multiple = max(multiple, stride)
    rows = np.pad(np.deg2rad(latitude), (0, -len(latitude) % multiple), mode="edge").reshape(-1, stride).mean(1)
    count = len(longitude)
    turn = 2 * np.pi * np.arange((count + -count % multiple) // stride) / (count / stride)
    if not closed:
        turn = np.pad(np.deg2rad(longitude), (0, -count % multiple), mode="edge").reshape(-1, stride).mean(1)
    phi, lam = (a.ravel() for a in np.meshgrid(rows, turn, indexing="ij"))
    at = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)
    return torch.from_numpy(np.sqrt((2 - 2 * at @ at.T).clip(min=0.0))).float()


@register("adas", title="Adas", kind="assimilation", order=46)
class Adas(Regression):
    """See the module docstring.

    Parameters
    ----------
    space : channels, grid and units.
    width : channels of background and observations at the finest level.
    growth : width of each level over that of the finest; their number is that of the levels.
    heads : of the attention.
    """

    rate = 2e-3

    def __init__(
        self, space: StateSpace, width: int = 32, growth: Sequence[float] = (1.0, 1.25, 1.25), heads: int = 4
    ) -> None:
        growth = [float(g) for g in growth]
        super().__init__(space, width=width, growth=growth, heads=heads)
        C = space.shape[0]
        widths = [round(width * g) for g in growth]
        self.multiple = 2 ** len(widths)
        self.stems = nn.ModuleList(
            GridConv(n, into, stride=2, periodic=True)
            for n, into in ((C + 2, widths[0]), (C + 2, widths[0]), (2, CONFIDENCE))
        )
        self.levels = nn.ModuleList(
            GatedCross(
                n,
                heads,
                chords(space.latitude, space.longitude, 2 ** (k + 1), space.closed, self.multiple) if k else None,
            )
            for k, n in enumerate(widths)
        )
        self.shrink = nn.ModuleList(
            nn.ModuleList(
                GridConv(*pair, stride=2, periodic=True)
                for pair in ((fine, coarse), (fine, coarse), (CONFIDENCE, CONFIDENCE))
            )
            for fine, coarse in pairwise(widths)
        )
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(ResBlock(fine, fine, periodic=True) for fine in widths[:-1])
        self.join = ResBlock(2 * widths[0] + CONFIDENCE, widths[0], periodic=True)
        self.norm = norm(widths[0])
        self.last = zero(GridConv(widths[0], 4 * C, periodic=True))

    def forward(self, background: Tensor, columns: Columns) -> Tensor:
        """The increment (B, C, H, W)."""
        h, w = background.shape[-2:]
        confidence = torch.cat([columns.mask, columns.trust], dim=1)
        given = (self.known(background), columns.planes(), confidence)
        closed = self.space.closed
        streams = [stem(pad_grid(x, self.multiple, closed)) for stem, x in zip(self.stems, given, strict=True)]
        kept = []
        for k, level in enumerate(self.levels):
            if k:
                shrinks = self.shrink[k - 1]
                assert isinstance(shrinks, nn.ModuleList)
                streams = [shrink(x) for shrink, x in zip(shrinks, streams, strict=True)]
            streams = list(level(*streams))
            kept.append(streams)
        x = kept[-1][0]
        for k in reversed(range(len(self.up))):
            x = functional.interpolate(self.grow[k](x), scale_factor=2.0, mode="nearest")
            x = self.up[k](x + kept[k][0])
        x = self.join(torch.cat([x, *kept[0][1:]], dim=1))
        return functional.pixel_shuffle(self.last(functional.silu(self.norm(x))), 2)[..., :h, :w].float()
