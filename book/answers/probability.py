"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import math

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.probability.exercises import loose_bound

answer(
    "predict-base-rate",
    0.009 / (0.009 + 0.0495),
    Submission("the hit rate", 0.9, "too sure"),
    Submission("the base rate", 0.01, "not sure enough"),
)
answer(
    "predict-outside",
    0.2,
    Submission("never", 0.0, "first or the last"),
    Submission("two in nine", 2 / 9, "first or the last"),
)


def _loss(mean, log_std, y, half=0.5, width=1.0, constant=1.0):
    z = (y - mean) / log_std.exp()
    return (half * z**2 + width * log_std + constant * 0.5 * math.log(2 * math.pi)).mean()


answer(
    "gaussian-loss",
    _loss,
    Submission("no price of width", lambda *a: _loss(*a, width=0.0), "widest one wins"),
    Submission("no constant", lambda *a: _loss(*a, constant=0.0), "two pi"),
    Submission("no half", lambda *a: _loss(*a, half=1.0), "half before"),
    Submission("sign", lambda *a: -_loss(*a), "sign"),
)


def _ranks(members, truth):
    rank = (members < truth).sum(0)
    return torch.stack([(rank == k).double().mean() for k in range(len(members) + 1)])


answer(
    "count-ranks",
    _ranks,
    Submission("above", lambda m, t: _ranks(m, t).flip(0), "upside down"),
    Submission("counts", lambda m, t: len(t) * _ranks(m, t), "divide"),
    Submission("last rank lost", lambda m, t: _ranks(m, t)[:-1], "shape"),
)


def _stairs(members, truth):
    corners = torch.cat([members, torch.as_tensor([truth], dtype=members.dtype)]).sort().values
    left = corners[:-1]
    share = (members[:, None] <= left).to(members).mean(0) - (truth <= left).to(members)
    return (corners.diff() * share**2).sum()


def _fair(members, truth):
    count = len(members)
    pairs = (members[:, None] - members).abs().sum() / (2 * count * max(1, count - 1))
    return (members - truth).abs().mean() - pairs


answer(
    "staircase",
    _stairs,
    Submission("absolute error", lambda m, t: (m - t).abs().mean(), "not rewarded"),
    Submission("error of the mean", lambda m, t: (m.mean() - t).abs(), "one step"),
    Submission("the fair score", _fair, "fair score"),
)


def _kl(m1, s1, m2, s2):
    return math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5


answer(
    "divergence-of-bells",
    _kl,
    Submission("other direction", lambda a, b, c, d: _kl(c, d, a, b), "other direction"),
    Submission("a half too much", lambda *a: _kl(*a) + 0.5, "one half"),
    Submission("no distance", lambda a, b, c, d: _kl(a, b, a, d), "different places"),
)


def _bound(log_likelihood, mean, std, noise):
    return log_likelihood(mean + std * noise).mean() - 0.5 * (mean**2 + std**2 - 1 - 2 * std.log())


answer(
    "mend-the-bound",
    _bound,
    Submission("as it was", loose_bound, "no bound"),
    Submission("the price added", lambda f, m, s, n: f(m + s * n).mean() + 0.5 * (
        m**2 + s**2 - 1 - 2 * s.log()), "log evidence"),
    Submission("no price", lambda f, m, s, n: f(m + s * n).mean(), "no bound"),
)  # fmt: skip
