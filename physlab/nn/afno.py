r"""AFNO: adaptive Fourier neural operator (Guibas et al. 2022), the network of FourCastNet (Pathak et al. 2022).

Tokens are patches of the field. Each block mixes them in wavenumber space, with the same small network for all
wavenumbers, and then at each place:

.. math:: x \leftarrow x + F^{-1} S_\lambda\big(W_2\, \mathrm{relu}(W_1 F x)\big), \qquad
          x \leftarrow x + \mathrm{MLP}(\mathrm{norm}(x))

W are complex and block-diagonal over `groups` of channels; S is soft shrinkage, which makes the spectrum sparse. The
transform takes the field as periodic; a region is not, so it is continued by reflection before and cropped after, and
tokens keep a 3 x 3 convolution beside the global one, which sees where the border is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.nn.parts import zero
from physlab.nn.unet import GridConv, pad_grid


class SpectralMixing(nn.Module):
    """(B, C, h, w) -> (B, C, h, w): one two-layer complex network for all wavenumbers."""

    def __init__(self, channels: int, groups: int, shrink: float = 0.01) -> None:
        super().__init__()
        size = channels // groups
        shape = (2, groups, size, size)
        self.groups, self.shrink = groups, shrink
        self.first = nn.Parameter(torch.randn(shape) / math.sqrt(2 * size))
        self.second = nn.Parameter(torch.randn(shape) / math.sqrt(2 * size))
        self.bias = nn.Parameter(torch.zeros(2, 2, groups, size))

    def forward(self, x: Tensor) -> Tensor:
        dtype, shape = x.dtype, x.shape[-2:]
        with torch.autocast(x.device.type, enabled=False):
            modes = torch.fft.rfft2(x.float(), norm="ortho")
            z = modes.movedim(1, -1).unflatten(-1, (self.groups, -1))  # (B, h, k, groups, size)
            z = self._mix(z, self.first, self.bias[0])
            z = torch.complex(functional.relu(z.real), functional.relu(z.imag))
            z = self._mix(z, self.second, self.bias[1])
            shrunk = torch.complex(*(functional.softshrink(part, self.shrink) for part in (z.real, z.imag)))
            return torch.fft.irfft2(shrunk.flatten(-2).movedim(-1, 1), s=shape, norm="ortho").to(dtype)

    @staticmethod
    def _mix(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        w, b = torch.complex(weight[0], weight[1]), torch.complex(bias[0], bias[1])
        return torch.einsum("...gi,gij->...gj", z, w) + b


class AFNOBlock(nn.Module):
    """Mixing over wavenumbers and neighbours, then a pointwise network, each with a skip."""

    def __init__(self, channels: int, groups: int, expansion: int, periodic: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))
        self.spectral = SpectralMixing(channels, groups)
        self.local = GridConv(channels, channels, periodic=periodic)
        self.wide = nn.Conv2d(channels, expansion * channels, 1)
        self.back = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norms[0](x)
        x = x + self.spectral(y) + self.local(y)
        return x + self.back(functional.gelu(self.wide(self.norms[1](x))))


class AFNO(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W), any shape.

    Parameters
    ----------
    channels, depth : width and number of blocks.
    patch : edge of a token, cells.
    groups : blocks of the spectral weights, a divisor of the width.
    expansion : of the pointwise networks.
    margin : tokens of reflection on each side.
    periodic : columns are longitudes of a whole globe, periodic as they are: only rows are reflected.
    """

    def __init__(
        self, inputs: int, outputs: int, channels: int = 64, depth: int = 4, patch: int = 2, groups: int = 4,
        expansion: int = 2, margin: int = 3, periodic: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if channels % groups or min(inputs, outputs, depth, patch) < 1 or margin < 0:
            raise PhysLabError(f"AFNO has {channels} channels in {groups} groups: pass a multiple, and counts above 0")
        self.patch, self.margin, self.periodic = patch, margin, periodic
        self.embed = nn.Conv2d(inputs, channels, patch, stride=patch)
        self.blocks = nn.ModuleList(AFNOBlock(channels, groups, expansion, periodic) for _ in range(depth))
        self.last = zero(GridConv(channels, outputs * patch**2, periodic=periodic))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        m, n = self.margin, 0 if self.periodic else self.margin
        y = self.embed(pad_grid(x, self.patch, self.periodic))
        y = functional.pad(y, (n, n, m, m), mode="reflect")
        for block in self.blocks:
            y = block(y)
        y = y[..., m : y.shape[-2] - m, n : y.shape[-1] - n]
        return functional.pixel_shuffle(self.last(y), self.patch)[..., :height, :width]
