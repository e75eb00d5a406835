"""A continuous field: background and network, a function of place and time with all its derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from physlab.errors import FieldError, PhysLabError
from physlab.nn.coordinate import CoordinateNetwork
from physlab.phydl.background import DEGREES, basis, exponents
from physlab.phydl.domain import Domain
from physlab.phydl.force import SmoothForce
from physlab.phydl.library import Equation, State

NETWORK = {"width": 87, "depth": 8, "activation": "siren"}
FREQUENCY = (0.22, 0.22, 1.1)  # radians per half a box, times the cube root of the number of points
CHUNK = 1 << 16


class ContinuousField:
    """A continuous field of several variables, with learned equations.

    Parameters
    ----------
    variables : names, in the order of the network's outputs.
    domain : box of place and time.
    background : (P, V) polynomials of :mod:`physlab.phydl.background`, the base state.
    std : (V,) of what is left, the units of the outputs.
    equations : what the field should obey; see :func:`physlab.phydl.library.atmosphere`.
    force : capacity and price of the latent force.
    network : arguments of :class:`physlab.nn.coordinate.CoordinateNetwork`.
    seed : of its initial weights.
    """

    name = "phydl"

    def __init__(
        self,
        variables: Sequence[str],
        domain: Domain,
        background: Tensor,
        std: Tensor,
        equations: Sequence[Equation] = (),
        force: SmoothForce | None = None,
        network: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        self.variables, self.domain = tuple(variables), domain
        self.background, self.std = background.double(), std.float()
        self.degrees = DEGREES if len(background) > 1 else (0, 0, 0)
        if len(background) != len(exponents(self.degrees)):
            raise PhysLabError(f"background of {len(background)} polynomials: pass {len(exponents(DEGREES))}, or 1")
        if not bool((self.std > 0).all()):
            flat = [v for v, s in zip(self.variables, self.std.tolist(), strict=True) if not s > 0]
            raise FieldError(f"{', '.join(flat)} do not vary: leave them out")
        self.equations = tuple(equations)
        for equation in self.equations:
            if equation.variable not in self.variables:
                raise PhysLabError(f"equation of {equation.variable}, but the field has {', '.join(self.variables)}")
        self.force = force or SmoothForce()
        self.arguments = {**NETWORK, "omega": frequencies(6561), **(network or {})}
        self.network = CoordinateNetwork(len(self.variables), **self.arguments, seed=seed)
        self.solution: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.tendency: dict[str, float] = {}
        self.card: dict = {}
        self.attributes: dict[str, dict] = {}

    def evaluate(self, points: Tensor) -> Tensor:
        """(N, 3) of x, y (degrees or metres) and seconds -> (N, V), SI units."""
        with torch.no_grad():
            there = (p.to(self.std.device) for p in points.split(CHUNK))
            parts = [self.base(p) + self.std * self.network(self.domain.scaled(p)) for p in there]
        return torch.cat(parts).to(points.device)

    def base(self, points: Tensor) -> Tensor:
        """(N, V): the base state at (N, 3) points."""
        z = self.domain.scaled(points).double()
        return (basis(z, self.degrees).value @ self.background.to(z.device)).float()

    def state(self, points: Tensor) -> State:
        """All variables and derivatives at (N, 3) points, followed by autograd."""
        z, slopes = self.domain.scaled(points), self.domain.slopes(points)
        ground = (part @ self.background.to(z) for part in basis(z, self.degrees))
        parts = [a + self.std * b for a, b in zip(ground, self.network.jet(z), strict=True)]
        value, first, second = {}, {}, {}
        for at, name in enumerate(self.variables):
            value[name] = parts[0][:, at]
            first[name] = parts[1][..., at] * slopes
            second[name] = parts[2][..., at] * slopes.square()
        return State(points, self.domain, value, first, second)

    def with_network(self, network: CoordinateNetwork) -> Self:
        """The same field with other weights."""
        other = object.__new__(type(self))
        own = {"network": network, "solution": dict(self.solution), "tendency": dict(self.tendency)}
        other.__dict__ = {**self.__dict__, **own}
        return other

    def to(self, device: torch.device | str) -> Self:
        """Compute there from now on; what is evaluated stays where the points are."""
        self.network, self.std = self.network.to(device), self.std.to(device)
        return self


def frequencies(points: int, share: float = 1.0) -> tuple[float, float, float]:
    """Highest frequencies of the first layer that so many points can carry, by x, y and t: below what they resolve in
    space, so that the field between them stays smooth, and near it in time.

    (4.1, 4.1, 20.6) for 9 x 9 points at 81 times.
    """
    root = points ** (1 / 3)
    return tuple(round(share * f * root, 2) for f in FREQUENCY)
