"""What the small models share: a step, so many steps, and the trajectory; functions of tensors (..., n) alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.errors import PhysLabError


@dataclass(frozen=True)
class Model:
    """Base: a system of ordinary differential equations and the classical Runge-Kutta step of fourth order.

    Attributes
    ----------
    dt : length of a step.
    """

    dt: float

    def __post_init__(self) -> None:
        if not self.dt > 0:
            raise PhysLabError(f"dt is {self.dt}: pass a time step above 0")

    def tendency(self, x: Tensor) -> Tensor:
        """dx/dt, (..., n)."""
        raise NotImplementedError(f"{type(self).__name__} has no tendency: write one, or a step of its own")

    def step(self, x: Tensor) -> Tensor:
        """The state one dt later, (..., n)."""
        dt = self.dt
        k1 = self.tendency(x)
        k2 = self.tendency(x + (0.5 * dt) * k1)
        k3 = self.tendency(x + (0.5 * dt) * k2)
        k4 = self.tendency(x + dt * k3)
        return x + (dt / 6.0) * (k1 + 2.0 * (k2 + k3) + k4)

    def __call__(self, x: Tensor, steps: int = 1) -> Tensor:
        """The state `steps` steps later, (..., n)."""
        for _ in range(steps):
            x = self.step(x)
        return x

    def trajectory(self, x: Tensor, steps: int, every: int = 1) -> Tensor:
        """The start and the states after each `every` of `steps` steps, (..., steps // every + 1, n)."""
        states = [x]
        for _ in range(steps // every):
            states.append(self(states[-1], every))
        return torch.stack(states, -2)
