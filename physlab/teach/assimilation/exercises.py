"""Exercises of the chapter on data assimilation: gains, adjoints, sampling errors, and a filter that is too sure."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.teach.check import Wrong, call, exercise, normal, require, same_shape, uniform
from physlab.teach.kalman.exercises import _covariance, _gain

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-sampling", wants="number")
def _grade_sampling(got: float, generator: torch.Generator) -> str:
    """a number: root mean square correlation of ten members at two places that are independent"""
    x, y = normal((2, 20_000, 10), generator)
    x, y = x - x.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
    r = (x * y).sum(-1) / (x.square().sum(-1) * y.square().sum(-1)).sqrt()
    typical = float(r.square().mean().sqrt())
    require(
        abs(got - typical) < 0.03,
        f"measured otherwise with 20,000 ensembles: you said {got:.2g}. The true correlation is zero, but ten "
        "members never show zero: the error falls with the root of their number less one, slowly",
    )
    return f"measured: {typical:.2f}, one over the root of nine. With a hundred members it would still be a tenth"


@exercise("predict-rank", wants="number")
def _grade_rank(got: float, generator: torch.Generator) -> str:
    """a number: in how many directions can ten members correct a state of forty numbers, without localisation?"""
    X = normal((10, 40), generator)
    X = X - X.mean(0)
    rank = int(torch.linalg.matrix_rank(X.mT @ X / 9))
    require(got != 10, "one fewer than you said: the mean of all ten was taken away, and used up one direction")
    require(got != 40, "far fewer: every increment is a mixture of the members' distances from their mean")
    require(abs(got - rank) < 0.5, f"counted otherwise: {got:g} is not the rank of the covariance of ten members")
    return "counted: nine. Localisation breaks this limit, since a matrix multiplied by a bell has full rank"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("localised-gain", wants="function")
def _grade_localised(answer, generator: torch.Generator) -> str:
    """a function gain(X (N, n), at (m,), r, bell (n, n)) -> K (n, m): members X, places `at` are observed, variance r,
    the bell multiplies covariances"""
    N, n = 6, 12
    X, r = normal((N, n), generator), float(uniform((), 0.3, 1.0, generator))
    at = torch.tensor([2, 7])
    X[:, 7] = 0.8 * X[:, 2] + 0.6 * X[:, 7]  # by chance, as six members have it, and enough to be seen
    gap = (torch.arange(n)[:, None] - torch.arange(n)).abs().double()
    bell = (-0.5 * (gap / 1.5) ** 2).exp()
    out = same_shape(call(answer, X, at, r, bell), (n, 2), "the gain")

    def gain(B: Tensor) -> Tensor:
        return B[:, at] @ torch.linalg.inv(B[at][:, at] + r * torch.eye(2, dtype=B.dtype))

    raw = torch.cov(X.mT)
    require(
        not torch.allclose(out, gain(raw), atol=1e-3),
        "the bell was not used: six members still let a station correct places that it knows nothing about",
    )
    require(
        not torch.allclose(out, gain(raw @ bell), atol=1e-3),
        "that is a matrix product with the bell, which smears covariances: multiply element by element",
    )
    require(
        not torch.allclose(out, gain(raw * (N - 1) / N * bell), atol=1e-3),
        "the covariance was divided by N: the mean of the members is one of them too much, divide by N - 1",
    )
    require(
        not torch.allclose(out, gain(raw) * bell[:, at], atol=1e-3),
        "the bell was laid on the gain: within the bracket, the two stations still believe in each other's chance",
    )
    require(torch.allclose(out, gain(raw * bell), atol=1e-3), "not the gain of the covariance under the bell")
    return "the gain of a covariance that is cut to what six members can see"


def upstream(x: Tensor, c: float) -> Tensor:
    """A step of advection towards higher indices on a ring, Courant number c: first order, upstream."""
    return x - c * (x - x.roll(1, -1))


@exercise("adjoint", wants="function")
def _grade_adjoint(answer, generator: torch.Generator) -> str:
    """a function adjoint(y (n,), c) -> the transpose of x - c (x - x.roll(1)), applied to y"""
    c = float(uniform((), 0.2, 0.7, generator))
    x, y = normal((2, 24), generator)
    out = same_shape(call(answer, y, c), (24,), "the adjoint")
    forward = float(upstream(x, c) @ y)
    backward = float(x @ out)
    size = float(x.norm() * y.norm())
    if abs(forward - backward) > 1e-6 * size:
        require(
            not torch.allclose(out, upstream(y, c)),
            f"<Mx, y> = {forward:.4f} and <x, M*y> = {backward:.4f}: that is the model itself. Its matrix takes from "
            "the neighbour on the left; the transpose gives to it",
        )
        undone = torch.linalg.solve(upstream(torch.eye(24, dtype=y.dtype), c).mT, y)
        require(
            not torch.allclose(out, undone),
            f"<Mx, y> = {forward:.4f} and <x, M*y> = {backward:.4f}: that undoes the step. An adjoint is not an "
            "inverse: it carries sensitivities back, and damps what the model damps",
        )
        raise Wrong(f"<Mx, y> = {forward:.4f} and <x, M*y> = {backward:.4f}: which points did each x reach?")
    return f"<Mx, y> = <x, M*y> = {forward:.4f}, to rounding"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("window-gradient", wants="function")
def _grade_window(answer, generator: torch.Generator) -> str:
    """a function gradient(x, xb, B, M, H, R, ys) -> dJ/dx (n,): background xb, linear model M, ys (T, m) at steps 0 to
    T - 1"""
    n, m, T = 5, 2, 4
    B, R = (C / C.diagonal().mean() for C in (_covariance(n, generator), _covariance(m, generator)))
    H, M = normal((m, n), generator), 0.4 * normal((n, n), generator)
    xb, ys = normal((n,), generator), normal((T, m), generator)
    x = xb + B @ normal((n,), generator)  # both parts of the cost count
    out = same_shape(call(answer, x, xb, B, M, H, R, ys), (n,), "the gradient")

    def cost(x: Tensor, background: bool = True, first: int = 0) -> Tensor:
        J = 0.5 * (x - xb) @ torch.linalg.solve(B, x - xb) if background else x.new_zeros(())
        for k, y in enumerate(ys):
            if k >= first:
                J = J + 0.5 * (y - H @ x) @ torch.linalg.solve(R, y - H @ x)
            x = M @ x
        return J

    def slope(**options) -> Tensor:
        z = x.clone().requires_grad_(True)
        return torch.autograd.grad(cost(z, **options), z)[0]

    right = slope()
    size = float(right.norm())
    if float((out - right).norm()) > 1e-4 * size:
        require(
            float((out + right).norm()) > 1e-4 * size,
            "the sign: a descent would climb. The derivative of (y - H x) by x is minus H",
        )
        require(
            float((out - slope(background=False)).norm()) > 1e-4 * size,
            "the background is missing: without it directions that nobody observes are free",
        )
        require(
            float((out - slope(first=T - 1)).norm()) > 1e-4 * size,
            "only the last observation is in it: every time of the window adds its misfit on the way back",
        )
        step = 1e-5 * normal((n,), generator)
        shaken = float(cost(x + step) - cost(x - step)) / 2
        raise Wrong(
            f"shaking the start changes J by {shaken:.3e}, your gradient says {float(out @ step):.3e}: what "
            "is seen at step k was caused through M k times, and goes back through the transpose of M k times"
        )
    return "the same as shaking the start: each misfit went back through the adjoint to what caused it"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def too_sure(ensemble: Tensor, y: Tensor, H: Tensor, r: float) -> Tensor:
    """Every member (N, n) is corrected towards the observations y (m,), of error variance r, by the Kalman gain."""
    X = ensemble - ensemble.mean(0)
    B = X.mT @ X / (len(X) - 1)
    K = B @ H.mT @ torch.linalg.inv(H @ B @ H.mT + r * torch.eye(len(H), dtype=H.dtype))
    return ensemble + (y - ensemble @ H.mT) @ K.mT


@exercise("mend-the-filter", wants="function")
def _grade_filter(answer, generator: torch.Generator) -> str:
    """a function analyse(ensemble (N, n), y (m,), H (m, n), r) -> ensemble; r is the error variance of y"""
    N, n = 40_000, 4
    B, H = _covariance(n, generator), torch.eye(n, dtype=torch.float64)[::2]
    r = float(uniform((), 3.0, 6.0, generator))
    ensemble = normal((N, n), generator) @ torch.linalg.cholesky(B).mT
    y = 2.0 * normal((2,), generator)
    out = same_shape(call(answer, ensemble, y, H, r), (N, n), "the ensemble")
    K = _gain(B, H, r * torch.eye(2, dtype=B.dtype))
    A = B - K @ H @ B
    spread = float((torch.cov(out.mT).trace() / A.trace()).sqrt())
    require(
        spread > 0.97,
        f"the members are too near to each other: their spread is {spread:.2f} of what the Kalman filter leaves. All "
        "meet the same y, as if it were exact and each were right about it; in time they agree, and are wrong",
    )
    require(
        spread < 1.03,
        f"the spread is {spread:.2f} of what the Kalman filter leaves, too large: r is a variance, noise has its root",
    )
    off = float((out.mean(0) - K @ y).norm() / A.trace().sqrt())
    require(off < 0.05, f"the mean is off by {off:.2f} spreads: noise must not move it")
    return f"mean and spread ({spread:.3f} of it) are those of the Kalman filter"
