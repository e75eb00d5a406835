"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.training.exercises import leaky

answer(
    "predict-rate",
    0.5,
    Submission("one over the curvature", 0.25, "still converges"),
    Submission("the curvature is forgotten", 2.0, "runs away"),
    Submission("uphill", -0.5, "uphill"),
)

answer(
    "predict-lucky",
    1.87,
    Submission("no bias", 0.0, "because it was lucky"),
    Submission("too much", 3.0, "one part in twenty"),
)


def _rolled(field, kernel, sign=-1, swap=False):
    out = torch.zeros_like(field)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            weight = kernel[j + 1, i + 1] if swap else kernel[i + 1, j + 1]
            out = out + weight * field.roll((sign * i, sign * j), (0, 1))
    return out


def _islands(field, kernel):
    wide = torch.nn.functional.pad(field, (1, 1, 1, 1))
    return torch.nn.functional.conv2d(wide[None, None], kernel[None, None].to(field))[0, 0]


answer(
    "convolve",
    _rolled,
    Submission("mirrored", lambda f, k: _rolled(f, k, 1), "mirrored"),
    Submission("transposed", lambda f, k: _rolled(f, k, swap=True), "swapped"),
    Submission("zeros outside", _islands, "edges"),
    Submission("middle alone", lambda f, k: k[1, 1] * f, "edges"),
)


def _train(x, y, steps, rate, forget=True, scale=1.0, sign=-1.0, extra=0):
    w = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    for _ in range(steps + extra):
        if forget:
            w.grad = None
        loss = scale * (x @ w - y).square().mean()
        loss.backward()
        with torch.no_grad():
            w += sign * rate * w.grad
    return w.detach()


answer(
    "training-loop",
    _train,
    Submission("gradients pile up", lambda x, y, n, r: _train(x, y, n, r, forget=False), "set them to zero"),
    Submission("uphill", lambda x, y, n, r: _train(x, y, n, r, sign=1.0), "uphill"),
    Submission("sum of squares", lambda x, y, n, r: _train(x, y, n, r, scale=float(len(x))), "take the mean"),
    Submission("no step", lambda x, y, n, r: torch.zeros(x.shape[1]), "still zero"),
    Submission("one step too many", lambda x, y, n, r: _train(x, y, n, r, extra=1), "one step too many"),
    Submission("one step", lambda x, y, n, r: _train(x, y, 1, r), "only one step"),
)


def _keep(validation, patience):
    best = 0
    for k, value in enumerate(validation):
        if value < validation[best]:
            best = k
        elif k - best >= patience:
            break
    return best


answer(
    "early-stopping",
    _keep,
    Submission("the last", lambda v, p: len(v) - 1, "forgotten"),
    Submission("the whole curve", lambda v, p: min(range(len(v)), key=v.__getitem__), "never saw"),
    Submission("where it stopped", lambda v, p: _keep(v, p) + p, "training stopped"),
)


def _slopes(w, b, v, x, y):
    unit = (w * x + b).clamp(min=0)
    error, on = v * unit - y, (w * x + b > 0).to(x)
    return (2 * error * v * on * x).mean(), (2 * error * v * on).mean(), (2 * error * unit).mean()


def _gateless(w, b, v, x, y):
    unit = (w * x + b).clamp(min=0)
    error = v * unit - y
    return (2 * error * v * x).mean(), (2 * error * v).mean(), (2 * error * unit).mean()


answer(
    "chain-rule",
    _slopes,
    Submission("gate forgotten", _gateless, "gate"),
    Submission("square forgotten", lambda *a: tuple(g / 2 for g in _slopes(*a)), "half"),
    Submission("wrong sign", lambda *a: tuple(-g for g in _slopes(*a)), "sign"),
    Submission("sums", lambda *a: tuple(g * len(a[3]) for g in _slopes(*a)), "sum over samples"),
    Submission("v forgotten", lambda w, b, v, x, y: tuple(
        g / (v if k < 2 else 1) for k, g in enumerate(_slopes(w, b, v, x, y))), "through v"),
)  # fmt: skip

answer(
    "mend-the-scaling",
    lambda train, test: ((train - train.mean()) / train.std(), (test - train.mean()) / train.std()),
    Submission("all together", leaky, "put together"),
    Submission("each by itself", lambda a, b: ((a - a.mean()) / a.std(), (b - b.mean()) / b.std()), "nobody knows"),
    Submission(
        "cell by cell", lambda a, b: ((a - a.mean(0)) / a.std(0), (b - a.mean(0)) / a.std(0)), "one mean for each cell"
    ),
)
