"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from physlab.teach.answers import Submission, answer
from physlab.teach.gan.exercises import ten_copies

answer(
    "predict-member",
    1.414,
    Submission("no difference", 1.0, "square root of two"),
    Submission("variance for deviation", 2.0, "twice the variance"),
    Submission("a word", "larger", "a number is wanted"),
)

answer(
    "predict-mean-power",
    0.1,
    Submission("averaging keeps power", 1.0, "one part in m"),
    Submission("amplitude for power", 10**-0.5, "add by their squares"),
)


def fair_crps(members: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The right answer of 'member-score': (M, ...) and (...) -> (...)."""
    count = len(members)
    error = (members - truth).abs().mean(0)
    if count == 1:
        return error
    apart = (members[:, None] - members[None]).abs().sum((0, 1))
    return error - apart / (2 * count * (count - 1))


answer(
    "member-score",
    fair_crps,
    Submission("error of the mean", lambda f, o: (f.mean(0) - o).abs(), "ten copies"),
    Submission("no spread", lambda f, o: (f - o).abs().mean(0), "the spread is forgotten"),
    Submission(
        "not fair",
        lambda f, o: (f - o).abs().mean(0) - (f[:, None] - f).abs().mean((0, 1)) / 2,
        "small ensemble is punished",
    ),
    Submission(
        "pairs twice",
        lambda f, o: (f - o).abs().mean(0) - (f[:, None] - f).abs().sum((0, 1)) / max(1, len(f) * (len(f) - 1)),
        "halve it",
    ),
    Submission("averaged over points", lambda f, o: fair_crps(f, o).mean(), "belongs to each point"),
    Submission(
        "divides by zero",
        lambda f, o: (f - o).abs().mean(0) - (f[:, None] - f).abs().sum((0, 1)) / (2 * len(f) * (len(f) - 1)),
        "one member",
    ),
)


def generator_loss(logits: torch.Tensor) -> torch.Tensor:
    """The right answer of 'generator-loss'."""
    return functional.softplus(-logits).mean()


answer(
    "generator-loss",
    generator_loss,
    Submission("min-max form", lambda x: -functional.softplus(x).mean(), "saturates"),
    Submission("the discriminator's term", lambda x: functional.softplus(x).mean(), "being caught"),
    Submission("logarithm of a sigmoid", lambda x: -torch.log(torch.sigmoid(x)).mean(), "not finite"),
    Submission("sum", lambda x: functional.softplus(-x).sum(), "take the mean"),
    Submission("least squares", lambda x: ((x - 1) ** 2).mean(), "not ln 2"),
)


answer(
    "spread-factor",
    lambda count: math.sqrt((count + 1) / count),
    Submission("none", lambda count: 1.0, "has variance s^2 / m too"),
    Submission("no root", lambda count: (count + 1) / count, "take the root"),
    Submission("upside down", lambda count: math.sqrt(count / (count + 1)), "upside down"),
)


def ensemble(generate, coarse, members, generator):
    """The right answer of 'mend-the-ensemble'."""
    shape = (len(coarse), 4, *coarse.shape[-2:])
    return torch.stack([generate(coarse, torch.randn(shape, generator=generator)) for _ in range(members)])


answer(
    "mend-the-ensemble",
    ensemble,
    Submission("ten copies", ten_copies, "copies of one another"),
    Submission(
        "seed in the loop",
        lambda g, x, m, r: torch.cat([ensemble(g, x, 1, torch.Generator().manual_seed(0)) for _ in range(m)]),
        "copies of one another",
    ),
    Submission(
        "one noise for the batch",
        lambda g, x, m, r: torch.stack(
            [g(x, torch.randn((1, 4, *x.shape[-2:]), generator=r).expand(len(x), -1, -1, -1)) for _ in range(m)]
        ),
        "share one noise",
    ),
    Submission("global state", lambda g, x, m, r: ensemble(g, x, m, None), "global state"),
    Submission(
        "own seed", lambda g, x, m, r: ensemble(g, x, m, torch.Generator().manual_seed(1)), "a seed is set inside"
    ),
    Submission(
        "averaged over the batch",
        lambda g, x, m, r: ensemble(g, x, m, r).mean(1),
        "the ensemble (members, samples, 1, h, w)",
    ),
    Submission(
        "members are means",
        lambda g, x, m, r: ensemble(g, x, 16 * m, r).unflatten(0, (m, 16)).mean(1),
        "they were averaged",
    ),
)
