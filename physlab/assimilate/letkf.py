r"""The local ensemble transform Kalman filter: the ETKF at every point with the observations around it.

Hunt, Kostelich and Szunyogh (2007, Physica D 230, 112-126). A point weighs the inverse error variance of an observation
by a function of distance, :math:`\rho`, so that far ones count less and very far ones not at all; each point finds its
own mix of members, and N members can follow more than N - 1 directions. With z_j the white anomalies of observation j

.. math:: C_p = \sum_j \rho_{pj}\, z_j z_j^T, \qquad b_p = \sum_j \rho_{pj}\, z_j d_j, \qquad
          \tilde A_p = \big((N-1) I + C_p\big)^{-1}, \quad \dots

All points are treated in one product and one batch of small eigenvalue problems.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from physlab.assimilate.base import EnsembleMethod
from physlab.assimilate.etkf import ETKF, rotate, transform
from physlab.assimilate.observed import Observed
from physlab.errors import PhysLabError

NUMBERS = 2**24
"""Most numbers in the transform matrices that are held at a time: 128 MiB in float64."""


@dataclass(frozen=True, eq=False)
class LETKF(ETKF):
    """The method. Without a taper it is the ETKF.

    Attributes
    ----------
    inflation : factor of the anomalies before the analysis, at least 1.
    rotation : see :class:`ETKF`; one rotation for all points.
    taper : (p, m) weights from 0 to 1 of the observations at the points, as from
        :func:`~physlab.assimilate.localisation.gaspari_cohn`. A state of n = k p numbers holds k variables at the same
        p points, one after another. Points that no observation reaches keep their background, without inflation. If R
        has correlations they are removed first, by its symmetric root. For other observations pass another taper, with
        ``dataclasses.replace(method, taper=...)``.
    """

    taper: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        EnsembleMethod.__post_init__(self)
        taper = self.taper
        if taper is not None and (taper.ndim != 2 or not bool(((taper >= 0) & (taper <= 1)).all())):
            raise PhysLabError(f"taper of shape {tuple(taper.shape)}: pass (points, observations), weights from 0 to 1")

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        if self.taper is None:
            return super().update(x, observed, generator)
        taper = self.taper.to(x)
        (p, m), (N, n) = taper.shape, x.shape[-2:]
        if m != observed.m or n % p:
            raise PhysLabError(
                f"taper is for {p} points and {m} observations, but the state has {n} numbers and {observed.m} "
                "observations came: pass a taper (points, observations) for these"
            )
        mean, X = self.split(x)
        seen = observed.see(mean + X)
        centre = seen.mean(-2, keepdim=True)
        Z = observed.whiten_in_place(seen - centre)
        d = observed.whiten_in_place(observed.y[..., None, :] - centre)
        columns = Z.mT
        pairs = (columns[..., :, None] * columns[..., None, :]).flatten(-2)  # z_j z_j^T, (..., m, N * N)
        shifts = columns * d.mT  # z_j d_j, (..., m, N)
        fields = X.unflatten(-1, (n // p, p))
        parts, chunk = [], max(1, NUMBERS // (pairs.numel() // m))
        for rows, local in zip(taper.split(chunk), fields.split(chunk, -1), strict=True):
            W = transform((rows @ pairs).unflatten(-1, (N, N)), (rows @ shifts)[..., None])  # (..., points, N, N)
            parts.append(torch.einsum("...pij,...jkp->...ikp", W, local))
        analysis = mean + torch.cat(parts, -1).flatten(-2)
        if self.rotation:
            analysis = rotate(analysis, generator)
        if self._reached is None:
            return analysis
        return torch.where(self._reached.to(x.device).repeat(n // p), analysis, x)

    @cached_property
    def _reached(self) -> Tensor | None:
        """(p,) whether any observation reaches a point; None if all are reached."""
        assert self.taper is not None
        reached = (self.taper > 0).any(-1)
        return None if bool(reached.all()) else reached
