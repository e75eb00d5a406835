r"""Localisation: how far an observation may reach, as a weight of distance.

Few members see correlations between places that have nothing to do with each other. A weight that falls with distance
cuts them: Gaspari and Cohn (1999), Q. J. R. Meteorol. Soc. 125, 723-757, eq. 4.10, a piecewise rational function that
looks like a Gaussian, is a correlation function (so that a covariance stays one) and is exactly zero from 2c on. With
z = r / c

.. math::
    \rho(z) = \begin{cases}
      1 - \tfrac53 z^2 + \tfrac58 z^3 + \tfrac12 z^4 - \tfrac14 z^5 & 0 \le z \le 1 \\
      4 - 5 z + \tfrac53 z^2 + \tfrac58 z^3 - \tfrac12 z^4 + \tfrac1{12} z^5 - \tfrac23 z^{-1} & 1 \le z \le 2 \\
      0 & z \ge 2 . \end{cases}

Near zero it is the Gaussian of standard deviation :math:`\sqrt{3/10}\, c`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from physlab.constants import EARTH_RADIUS
from physlab.errors import PhysLabError

GAUSSIAN = (10.0 / 3.0) ** 0.5
"""c in standard deviations of the Gaussian that the function resembles: radius = GAUSSIAN * std."""


def gaspari_cohn(distance: Tensor, radius: float) -> Tensor:
    """Weights, one at distance 0 and zero from twice the radius on; same shape and dtype.

    Parameters
    ----------
    distance : any shape, not negative.
    radius : c, half of the distance at which the weight becomes zero, in the unit of the distance.
    """
    if not radius > 0:
        raise PhysLabError(f"radius is {radius}: pass half of the distance at which the weight becomes zero, above 0")
    z = distance / radius
    near = 1 + z.square() * (-5 / 3 + z * (5 / 8 + z * (1 / 2 - z / 4)))
    far = 4 + z * (-5 + z * (5 / 3 + z * (5 / 8 + z * (-1 / 2 + z / 12)))) - (2 / 3) / z.clamp(min=1)
    return torch.where(z <= 1, near, torch.where(z < 2, far.clamp(min=0), torch.zeros_like(far)))


def grid_points(latitude: np.ndarray, longitude: np.ndarray) -> Tensor:
    """(H * W, 2) latitude and longitude of the points of a grid, row by row, in double precision."""
    lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
    return torch.from_numpy(np.stack([lat.ravel(), lon.ravel()], 1).astype(np.float64))


def ring_distance(points: int | Tensor, others: Tensor | None = None, length: float | None = None) -> Tensor:
    """Shortest way around a ring, (n, m).

    Parameters
    ----------
    points : (n,) positions along the ring, or their number, for 0 ... n-1.
    others : (m,) positions; None for the same points.
    length : of the ring; None for the number of points.
    """
    if isinstance(points, int):
        points = torch.arange(points, dtype=torch.float64)
    length = float(len(points)) if length is None else length
    others = points if others is None else others
    apart = (points[:, None] - others.to(points)).abs() % length
    return torch.minimum(apart, length - apart)


def plane_distance(points: Tensor, others: Tensor, size: tuple[float, float] | None = None) -> Tensor:
    """Straight distance on a plane, (n, m), in the unit of the positions.

    Parameters
    ----------
    points, others : (n, 2) and (m, 2) positions y, x.
    size : of a doubly periodic plane, (height, width); None for a plane with borders.
    """
    apart = (points[:, None] - others.to(points)).abs()
    if size is not None:
        around = torch.tensor(size, dtype=points.dtype, device=points.device)
        apart = torch.minimum(apart % around, around - apart % around)
    return apart.square().sum(-1).sqrt()


def sphere_distance(points: Tensor, others: Tensor, radius: float = EARTH_RADIUS) -> Tensor:
    """Great-circle distance, (n, m), in the unit of the radius (m); haversine formula, exact for near points too.

    Parameters
    ----------
    points, others : (n, 2) and (m, 2) latitude and longitude, degrees.
    """
    for name, p in (("points", points), ("others", others)):
        if p.ndim != 2 or p.shape[-1] != 2 or (p[:, 0].abs() > 90 + 1e-6).any():
            raise PhysLabError(f"{name} has shape {tuple(p.shape)}: pass (n, 2), latitude in -90 to 90 and longitude")
    (lat, lon), (lat2, lon2) = torch.deg2rad(points).unbind(-1), torch.deg2rad(others.to(points)).unbind(-1)
    half = torch.sin(0.5 * (lat[:, None] - lat2)).square()
    half = half + torch.cos(lat[:, None]) * torch.cos(lat2) * torch.sin(0.5 * (lon[:, None] - lon2)).square()
    return 2.0 * radius * torch.asin(half.clamp(0, 1).sqrt())
