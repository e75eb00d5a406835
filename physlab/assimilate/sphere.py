r"""A background covariance for whole states on the sphere, estimated from errors of the past.

The control-variable transform of global centres (Parrish and Derber 1992; Derber and Bouttier 1999, Tellus 51A,
195-221), with all variables and levels coupled at each total wavenumber l:

.. math:: e = \Sigma(\varphi) \sum_{r} w_r(\varphi)\, T\, S\, C_{r,l}^{1/2}\, v_r .

White noise v becomes coefficients of spherical harmonics, with the covariance :math:`C_l` between fields, one matrix
for each l, and these (S) fields on the grid. The fields are those that are isotropic: streamfunction and velocity
potential instead of wind (T, see :mod:`~physlab.assimilate.harmonics`), and the other channels as they are.
:math:`\Sigma` is the standard deviation of each channel at each latitude.

Two regimes r, the extratropics and the tropics, have their own :math:`C_l` and noise; with
:math:`a = \tanh(\varphi / \varphi_0)` their weights are :math:`|a|` and :math:`\sqrt{1 - a^2}`, so that variances add
up. Balance is in the :math:`C_l`, which hold how heights, temperatures and streamfunctions go together. As the sign of
the geostrophic relation is that of the latitude, the weight of the streamfunction in the extratropics is a itself.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from physlab.assimilate.covariance import Covariance
from physlab.assimilate.harmonics import Harmonics
from physlab.assimilate.statespace import StateSpace
from physlab.errors import PhysLabError

EQUATOR = 20.0  # phi_0, degrees


class SphereCovariance(Covariance):
    """B of increments (C, H, W) in units of the background error.

    Parameters
    ----------
    space : channels and grid; winds come in pairs, "u" with "v" and "u_low" with "v_low".
    spread : (C, H) standard deviations.
    roots : (2, L + 1, C, K) roots of the C_l of both regimes, of psi on the levels of the wind, chi on the same, and
        the other channels; see :func:`roots_of`.
    equator : phi_0, degrees.

    Attributes
    ----------
    n, controls : C H W, and 2 K fields of coefficients.

    Raises
    ------
    PhysLabError : shapes that do not fit, a grid that is not Gaussian, states without a whole wind.
    """

    def __init__(self, space: StateSpace, spread: Tensor, roots: Tensor, equator: float = EQUATOR) -> None:
        C, H, W = space.shape
        if tuple(spread.shape) != (C, H) or roots.ndim != 4 or len(roots) != 2 or roots.shape[2] != C:
            raise PhysLabError(
                f"spread {tuple(spread.shape)}, roots {tuple(roots.shape)}: pass ({C}, {H}) and (2, L + 1, {C}, K)"
            )
        self.space, self.harmonics = space, Harmonics(space.latitude, W, roots.shape[1] - 1)
        self.u, self.v, self.rest = wind_channels(space)
        self.spread, self.roots, self.weights = spread[:, :, None], roots, regimes(space, equator)
        self.layout = (2, roots.shape[3], *self.harmonics.exists.shape)  # of the controls
        self.n, self.controls = C * H * W, math.prod(self.layout)

    def root(self, v: Tensor) -> Tensor:
        k, h = len(self.u), self.harmonics
        made = torch.einsum("rlck,...rksml->...rcsml", self.roots.to(v), v.unflatten(-1, self.layout))
        psi, chi, rest = made.split([k, k, len(self.rest)], -4)
        signed, plain = self.weights.to(v)
        (psi_x, psi_y), (chi_x, chi_y) = h.gradient(psi), h.gradient(chi)
        x = v.new_empty(*v.shape[:-1], *self.space.shape)
        x[..., self.u, :, :] = (plain * chi_x - signed * psi_y).sum(-4)
        x[..., self.v, :, :] = (plain * chi_y + signed * psi_x).sum(-4)
        x[..., self.rest, :, :] = (plain * h.field(rest)).sum(-4)
        return (x * self.spread.to(v)).flatten(-3)

    def transpose(self, x: Tensor) -> Tensor:
        x = (x.unflatten(-1, self.space.shape) * self.spread.to(x))[..., None, :, :, :]
        h, (signed, plain) = self.harmonics, self.weights.to(x)
        u, v = x[..., self.u, :, :], x[..., self.v, :, :]
        psi, chi = h.gradient_transpose(signed * v, -signed * u), h.gradient_transpose(plain * u, plain * v)
        made = torch.cat([psi, chi, h.field_transpose(plain * x[..., self.rest, :, :])], -4)
        return torch.einsum("rlck,...rcsml->...rksml", self.roots.to(x), made).flatten(-5)

    @classmethod
    def from_increments(
        cls, increments: Tensor, space: StateSpace, truncation: int = 42, equator: float = EQUATOR, **options
    ) -> SphereCovariance:
        """Of samples (N, C, H, W), see :func:`estimate`; `options` are those of :func:`roots_of`."""
        spread, covariances = estimate(increments, space, truncation, equator)
        return cls(space, spread, roots_of(covariances, **options), equator)


def roots_of(covariances: Tensor, modes: int | None = None, variance: float = 1.0, stretch: float = 1.0) -> Tensor:
    """(2, L + 1, C, K) leading eigenvectors of C_l (2, L + 1, C, C), times the roots of their eigenvalues.

    Parameters
    ----------
    modes : K; None for all.
    variance : factor of B.
    stretch : C_l is taken at l times this factor: above 1 for longer correlations.
    """
    C = covariances.shape[-1]
    if modes is not None and not 1 <= modes <= C:
        raise PhysLabError(f"modes is {modes}: pass 1 to {C}, or None for all")
    if not (variance > 0 and stretch > 0):
        raise PhysLabError(f"variance is {variance} and stretch {stretch}: pass factors above 0")
    values, vectors = torch.linalg.eigh(variance * torch.stack([stretched(c, stretch) for c in covariances]))
    modes = C if modes is None else modes
    return vectors[..., -modes:] * values[..., None, -modes:].clamp(min=0).sqrt()


def estimate(
    increments: Tensor, space: StateSpace, truncation: int = 42, equator: float = EQUATOR, smooth: int = 2
) -> tuple[Tensor, Tensor]:
    """Spread (C, H) and covariances (2, L + 1, C, C) of samples (N, C, H, W); the mean is taken for zero.

    Parameters
    ----------
    smooth : rows on each side, and wavenumbers, over which both are averaged with weights that fall linearly.
    """
    if increments.ndim != 4 or tuple(increments.shape[1:]) != space.shape or len(increments) < 2:
        raise PhysLabError(
            f"increments have shape {tuple(increments.shape)}: pass at least 2 samples (N, "
            f"{', '.join(map(str, space.shape))})"
        )
    u, v, rest = wind_channels(space)
    variance = increments.square().mean((0, 3)).double()
    spread = _averaged(variance, smooth, torch.ones(variance.shape[1], dtype=torch.float64)).sqrt().clamp(min=1e-6)
    h = Harmonics(space.latitude, space.shape[2], truncation)
    weights = regimes(space, equator)
    weights = weights / (weights.square() * space.area.double()).mean((-2, -1), keepdim=True).sqrt()
    signed, plain = weights
    total = torch.zeros(2, truncation + 1, space.shape[0], space.shape[0], dtype=torch.float64)
    for e in increments.split(8):
        x = (e.double() / spread[:, :, None])[:, None]
        psi, _ = h.potentials(signed * x[..., u, :, :], signed * x[..., v, :, :])
        _, chi = h.potentials(plain * x[..., u, :, :], plain * x[..., v, :, :])
        made = torch.cat([psi, chi, h.analysis(plain * x[..., rest, :, :])], -4)
        total += torch.einsum("nrcsml,nrdsml->rlcd", made, made)
    count = 2.0 * torch.arange(truncation + 1, dtype=torch.float64) + 1  # coefficients of a degree
    C_l = total / (len(increments) * count[:, None, None])
    return spread, _averaged(C_l.movedim(1, -1), smooth, count).movedim(-1, 1)


def regimes(space: StateSpace, equator: float) -> Tensor:
    """(2, 2, 1, H, 1): weights of the streamfunction, and of all else, in the extratropics and at the equator."""
    a = torch.tanh(torch.from_numpy(np.array(space.latitude, dtype=np.float64)) / equator)
    b = (1 - a.square()).sqrt()
    return torch.stack([torch.stack([a, b]), torch.stack([a.abs(), b])])[:, :, None, :, None]


def wind_channels(space: StateSpace) -> tuple[list[int], list[int], list[int]]:
    """Channels of u, of v on the same levels, and of all else."""
    pairs = {"u": "v", "u_low": "v_low"}
    u = [k for k, (name, _) in enumerate(space.channels) if name in pairs]
    partner = [(pairs[name], level) for name, level in (space.channels[k] for k in u)]
    v = []
    for name, level in partner:
        found = [k for k, (n, p) in enumerate(space.channels) if n == name and (p == level or np.isnan(p))]
        if not found:
            raise PhysLabError(f"the states have u without {name} at {level:g}: a streamfunction needs both")
        v.append(found[0])
    if not u:
        raise PhysLabError(
            f"the states {', '.join(space.variables)} have no wind: this covariance is made of psi and chi"
        )
    return u, v, [k for k in range(len(space.channels)) if k not in {*u, *v}]


def stretched(covariances: Tensor, factor: float) -> Tensor:
    """C_l at l times a factor, linear in between and zero beyond, with the variances sum (2l + 1) C_l kept."""
    L = len(covariances) - 1
    at = factor * torch.arange(L + 1.0, dtype=covariances.dtype)
    low = at.long().clamp(max=L)
    share = (at - low)[:, None, None]
    made = (1 - share) * covariances[low] + share * covariances[(low + 1).clamp(max=L)]
    made = torch.where((at <= L)[:, None, None], made, 0.0)
    count = 2 * torch.arange(L + 1.0, dtype=covariances.dtype) + 1
    before, after = ((count[:, None] * c.diagonal(dim1=1, dim2=2)).sum(0) for c in (covariances, made))
    scale = torch.where(after > 0, before / after.clamp(min=1e-30), 0.0).sqrt()
    return made * scale[:, None] * scale


def _averaged(x: Tensor, width: int, count: Tensor) -> Tensor:
    """Over the last axis, weights falling linearly to zero at width + 1, times the count of each entry."""
    at = torch.arange(len(count), dtype=x.dtype)
    weights = (1 - (at[:, None] - at).abs() / (width + 1)).clamp(min=0) * count
    return x @ (weights / weights.sum(1, keepdim=True)).mT
