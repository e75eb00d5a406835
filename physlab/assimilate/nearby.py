"""Localisation of many points and many observations: who is near whom, found by a tree and not by a matrix.

The weights of all points and observations are a matrix that is nearly all zeros: at 0.25 degrees with 5,000 stations it
would take 40 GB. Here the points are divided into small neighbourhoods, and each gets the weights of the observations
that reach into it. Memory and time grow with the number of points times that of the observations near a point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from physlab.assimilate.localisation import gaspari_cohn, sphere_distance
from physlab.constants import EARTH_RADIUS
from physlab.errors import PhysLabError

POINTS = 1024
"""Points of a neighbourhood at most."""


@dataclass(frozen=True, eq=False)
class Nearby:
    """Gaspari-Cohn weights of observations at points of the sphere, a neighbourhood at a time.

    Attributes
    ----------
    points : (p, 2) latitude and longitude of the points, degrees.
    places : (m, 2) of the observations.
    radius : m; the weight of an observation is zero from twice this distance on.

    Raises
    ------
    PhysLabError : a radius that is not above 0, or places that are none.
    """

    points: Tensor
    places: Tensor
    radius: float

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise PhysLabError(f"radius is {self.radius}: pass half of the distance at which the weight becomes zero")
        sphere_distance(self.points[:1], self.places[:1])  # refuses what are no places

    @property
    def shape(self) -> tuple[int, int]:
        """Points and observations."""
        return len(self.points), len(self.places)

    def parts(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Points (k,), the observations (j,) that reach any of them, and their weights (k, j), until all points are
        done; j may be 0."""
        xyz, where = _cartesian(self.points), _cartesian(self.places)
        tree = cKDTree(where)
        chord = 2.0 * np.sin(min(2.0 * self.radius / EARTH_RADIUS, np.pi) / 2.0)
        for leaf in _leaves(cKDTree(xyz, leafsize=POINTS, balanced_tree=True).tree):
            centre = 0.5 * (xyz[leaf].min(0) + xyz[leaf].max(0))
            reach = float(np.sqrt(((xyz[leaf] - centre) ** 2).sum(1).max()))
            near = np.sort(np.asarray(tree.query_ball_point(centre, reach + chord * (1 + 1e-9) + 1e-9), dtype=np.int64))
            k, j = torch.from_numpy(np.sort(leaf)), torch.from_numpy(near)
            weights = torch.zeros(len(k), len(j), dtype=self.points.dtype, device=self.points.device)
            if len(j):
                weights = gaspari_cohn(sphere_distance(self.points[k], self.places[j]), self.radius)
                reached = (weights > 0).any(0)
                j, weights = j[reached], weights[:, reached]
            yield k, j, weights


def _cartesian(places: Tensor) -> np.ndarray:
    """(n, 3) on the unit sphere."""
    lat, lon = np.deg2rad(places.detach().cpu().double().numpy()).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)


def _leaves(node) -> Iterator[np.ndarray]:
    """Indices of the points of each leaf of a tree."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node is None:
            continue
        if node.lesser is None and node.greater is None:
            if len(node.indices):
                yield np.array(node.indices)
        else:
            stack += [node.greater, node.lesser]
