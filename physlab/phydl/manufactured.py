r"""A field whose equation is known: blobs that rotate, spread and fade.

.. math:: c_t = -\mathbf u\cdot\nabla c + \kappa \nabla^2 c - r c, \qquad \mathbf u = \Omega (-y, x)

has the exact solution, for each of several blobs that start at :math:`\mathbf x_0` with width s_0,

.. math:: c = A \frac{s_0^2}{s^2} \exp\Big(-\frac{|\mathbf x - R_{\Omega t} \mathbf x_0|^2}{2 s^2}\Big) e^{-rt},
          \qquad s^2 = s_0^2 + 2 \kappa t ,

since a rotation leaves a round blob round. In metres and seconds: two hours of weather over two hundred kilometres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.phydl.domain import Domain
from physlab.phydl.library import Equation, advection, candidates, diffusion, relaxation


@dataclass(frozen=True)
class Blobs:
    """The manufactured case.

    Attributes
    ----------
    rotation : Omega, s-1;  kappa : m2 s-1;  rate : r, s-1.
    size : edge of the square, m;  duration : s.
    blobs : (x0, y0, s0, A) of each, in units of the size.
    """

    rotation: float = 2e-4
    kappa: float = 6e4
    rate: float = 4e-5
    size: float = 2e5
    duration: float = 7200.0
    blobs: tuple[tuple[float, float, float, float], ...] = (
        (0.22, 0.05, 0.14, 10.0), (-0.18, 0.15, 0.17, 7.0), (-0.05, -0.25, 0.15, 8.0), (0.10, 0.28, 0.13, -6.0),
    )  # fmt: skip

    @property
    def domain(self) -> Domain:
        half = 0.5 * self.size
        return Domain((-half, half), (-half, half), (0.0, self.duration), plane=True)

    @property
    def equation(self) -> Equation:
        """The true terms, coefficients to be found."""
        return Equation("c", (advection("c"), diffusion("c"), relaxation("c")))

    @property
    def library(self) -> Equation:
        """Eleven candidates, four of them true: u along x, v along y, diffusion and decay."""
        return Equation("c", candidates("c"))

    @property
    def truth(self) -> dict[str, float]:
        """Coefficient of each true term, by its name in either equation."""
        return {"u ∂x c + v ∂y c": -1.0, "u ∂x c": -1.0, "v ∂y c": -1.0, "∇² c": self.kappa, "c": -self.rate}

    def __call__(self, points: Tensor) -> Tensor:
        """(N, 3) points -> (N, 3): u, v (m s-1) and c, in the dtype of the points."""
        x, y, t = points.unbind(1)
        u, v, c = -self.rotation * y, self.rotation * x, torch.zeros_like(x)
        for x0, y0, s0, amplitude in self.blobs:
            angle = self.rotation * t + math.atan2(y0, x0)
            radius, start = self.size * math.hypot(x0, y0), (self.size * s0) ** 2
            s2 = start + 2 * self.kappa * t
            away = (x - radius * torch.cos(angle)) ** 2 + (y - radius * torch.sin(angle)) ** 2
            c = c + amplitude * start / s2 * torch.exp(-away / (2 * s2) - self.rate * t)
        return torch.stack([u, v, c], dim=1)

    def samples(self, count: int = 8000, noise: float = 0.01, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Random points and noisy values; the noise is a share of each variable's standard deviation."""
        generator = torch.Generator().manual_seed(seed)
        points = self.domain.sample(count, generator)
        values = self(points.double()).float()
        return points, values + noise * values.std(0) * torch.randn(values.shape, generator=generator)
