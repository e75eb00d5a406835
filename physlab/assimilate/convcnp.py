r"""ConvCNP, a convolutional conditional neural process (Gordon et al. 2020, arXiv:1910.13556), for assimilation.

Observations are a set, not a field. A set convolution makes fields of them, at any density of the network: with
positions :math:`p_n` of the observed columns and innovations :math:`d_n`,

.. math:: \rho(p) = \sum_n k(p, p_n) , \qquad
          h(p) = \frac{\sum_n k(p, p_n)\, d_n}{\rho(p) + \varepsilon} , \qquad
          k(p, p') = \exp\Big(-\frac{|p - p'|^2}{2 \ell^2}\Big) ,

a normalised signal and a density that says how much the signal is worth. A CNN of residual blocks takes both, and two
pointwise ends give mean and standard deviation of a Gaussian at each point; trained on its negative log-likelihood.

Here |p - p'| is the chord on the unit sphere, so the kernel is as wide in kilometres at the poles as at the equator.
It depends on two latitudes and the difference of longitudes, so the sum over longitudes is a product of Fourier
coefficients and the one over latitudes a small matrix product. There are several kernels, with learned lengths. The
small :math:`\varepsilon` lets the signal fade far from all observations. As in the comparison of Chen et al. (2024)
the background enters as further channels, and the mean is an increment to it. The CNN works at half the resolution
(stem of stride 2, sub-pixel end), its kernels are 3 x 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.assimilate.regression import GaussianRegression
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.nn.parts import zero
from physlab.nn.unet import GridConv, ResBlock, norm, pad_grid
from physlab.registry import register

EARTH = 6371.0  # km
EPSILON = 0.01  # far above the rounding of the Fourier sums, far below the density 1 of one observation at its place


class SetConv(nn.Module):
    """(B, C, H, W) values on observed columns and their mask (B, 1, H, W) -> signals (B, S C, H, W), densities (B, S,
    H, W) of S kernels.

    Parameters
    ----------
    latitude, longitude : (H,), (W,) degrees.
    lengths : of the kernels at the start, km.
    closed : whether the columns go around the globe; those of a region are followed by as many without observations.
    """

    square: Tensor

    def __init__(
        self, latitude: np.ndarray, longitude: np.ndarray, lengths: Sequence[float], closed: bool = True
    ) -> None:
        super().__init__()
        self.beyond = 0 if closed else len(longitude)
        row, apart = np.deg2rad(latitude), np.deg2rad(longitude - longitude[0])
        if not closed:
            apart = np.concatenate([apart, [apart[-1] + apart[1]], apart[:0:-1]])
        cosine = np.sin(row)[:, None, None] * np.sin(row)[:, None] + (
            np.cos(row)[:, None, None] * np.cos(row)[:, None] * np.cos(apart)
        )
        self.register_buffer("square", torch.from_numpy(2 - 2 * cosine).float(), persistent=False)  # (H, H, W) chords
        self.log_length = nn.Parameter(torch.tensor([math.log(x / EARTH) for x in lengths]))

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(values.device.type, enabled=False):  # Fourier transforms know no bfloat16
            return self.sum(values, mask)

    def sum(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        values, mask = (functional.pad(x, (0, self.beyond, 0, 0)) for x in (values, mask))
        b, c, h, w = values.shape
        kernel = torch.exp(-0.5 * self.square * torch.exp(-2 * self.log_length)[:, None, None, None])
        kernel = torch.fft.rfft(kernel).real.movedim(-1, 1)  # (S, k, H, H): even in longitude, so real
        modes = torch.view_as_real(torch.fft.rfft(torch.cat([values * mask, mask], dim=1)))  # (B, C + 1, H, k, 2)
        summed = kernel @ modes.permute(3, 2, 0, 1, 4).flatten(2)  # (S, k, H, B (C + 1) 2)
        summed = summed.unflatten(-1, (b, c + 1, 2)).permute(3, 0, 4, 2, 1, 5).contiguous()
        summed = torch.fft.irfft(torch.view_as_complex(summed), n=w)  # (B, S, C + 1, H, W)
        summed = summed[..., : w - self.beyond]
        density = summed[:, :, -1].clamp(min=0.0)
        return (summed[:, :, :-1] / (density[:, :, None] + EPSILON)).flatten(1, 2), density


@register("convcnp", title="ConvCNP", kind="assimilation", order=45)
class ConvCNP(GaussianRegression):
    """See the module docstring.

    Parameters
    ----------
    space : channels, grid and units.
    width : channels of the CNN.
    blocks : residual blocks of it.
    lengths : of the kernels at the start, km.
    """

    rate = 3e-3

    def __init__(
        self, space: StateSpace, width: int = 48, blocks: int = 4, lengths: Sequence[float] = (350.0, 1000.0)
    ) -> None:
        lengths = [float(x) for x in lengths]
        super().__init__(space, width=width, blocks=blocks, lengths=lengths)
        C = space.shape[0]
        self.gather = SetConv(space.latitude, space.longitude, lengths, space.closed)
        inputs = len(lengths) * (C + 2) + C + 2
        self.stem = GridConv(inputs, width, stride=2, periodic=True)
        self.blocks = nn.ModuleList(ResBlock(width, width, periodic=True) for _ in range(blocks))
        self.norm = norm(width)
        self.mean = zero(GridConv(width, 4 * C, periodic=True))
        self.raw = zero(nn.Conv2d(width, 4 * C, 1))

    def forward(self, background: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """Mean in units of the spread and raw spread, (B, C, H, W) each."""
        h, w = background.shape[-2:]
        signal, density = self.gather(columns.innovation, columns.mask)
        worth = density / (1 + columns.noise.square()).reshape(-1, 1, 1, 1)
        x = torch.cat([signal, density.log1p(), worth.log1p(), self.known(background)], dim=1)
        x = self.stem(pad_grid(x, 2, self.space.closed))
        for block in self.blocks:
            x = block(x)
        x = functional.silu(self.norm(x))
        mean, raw = (functional.pixel_shuffle(end(x), 2)[..., :h, :w].float() for end in (self.mean, self.raw))
        return mean, raw
