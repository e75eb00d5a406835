r"""A background covariance for shallow water: white noise made smooth, and then made to look like weather.

The control-variable transform of weather centres in its smallest form (Parrish and Derber 1992; Bannister 2008, Q. J.
R. Meteorol. Soc. 134, 1971-1996). Errors are described by streamfunction, velocity potential and the height that is
left when the balanced part is taken away; these three are uncorrelated, each homogeneous and isotropic:

.. math:: \psi, \chi, h_u = S^{1/2}(|\mathbf k|)\, v , \qquad
          u = -\psi_y + \chi_x, \quad v = \psi_x + \chi_y, \quad h = r(|\mathbf k|) \frac{f}{g} \psi + h_u .

With r = 1 the height is in geostrophic balance with the rotational wind; r is fitted. So an observation of height alone
moves the wind around it. In Fourier space U is one 3 x 3 matrix for each wavenumber, and U^T its conjugate transpose.
At k = 0, where there is no streamfunction, the three are the mean of u, v and h.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from physlab.assimilate.covariance import Covariance
from physlab.constants import GRAVITY
from physlab.errors import PhysLabError
from physlab.simulate.shallow import ShallowWater


class BalancedCovariance(Covariance):
    """B of shallow water.

    Parameters
    ----------
    model : gives the plane and f.
    spectra : (3, K) variance of a mode of psi (m4 s-2), chi (m4 s-2) and unbalanced height (m2) at the wavenumbers 0,
        1, 2, ... in units of 2 pi / (longer side), of the orthonormal Fourier transform; at 0 of u, v and h. Modes in
        between are interpolated, those beyond get none.
    balance : (K,) r, the share of the geostrophic height that goes with the streamfunction.
    """

    def __init__(self, model: ShallowWater, spectra: Tensor, balance: Tensor) -> None:
        if spectra.ndim != 2 or len(spectra) != 3 or balance.shape != spectra.shape[1:]:
            raise PhysLabError(f"spectra {tuple(spectra.shape)}, balance {tuple(balance.shape)}: pass (3, K) and (K,)")
        if not bool((spectra >= 0).all()):
            raise PhysLabError("spectra hold a negative variance, or NaN: pass numbers of at least 0")
        self.model, self.spectra, self.balance = model, spectra.double(), balance.double()
        self.n = self.controls = model.n
        std = torch.stack([_at(model, s) for s in self.spectra]).sqrt()
        self.U = _transform(model, _at(model, self.balance)) * std[:, None]  # (3 in, 3 out, H, W // 2 + 1)

    def root(self, v: Tensor) -> Tensor:
        return _apply(self.model, self.U, v)

    def transpose(self, x: Tensor) -> Tensor:
        return _apply(self.model, self.U.transpose(0, 1).conj(), x)

    @classmethod
    def fit(cls, model: ShallowWater, samples: Tensor, factor: float = 1.0) -> BalancedCovariance:
        """Spectra and balance of samples of errors (..., n), such as :func:`nmc_differences`, rings of modes averaged.

        Parameters
        ----------
        factor : of the variances.
        """
        samples = samples.reshape(-1, model.n).double()
        if len(samples) < 2:
            raise PhysLabError(f"a covariance came with {len(samples)} sample: pass at least 2, better 20")
        u, v, h = model.fields(samples - samples.mean(0))
        u, v, h = (torch.fft.rfft2(part, norm="ortho") for part in (u, v, h))
        l, k = model.wavenumbers(samples)
        square = l.square() + k.square()
        inverse = torch.where(square > 0, -1.0 / square.clamp(min=1e-30), 0.0)
        psi, chi = inverse * (1j * k * v - 1j * l * u), inverse * (1j * k * u + 1j * l * v)
        geostrophic = model.f / GRAVITY * psi
        together = _rings(model, (h * geostrophic.conj()).real)
        alone = _rings(model, geostrophic.abs().square())
        balance = torch.where(alone > 0, together / alone.clamp(min=1e-300), 0.0)
        unbalanced = h - _at(model, balance) * geostrophic
        mean = square == 0
        parts = (torch.where(mean, u, psi), torch.where(mean, v, chi), unbalanced)
        spectra = torch.stack([_rings(model, part.abs().square()) for part in parts])
        return cls(model, factor * len(samples) / (len(samples) - 1) * spectra, balance)


def _apply(model: ShallowWater, U: Tensor, x: Tensor) -> Tensor:
    """Three fields (..., n) through a matrix (3 in, 3 out) for each wavenumber."""
    modes = torch.fft.rfft2(x.unflatten(-1, (3, *model.shape)), norm="ortho")
    U = U.to(device=x.device, dtype=modes.dtype)
    return torch.fft.irfft2((modes[..., :, None, :, :] * U).sum(-4), s=model.shape, norm="ortho").flatten(-3)


def _transform(model: ShallowWater, balance: Tensor) -> Tensor:
    """(3 in, 3 out, H, W // 2 + 1): psi, chi, h_u -> u, v, h; the identity at k = 0, zero for unpaired waves."""
    l, k = model.wavenumbers(balance)
    l, k = torch.broadcast_tensors(l, k)
    zero, one = torch.zeros_like(balance), torch.ones_like(balance)
    rows = [
        [-1j * l, 1j * k, model.f / GRAVITY * balance + 0j],
        [1j * k, 1j * l, zero + 0j],
        [zero + 0j, zero + 0j, one + 0j],
    ]
    K = torch.stack([torch.stack(row) for row in rows])
    K[:, :, 0, 0] = torch.eye(3, dtype=K.dtype)
    H, W = model.shape
    if H % 2 == 0:
        K[:, :, H // 2] = 0
    if W % 2 == 0:
        K[:, :, :, W // 2] = 0
    return K


def _size(model: ShallowWater) -> Tensor:
    """|k| of the modes (H, W // 2 + 1) in units of 2 pi / (longer side)."""
    l, k = model.wavenumbers(torch.zeros(1, dtype=torch.float64))
    return (l.square() + k.square()).sqrt() * (max(model.shape) * model.spacing / (2 * math.pi))


def _at(model: ShallowWater, ring: Tensor) -> Tensor:
    """Values (K,) at the rings as values at the modes (H, W // 2 + 1): linear in between, ring 0 for k = 0 alone."""
    size = _size(model)
    low = size.long().clamp(max=len(ring) - 1)
    high = (low + 1).clamp(max=len(ring) - 1)
    share = size - low
    inside = torch.where((low == 0) & (size > 0), ring[high], (1 - share) * ring[low] + share * ring[high])
    return torch.where(size <= len(ring) - 1, inside, 0.0)


def _rings(model: ShallowWater, values: Tensor) -> Tensor:
    """Mean over samples (S, H, W // 2 + 1) and over the modes nearest to each whole |k|."""
    nearest = _size(model).round().long()
    W = model.shape[1]
    columns = torch.arange(nearest.shape[1])
    copies = torch.where((columns == 0) | (2 * columns == W), 1.0, 2.0).double().expand(nearest.shape)  # k and -k
    total = torch.zeros(int(nearest.max()) + 1, dtype=torch.float64)
    count = total.clone()
    total.index_add_(0, nearest.flatten(), (values.mean(0) * copies).flatten())
    count.index_add_(0, nearest.flatten(), copies.flatten())
    return (total / count.clamp(min=1))[: max(model.shape) // 2 + 1]
