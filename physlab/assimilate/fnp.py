r"""FNP, Fourier neural processes (Chen et al. 2024, arXiv:2406.01645): a branch for each variable, global filters.

Each variable on its levels is a branch, so are all single-level variables together, and one more branch sees all
channels. In a branch, observations and background are each brought to the same grid by a set convolution, with kernels
:math:`w \ge 0` of 11 x 11 points and the mask M of what is known,

.. math:: h = \frac{w * (M d)}{\max(w * M, \varepsilon)} , \qquad \rho = w * M ,

signal and density, and go through neural Fourier layers, a filter over the whole globe beside a local convolution,

.. math:: x \leftarrow x + W_2\, \phi\big( F^{-1} (R \cdot F x) + W_1 * x \big) .

Dynamic alignment and merge: of a shared feature :math:`r = W [r_o, r_b]` and the features of observations and
background that which is less like it is brought in,

.. math:: g = \mathrm{sigmoid}\big(|r - r_o| - |r - r_b|\big) , \quad r \leftarrow W * [\, g r_o + (1 - g) r_b,\, r \,].

The decoder of a variable, a pointwise network, takes its branch and that of all channels to mean and standard deviation
of a Gaussian; trained on its negative log-likelihood.

Differences from the published network (128 channels a branch, 4 layers, a graphics card): the gate is smooth, there a
step, through which no gradient passes; R is a multiplier for each channel and low wavenumber, channels are mixed by
:math:`W_2`; latitude is expanded in cosines, which do not join the poles; branches live at half the grid's resolution;
kernels are shared by the branches; the background is known everywhere, so that its set convolution is a convolution.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.assimilate.regression import GaussianRegression
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.nn.parts import zero
from physlab.nn.unet import GridConv, pad_grid
from physlab.registry import register

EPSILON = 1e-3
REACH = 5  # points on each side of a kernel of 11 x 11


class LocalSetConv(nn.Module):
    """Values (B, C, H, W) and mask (B, 1, H, W) -> signals and densities (B, 2 C, H / 2, W / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        from_centre = torch.arange(-REACH, REACH + 1).square()
        bell = torch.exp(-(from_centre[:, None] + from_centre) / (2 * 1.5**2))
        self.kernel = nn.Parameter(bell.expand(channels, 1, -1, -1).contiguous())

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        def spread(x: Tensor, groups: int) -> Tensor:  # beyond the poles nothing was observed: zeros
            x = functional.pad(functional.pad(x, (REACH, REACH, 0, 0), mode="circular"), (0, 0, REACH, REACH))
            return functional.conv2d(x, self.kernel.abs(), stride=2, groups=groups)

        density = spread(mask, 1)
        return torch.cat([spread(values * mask, values.shape[1]) / density.clamp(min=EPSILON), density], dim=1)


class Branches(nn.Conv2d):
    """A 1 x 1 or 3 x 3 convolution for each branch: (B, branches * inputs, h, w) -> (B, branches * outputs, h, w)."""

    def __init__(self, branches: int, inputs: int, outputs: int, kernel: int = 1) -> None:
        super().__init__(branches * inputs, branches * outputs, kernel, groups=branches)

    def forward(self, x: Tensor) -> Tensor:
        p = self.kernel_size[0] // 2
        x = functional.pad(x, (p, p, 0, 0), mode="circular") if p else x
        return super().forward(functional.pad(x, (0, 0, p, p), mode="replicate") if p else x)


class FourierLayer(nn.Module):
    """A neural Fourier layer; each branch by itself.

    Parameters
    ----------
    branches, width : number of branches and channels of one.
    modes : of latitude (cosines) and longitude (waves) that the global filter acts on.
    """

    def __init__(self, branches: int, width: int, modes: tuple[int, int]) -> None:
        super().__init__()
        self.norm, self.modes = nn.GroupNorm(branches, branches * width), modes
        self.local, self.mix = Branches(branches, width, width, 3), Branches(branches, width, width)
        self.filter = nn.Parameter(torch.randn(branches * width, *modes, 2) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        with torch.autocast(x.device.type, enabled=False):  # Fourier transforms know no bfloat16
            everywhere = self.everywhere(y.float())
        return x + self.mix(functional.silu(everywhere + self.local(y)))

    def everywhere(self, x: Tensor) -> Tensor:
        """The global filter: low modes times R."""
        h, w = x.shape[-2:]
        n, m = min(self.modes[0], h), min(self.modes[1], w // 2 + 1)
        row = math.pi * torch.arange(n, device=x.device)[:, None] * (torch.arange(h, device=x.device) + 0.5) / h
        cosines = row.cos().to(x) * math.sqrt(2 / h)
        cosines = torch.cat([cosines[:1] / math.sqrt(2), cosines[1:]])  # (n, h), orthonormal
        waves = cosines @ torch.view_as_real(torch.fft.rfft(x, norm="ortho")[..., :m]).flatten(-2)  # (B, C, n, 2 m)
        waves = torch.view_as_complex(waves.unflatten(-1, (m, 2)).contiguous())
        waves = waves * torch.view_as_complex(self.filter[:, :n, :m].contiguous())
        waves = cosines.mT @ torch.view_as_real(waves).flatten(-2)
        return torch.fft.irfft(torch.view_as_complex(waves.unflatten(-1, (m, 2)).contiguous()), n=w, norm="ortho")


@register("fnp", title="FNP", kind="assimilation", order=44)
class FNP(GaussianRegression):
    """See the module docstring.

    Parameters
    ----------
    space : channels, grid and units.
    width : channels of a branch.
    layers : neural Fourier layers of observations and of the background.
    modes : of latitude and longitude that a global filter acts on.
    hidden : width of the decoders.
    """

    rate = 5e-3

    def __init__(
        self, space: StateSpace, width: int = 16, layers: int = 2, modes: tuple[int, int] = (8, 10), hidden: int = 48
    ) -> None:
        super().__init__(space, width=width, layers=layers, modes=list(modes), hidden=hidden)
        C = space.shape[0]
        single = [k for k, (_, level) in enumerate(space.channels) if np.isnan(level)]
        upper = [[k for k, (v, p) in enumerate(space.channels) if v == name and not np.isnan(p)]
                 for name in space.variables]  # fmt: skip
        self.parts = [part for part in (*upper, single) if part]  # channels of each variable
        self.order = np.argsort(np.concatenate(self.parts)).tolist()
        seen, n = [*self.parts, list(range(C))], len(self.parts) + 1
        self.width, self.seen = width, seen
        self.gather = LocalSetConv(C)
        self.bring = nn.ModuleList(nn.Conv2d(2 * len(part) + 1, width, 1) for part in seen)
        self.known_stem = nn.ModuleList(GridConv(len(part) + 2, width, stride=2, periodic=True) for part in seen)
        rows, columns = modes
        self.observed, self.forecast = (
            nn.Sequential(*(FourierLayer(n, width, (rows, columns)) for _ in range(layers))) for _ in range(2)
        )
        self.fuse, self.smooth = Branches(n, 2 * width, width), Branches(n, 2 * width, width, 3)
        self.decode = nn.Sequential(
            nn.GroupNorm(n - 1, (n - 1) * 2 * width),
            Branches(n - 1, 2 * width, hidden),
            nn.SiLU(),
            Branches(n - 1, hidden, hidden),
            nn.SiLU(),
        )
        self.mean = nn.ModuleList(zero(GridConv(hidden, 4 * len(part), periodic=True)) for part in self.parts)
        self.raw = nn.ModuleList(zero(nn.Conv2d(hidden, 4 * len(part), 1)) for part in self.parts)

    def forward(self, background: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """Mean in units of the spread and raw spread, (B, C, H, W) each."""
        (h, w), C = background.shape[-2:], background.shape[1]
        known, d, mask = (pad_grid(x, 2, periodic=True) for x in
                          (self.known(background), columns.innovation, columns.mask))  # fmt: skip
        gathered = self.gather(d, mask)
        trust = (1 / (1 + columns.noise.square())).reshape(-1, 1, 1, 1).expand(-1, 1, *gathered.shape[-2:])
        o = torch.cat([bring(torch.cat([gathered[:, [*part, *(k + C for k in part)]], trust], dim=1))
                       for bring, part in zip(self.bring, self.seen, strict=True)], dim=1)  # fmt: skip
        b = torch.cat([stem(known[:, [*part, C, C + 1]])
                       for stem, part in zip(self.known_stem, self.seen, strict=True)], dim=1)  # fmt: skip
        r = self.merge(self.observed(o), self.forecast(b)).unflatten(1, (-1, self.width))
        x = torch.cat([r[:, :-1], r[:, -1:].expand_as(r[:, :-1])], dim=2).flatten(1, 2)  # of a variable, of all
        x = self.decode(x).chunk(len(self.parts), dim=1)
        mean, raw = (
            functional.pixel_shuffle(torch.cat([end(y) for end, y in zip(ends, x, strict=True)], dim=1), 2)
            [:, self.order, :h, :w].float() for ends in (self.mean, self.raw)
        )  # fmt: skip
        return mean, raw

    def merge(self, o: Tensor, b: Tensor) -> Tensor:
        """Dynamic alignment and merge, (B, branches * width, h, w) each -> same."""
        o, b = (x.unflatten(1, (-1, self.width)) for x in (o, b))
        r = self.fuse(torch.cat([o, b], dim=2).flatten(1, 2)).unflatten(1, (-1, self.width))
        to_o, to_b = ((r - x).square().sum(2, keepdim=True).add(1e-12).sqrt() for x in (o, b))
        gate = torch.sigmoid(to_o - to_b)
        return self.smooth(torch.cat([gate * o + (1 - gate) * b, r], dim=2).flatten(1, 2))
