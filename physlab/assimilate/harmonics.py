r"""Spherical harmonics in plain torch: fields and gradients of coefficients, transposes, and analysis by quadrature.

A field of truncation L on the sphere, with mu the sine of latitude,

.. math::
    f(\lambda, \mu) = \sum_{m=0}^{L} \sum_{l=m}^{L} \bar P_{lm}(\mu) \,(a_{lm} \cos m\lambda + b_{lm} \sin m\lambda) ,

with functions of mean square one over the sphere. So coefficients that are independent with variance :math:`C_l` give
an error of the same variance everywhere whose correlation depends on the angle :math:`\gamma` between two places alone,

.. math:: \langle f f' \rangle = \sum_l (2l + 1)\, C_l\, P_l(\cos\gamma) .

A streamfunction and a velocity potential make a wind, :math:`u = -\psi_y + \chi_x, v = \psi_x + \chi_y`. Here the
coefficients are divided by :math:`\sqrt{l(l+1)}` before the derivative, so that wind and potentials have the same mean
square, :math:`\overline{u^2 + v^2} = \overline{\psi^2} + \overline{\chi^2}`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from physlab.errors import PhysLabError


class Harmonics:
    """Transforms between coefficients (..., 2, L + 1, L + 1), axes (a or b, m, l), and fields (..., H, W).

    Coefficients that do not exist, l < m and b of m = 0, are taken as zero and come back as zero.

    Parameters
    ----------
    latitude : (H,) Gaussian latitudes (degrees), in either order: quadrature is exact on them.
    points : W, number of longitudes, of whole circles.
    truncation : L, below H and below W / 2.

    Raises
    ------
    PhysLabError : latitudes that are not Gaussian, or a truncation that the grid does not resolve.
    """

    def __init__(self, latitude: np.ndarray, points: int, truncation: int) -> None:
        mu, weights = np.polynomial.legendre.leggauss(len(latitude))
        mu, weights = (mu, weights) if latitude[0] < latitude[-1] else (mu[::-1], weights[::-1])
        if np.abs(np.rad2deg(np.arcsin(mu)) - latitude).max() > 1e-3:
            raise PhysLabError(
                f"{len(latitude)} latitudes from {latitude[0]:.2f} are not Gaussian: spherical harmonics take the "
                f"roots of a Legendre polynomial, here from {np.rad2deg(np.arcsin(mu[0])):.2f}"
            )
        if not 1 <= truncation < min(len(latitude), points / 2):
            raise PhysLabError(
                f"truncation {truncation} on {len(latitude)} x {points} points: pass 1 to "
                f"{min(len(latitude) - 1, (points - 1) // 2)}"
            )
        self.truncation, self.shape = truncation, (len(latitude), points)
        P, slope = legendre(mu, truncation)
        degree = np.arange(truncation + 1)
        scale = np.where(degree > 0, 1.0 / np.sqrt(np.maximum(degree * (degree + 1.0), 1.0)), 0.0)
        cos = np.sqrt(1.0 - mu**2)[:, None, None]
        east = degree[:, None] * P / cos * scale  # d/d lambda / cos(latitude), without the turn of cos to sin
        self.P, self.slope, self.east = (
            torch.from_numpy(p.transpose(1, 0, 2).copy()) for p in (P, slope * scale, east)
        )  # (m, H, l)
        self.weights = torch.from_numpy(weights.copy()) / (2 * points)  # of a mean over the sphere, (H,)
        exists = (degree >= degree[:, None])[None] & ((degree > 0)[:, None] | np.array([True, False])[:, None, None])
        self.exists = torch.from_numpy(exists)  # (2, m, l)

    def field(self, a: Tensor) -> Tensor:
        """Coefficients -> field."""
        return self._circles(self._sum(self.P, a))

    def field_transpose(self, f: Tensor) -> Tensor:
        """Transpose of :meth:`field`."""
        return self._back(self.P, self._modes(f)) * self.exists.to(f)

    def analysis(self, f: Tensor) -> Tensor:
        """Field -> coefficients: the inverse of :meth:`field` on fields of the truncation, else the projection."""
        return self.field_transpose(f * self.weights.to(f)[:, None])

    def gradient(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients -> derivatives to the east and to the north, of the mean square (together) of the coefficients.

        The coefficients are first divided by sqrt(l (l + 1)); that of l = 0 has no derivative.
        """
        return self._circles(_turn(self._sum(self.east, a))), self._circles(self._sum(self.slope, a))

    def gradient_transpose(self, x: Tensor, y: Tensor) -> Tensor:
        """Transpose of :meth:`gradient`."""
        made = self._back(self.slope, self._modes(y)) - self._back(self.east, _turn(self._modes(x)))
        return made * self.exists.to(made)

    def potentials(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Wind -> coefficients of psi and chi: u = -psi_y + chi_x, v = psi_x + chi_y on winds of the truncation."""
        weights = self.weights.to(u)[:, None]
        u, v = u * weights, v * weights
        return self.gradient_transpose(v, -u), self.gradient_transpose(u, v)

    # --- the two halves of a transform: sums over l, and circles of latitude ------------------------------------------
    def _sum(self, P: Tensor, a: Tensor) -> Tensor:
        """(..., 2, m, l) -> (..., 2, m, H)."""
        a = torch.where(self.exists.to(a.device), a, 0.0)
        rows = a.reshape(-1, *a.shape[-2:]).transpose(0, 1) @ P.to(a).mT  # (m, batch, H)
        return rows.transpose(0, 1).reshape(*a.shape[:-1], P.shape[1])

    def _back(self, P: Tensor, g: Tensor) -> Tensor:
        """Transpose of the sum, (..., 2, m, H) -> (..., 2, m, l)."""
        rows = g.reshape(-1, *g.shape[-2:]).transpose(0, 1) @ P.to(g)
        return rows.transpose(0, 1).reshape(*g.shape[:-1], P.shape[2])

    def _circles(self, g: Tensor) -> Tensor:
        """Cosines and sines (..., 2, m, H) -> (..., H, W)."""
        half = torch.full((self.truncation + 1, 1), 0.5, dtype=g.dtype, device=g.device)
        half[0] = 1.0
        modes = torch.complex(g[..., 0, :, :] * half, -g[..., 1, :, :] * half).mT
        return torch.fft.irfft(modes, n=self.shape[1], norm="forward")

    def _modes(self, f: Tensor) -> Tensor:
        """Transpose of the circles: (..., H, W) -> sums with cosines and sines (..., 2, m, H)."""
        modes = torch.fft.rfft(f)[..., : self.truncation + 1].mT
        return torch.stack([modes.real, -modes.imag], -3)


def _turn(g: Tensor) -> Tensor:
    """d/d lambda of cosines and sines, but for the factor m: (a, b) -> (b, -a). Its transpose is its negative."""
    return torch.stack([g[..., 1, :, :], -g[..., 0, :, :]], -3)


def legendre(mu: np.ndarray, truncation: int) -> tuple[np.ndarray, np.ndarray]:
    """Associated Legendre functions and their derivatives with respect to latitude, each (H, m, l), zero for l < m.

    Normalised so that P cos(m lambda) has the mean square one over the sphere. By the recursion in l, which is stable
    (Holmes and Featherstone 2002, J. Geodesy 76, 279-299).

    Parameters
    ----------
    mu : (H,) sines of latitude, poles excluded.
    """
    top = truncation + 1  # the derivative needs one degree more
    cos = np.sqrt(1.0 - mu**2)
    P = np.zeros((len(mu), top + 1, top + 1))
    l, m = np.arange(top + 1.0), np.arange(top + 1.0)[:, None]
    inside = l > m
    epsilon = np.sqrt(np.where(inside, (l**2 - m**2) / (4 * l**2 - 1), 0.0))  # (m, l)
    P[:, 0, 0] = 1.0
    for k in range(1, top + 1):
        factor = np.sqrt((2 * k + 1) / (2 * k)) * (np.sqrt(2.0) if k == 1 else 1.0)
        P[:, k, k] = factor * cos * P[:, k - 1, k - 1]
    for k in range(top):
        below = epsilon[: k + 1, k] * P[:, : k + 1, k - 1] if k else 0.0
        P[:, : k + 1, k + 1] = (mu[:, None] * P[:, : k + 1, k] - below) / epsilon[: k + 1, k + 1]
    slope = np.zeros_like(P)
    slope[..., 1:-1] = (l[1:-1] + 1) * epsilon[:, 1:-1] * P[..., :-2] - l[1:-1] * epsilon[:, 2:] * P[..., 2:]
    slope[..., 0] = -l[0] * epsilon[:, 1] * P[..., 1]
    slope /= cos[:, None, None]
    keep = slice(0, truncation + 1)
    return P[:, keep, keep], np.where(l >= m, slope, 0.0)[:, keep, keep]
