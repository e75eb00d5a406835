"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.teach.answers import Submission, answer
from physlab.teach.assimilation.exercises import _gain, too_sure, upstream

answer(
    "predict-neighbour",
    0.64,
    Submission("correlation not squared", 0.4, "squared"),
    Submission("everything is known", 0.0, "in common"),
    Submission("nothing is learnt", 1.0, "in common"),
)

answer(
    "predict-sampling",
    1 / 3,
    Submission("zero, as it should be", 0.0, "never show zero"),
    Submission("one over N", 0.1, "root of their number"),
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


def _upstream_adjoint(y: Tensor, c: float) -> Tensor:
    return y - c * (y - y.roll(-1, -1))


answer(
    "adjoint",
    _upstream_adjoint,
    Submission("the model itself", upstream, "model itself"),
    Submission("sign of the flow only", lambda y, c: y + c * (y - y.roll(1)), "which points"),
    Submission(
        "the inverse",
        lambda y, c: torch.linalg.solve(upstream(torch.eye(24, dtype=y.dtype), c).mT, y),
        "not an inverse",
    ),
)

answer(
    "any-weight",
    lambda k, b, r: (1 - k) ** 2 * b + k**2 * r,
    Submission("formula of the optimum", lambda k, b, r: (1 - k) * b, "only for the best weight"),
    Submission("not squared", lambda k, b, r: (1 - k) * b + k * r, "square it"),
)


def _perturbed(factor, one=False):
    def filtered(ensemble: Tensor, y: Tensor, H: Tensor, r: float) -> Tensor:
        X = ensemble - ensemble.mean(0)
        B = X.mT @ X / (len(X) - 1)
        K = B @ H.mT @ torch.linalg.inv(H @ B @ H.mT + r * torch.eye(len(H), dtype=H.dtype))
        noise = factor(r) * torch.randn(1 if one else len(X), len(y), dtype=y.dtype)
        return ensemble + (y + noise - ensemble @ H.mT) @ K.mT

    return filtered


answer(
    "mend-the-filter",
    _perturbed(lambda r: r**0.5),
    Submission("as it came", too_sure, "too near to each other"),
    Submission("one draw for all members", _perturbed(lambda r: r**0.5, one=True), "too near to each other"),
    Submission("the variance as a deviation", _perturbed(lambda r: r), "has its root"),
)
