"""Exercises of the chapter on data assimilation: gains, adjoints, sampling errors, and a filter that is too sure."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform


def _covariance(n: int, generator: torch.Generator) -> Tensor:
    root = normal((n, n), generator)
    return root @ root.mT + 0.5 * torch.eye(n, dtype=torch.float64)


# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-neighbour", wants="number")
def _grade_neighbour(got: float, generator: torch.Generator) -> str:
    """a number: share of the error variance left at a neighbour with correlation 0.6, the station being exact"""
    here, other = normal((2, 200_000), generator)
    there = 0.6 * here + 0.8 * other  # forecast errors of unit variance, correlation 0.6
    slope = float((here * there).mean() / here.square().mean())
    left = float((there - slope * here).square().mean())
    require(
        abs(got - 0.4) > 0.02,
        f"measured otherwise: you said {got:.2g}. A correlation explains its squared value of the variance; the "
        "rest stays",
    )
    require(
        abs(got - left) < 0.03,
        f"measured otherwise with 200,000 forecasts: you said {got:.2g}. The exact "
        "observation removes all error at its own place, and elsewhere what the two places have in common",
    )
    return f"measured: {left:.2f}. A neighbour with correlation 0.6 learns a third of what there is to know"


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


# ---- code -----------------------------------------------------------------------------------------------------------


def _gain(B: Tensor, H: Tensor, R: Tensor) -> Tensor:
    return B @ H.mT @ torch.linalg.inv(H @ B @ H.mT + R)


@exercise("kalman-gain", wants="function")
def _grade_gain(answer, generator: torch.Generator) -> str:
    """a function gain(B (n, n), H (m, n), R (m, m)) -> K (n, m)"""
    n, m = 6, 3
    B, H, R = _covariance(n, generator), normal((m, n), generator), _covariance(m, generator)
    out = same_shape(call(answer, B, H, R), (n, m), "the gain")
    tiny = same_shape(call(answer, B, H, 1e-10 * R), (n, m), "the gain")
    require(
        torch.allclose(H @ tiny, torch.eye(m, dtype=B.dtype), atol=1e-4),
        "exact observations (R near zero) must be met exactly, H K = 1, and yours are not: does the gain grow when the "
        "forecast is poor?",
    )
    vague = same_shape(call(answer, B, H, 1e10 * R), (n, m), "the gain")
    require(float(vague.abs().max()) < 1e-4, "observations that know nothing (R huge) still move the state")
    step = torch.eye(n, dtype=B.dtype) - out @ H
    variance = (step @ B @ step.mT + out @ R @ out.mT).trace()
    best = torch.eye(n, dtype=B.dtype) - _gain(B, H, R) @ H
    lowest = (best @ B).trace()
    require(
        float(variance) < float(lowest) * (1 + 1e-6),
        f"the analysis error has a variance of {float(variance):.3g}, and {float(lowest):.3g} is possible: are the "
        "errors of forecast and observations added up at the stations, with their correlations?",
    )
    return f"exact for exact observations, silent for useless ones, and of least variance ({float(lowest):.3g})"


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


@exercise("any-weight", wants="function")
def _grade_variance(answer, generator: torch.Generator) -> str:
    """a function variance(k, b, r) -> error variance of x_b + k (y - x_b); b and r are the variances"""
    for _ in range(4):
        k = float(uniform((), 0.05, 0.95, generator))
        b, r = (float(uniform((), 0.5, 3.0, generator)) for _ in range(2))
        eb, eo = normal((2, 200_000), generator)
        measured = float(((1 - k) * b * eb + k * r * eo).square().mean())
        got = number(call(answer, k, b * b, r * r))
        if abs(got - measured) > 0.03 * measured:
            case = f"weight {k:.2f}, variances {b * b:.2f}, {r * r:.2f}: measured {measured:.3f}, you have {got:.3f}"
            require(
                abs(got - (1 - k) * b * b) > 1e-9,
                f"{case}. (1 - k) times the variance holds only for the best weight, and this one is not",
            )
            raise Wrong(f"{case}. The error is (1 - k) e_b + k e_o: square it, and let the mean of e_b e_o vanish")
    best = uniform((), 0.5, 3.0, generator)
    return f"right for any weight; at the best one it is (1 - k) times that of the forecast (say, {float(best):.2f})"


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
