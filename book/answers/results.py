"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from physlab.constrain import conservation_penalty, soft_loss
from physlab.teach.answers import Submission, answer
from physlab.teach.report import implied_crps
from physlab.teach.results.artefacts import broken_crps, report_generator_loss
from physlab.teach.results.exercises import lottery_share


def mended_loss(made: Tensor, truth: Tensor, coarse: Tensor, verdict: Tensor, soft: bool, alpha: float) -> Tensor:
    """The right answer of 'mend-the-loss'."""
    pixel = functional.mse_loss(made, truth)
    if soft:
        pixel = soft_loss(pixel, conservation_penalty(made, coarse, made.shape[-1] // coarse.shape[-1]), alpha)
    return pixel + 1e-4 * functional.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))


def _near(low: float, high: float) -> float:
    share = lottery_share()
    return low if abs(share - low) > 25 else high


class _Live(float):
    """A number that is computed when it is used: the right answer depends on the shipped table."""

    make: Callable[[], float]

    def __new__(cls, make):
        self = super().__new__(cls, 0.0)
        self.make = make
        return self

    def __float__(self) -> float:
        return float(self.make())


answer(
    "predict-lottery",
    _Live(lottery_share),
    Submission("far off", _Live(lambda: _near(0.0, 100.0)), "pure chance would give"),
    Submission("more than all", 120.0, "between 0 and 100"),
    Submission("a word", "most", "a number is wanted"),
)

answer(
    "predict-residual",
    -7.0,
    Submission("depends on training", -1.0, "rounding"),
    Submission("exact", -16.0, "float32"),
    Submission("zero", 0.0, "24 bits"),
)


def fair_crps(members: Tensor, truth: Tensor) -> Tensor:
    """The right answer of 'fair-crps'."""
    error = (members - truth).abs().mean(0)
    count = len(members)
    apart = (members[:, None] - members).abs().sum((0, 1))
    return error - apart / (2 * count * (count - 1)) if count > 1 else error


answer(
    "fair-crps",
    fair_crps,
    Submission(
        "divided by the width",
        lambda f, o: torch.stack([broken_crps(f[:, i : i + 1], o[i : i + 1], 128) for i in range(len(o))]),
        "ten copies of one member",
    ),
    Submission("spread forgotten", lambda f, o: (f - o).abs().mean(0), "spread of the members is missing"),
    Submission(
        "divided by M squared",
        lambda f, o: (f - o).abs().mean(0) - 0.5 * (f[:, None] - f).abs().mean((0, 1)),
        "m(m - 1)",
    ),
    Submission("averaged", lambda f, o: fair_crps(f, o).mean(), "one score for each point"),
    Submission("error of the mean", lambda f, o: (f.mean(0) - o).abs(), "two members"),
)


def more_than_chance(a: Sequence[float], b: Sequence[float]) -> bool:
    """The right answer of 'more-than-chance': Welch's test at 5 %."""
    from scipy.stats import ttest_ind

    return bool(ttest_ind(a, b, equal_var=False).pvalue < 0.05)


answer(
    "more-than-chance",
    more_than_chance,
    Submission("the smaller mean wins", lambda a, b: sum(a) != sum(b), "differ by nothing but the seed"),
    Submission("one seed each", lambda a, b: abs(a[0] - b[0]) > 0.01, "differ by nothing but the seed"),
    Submission("bars do not touch", lambda a, b: max(a) < min(b) or max(b) < min(a), "differ by nothing but"),
    Submission("never", lambda a, b: False, "finds nothing"),
    Submission("a difference", lambda a, b: sum(a) - sum(b), "true or false"),
)

answer(
    "broken-crps",
    implied_crps,
    Submission("the right score", lambda mae, b, m, w: mae, "correct crps"),
    Submission("bias of the other sign", lambda mae, b, m, w: implied_crps(mae, -b, m, w), "swapped"),
    Submission("one side dropped", lambda mae, b, m, w: (mae - b) / 2, "nearly"),
    Submission("half", lambda mae, b, m, w: mae / 2, "positive and its negative part"),
)

answer(
    "mend-the-loss",
    mended_loss,
    Submission("as published", lambda m, t, c, v, soft, a: report_generator_loss(m, t, c, v, soft), "told nothing"),
    Submission(
        "penalty of the truth",
        lambda m, t, c, v, soft, a: mended_loss(m, t, c, v, False, a) + soft * conservation_penalty(t, c, 4),
        "told nothing",
    ),
    Submission(
        "added, not shared",
        lambda m, t, c, v, soft, a: (
            mended_loss(m, t, c, v, False, a) + (a * conservation_penalty(m, c, 4) if soft else 0)
        ),
        "not that of alpha",
    ),
    Submission("always soft", lambda m, t, c, v, soft, a: mended_loss(m, t, c, v, True, a), "told nothing"),
    Submission("a number", lambda m, t, c, v, soft, a: 1.0, "no gradient"),
)
