"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import math

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.sequences.exercises import _gru, published

answer(
    "predict-ghosts",
    2.0,
    Submission("one width", 1.0, "one crest"),
    Submission("four widths", 4.0, "two crests already"),
)

answer(
    "predict-gate",
    0.9**7,
    Submission("a tenth of the start each time", 0.3, "of what is left"),
    Submission("one step", 0.9, "seven times"),
    Submission("all", 1.0, "not what seven steps"),
)


def middle_frame(first: torch.Tensor, last: torch.Tensor, moved: int) -> torch.Tensor:
    """The right answer of 'middle-frame'."""
    return 0.5 * (torch.roll(first, moved // 2, -1) + torch.roll(last, -(moved // 2), -1))


answer(
    "middle-frame",
    middle_frame,
    Submission("linear in time", lambda a, b, n: 0.5 * (a + b), "two ghosts"),
    Submission("sign", lambda a, b, n: middle_frame(a, b, -n), "the wrong way"),
    Submission("whole way", lambda a, b, n: middle_frame(a, b, 2 * n), "half of the distance"),
    Submission("first hour only", lambda a, b, n: torch.roll(a, n // 2, -1), "take both hours"),
)


def _variant(h, e, wb, wg, wk, swap=False, let=True, bend=True, whole=False):
    both = torch.cat([e, h])
    keep, gamma = torch.sigmoid(wb @ both), torch.sigmoid(wg @ both) if let else 1.0
    new = wk @ torch.cat([e, gamma * h])
    new = torch.tanh(new) if bend else new
    if whole:
        return h + (1 - keep) * new
    return (1 - keep) * h + keep * new if swap else keep * h + (1 - keep) * new


answer(
    "gated-step",
    _gru,
    Submission("shares swapped", lambda h, e, wb, wg, wk: _variant(h, e, wb, wg, wk, swap=True), "is *kept*"),
    Submission("no gamma", lambda h, e, wb, wg, wk: _variant(h, e, wb, wg, wk, let=False), "gamma is not used"),
    Submission("no bend", lambda h, e, wb, wg, wk: _variant(h, e, wb, wg, wk, bend=False), "no bend"),
    Submission("adds", lambda h, e, wb, wg, wk: _variant(h, e, wb, wg, wk, whole=True), "added whole"),
)


def _bend(d, s, away=0.5, sign=1.0):
    x = away * d
    return sign * math.exp(-0.5 * (x / s) ** 2) * (x**2 / s**2 - 1) / s**2


answer(
    "middle-bend",
    _bend,
    Submission("whole distance", lambda d, s: _bend(d, s, away=1.0), "away, not d"),
    Submission("sign", lambda d, s: _bend(d, s, sign=-1.0), "bent downwards"),
    Submission("both added", lambda d, s: 2 * _bend(d, s), "the mean is that"),
)


def _residual(before, after, wind, dx, dt, sign=1.0):
    middle = 0.5 * (before + after)
    return (after - before) / dt + sign * wind * (middle.roll(-1) - middle.roll(1)) / (2 * dx)


answer(
    "mend-the-residual",
    _residual,
    Submission("as it came", published, "knows neither"),
    Submission("sign", lambda *given: _residual(*given, sign=-1.0), "instead of cancelling"),
    Submission("only dt", lambda b, a, u, dx, dt: _residual(b, a, u, 1.0, dt), "divide the change by dt"),
    Submission("no wind", lambda b, a, u, dx, dt: _residual(b, a, 0.0, dx, dt), "must cancel"),
)
