"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.diffusion.exercises import wide_ancestor

answer(
    "predict-half",
    3.0,
    Submission("one, whatever the spread", 1.0, "more than half"),
    Submission("the variance", 9.0, "less than half"),
    Submission("no noise", 0.0, "above zero"),
)
answer(
    "predict-steps",
    "narrow",
    Submission("wide", "wide", "slope of the start"),
    Submission("right", "right", "slope of the start"),
)


def _loss(network, clean, r, noise):
    return (network(clean + r[:, None] * noise, r) - clean).square().mean()


answer(
    "denoising-loss",
    _loss,
    Submission("names the noise", lambda f, x, r, n: (f(x + r[:, None] * n, r) - n).square().mean(), "with the noise"),
    Submission("no scaling", lambda f, x, r, n: (f(x + n, r) - x).square().mean(), "not scaled"),
    Submission("clean input", lambda f, x, r, n: (f(x, r) - x).square().mean(), "nothing to learn"),
    Submission("its input", lambda f, x, r, n: (
        f(x + r[:, None] * n, r) - x - r[:, None] * n).square().mean(), "leave the noise in"),
    Submission("sum", lambda *a: _loss(*a) * a[1].numel(), "take the mean"),
)  # fmt: skip

answer(
    "tweedie",
    lambda D, x, a, s: (a * D - x) / s**2,
    Submission("sign", lambda D, x, a, s: (x - a * D) / s**2, "uphill"),
    Submission("no alpha", lambda D, x, a, s: (D - x) / s**2, "alpha is missing"),
    Submission("no square", lambda D, x, a, s: (a * D - x) / s, "instead of its square"),
)


def _heun(denoise, u, levels, euler=False):
    for r, s in pairwise(levels.tolist()):
        slope = (u - denoise(u, r)) / r
        end = u + (s - r) * slope
        if s > 0 and not euler:
            slope = 0.5 * (slope + (end - denoise(end, s)) / s)
        u = u + (s - r) * slope
    return u


def _always(denoise, u, levels):
    for r, s in pairwise(levels.tolist()):
        slope = (u - denoise(u, r)) / r
        end = u + (s - r) * slope
        u = u + (s - r) * 0.5 * (slope + (end - denoise(end, s)) / torch.tensor(s))
    return u


def _same_level(denoise, u, levels):
    for r, s in pairwise(levels.tolist()):
        slope = (u - denoise(u, r)) / r
        end = u + (s - r) * slope
        if s > 0:
            slope = 0.5 * (slope + (end - denoise(end, r)) / r)
        u = u + (s - r) * slope
    return u


answer(
    "heun",
    _heun,
    Submission("Euler", lambda *a: _heun(*a, euler=True), "this is Euler"),
    Submission("divides by the last level", _always, "last step has one slope"),
    Submission("stops early", lambda d, u, g: _heun(d, u, g[:-1]), "last step is missing"),
    Submission("level of the start", _same_level, "level s of the end"),
)
answer(
    "two-points",
    lambda u, r: torch.tanh(u / r**2),
    Submission("the nearest", lambda u, r: torch.sign(u), "not the mean"),
    Submission("no square", lambda u, r: torch.tanh(u / r), "instead of its square"),
    Submission("a bell", lambda u, r: u / (1 + r**2), "no bell"),
    Submission("twice", lambda u, r: torch.tanh(2 * u / r**2), "twice too sure"),
)


def _ancestor(denoise, u, r, s, noise):
    clean = denoise(u, r)
    return clean + (s / r) ** 2 * (u - clean) + s * math.sqrt(1 - (s / r) ** 2) * noise


answer(
    "mend-the-ancestor",
    _ancestor,
    Submission("too wide", wide_ancestor, "by their variances"),
    Submission("no new noise", lambda d, u, r, s, n: d(u, r) + (s / r) * (u - d(u, r)), "fraction"),
    Submission("nothing kept", lambda d, u, r, s, n: d(u, r) + s * n, "nothing is remembered"),
    Submission("too calm", lambda d, u, r, s, n: d(u, r) + (s / r) ** 2 * (u - d(u, r)), "too calm"),
)
