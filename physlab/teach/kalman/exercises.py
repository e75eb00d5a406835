"""Exercises of the chapter on one number, one observation and one cycle."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform
from physlab.teach.kalman.worlds import cycle, walk


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


@exercise("predict-steady", wants="number")
def _grade_steady(got: float, generator: torch.Generator) -> str:
    """a number: the gain that a filter settles on, if the truth walks freely (a = 1) and q = r"""
    r = float(uniform((), 0.5, 2.0, generator))
    p = float(uniform((), 0.1, 9.0, generator))
    for _ in range(60):
        p = (p + r) * r / (p + 2 * r)
    settled = p / r
    require(
        abs(got - 0.5) > 0.02,
        f"measured otherwise: you said {got:.2g}. That is the gain for a forecast as good as an observation; but the "
        "forecast starts from an analysis *and* has been pushed since",
    )
    require(
        abs(got - settled) < 0.02,
        f"measured otherwise after sixty cycles: you said {got:.2g}. The forecast has the variance p + r if the "
        "analysis has p; the analysis has k r; both must come out the same in the next cycle",
    )
    return f"measured: {settled:.3f}, from any start. It is the golden section: k + k k = 1"


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


@exercise("one-observation", wants="function")
def _grade_one(answer, generator: torch.Generator) -> str:
    """a function analyse(x (n,), B (n, n), i, y, r) -> (analysis (n,), A (n, n)); y is a value of x[i], variance r"""
    n = 7
    x, B = normal((n,), generator), _covariance(n, generator)
    i = int(torch.randint(0, n, (1,), generator=generator))
    y, r = float(x[i]) + float(uniform((), 1.0, 3.0, generator)), float(uniform((), 0.5, 2.0, generator))
    out = call(answer, x, B, i, y, r)
    require(isinstance(out, tuple | list) and len(out) == 2, "two things are wanted, the analysis and its covariance")
    analysis, A = same_shape(out[0], (n,), "the analysis"), same_shape(out[1], (n, n), "its covariance")
    moved = analysis - x
    others = [k for k in range(n) if k != i]
    require(
        float(moved[others].abs().max()) > 1e-9,
        "only the station itself was corrected: every place whose errors are alike must move with it",
    )
    share = float(moved[i]) / (y - float(x[i]))
    right = float(B[i, i] / (B[i, i] + r))
    require(
        abs(share - 1) > 1e-3 or right > 0.999,
        "the analysis meets the observation exactly, although it has an error of variance r",
    )
    require(abs(share - right) < 1e-3, f"at the station {share:.2f} of the misfit is taken, {right:.2f} is best")
    K = B[:, i] / (B[i, i] + r)
    require(
        torch.allclose(moved, K * (y - x[i]), atol=1e-3),
        "right at the station, wrong elsewhere: the others move by B[k, i] over the same bracket",
    )
    least = torch.linalg.eigvalsh(0.5 * (A + A.mT))[0]
    require(
        not torch.allclose(A, (1 - right) * B, atol=1e-4),
        "every variance was lowered by the same share: a place that has nothing to do with the station learns nothing",
    )
    require(float(least) > -1e-3, "A has a direction of negative variance: more was taken away than there was")
    require(torch.allclose(A, B - torch.outer(K, B[i]), atol=1e-3), "the analysis is right, its covariance is not")
    return "analysis and covariance of the Kalman filter, without inverting a matrix"


@exercise("kalman-cycle", wants="function")
def _grade_cycle(answer, generator: torch.Generator) -> str:
    """a function run(m, p, ys (T,), a, q, r) -> (means (T,), variances (T,)) after each observation"""
    a, q, r = float(uniform((), 0.6, 0.9, generator)), float(uniform((), 0.3, 1.0, generator)), 0.8
    _, ys = walk(a, q, r, steps=12, seed=int(torch.randint(0, 10**6, (1,), generator=generator)))
    out = call(answer, 1.0, 2.0, ys, a, q, r)
    require(isinstance(out, tuple | list) and len(out) == 2, "two rows are wanted: means and variances")
    means, variances = (same_shape(torch.as_tensor(part), (12,), "each row") for part in out)
    right = cycle(1.0, 2.0, ys, a, q, r)
    k = 2.0 / (2.0 + r)
    require(
        not torch.allclose(variances[:1], torch.tensor([(1 - k) * 2.0], dtype=torch.float64), atol=1e-6),
        "the first observation was used before the first forecast: (m, p) is the state of before, step it first",
    )
    if not torch.allclose(variances, right[1], atol=1e-4):
        require(
            not torch.allclose(variances, cycle(1.0, 2.0, ys, a, 0.0, r)[1], atol=1e-4),
            "q is missing: without what the model does not know, the filter becomes sure of itself and stops listening",
        )
        require(
            not torch.allclose(variances, cycle(1.0, 2.0, ys, a**0.5, q, r)[1], atol=1e-4),
            "the variance is multiplied by a; errors shrink by a, and their squares by its square",
        )
        raise Wrong(
            f"the variances are wrong: the first is {variances[0]:.3f}, {float(right[1][0]):.3f} is what is left"
        )
    require(
        torch.allclose(means, right[0], atol=1e-4),
        "the variances are right and the means are not: the mean goes through the model too, m becomes a m",
    )
    return "means and variances of the Kalman filter, step by step"


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


def box(distance: Tensor, length: float) -> Tensor:
    """Errors are alike within a length, and have nothing to do with each other beyond."""
    return (distance <= length).to(distance)


@exercise("mend-the-correlation", wants="function")
def _grade_correlation(answer, generator: torch.Generator) -> str:
    """a function correlation(distance (n, n), length) -> correlations (n, n), for places in a plane"""
    for _ in range(3):
        places = uniform((120, 2), 0.0, 1.0, generator)
        length = float(uniform((), 0.15, 0.3, generator))
        places[0], places[1], places[2] = 0.0, 1.0, 1.0 - 0.1 * length  # some are near, some far, whatever is drawn
        apart = torch.cdist(places, places)
        apart.fill_diagonal_(0.0)
        out = same_shape(call(answer, apart, length), tuple(apart.shape), "the correlations")
        require(
            bool((out.diagonal() - 1).abs().max() < 1e-4), "a place is wholly alike with itself: one at distance zero"
        )
        weight = torch.linalg.eigh(0.5 * (out + out.mT).double())
        least, vector = float(weight.eigenvalues[0]), weight.eigenvectors[:, 0]
        require(
            least > -1e-3,
            f"a weighted sum of the {len(places)} places has the variance {float(vector @ out.double() @ vector):.2f}, "
            "which is negative: no errors can be alike in this way. Corners and flat tops do it; a bell does not",
        )
        near, far = out[(apart > 0) & (apart < 0.3 * length)], out[apart > 4 * length]
        require(
            float(near.min()) > 0.3, "places much nearer than the length are hardly alike: does it decide anything?"
        )
        require(float(far.abs().max()) < 0.1, "places four lengths apart are still alike: let it fall to zero")
    return "positive for every sum of places, one at home, and nothing far away"
