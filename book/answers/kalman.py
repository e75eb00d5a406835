"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.kalman.exercises import _gain, box

answer(
    "predict-neighbour",
    0.64,
    Submission("correlation not squared", 0.4, "squared"),
    Submission("everything is known", 0.0, "in common"),
    Submission("nothing is learnt", 1.0, "in common"),
)

answer(
    "predict-steady",
    (5**0.5 - 1) / 2,
    Submission("one half", 0.5, "has been pushed since"),
    Submission("everything", 1.0, "next cycle"),
    Submission("nothing", 0.0, "next cycle"),
)

answer(
    "kalman-gain",
    _gain,
    Submission("R forgotten", lambda B, H, R: B @ H.mT @ torch.linalg.inv(H @ B @ H.mT), "know nothing"),
    Submission("weights swapped", lambda B, H, R: H.mT @ R @ torch.linalg.inv(H @ B @ H.mT + R), "exactly"),
    Submission(
        "correlations of R ignored",
        lambda B, H, R: B @ H.mT @ torch.linalg.inv(H @ B @ H.mT + torch.diag(R.diagonal())),
        "correlations",
    ),
)


def _one(x, B, i, y, r):
    K = B[:, i] / (B[i, i] + r)
    return x + K * (y - x[i]), B - torch.outer(K, B[i])


def _station_only(x, B, i, y, r):
    out, A = x.clone(), B.clone()
    k = B[i, i] / (B[i, i] + r)
    out[i] = x[i] + k * (y - x[i])
    A[i, i] = (1 - k) * B[i, i]
    return out, A


def _same_share(x, B, i, y, r):
    k = B[i, i] / (B[i, i] + r)
    return _one(x, B, i, y, r)[0], (1 - k) * B


def _as_correlation(x, B, i, y, r):
    k = B[i, i] / (B[i, i] + r)
    alike = B[:, i] / (B.diagonal() * B[i, i]) ** 0.5
    return x + k * alike * (y - x[i]), _one(x, B, i, y, r)[1]


answer(
    "one-observation",
    _one,
    Submission("only the station", _station_only, "only the station"),
    Submission("believes it", lambda x, B, i, y, r: _one(x, B, i, y, 0.0), "exactly"),
    Submission("adds deviations", lambda x, B, i, y, r: _one(x, B, i, y, r**2 + 1), "is best"),
    Submission("same share everywhere", _same_share, "the same share"),
    Submission("correlation for covariance", _as_correlation, "wrong elsewhere"),
)


def _cycle(m, p, ys, a, q, r, late=False, grow=2, carry=True):
    means, variances = [], []
    for y in ys:
        if not late:
            m, p = (a * m if carry else m), a**grow * p + q
        k = p / (p + r)
        m, p = m + k * (y - m), (1 - k) * p
        means.append(torch.as_tensor(m))
        variances.append(torch.as_tensor(p))
        if late:
            m, p = a * m, a**grow * p + q
    return torch.stack(means), torch.stack(variances)


answer(
    "kalman-cycle",
    _cycle,
    Submission("no q", lambda m, p, ys, a, q, r: _cycle(m, p, ys, a, 0.0, r), "stops listening"),
    Submission("a once", lambda *given: _cycle(*given, grow=1), "squares by its square"),
    Submission("observation first", lambda *given: _cycle(*given, late=True), "step it first"),
    Submission("mean stays", lambda *given: _cycle(*given, carry=False), "m becomes a m"),
)

answer(
    "any-weight",
    lambda k, b, r: (1 - k) ** 2 * b + k**2 * r,
    Submission("formula of the optimum", lambda k, b, r: (1 - k) * b, "only for the best weight"),
    Submission("not squared", lambda k, b, r: (1 - k) * b + k * r, "square it"),
)


answer(
    "mend-the-correlation",
    lambda distance, length: (-0.5 * (distance / length) ** 2).exp(),
    Submission("as it came", box, "negative"),
    Submission("a parabola with a corner", lambda d, L: (1 - (d / (2 * L)) ** 2).clamp(min=0), "negative"),
    Submission("only itself", lambda d, L: (d == 0).to(d), "hardly alike"),
    Submission("everything", lambda d, L: torch.ones_like(d), "four lengths apart"),
)
