"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.teach.answers import Submission, answer
from physlab.teach.assimilation.exercises import too_sure, upstream

answer(
    "predict-sampling",
    1 / 3,
    Submission("zero, as it should be", 0.0, "never show zero"),
    Submission("one over N", 0.1, "root of their number"),
)

answer(
    "predict-rank",
    9,
    Submission("all members", 10, "used up one direction"),
    Submission("the whole state", 40, "far fewer"),
    Submission("none", 0, "counted otherwise"),
)


def _localised(change):
    def gain(X, at, r, bell):
        B = change(torch.cov(X.mT), bell, len(X))
        return B[:, at] @ torch.linalg.inv(B[at][:, at] + r * torch.eye(len(at), dtype=B.dtype))

    return gain


_raw = _localised(lambda B, bell, N: B)
answer(
    "localised-gain",
    _localised(lambda B, bell, N: B * bell),
    Submission("no bell", _raw, "not used"),
    Submission("matrix product", _localised(lambda B, bell, N: B @ bell), "element by element"),
    Submission("divided by N", _localised(lambda B, bell, N: B * bell * (N - 1) / N), "divide by N - 1"),
    Submission("bell on the gain", lambda X, at, r, bell: _raw(X, at, r, bell) * bell[:, at], "laid on the gain"),
)


def _window(x, xb, B, M, H, R, ys, back=lambda M: M.mT, background=True, first=0):
    states = [x]
    for _ in ys[1:]:
        states.append(M @ states[-1])
    carried = torch.zeros_like(x)
    for k in range(len(ys) - 1, -1, -1):
        carried = back(M) @ carried
        if k >= first:
            carried = carried - H.mT @ torch.linalg.solve(R, ys[k] - H @ states[k])
    return carried + (torch.linalg.solve(B, x - xb) if background else 0)


answer(
    "window-gradient",
    _window,
    Submission("sign", lambda *given: -_window(*given), "would climb"),
    Submission("no background", lambda *given: _window(*given, background=False), "background is missing"),
    Submission("the model, not its transpose", lambda *given: _window(*given, back=lambda M: M), "transpose of M"),
    Submission("last time only", lambda x, xb, B, M, H, R, ys: _window(
        x, xb, B, M, H, R, ys, first=len(ys) - 1), "last observation"),
)  # fmt: skip


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
