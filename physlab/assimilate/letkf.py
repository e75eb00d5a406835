r"""The local ensemble transform Kalman filter: the ETKF at every point with the observations around it.

Hunt, Kostelich and Szunyogh (2007, Physica D 230, 112-126). A point weighs the inverse error variance of an observation
by a function of distance, :math:`\rho`, so that far ones count less and very far ones not at all; each point finds its
own mix of members, and N members can follow more than N - 1 directions. With z_j the white anomalies of observation j

.. math:: C_p = \sum_j \rho_{pj}\, z_j z_j^T, \qquad b_p = \sum_j \rho_{pj}\, z_j d_j, \qquad
          \tilde A_p = \big((N-1) I + C_p\big)^{-1}, \quad \dots

All points that share their observations are treated in one product and one batch of small eigenvalue problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from physlab.assimilate.base import EnsembleMethod
from physlab.assimilate.etkf import ETKF, rotate, transform
from physlab.assimilate.nearby import Nearby
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
        ``dataclasses.replace(method, taper=...)``. For many points on the sphere pass a
        :class:`~physlab.assimilate.nearby.Nearby`: the same weights, without the matrix.
    watch : called with (points done, points in all) between the parts of an analysis.
    """

    taper: Tensor | Nearby | None = field(default=None, repr=False)
    watch: Callable[[int, int], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        EnsembleMethod.__post_init__(self)
        taper = self.taper
        if isinstance(taper, Tensor) and (taper.ndim != 2 or not bool(((taper >= 0) & (taper <= 1)).all())):
            raise PhysLabError(f"taper of shape {tuple(taper.shape)}: pass (points, observations), weights from 0 to 1")

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        if self.taper is None:
            return super().update(x, observed, generator)
        (p, m), (N, n) = self.taper.shape, x.shape[-2:]
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
        fields, made = X.unflatten(-1, (n // p, p)), x.unflatten(-1, (n // p, p)).clone()
        centres = mean.unflatten(-1, (n // p, p))
        chunk, done = max(1, NUMBERS // (pairs.numel() // m)), 0
        for k, j, taper in self._parts(chunk):
            reached = (taper > 0).any(-1)
            done += len(k)
            if bool(reached.any()):
                if not bool(reached.all()):
                    k, taper = k[reached.to(k.device)], taper[reached]
                taper = taper.to(x)
                near, turned = (pairs, shifts) if len(j) == m else (pairs[..., j, :], shifts[..., j, :])
                W = transform((taper @ near).unflatten(-1, (N, N)), (taper @ turned)[..., None])  # (..., points, N, N)
                local = torch.einsum("...pij,...jkp->...ikp", W, fields[..., k])
                made[..., k] = centres[..., k] + local
            if self.watch is not None:
                self.watch(done, p)
        analysis = made.flatten(-2)
        return self._turned(analysis, x, generator) if self.rotation else analysis

    def _parts(self, chunk: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Points, observations and weights, at most so many points at a time."""
        if isinstance(self.taper, Nearby):
            for k, j, taper in self.taper.parts():
                yield from ((a, j, b) for a, b in zip(k.split(chunk), taper.split(chunk), strict=True))
            return
        assert self.taper is not None
        p, everything = len(self.taper), torch.arange(self.taper.shape[1])
        for k, taper in zip(torch.arange(p).split(chunk), self.taper.split(chunk), strict=True):
            yield k, everything, taper

    def _turned(self, analysis: Tensor, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """With anomalies turned at random; points that no observation reaches keep their background."""
        turned = rotate(analysis, generator)
        p = self.taper.shape[0]  # type: ignore[union-attr]
        reached = torch.zeros(p, dtype=torch.bool)
        for k, _, taper in self._parts(p):
            reached[k] = (taper > 0).any(-1).to(reached.device)
        return torch.where(reached.to(x.device).repeat(x.shape[-1] // p), turned, x)
