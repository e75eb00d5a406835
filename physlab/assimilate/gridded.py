r"""Optimal interpolation of large fields: the formula, without the covariance of all points.

The background errors of each field have one standard deviation :math:`\sigma` and a correlation :math:`\rho` of
distance; different fields have none. H takes four grid points for each observation. With E the weights (m, c) of the c
grid points that any observation takes, C,

.. math:: H B H^T = \sigma^2 E\, \rho(C, C)\, E^T, \qquad
          x_a = x_b + \sigma^2 \rho(\cdot, C)\, E^T (H B H^T + R)^{-1} (y - H x_b) ,

so that only correlations between points and observed points are needed, a neighbourhood at a time
(:class:`~physlab.assimilate.nearby.Nearby`), and one matrix of the size of the observations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from physlab.assimilate.base import Method
from physlab.assimilate.nearby import Nearby
from physlab.assimilate.observed import Observed
from physlab.data.observe import Interpolation
from physlab.errors import PhysLabError

OBSERVATIONS = 10_000
"""Of one field at most: their matrix takes 0.8 GB."""


@dataclass(frozen=True, eq=False)
class GriddedOI(Method):
    """The method for one state of several fields on the same points, one field after another.

    Attributes
    ----------
    points : (p, 2) latitude and longitude, degrees.
    std : (k,) standard deviations of the background errors of the k fields, in their units.
    radius : m; errors are uncorrelated from twice this distance on.
    watch : called with (points done, points in all) between the parts of an analysis.
    """

    points: Tensor = field(repr=False)
    std: Tensor = field(repr=False)
    radius: float = 1.0e6
    watch: Callable[[int, int], None] | None = field(default=None, repr=False)

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        see, p = observed.H, len(self.points)
        if not isinstance(see, Interpolation) or not observed.diagonal or x.shape != (len(self.std) * p,):
            raise PhysLabError(
                f"a state {tuple(x.shape)} of {len(self.std)} fields at {p} points takes observations by "
                "physlab.data.observe.Interpolation with errors that are independent"
            )
        d = (observed.y - see(x)).double()
        of = see.index[0] // p  # the field of each observation
        made, done, total = x.clone(), 0, p * len(of.unique())
        for k in of.unique().tolist():
            mine = torch.nonzero(of == k).flatten()
            if len(mine) > OBSERVATIONS:
                raise PhysLabError(
                    f"{len(mine)} observations of one field: oi takes {OBSERVATIONS} at most, thin them or use letkf"
                )
            E, at = _weights(see, mine, k * p)
            variance = float(self.std[k]) ** 2
            M = variance * self._between(E, at) + np.diag(observed.R[mine].double().numpy())
            pull = variance * (E.T @ np.linalg.solve(M, d[mine].numpy()))
            for points, j, rho in Nearby(self.points, self.points[at], self.radius).parts():
                made[k * p + points] += (rho.double() @ torch.from_numpy(pull)[j]).to(made)
                done += len(points)
                if self.watch is not None:
                    self.watch(done, total)
        return made

    def _between(self, E: scipy.sparse.csr_matrix, at: Tensor) -> np.ndarray:
        """E rho(C, C) E^T, (m, m)."""
        found = np.zeros((E.shape[0], E.shape[0]))
        columns = E.tocsc()
        places = self.points[at]
        for k, j, rho in Nearby(places, places, self.radius).parts():
            part = columns[:, k.numpy()].tocsr()
            rows = np.flatnonzero(np.diff(part.indptr))
            found[rows] += (columns[:, j.numpy()] @ (part[rows] @ rho.double().numpy()).T).T
        return found


def _weights(see: Interpolation, mine: Tensor, start: int) -> tuple[scipy.sparse.csr_matrix, Tensor]:
    """E (m, c) of the observations of one field, and the c points that it takes."""
    index, weight = see.index[:, mine] - start, see.weight[:, mine]
    at, column = torch.unique(index, return_inverse=True)
    row = torch.arange(len(mine)).expand_as(index)
    entries = (weight.double().numpy().ravel(), (row.numpy().ravel(), column.numpy().ravel()))
    return scipy.sparse.csr_matrix(entries, shape=(len(mine), len(at))), at
