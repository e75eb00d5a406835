r"""What was observed: :math:`y = H(x) + \epsilon`, :math:`\epsilon \sim N(0, R)`, checked once for all methods.

States are vectors (..., n), observations (..., m); leading dimensions are independent experiments. H is a matrix
(m, n) or a function (..., n) -> (..., m) that autograd can follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from physlab.errors import PhysLabError

Operator = Tensor | Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Observed:
    """Values, operator and error covariance, in the dtype and on the device of the states.

    Attributes
    ----------
    y : (..., m).
    H : (..., m, n) matrix or function (..., n) -> (..., m).
    R : (..., m, m) covariance, or (..., m) variances where `diagonal`.
    diagonal : the errors are independent.
    """

    y: Tensor
    H: Operator
    R: Tensor
    diagonal: bool

    @classmethod
    def check(cls, y: Tensor, H: Operator, R: Tensor | float, n: int, like: Tensor) -> Observed:
        """Checked observations of states with n numbers.

        Parameters
        ----------
        y : (..., m), finite; leave out, in y, H and R, what was not observed.
        H : (m, n) or (..., m, n), or a function.
        R : (m, m) or (..., m, m), symmetric and positive definite; (m,) variances or one variance will do too.
        like : a state: gives dtype and device.

        Raises
        ------
        PhysLabError : NaN or infinity, shapes that do not fit, R that is not symmetric or not positive.
        """
        y = torch.as_tensor(y).to(like)
        if y.ndim < 1:
            raise PhysLabError("y is a single number: pass a vector (m,), here of one value")
        if not bool(torch.isfinite(y).all()):
            raise PhysLabError(
                f"y holds {int((~torch.isfinite(y)).sum())} values that are NaN or infinite: leave out what was not "
                "observed, in y, in H and in R"
            )
        m = y.shape[-1]
        if isinstance(H, Tensor):
            if H.ndim < 2 or tuple(H.shape[-2:]) != (m, n):
                raise PhysLabError(
                    f"H has shape {tuple(H.shape)} for {m} observations of {n} numbers: pass ({m}, {n}) or a function"
                )
            H = H.to(like)
        elif not callable(H):
            raise PhysLabError(f"H is a {type(H).__name__}: pass a tensor ({m}, {n}) or a function of (..., {n})")
        R, diagonal = _covariance(torch.as_tensor(R).to(like), m)
        return cls(y, H, R, diagonal)

    @property
    def m(self) -> int:
        """Number of observations."""
        return self.y.shape[-1]

    def see(self, x: Tensor) -> Tensor:
        """H(x) of states (..., k, n): (..., k, m)."""
        if isinstance(self.H, Tensor):
            return x @ self.H.mT
        seen = self.H(x)
        if not isinstance(seen, Tensor) or tuple(seen.shape) != (*x.shape[:-1], self.m):
            came = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
            raise PhysLabError(
                f"H took states {tuple(x.shape)} and returned {came}: it must return {(*x.shape[:-1], self.m)}; "
                "leading dimensions are members and experiments, as in `lambda x: x[..., ::2]`"
            )
        return seen.to(x)

    @cached_property
    def root(self) -> Tensor:
        """Lower root L with L L^T = R, (..., m, m), or standard deviations (..., m)."""
        return self.R.sqrt() if self.diagonal else torch.linalg.cholesky(self.R)

    def whiten(self, d: Tensor) -> Tensor:
        """L^-1 d of (..., k, m): with unit variance and without correlation."""
        if self.diagonal:
            return d / self.root[..., None, :]
        return torch.linalg.solve_triangular(self.root, d.mT, upper=False).mT

    def whiten_in_place(self, d: Tensor) -> Tensor:
        """R^-1/2 d of (..., k, m) with the symmetric root: each white value stays as near to its place as it can."""
        if self.diagonal:
            return self.whiten(d)
        values, vectors = torch.linalg.eigh(self.R)
        return d @ (vectors * values.rsqrt()[..., None, :]) @ vectors.mT

    def noise(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """(*shape, m) draws of N(0, R); the last dimensions of the shape are those of R, if it has any."""
        device = self.y.device if generator is None else generator.device
        white = torch.randn(*shape, self.m, generator=generator, dtype=self.y.dtype, device=device).to(self.y)
        return white * self.root if self.diagonal else (self.root @ white[..., None])[..., 0]

    @property
    def covariance(self) -> Tensor:
        """R as a matrix (..., m, m)."""
        return torch.diag_embed(self.R) if self.diagonal else self.R


def _covariance(R: Tensor, m: int) -> tuple[Tensor, bool]:
    """R checked, as variances where it is diagonal, and whether it is."""
    if R.ndim == 0:
        R = R.expand(m)
    matrix = R.ndim > 1
    if R.shape[-1] != m or (matrix and R.shape[-2] != m):
        raise PhysLabError(
            f"R has shape {tuple(R.shape)} for {m} observations: pass a covariance ({m}, {m}), ({m},) variances or one"
        )
    diagonal = R
    if matrix:
        diagonal = R.diagonal(dim1=-2, dim2=-1)
        if not torch.equal(R, torch.diag_embed(diagonal)):
            scale = float(diagonal.abs().max())
            if not bool((R - R.mT).abs().max() <= 1e-5 * scale):
                raise PhysLabError("R is not symmetric (or not finite): pass R with R = R^T, as 0.5 * (R + R.T)")
            R = 0.5 * (R + R.mT)
            if bool(torch.linalg.cholesky_ex(R)[1].any()):
                raise PhysLabError(
                    "R is not positive definite: every combination of observations needs an error above 0; an exact or "
                    "a doubled observation gets a small variance of its own"
                )
            return R, False
    if not bool((diagonal > 0).all() & torch.isfinite(diagonal).all()):
        raise PhysLabError(
            f"R has the variance {float(diagonal.min()):.3g}: observations need a finite error variance above 0"
        )
    return diagonal, True
