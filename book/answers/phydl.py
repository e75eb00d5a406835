"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.phydl.exercises import _count, published_penalty

answer(
    "predict-absorbed",
    0.0,
    Submission("noise cannot be explained", 1.0, "as many free numbers"),
    Submission("half of it", 0.5, "says nothing about nature"),
)

answer(
    "predict-frame",
    0.0,
    Submission("the law has -1", -1.0, "same frame"),
    Submission("the wrong sign", 1.0, "mean wind"),
)


def _right_bend(value, slope, bend):
    return -torch.sin(value) * slope**2 + torch.cos(value) * bend


answer(
    "second-derivative",
    _right_bend,
    Submission("first part lost", lambda h, d, e: torch.cos(h) * e, "straight line"),
    Submission("second part lost", lambda h, d, e: -torch.sin(h) * d**2, "of the argument is missing"),
    Submission("slope not squared", lambda h, d, e: -torch.sin(h) * d + torch.cos(h) * e, "squared"),
    Submission("sign", lambda h, d, e: torch.sin(h) * d**2 + torch.cos(h) * e, "minus the sine"),
)

answer(
    "advection-residual",
    lambda c_t, u, v, c_x, c_y: c_t + u * c_x + v * c_y,
    Submission("sign", lambda c_t, u, v, c_x, c_y: c_t - u * c_x - v * c_y, "sign of the advection"),
    Submission("one direction", lambda c_t, u, v, c_x, c_y: c_t + u * c_x, "south"),
    Submission("swapped", lambda c_t, u, v, c_x, c_y: c_t + v * c_x + u * c_y, "u goes with"),
    Submission("nothing", lambda c_t, u, v, c_x, c_y: 0 * c_t, "nothing is asked"),
)

answer(
    "parameter-count",
    _count,
    Submission("no biases", lambda w, d, v: 3 * w + (d - 1) * w * w + w * v, "bias"),
    Submission("one matrix too many", lambda w, d, v: _count(w, d, v) + (w + 1) * w, "matrices"),
)

answer(
    "mend-the-penalty",
    lambda r: r.square().mean(),
    Submission("as published", published_penalty, "no lower bound"),
    Submission("absolute mean", lambda r: r.mean().abs(), "cancel"),
    Submission("root of the mean square", lambda r: r.square().mean().sqrt(), "no slope at zero"),
    Submission("a float", lambda r: float(r.square().mean()), "as a tensor"),
)
