"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.score.spectra import radial_spectrum, spectral_divergence
from physlab.teach.answers import Submission, answer
from physlab.teach.phyda.exercises import averaged_first

answer(
    "predict-kept",
    0.96,
    Submission("what is kept of increments", 0.89, "better"),
    Submission("standard deviation for variance", 0.8, "doing nothing"),
    Submission("nothing may be lost", 0.999, "less is enough"),
)

answer(
    "predict-eight",
    1.125,
    Submission("the mean of draws is the mean", 1.0, "sampling error"),
    Submission("a single member", 2.0, "add up"),
    Submission("better with members", 0.125, "add up"),
)


def _guided(D: Tensor, V: Tensor, A: Tensor, R: Tensor, y: Tensor) -> Tensor:
    return D + V @ A.mT @ torch.linalg.solve(A @ V @ A.mT + R, y - A @ D)


answer(
    "guided-mean",
    _guided,
    Submission(
        "observations taken as exact",
        lambda D, V, A, R, y: D + V @ A.mT @ torch.linalg.solve(A @ V @ A.mT, y - A @ D),
        "where is R",
    ),
    Submission(
        "D taken as the truth", lambda D, V, A, R, y: D + V @ A.mT @ torch.linalg.solve(R, y - A @ D), "by R alone"
    ),
    Submission(
        "V left out of the gain",
        lambda D, V, A, R, y: D + A.mT @ torch.linalg.solve(A @ V @ A.mT + R, y - A @ D),
        "gain",
    ),
)


def _relative(R: Tensor, truths: Tensor) -> Tensor:
    return (R - truths.mean(0)) / truths.std(0)


answer(
    "relative-residual",
    _relative,
    Submission("zero is the target", lambda R, truths: R / truths.std(0), "take off what is usual"),
    Submission(
        "one spread for all places",
        lambda R, truths: (R - truths.mean(0)) / (truths - truths.mean(0)).std(),
        "at each place",
    ),
    Submission("nothing is done", lambda R, truths: R, "take off what is usual"),
)

answer(
    "jensen-gap",
    lambda n, s, r: n * r**2 * s**2 / (r**2 + s**2),
    Submission("all of the noise", lambda n, s, r: n * r**2, "prior is known"),
    Submission("one component", lambda n, s, r: r**2 * s**2 / (r**2 + s**2), "each of the n"),
    Submission("no gap", lambda n, s, r: 0.0, "variance that is left"),
)


def _of_each(predictions: Tensor, truths: Tensor) -> Tensor:
    return spectral_divergence(predictions, truths)


answer(
    "mend-the-spectrum",
    _of_each,
    Submission("as it came", averaged_first, "averaged before"),
    Submission(
        "only the predictions one by one",
        lambda p, t: spectral_divergence(p, t.mean(0).expand_as(t)),
        "averaged before",
    ),
    Submission("not normalised", lambda p, t: (radial_spectrum(p)[1] - radial_spectrum(t)[1]).square().sum(), "same"),
)

answer(
    "blind-score",
    lambda truth: truth.roll(truth.shape[-1] // 2, -1),
    Submission("the truth itself", lambda truth: truth, "nearly the error"),
    Submission("a smooth field", lambda truth: 0.5 * (truth + truth.roll(1, -1)), "no counterexample"),
    Submission("another day", lambda truth: truth + truth.roll(7, 0), "no counterexample"),
)
