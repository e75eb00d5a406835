r"""Rotating shallow water on a doubly periodic plane: the smallest model with weather, gravity waves and a balance.

A layer of depth h under gravity g, turning at f / 2 (Vallis 2017, Atmospheric and Oceanic Fluid Dynamics, section 3.1):

.. math::
    \frac{\partial \mathbf u}{\partial t} = -\mathbf u\cdot\nabla \mathbf u - f \mathbf k \times \mathbf u - g \nabla h,
    \qquad \frac{\partial h}{\partial t} = -\nabla\cdot(h \mathbf u) .

Small disturbances are steady vortices in geostrophic balance, :math:`f \mathbf k \times \mathbf u = -g \nabla h`, and
gravity waves of frequency :math:`\omega^2 = f^2 + g D k^2`; larger than the deformation radius :math:`\sqrt{gD}/f` the
wind follows the height, smaller ones the height follows the wind.

Pseudo-spectral: products on the grid, derivatives by Fourier transform, waves above two thirds of the shortest one cut
off (Orszag 1971, no aliasing, so that mass is kept to rounding), the classical Runge-Kutta step, and after each step a
filter that damps the shortest waves alone. Everything is followed by autograd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.constants import GRAVITY
from physlab.equations import momentum
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.simulate.stepping import Model


@dataclass(frozen=True)
class ShallowWater(Model):
    """The model; its state is the vector (..., n), n = 3 H W, that holds u, v (m s-1) and h (m) one after another.

    Attributes
    ----------
    dt : time step, s.
    shape : (H, W) points.
    spacing : distance of the points, m.
    depth : D, mean depth, m. With 1,000 m gravity waves run at 99 m s-1.
    f : Coriolis parameter, s-1.
    damping : time in which the shortest wave that is kept falls to 1/e, s; k^8 makes it longer for all others.
    """

    dt: float = 600.0
    shape: tuple[int, int] = (32, 32)
    spacing: float = 200e3
    depth: float = 1000.0
    f: float = 1e-4
    damping: float = 3600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.shape) < 8:
            raise PhysLabError(f"shallow water came with {self.shape} points: pass at least 8 in each direction")
        for name in ("spacing", "depth", "damping"):
            if not getattr(self, name) > 0:
                raise PhysLabError(f"{name} is {getattr(self, name)}: pass a number above 0, in SI units")
        fastest = math.sqrt(GRAVITY * self.depth) * math.sqrt(2) * math.pi / self.spacing * 2 / 3
        if fastest * self.dt > 2.8:
            raise PhysLabError(f"dt of {self.dt:g} s is unstable: gravity waves allow less than {2.8 / fastest:.0f} s, "
                               "half of that with strong winds")  # fmt: skip

    @property
    def n(self) -> int:
        """Numbers in a state."""
        return 3 * self.shape[0] * self.shape[1]

    @property
    def grid(self) -> Grid:
        """The plane of the fields."""
        return Grid.plane(self.spacing, self.spacing, self.shape)

    def fields(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u, v, h of a state (..., n): (..., H, W) each, views."""
        if x.shape[-1] != self.n:
            raise PhysLabError(f"a state of shallow water on {self.shape} points has {self.n} numbers, this one has "
                               f"shape {tuple(x.shape)}: pass (..., {self.n})")  # fmt: skip
        return x.unflatten(-1, (3, *self.shape)).unbind(-3)

    def state(self, u: Tensor, v: Tensor, h: Tensor) -> Tensor:
        """The state (..., n) of three fields (..., H, W)."""
        return torch.stack([u, v, h], -3).flatten(-3)

    def wavenumbers(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Angular wavenumbers l (H, 1) and k (W // 2 + 1,), m-1, in the order of ``torch.fft.rfft2``."""
        options = {"d": self.spacing / (2 * math.pi), "dtype": like.dtype, "device": like.device}
        return torch.fft.fftfreq(self.shape[0], **options)[:, None], torch.fft.rfftfreq(self.shape[1], **options)

    def step(self, x: Tensor) -> Tensor:
        """The state one dt later, (..., n)."""
        self.fields(x)  # checks the shape
        s, dt = torch.fft.rfft2(x.unflatten(-1, (3, *self.shape))), self.dt
        l, k = self.wavenumbers(x)
        shortest = 2 / 3 * math.pi / self.spacing
        kept = (l.abs() < shortest) & (k < shortest)
        size = torch.maximum(l.abs(), k) / shortest
        filtered = torch.where(kept, torch.exp(-dt / self.damping * size**8), 0.0)
        slopes = torch.stack([1j * k.expand_as(kept), 1j * l.expand_as(kept)])

        def tendency(s: Tensor) -> Tensor:
            return torch.where(kept, torch.fft.rfft2(self._tendency(s, slopes)), 0.0)

        k1 = tendency(s)
        k2 = tendency(s + (0.5 * dt) * k1)
        k3 = tendency(s + (0.5 * dt) * k2)
        k4 = tendency(s + dt * k3)
        s = filtered * (s + (dt / 6.0) * (k1 + 2.0 * (k2 + k3) + k4))
        return torch.fft.irfft2(s, s=self.shape).flatten(-3)

    def _tendency(self, s: Tensor, slopes: Tensor) -> Tensor:
        """Spectra of u, v, h (..., 3, H, W // 2 + 1) -> their tendencies on the grid (..., 3, H, W)."""
        both = torch.cat([s, (s[..., None, :, :, :] * slopes[:, None]).flatten(-4, -3)], -3)
        u, v, h, u_x, v_x, h_x, u_y, v_y, h_y = torch.fft.irfft2(both, s=self.shape).unbind(-3)
        pressure = (GRAVITY * h_x, GRAVITY * h_y)
        terms = momentum.terms((u, v), (u_x, u_y, v_x, v_y), pressure, self.f, 0.0).values()
        east, north = (sum(parts) for parts in zip(*terms, strict=True))
        return torch.stack([east, north, -(u * h_x + v * h_y + h * (u_x + v_y))], -3)

    def balanced(self, psi: Tensor) -> Tensor:
        """The state (..., n) in geostrophic balance with a streamfunction (..., H, W), m2 s-1: h = D + f psi / g."""
        l, k = self.wavenumbers(psi)
        spectrum = torch.fft.rfft2(psi)
        u, v = (torch.fft.irfft2(1j * slope * spectrum, s=self.shape) for slope in (-l, k))
        return self.state(u, v, self.depth + self.f / GRAVITY * psi)

    def start(
        self, *batch: int, wind: float = 15.0, generator: torch.Generator | None = None, dtype=torch.float64
    ) -> Tensor:
        """(*batch, n) random vortices in geostrophic balance, about three across the plane.

        Parameters
        ----------
        wind : root of the mean square of the wind speed, m s-1.
        """
        white = torch.randn(*batch, *self.shape, generator=generator, dtype=dtype)
        l, k = self.wavenumbers(white)
        waves = (l.square() + k.square()).sqrt() * (self.shape[1] * self.spacing / (2 * math.pi))  # per plane
        envelope = torch.exp(-0.5 * (waves - 3.0).square()) * (waves > 0)
        psi = torch.fft.irfft2(torch.fft.rfft2(white) * envelope, s=self.shape)
        u, v, _ = self.fields(self.balanced(psi))
        return self.balanced(wind / (u.square() + v.square()).mean((-2, -1), keepdim=True).sqrt() * psi)
