r"""The sandbox models of data assimilation: chaos in three and in forty numbers (Lorenz 1963, 1996).

Lorenz-63, convection in three numbers (J. Atmos. Sci. 20, 130-141, eqs. 25-27):

.. math:: \dot x = \sigma (y - x), \qquad \dot y = \rho x - y - x z, \qquad \dot z = x y - \beta z ;

Lorenz-96, a quantity on n points of a latitude circle (Proc. Seminar on Predictability, ECMWF, eq. 1, printed 1996;
Lorenz and Emanuel 1998, J. Atmos. Sci. 55, 399-414):

.. math:: \dot x_i = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F , \qquad x_{i+n} = x_i .

The products keep :math:`\sum x_i^2`, as advection keeps energy; -x damps and F feeds. With F = 8 errors double in 0.4
time units, and Lorenz called one unit five days, so that the usual step of 0.05 is six hours.

Both are functions of tensors (..., n), any leading dimensions, and can be followed by autograd. Time and state are
dimensionless.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.simulate.stepping import Model


@dataclass(frozen=True)
class Lorenz63(Model):
    """Three numbers. Lyapunov exponents 0.906, 0 and -14.572 (Sprott 2003, Chaos and Time-Series Analysis, p. 431).

    Attributes
    ----------
    sigma, rho, beta : Prandtl number, relative Rayleigh number, shape of the rolls.
    dt : time step; 0.01 as usual.
    """

    dt: float = 0.01
    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8.0 / 3.0

    def tendency(self, x: Tensor) -> Tensor:
        if x.shape[-1] != 3:
            raise PhysLabError(f"Lorenz-63 came with a state of shape {tuple(x.shape)}: pass (..., 3)")
        x, y, z = x.unbind(-1)
        return torch.stack([self.sigma * (y - x), (self.rho - z) * x - y, x * y - self.beta * z], -1)

    def start(self, *batch: int, generator: torch.Generator | None = None, dtype=torch.float64) -> Tensor:
        """(*batch, 3) states on the attractor: random starts after 20 time units."""
        x = torch.tensor([1.5, -1.5, 25.5], dtype=dtype) + torch.randn(*batch, 3, generator=generator, dtype=dtype)
        return self(x, round(20.0 / self.dt))


@dataclass(frozen=True)
class Lorenz96(Model):
    """A ring of n points.

    Attributes
    ----------
    dt : time step; 0.05 as usual, six hours.
    n : points on the ring, at least 4; 40 as usual.
    F : forcing; 8 as usual: chaos with 13 growing directions of 40.
    """

    dt: float = 0.05
    n: int = 40
    F: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 4:
            raise PhysLabError(f"Lorenz-96 came with n = {self.n}: a point needs three others, pass at least 4")

    def tendency(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.n:
            raise PhysLabError(f"Lorenz-96 on {self.n} points came with a state of shape {tuple(x.shape)}: pass "
                               f"(..., {self.n}), or make the model with n={x.shape[-1]}")  # fmt: skip
        ring = torch.cat([x[..., -2:], x, x[..., :1]], -1)  # x_{-2} ... x_{n}
        return (ring[..., 3:] - ring[..., :-3]) * ring[..., 1:-2] - x + self.F

    def start(self, *batch: int, generator: torch.Generator | None = None, dtype=torch.float64) -> Tensor:
        """(*batch, n) states on the attractor: F plus noise, after 20 time units."""
        x = self.F + torch.randn(*batch, self.n, generator=generator, dtype=dtype)
        return self(x, round(20.0 / self.dt))


def lyapunov_exponents(model: Model, x: Tensor, steps: int, discard: int = 100, every: int = 1) -> Tensor:
    """All n Lyapunov exponents, largest first, each the mean over the starts, in 1 / time unit.

    Tangent vectors run along with the states and are made orthogonal again every few steps; what that shortens is the
    growth (Benettin et al. 1980, Meccanica 15, 9-20 and 21-30).

    Parameters
    ----------
    x : (B, n) states on the attractor; many starts with few steps cost less than one start with many.
    steps : steps that count.
    discard : steps before, in which the vectors find their directions.
    every : steps between two orthogonalisations; the least-growing direction must not shrink to rounding in between.

    Returns
    -------
    (n,).
    """
    n = x.shape[-1]
    Q = torch.eye(n, dtype=x.dtype, device=x.device).expand(*x.shape, n)  # rows are tangent vectors
    growth = x.new_zeros(n)
    eps = torch.finfo(x.dtype).eps ** (1 / 3)  # centred differences: ten times faster than jvp on so small a model
    for k in range((discard + steps) // every):
        state = x[..., None, :]
        moved = model(torch.cat([state, state + eps * Q, state - eps * Q], -2), every)
        x, ahead, behind = moved.split([1, n, n], -2)
        x = x.squeeze(-2)
        Q, R = torch.linalg.qr(((ahead - behind) / (2 * eps)).mT)
        Q = Q.mT
        if k >= discard // every:
            growth = growth + R.diagonal(dim1=-2, dim2=-1).abs().log().reshape(-1, n).mean(0)
    return growth / (((discard + steps) // every - discard // every) * every * model.dt)
