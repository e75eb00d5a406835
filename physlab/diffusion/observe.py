r"""Observations of a field: :math:`y = A(x_0) + \epsilon`, :math:`\epsilon \sim N(0, R)`, and the two products with A.

A is a matrix, or any function that autograd can follow (points of a grid, an average, a decoder followed by either);
then A means its slope at the point where it is needed. States are flattened to n numbers, observations to m.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from physlab.errors import FieldError, PhysLabError


class Observation(nn.Module):
    """What was measured, how, and how well.

    Parameters
    ----------
    y : values, (m,) or any shape with m numbers for all draws alike, or (B, ...) with m numbers for each draw.
    A : (m, n) matrix for the flattened state, or a function (B, ...) -> (B, ...) with m numbers for each sample.
    R : error variance in the unit of y squared: one number, (m,) numbers, or the covariance (m, m).

    Raises
    ------
    PhysLabError : values that are not finite, a matrix or R that does not fit, a variance that is not above 0.
    """

    y: Tensor
    R: Tensor
    root: Tensor  # of a matrix R
    matrix: Tensor  # of A that is no function

    def __init__(self, y: Tensor, A: Tensor | Callable[[Tensor], Tensor], R: float | Tensor) -> None:
        super().__init__()
        y, R = torch.as_tensor(y), torch.as_tensor(R, dtype=torch.float64)
        if not bool(torch.isfinite(y).all()):
            raise PhysLabError("y holds NaN or infinity: leave out what was not observed, in y and in A")
        if not isinstance(A, Tensor) and not callable(A):
            raise PhysLabError(f"A is a {type(A).__name__}: pass a matrix (m, n) or a function of the state")
        if isinstance(A, Tensor) and (A.ndim != 2 or y.numel() % len(A) or (y.ndim > 1 and y[0].numel() != len(A))):
            raise PhysLabError(f"A has shape {tuple(A.shape)} for y of shape {tuple(y.shape)}: pass y (m,), A (m, n)")
        if R.ndim > 2 or (R.ndim == 2 and R.shape[0] != R.shape[1]):
            raise PhysLabError(f"R has shape {tuple(R.shape)}: pass a variance, (m,) variances, or a matrix (m, m)")
        least = torch.linalg.eigvalsh(R)[0] if R.ndim == 2 else R.min()
        if not least > 0:
            raise PhysLabError(f"R has the variance {float(least):.3g}: observations need an error above 0")
        self.function = None if isinstance(A, Tensor) else A
        self.register_buffer("y", y)
        self.register_buffer("R", R)
        self.register_buffer("root", torch.linalg.cholesky(R) if R.ndim == 2 else None)
        self.register_buffer("matrix", A if isinstance(A, Tensor) else None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, m) values that states x (B, ...) would show."""
        if self.function is not None:
            return self.function(x).flatten(1)
        if x[0].numel() != self.matrix.shape[1]:
            raise FieldError(f"A has {self.matrix.shape[1]} columns for states {tuple(x.shape[1:])}: they must agree")
        return x.flatten(1) @ self.matrix.to(x).T

    def misfit(self, seen: Tensor) -> Tensor:
        """(B, m) y minus the values that were seen, (B, m)."""
        batch, m = seen.shape
        if self.y.numel() not in (m, batch * m):
            raise FieldError(
                f"y has shape {tuple(self.y.shape)}, A gives {m} numbers for each of {batch} draws: pass m or B * m"
            )
        if self.R.ndim and len(self.R) != m:
            raise FieldError(f"R is for {len(self.R)} observations, A gives {m}: they must agree")
        return self.y.to(seen).reshape(-1, m) - seen

    def whiten(self, v: Tensor) -> Tensor:
        """(B, m) L^-1 v with R = L L^T: misfits in units of their error."""
        if self.R.ndim < 2:
            return v / self.R.to(v).sqrt()
        return torch.linalg.solve_triangular(self.root.to(v), v.mT, upper=False).mT

    def whiten_transposed(self, v: Tensor) -> Tensor:
        """(B, m) L^-T v."""
        if self.R.ndim < 2:
            return v / self.R.to(v).sqrt()
        return torch.linalg.solve_triangular(self.root.mT.to(v), v.mT, upper=True).mT

    def slope(self, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """The products w -> A w, (B, ...) -> (B, m), and v -> A^T v, (B, m) -> (B, ...), at the states x."""
        if self.function is None:
            A = self.matrix.to(x)
            return (lambda w: w.flatten(1) @ A.T), (lambda v: (v @ A).reshape(x.shape))
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            seen = self(x)
            v0 = torch.zeros_like(seen, requires_grad=True)
            back = torch.autograd.grad(seen, x, v0, create_graph=True)[0]  # linear in v0: its transpose is w -> A w

        def forward(w: Tensor) -> Tensor:
            return torch.autograd.grad(back, v0, w, retain_graph=True)[0]

        def transpose(v: Tensor) -> Tensor:
            return torch.autograd.grad(seen, x, v, retain_graph=True)[0]

        return forward, transpose
