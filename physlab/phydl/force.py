r"""The latent force Q: what the named terms do not say.

In the published method Q is a second network with the inputs and the capacity of the field itself. Then Q = dc/dt makes
every residual vanish, for any field and any coefficients: nothing can be learned from the equation
(the chapter shows it). Here Q is smooth by construction, a sum of few cosines,

.. math:: Q_c(x, y, t) = S_c \sum_{ijk} w_{ijk} \cos(i\pi\hat x) \cos(j\pi\hat y) \cos(k\pi\hat t),
          \qquad i < I,\ j < J,\ k < K ,

with scaled coordinates in [0, 1] and the typical tendency S_c, and pays the ridge penalty :math:`\lambda |w|^2`. It is
linear in w, so that it is found together with the coefficients by one least-squares solution. `FreeForce` is the
published one, to compare with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.nn.coordinate import CoordinateNetwork
from physlab.phydl.domain import Domain


@dataclass(frozen=True)
class SmoothForce:
    """Capacity and price of the force.

    Attributes
    ----------
    modes : I, J, K; 0 anywhere means no force.
    penalty : lambda, relative: the price of |w|^2 = 1 beside a mean square relative residual of 1.
    """

    modes: tuple[int, int, int] = (4, 4, 8)
    penalty: float = 0.01

    def __post_init__(self) -> None:
        if len(self.modes) != 3 or min(self.modes) < 0 or not self.penalty >= 0:
            raise PhysLabError(f"force modes {self.modes}, penalty {self.penalty}: pass three counts and a price >= 0")

    @property
    def size(self) -> int:
        return math.prod(self.modes)

    def basis(self, points: Tensor, domain: Domain) -> Tensor:
        """(N, I J K) cosines at (N, 3) points."""
        place = 0.5 * (domain.scaled(points) + 1)
        if not self.size:
            return place[:, :0]
        x, y, t = (
            torch.cos(math.pi * place[:, axis, None] * torch.arange(count, device=place.device))
            for axis, count in enumerate(self.modes)
        )
        return (x[:, :, None, None] * y[:, None, :, None] * t[:, None, None, :]).flatten(1)


class FreeForce(CoordinateNetwork):
    """The published latent force: a network like the field's own, without a price. For comparison only."""

    def __init__(self, outputs: int, seed: int = 1) -> None:
        super().__init__(outputs, activation="sine", seed=seed)
