r"""Minimising what variational methods minimise: a sum of squares, by Gauss-Newton and conjugate gradients.

In the control variable v, in which the background errors have unit variance and no correlation, and with the misfit r
to the observations in units of their errors,

.. math:: J(v) = \tfrac12 |v|^2 + \tfrac12 |r(v)|^2, \qquad \nabla J = v + r'^T r .

One outer loop replaces r by its tangent and solves

.. math:: (I + r'^T r')\, \delta v = -\nabla J

with conjugate gradients: the incremental method (Courtier et al. 1994, Q. J. R. Meteorol. Soc. 120, 1367-1387). Each
inner iteration is one product with r' and one with its adjoint. No eigenvalue of the matrix is below 1, and at most m
differ from it, so that iterations of the order of the independent observations suffice. If r is linear, one outer loop
is the whole answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.assimilate.tangent import linearise


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the minimisation ended and how it went.

    Attributes
    ----------
    v : (..., k) control variable.
    cost : (outer + 1, ...) J before and after each outer loop.
    gradient : (outer + 1, ...) norm of the gradient of J at the same points.
    iterations : inner iterations of each outer loop.
    """

    v: Tensor
    cost: Tensor
    gradient: Tensor
    iterations: tuple[int, ...]


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], right: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, int]:
    """Solve S v = right for a symmetric positive definite S (Hestenes and Stiefel 1952), each row on its own.

    Parameters
    ----------
    product : v -> S v, (..., k) -> (..., k).
    right : (..., k).
    iterations : at most so many.
    tolerance : norm of the residual relative to that of `right` at which a row is left alone; below a few units of
        rounding it is raised to them.

    Returns
    -------
    v, and the iterations that were made.
    """
    tolerance = max(tolerance, 4 * torch.finfo(right.dtype).eps)
    v, residual, direction = torch.zeros_like(right), right, right
    size = residual.square().sum(-1, keepdim=True)
    enough = tolerance**2 * size
    for k in range(iterations):
        going = size > enough
        if not bool(going.any()):
            return v, k
        image = product(direction)
        curvature = (direction * image).sum(-1, keepdim=True)
        length = torch.where(going, size / curvature, 0.0)
        v = v + length * direction
        residual = residual - length * image
        before, size = size, residual.square().sum(-1, keepdim=True)
        direction = torch.where(going, residual + size / before * direction, direction)
    return v, iterations


def gauss_newton(
    residual: Callable[[Tensor], Tensor], v: Tensor, outer: int, inner: int, tolerance: float, halvings: int = 4
) -> Minimum:
    """Minimise half of |v|^2 + |r(v)|^2.

    Parameters
    ----------
    residual : r, (..., k) -> (..., p), each row on its own, one that autograd can follow.
    v : (..., k) first guess.
    outer, inner, tolerance : linearisations, iterations in each, and where these end.
    halvings : a step that makes the cost of a row larger, as far from the minimum it can, is halved so many times, and
        then not made.
    """
    costs, gradients, iterations = [], [], []
    for _ in range(outer):
        r, tangent, adjoint = linearise(residual, v)
        cost = _cost(v, r)
        gradient = v + adjoint(r)
        costs.append(cost)
        gradients.append(gradient.norm(dim=-1))
        step, made = conjugate_gradient(lambda w: w + adjoint(tangent(w)), -gradient, inner, tolerance)  # noqa: B023
        iterations.append(made)
        with torch.no_grad():
            for _ in range(halvings + 1):
                worse = ~(_cost(v + step, residual(v + step)) <= cost * (1 + 1e-6))
                if not bool(worse.any()):
                    break
                step = torch.where(worse[..., None], 0.5 * step, step)
            else:
                step = torch.where(worse[..., None], 0.0, step)
        v = v + step
    r, _, adjoint = linearise(residual, v)
    costs.append(_cost(v, r))
    gradients.append((v + adjoint(r)).norm(dim=-1))
    return Minimum(v, torch.stack(costs), torch.stack(gradients), tuple(iterations))


def _cost(v: Tensor, r: Tensor) -> Tensor:
    return 0.5 * (v.square().sum(-1) + r.square().sum(-1))
