r"""3D-Var: the state of least cost, found by descent (Lorenc 1986, Q. J. R. Meteorol. Soc. 112, 1177-1194).

.. math:: J(x) = \tfrac12 (x - x_b)^T B^{-1} (x - x_b) + \tfrac12 (y - H(x))^T R^{-1} (y - H(x)) .

With x = x_b + U v and B = U U^T neither B nor its inverse is needed, only U and its transpose
(:mod:`~physlab.assimilate.covariance`), and H may be curved. For a linear H it gives what optimal interpolation gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from physlab.assimilate.base import Method
from physlab.assimilate.covariance import Covariance, as_covariance
from physlab.assimilate.minimise import Minimum, gauss_newton
from physlab.assimilate.observed import Observed
from physlab.errors import PhysLabError


@dataclass(frozen=True, eq=False)
class Var3D(Method):
    """The method.

    Attributes
    ----------
    B : background error covariance: a matrix (n, n) or an object of :mod:`physlab.assimilate.covariance`.
    outer : linearisations of H; one is exact if H is linear.
    inner : most iterations of conjugate gradients in each. A search that ends early gives a smoother analysis.
    tolerance : reduction of the gradient at which the inner loop ends.
    """

    B: Covariance | Tensor = field(repr=False)
    outer: int = 1
    inner: int = 100
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "B", as_covariance(self.B))
        if self.outer < 1 or self.inner < 1:
            raise PhysLabError(f"outer is {self.outer} and inner {self.inner}: pass at least 1 of each")

    def check(self, background: Tensor) -> None:
        super().check(background)
        self.check_size(background, as_covariance(self.B))

    def predict(self, x: Tensor, times: int, observed: Observed) -> Tensor:
        """What a state (..., n) would show at the times of the observations, (..., times, m); here one time."""
        return observed.see(x[..., None, :])

    def minimise(self, x: Tensor, observed: Observed) -> Minimum:
        """The search itself: control variable, costs, gradients, iterations."""
        y = observed.y if self.times == 2 else observed.y[..., None, :]
        B = as_covariance(self.B)

        def residual(v: Tensor) -> Tensor:
            return observed.whiten(y - self.predict(x + B.root(v), y.shape[-2], observed)).flatten(-2)

        v = x.new_zeros(*x.shape[:-1], B.controls)
        return gauss_newton(residual, v, self.outer, self.inner, self.tolerance)

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        x = x.detach()
        return x + as_covariance(self.B).root(self.minimise(x, observed).v)
