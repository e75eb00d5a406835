r"""Optimal interpolation of observed columns: the formula of :mod:`~physlab.assimilate.gridded` for whole states.

Each channel has errors of one standard deviation and the Gaspari-Cohn correlation :math:`\rho` of distance, different
channels have none. As all channels are observed at the same columns c, they share one matrix of weights,

.. math:: e = \rho(\cdot, c)\, \big(\rho(c, c) + r^2 I\big)^{-1} d ,

in units of the background error: the least that an analysis can do with observations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.assimilate.learned import Cancel, Learned, Progress
from physlab.assimilate.localisation import gaspari_cohn, grid_points, sphere_distance
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.errors import PhysLabError
from physlab.registry import watched


class ColumnOI(Learned):
    """The method; it gives one analysis.

    Parameters
    ----------
    space : channels, grid and units.
    radius : m; errors are uncorrelated from twice this distance on.
    floor : least standard deviation of the observation errors, in units of the background error.
    """

    def __init__(self, space: StateSpace, radius: float = 6e5, floor: float = 0.1) -> None:
        super().__init__(space, radius=radius, floor=floor)
        if not (radius > 0 and floor > 0):
            raise PhysLabError(f"radius {radius} m, floor {floor}: both must be above 0")

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        self.check_members(members)
        points = grid_points(self.space.latitude, self.space.longitude).to(background)
        made = torch.zeros_like(background)
        for k in watched(range(len(background)), progress, cancel, "OI stopped", "states: it was asked to"):
            seen = columns.mask[k, 0].flatten() > 0
            r = float(columns.noise[k].clamp(min=self.arguments["floor"]))
            rho = gaspari_cohn(sphere_distance(points, points[seen]), self.arguments["radius"])
            own = rho[seen].double() + r**2 * torch.eye(int(seen.sum()), dtype=torch.float64, device=rho.device)
            weights = torch.linalg.solve(own, columns.innovation[k].flatten(1)[:, seen].mT.double()).to(rho)
            made[k] = (rho @ weights).mT.reshape(made[k].shape)
        return made[:, None]
