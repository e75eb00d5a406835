r"""The Virtual Reconstruction Encoder of PhyDA: from a few columns to a whole latent field (arXiv 2505.12882).

Innovations are normalised in each channel by what was observed of it (reversible instance normalisation, Kim et al.
2022) and join their density; convolutions of stride 2 make coarser and coarser tokens of them, each with the density
at its scale. Every point of the grid asks all tokens,

.. math:: \mathrm{softmax}\big(q k^T / \sqrt{C}\big)\, v ,

with questions q from the background and its place, and keys k from the tokens and theirs. The paper gives neither
widths nor the number of stages; here three, on 1/4, 1/8 and 1/16 of the grid, and questions at 1/4. Places are sines
and cosines of the point's position in space, so that what is near is alike, across the date line as well.

With ``kind="convolution"`` the attention is replaced by convolutions that pass the tokens back up (the ablation).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.nn.parts import choose, zero
from physlab.nn.unet import GridConv, ResBlock

KINDS = ("attention", "convolution")
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)


def positions(sin: Tensor, cos: Tensor, rows: int, columns: int) -> Tensor:
    """(rows * columns, 24) features of the places of a grid, pooled from its (H, 1) sine and cosine of latitude."""
    sin, cos = (functional.adaptive_avg_pool1d(x.reshape(1, 1, -1), rows).reshape(rows, 1) for x in (sin, cos))
    angle = 2 * torch.pi * (torch.arange(columns, device=sin.device, dtype=sin.dtype) + 0.5) / columns
    xyz = torch.stack([cos * angle.cos(), cos * angle.sin(), sin.expand(rows, columns)], -1).reshape(-1, 3)
    phase = torch.cat([f * xyz for f in FREQUENCIES], -1)
    return torch.cat([phase.sin(), phase.cos()], -1)


class VirtualReconstruction(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    channels : C of the states.
    known : channels of the background with its place.
    latent : channels of the latent field, on half of the grid.
    width : of all layers.
    kind : "attention" or "convolution".
    """

    def __init__(self, channels: int, known: int, latent: int, width: int = 48, kind: str = "attention") -> None:
        super().__init__()
        self.kind, self.channels = choose("encoder", kind, KINDS), channels
        self.periodic = True  # or not, see physlab.nn.unet.wrap_columns
        options = {"periodic": True}
        self.background = nn.Sequential(nn.Conv2d(known, width, 2, stride=2), ResBlock(width, width, **options))
        self.seen = nn.Conv2d(channels + 2, width, 2, stride=2)
        self.stages = nn.ModuleList(GridConv(width + 1, width, stride=2, **options) for _ in range(3))
        if kind == "attention":
            place = 6 * len(FREQUENCIES)
            self.ask = GridConv(width, width, stride=2, **options)
            self.query, self.key = (nn.Linear(width + place, width) for _ in range(2))
            self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        else:
            self.up = nn.ModuleList(GridConv(2 * width, width, **options) for _ in range(2))
        self.statistics = nn.Linear(2 * channels, 2 * width)
        self.mix = nn.Conv2d(3 * width, width, 1)
        self.refine = ResBlock(width, width, **options)
        self.last = zero(GridConv(width, latent, **options))

    def forward(self, background: Tensor, innovation: Tensor, mask: Tensor, trust: Tensor) -> tuple[Tensor, Tensor]:
        """Virtual latent field (B, latent, H/2, W/2) and features (B, width, H/2, W/2).

        Parameters
        ----------
        background : (B, known, H, W), whose last two channels are sine and cosine of latitude.
        innovation, mask, trust : (B, C, H, W), (B, 1, H, W), (B, 1, H, W), see ``assimilate.statespace.Columns``.
        """
        count = mask.sum((2, 3), keepdim=True).clamp(min=1.0)
        mean = innovation.sum((2, 3), keepdim=True) / count
        std = (((innovation - mean) * mask).square().sum((2, 3), keepdim=True) / count + 0.01).sqrt()
        std = torch.where(mask.sum((2, 3), keepdim=True) > 1, std, 1.0)  # one column, or none, tells no spread
        known = self.background(background)
        seen = self.seen(torch.cat([(innovation - mean) / std * mask, mask, trust], 1))
        tokens, density = [functional.silu(seen)], functional.avg_pool2d(trust, 2)
        for stage in self.stages:
            tokens.append(functional.silu(stage(torch.cat([tokens[-1], density], 1))))
            density = functional.avg_pool2d(density, 2, ceil_mode=True)
        if self.kind == "attention":
            wide = self._attend(known, tokens[1:], background[0, -2:, :, :1])
        else:
            wide = self._pass(tokens)
        # no seam at the date line
        wide = functional.pad(wide, (1, 1, 0, 0), mode="circular" if self.periodic else "replicate")
        wide = functional.interpolate(wide, scale_factor=2.0, mode="bilinear")[..., 2:-2]
        wide = wide[..., : known.shape[-2], : known.shape[-1]]
        y = self.mix(torch.cat([known, seen, wide], 1))
        scale, shift = self.statistics(torch.cat([mean, std.log()], 1).flatten(1))[..., None, None].chunk(2, 1)
        features = self.refine(y * (1 + scale) + shift)  # gives back what the normalisation took
        return self.last(functional.silu(features)), features

    def _attend(self, known: Tensor, tokens: list[Tensor], place: Tensor) -> Tensor:
        sin, cos = place
        asked = self.ask(known)
        spots = [positions(sin, cos, *t.shape[-2:]) for t in (asked, *tokens)]
        flat = torch.cat([t.flatten(2).mT for t in tokens], 1)
        where = torch.cat(spots[1:])[None].expand(len(flat), -1, -1)
        q = self.query(torch.cat([asked.flatten(2).mT, spots[0][None].expand(len(flat), -1, -1)], -1))
        k, v = self.key(torch.cat([flat, where], -1)), self.value(flat)
        found = self.out(functional.scaled_dot_product_attention(q, k, v))
        return found.mT.reshape(asked.shape)

    def _pass(self, tokens: list[Tensor]) -> Tensor:
        y = tokens[-1]
        for up, kept in zip(self.up, tokens[-2:0:-1], strict=True):
            y = functional.silu(up(torch.cat([functional.interpolate(y, size=kept.shape[-2:]), kept], 1)))
        return y
