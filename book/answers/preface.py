"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.grid import coarsen
from physlab.teach.answers import Submission, answer


def _mixed(x: torch.Tensor, n: int) -> torch.Tensor:
    *lead, h, w = x.shape
    return x.reshape(*lead, n, h // n, n, w // n).mean((-4, -2))


answer(
    "coarsen",
    lambda x, n: x.reshape(*x.shape[:-2], x.shape[-2] // n, n, x.shape[-1] // n, n).mean((-3, -1)),
    Submission("block sum", lambda x, n: x.unflatten(-1, (-1, n)).sum(-1).unflatten(-2, (-1, n)).sum(-2), "block sum"),
    Submission("sub-sampling", lambda x, n: x[..., ::n, ::n], "one cell per block"),
    Submission("axes swapped", _mixed, "mixed up"),
    Submission("one direction only", lambda x, n: x.reshape(*x.shape[:-1], -1, n).mean(-1), "shape"),
)

answer(
    "log-rain",
    lambda x, n: coarsen(torch.expm1(x), n),
    Submission("mean of logarithms", lambda x, n: torch.expm1(coarsen(x, n)), "before averaging"),
    Submission("stays in logarithms", lambda x, n: coarsen(x, n), "of the rain is lost"),
    Submission("exp for expm1", lambda x, n: coarsen(torch.exp(x), n), "expm1"),
)

answer(
    "predict-order",
    ["nearest", "bicubic", "bicubic+add"],
    Submission("layer hurts", ["nearest", "bicubic+add", "bicubic"], "can only lower"),
    Submission("nearest best", ["bicubic", "bicubic+add", "nearest"], "neighbouring blocks"),
    Submission("incomplete", ["nearest"], "three names"),
)
