"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.teach.answers import Submission, answer
from physlab.teach.statistical.exercises import KINDS


def ridge(x: torch.Tensor, d: torch.Tensor, new: torch.Tensor, alpha: float) -> torch.Tensor:
    """The right answer of 'ridge-detail'."""
    centred = x - x.mean(0)
    slopes = torch.linalg.solve(
        centred.T @ centred + alpha * torch.eye(x.shape[1], dtype=x.dtype), centred.T @ (d - d.mean(0))
    )
    return d.mean(0) + (new - x.mean(0)) @ slopes


answer(
    "predict-conserves",
    {"linear": True, "forest": True, "analog": True, "quantile mapping": False},
    Submission("nobody told it", dict.fromkeys(KINDS, False), "weighted average of training details"),
    Submission("all do", dict.fromkeys(KINDS, True), "look again at 'quantile mapping'"),
    Submission("incomplete", {"linear": True}, "hand in a dictionary"),
)

answer(
    "predict-smooth",
    "smaller",
    Submission("unbiased, so equal", "equal", "less variance"),
    Submission("noise", "larger", "var(unexplained)"),
)


def _uncentred(x: torch.Tensor, d: torch.Tensor, new: torch.Tensor, alpha: float) -> torch.Tensor:
    return new @ torch.linalg.solve(x.T @ x + alpha * torch.eye(x.shape[1], dtype=x.dtype), x.T @ d)


answer(
    "ridge-detail",
    ridge,
    Submission("not centred", _uncentred, "kelvin"),
    Submission("penalty per case", lambda x, d, z, a: ridge(x, d, z, a * len(x)), "derivative to zero"),
    Submission("no penalty", lambda x, d, z, a: ridge(x, d, z, 0.0), "derivative to zero"),
    Submission(
        "a penalty for each cell",
        lambda x, d, z, a: torch.cat([ridge(x, d[:, [j]], z, a * (1 + j)) for j in range(d.shape[1])], 1),
        "share predictors and penalty",
    ),
    Submission("the mean detail", lambda x, d, z, a: d.mean(0).expand(len(z), -1), "derivative to zero"),
)


def quantile_map(x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The right answer of 'quantile-map'."""
    rank = torch.searchsorted(source.sort().values, x) / len(source)
    return target.quantile(rank.to(target.dtype).clamp(0, 1))


answer(
    "quantile-map",
    quantile_map,
    Submission("mean and variance", lambda x, s, t: (x - s.mean()) / s.std() * t.std() + t.mean(), "the shape is not"),
    Submission("draws the target", lambda x, s, t: t[: len(x)], "order is lost"),
    Submission(
        "ranks of the sample itself",
        lambda x, s, t: t.quantile(x.argsort().argsort().double() / (len(x) - 1)),
        "other company",
    ),
    Submission("identity", lambda x, s, t: x + 0.0, "map rank to rank"),
)

answer(
    "inflation",
    (0.36, 0.4),
    Submission("no price", (0.36, 0.36), "after inflation"),
    Submission("correlation for its square", (0.2, 0.4), "1 - r^2"),
    Submission("one number", 0.36, "two numbers"),
)


def split_blocks(hours: torch.Tensor, gap: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The right answer of 'mend-the-split'."""
    first = hours[int(0.7 * len(hours))]
    return torch.nonzero(hours <= first - gap).flatten(), torch.nonzero(hours >= first).flatten()


def _random(hours: torch.Tensor, gap: int) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(len(hours), generator=torch.Generator().manual_seed(0))
    return order[len(hours) // 4 :], order[: len(hours) // 4]


answer(
    "mend-the-split",
    split_blocks,
    Submission("random hours", _random, "the weather of the next"),
    Submission(
        "blocks without a gap",
        lambda h, gap: (torch.arange(3 * len(h) // 4), torch.arange(3 * len(h) // 4, len(h))),
        "leave a gap",
    ),
    Submission(
        "half a gap",
        lambda h, gap: (torch.nonzero(h < h[len(h) // 2]), torch.nonzero(h >= h[len(h) // 2] + gap // 2)),
        "leave a gap",
    ),
    Submission("tests on the training block", lambda h, gap: (torch.arange(len(h)),) * 2, "used twice"),
)
