r"""What every method of the classical core is: a background and observations in, an analysis out.

With the background :math:`x_b` of error covariance B and observations :math:`y = H x + \epsilon`, all Gaussian, Bayes'
rule gives (Kalman 1960; Kalnay 2003, section 5.4)

.. math:: x_a = x_b + K (y - H x_b), \qquad K = B H^T (H B H^T + R)^{-1}, \qquad A = (I - K H) B .

The methods differ in where B comes from and in how they solve it.

======================  =========================================  =============================================
method                  B                                          solved by
======================  =========================================  =============================================
OptimalInterpolation    given, fixed                               the formula
Var3D                   given, fixed, as a root U U^T              minimising a cost function, conjugate gradients
Var4D                   carried through the window by the model    the same, with the model and its adjoint
EnKF                    members that run with the model            the formula, for each member with noisy y
ETKF, LETKF             members that run with the model            a matrix that mixes members, once or at each point
======================  =========================================  =============================================

:meth:`Method.analyse` checks and orders; a method adds :meth:`Method.update`, the mathematics alone.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from physlab.assimilate.covariance import Covariance
from physlab.assimilate.observed import Observed, Operator
from physlab.errors import FieldError, PhysLabError


@dataclasses.dataclass(frozen=True)
class Method:
    """Base of the methods that correct one state; leading dimensions are independent experiments."""

    def analyse(
        self,
        background: Tensor,
        y: Tensor,
        H: Operator,
        R: Tensor | float,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The background, corrected by the observations.

        Parameters
        ----------
        background : (..., n) states; ensemble methods take (..., N, n), N members.
        y : (m,) or (..., m) observed values.
        H : (m, n) or (..., m, n), or a function (..., n) -> (..., m).
        R : (m, m) or (..., m, m) covariance of the observation errors; (m,) variances or one number will do.
        generator : of the random numbers, where a method needs them.

        Returns
        -------
        Analysis, shape, dtype and device of the background. Without observations (m = 0) it is the background.

        Raises
        ------
        PhysLabError : NaN, shapes that do not fit, R not symmetric and positive definite, an ensemble of one.
        """
        self.check(background)
        working = torch.promote_types(background.dtype, torch.float32)  # half precision has no linear algebra
        x = background.to(working)
        if torch.as_tensor(y).shape[-1:] == (0,):
            return background.clone()
        observed = Observed.check(y, H, R, x.shape[-1], x)
        batch = x.shape[: x.ndim - self.dimensions]
        if observed.y.ndim < self.times:
            raise PhysLabError(f"y has shape {tuple(observed.y.shape)}: {type(self).__name__} takes (..., times, m)")
        try:
            batch = torch.broadcast_shapes(batch, observed.y.shape[: observed.y.ndim - self.times])
        except RuntimeError:
            raise PhysLabError(
                f"y has shape {tuple(observed.y.shape)} for a background {tuple(background.shape)}: its leading "
                f"dimensions must fit {tuple(batch)}"
            ) from None
        x = x.expand(*batch, *x.shape[x.ndim - self.dimensions :])
        return self.update(x, observed, generator).to(background.dtype)

    dimensions = 1  # of what is analysed: a state
    times = 1  # dimensions of y that belong to one experiment: the values, for 4D-Var also the time

    def check(self, background: Tensor) -> None:
        """Raise if the background is not what the method takes."""
        if not isinstance(background, Tensor) or not background.is_floating_point():
            kind = background.dtype if isinstance(background, Tensor) else type(background).__name__
            raise FieldError(f"background is {kind}: pass a tensor of floating-point numbers")
        if background.ndim < self.dimensions or not background.numel():
            raise FieldError(
                f"background has shape {tuple(background.shape)}: pass (..., n), for an ensemble (..., N, n)"
            )
        if not bool(torch.isfinite(background).all()):
            raise FieldError("background holds NaN or infinity: the forecast before failed, or fill what is missing")

    @staticmethod
    def check_size(background: Tensor, B: Covariance) -> None:
        """Raise if the background and its covariance differ in size."""
        if background.shape[-1] != B.n:
            raise FieldError(
                f"background has shape {tuple(background.shape)}, B is for {B.n} numbers: pass states (..., {B.n})"
            )

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None) -> Tensor:
        """The analysis; everything is checked and at least float32."""
        raise NotImplementedError(f"{type(self).__name__} has no update: use one of physlab.assimilate")


@dataclasses.dataclass(frozen=True)
class EnsembleMethod(Method):
    r"""Base of the methods that correct N members (..., N, n), mean and spread.

    Attributes
    ----------
    inflation : factor of the members' distances from their mean before the analysis, at least 1: what too few members
        miss (Anderson and Anderson 1999, Mon. Weather Rev. 127, 2741-2758). 1 leaves them.
    """

    inflation: float = 1.0

    dimensions = 2

    def __post_init__(self) -> None:
        if not self.inflation >= 1:
            raise PhysLabError(f"inflation is {self.inflation}: pass a factor of at least 1, such as 1.04")

    def check(self, background: Tensor) -> None:
        super().check(background)
        if background.shape[-2] < 2:
            raise FieldError(
                f"ensemble has shape {tuple(background.shape)}, one member: a spread needs at least 2, pass (..., N, n)"
            )

    def split(self, ensemble: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., 1, n) and inflated anomalies (..., N, n)."""
        mean = ensemble.mean(-2, keepdim=True)
        return mean, self.inflation * (ensemble - mean)
