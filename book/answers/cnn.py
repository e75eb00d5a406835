"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor
from torch.nn import functional

from physlab.teach.answers import Submission, answer


def shuffle(x: Tensor, factor: int) -> Tensor:
    """The right answer of 'pixel-shuffle'."""
    batch, channels, h, w = x.shape
    x = x.reshape(batch, channels // factor**2, factor, factor, h, w)
    return x.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, h * factor, w * factor)


answer(
    "predict-where",
    50.0,
    Submission("evenly spread", 10.0, "at the fronts"),
    Submission("all of it", 100.0, "at the fronts"),
    Submission("a word", "half", "a number is wanted"),
)

answer(
    "predict-peaks",
    "negative",
    Submission("unbiased everywhere", "zero", "conditional mean"),
    Submission("overshoot", "positive", "below the peaks"),
    Submission("a number", 3, "say negative"),
)

answer(
    "pixel-shuffle",
    shuffle,
    Submission("reshape alone", lambda x, n: x.reshape(len(x), -1, x.shape[2] * n, x.shape[3] * n), "left its coarse"),
    Submission(
        "turned",
        lambda x, n: (
            x.reshape(len(x), -1, n, n, *x.shape[2:])
            .permute(0, 1, 4, 3, 5, 2)
            .reshape(len(x), -1, x.shape[2] * n, x.shape[3] * n)
        ),
        "turned",
    ),
    Submission(
        "interpolates",
        lambda x, n: (
            x.reshape(len(x), -1, n * n, *x.shape[2:]).mean(2).repeat_interleave(n, -1).repeat_interleave(n, -2)
        ),
        "only moves numbers",
    ),
    Submission("forgets the height", lambda x, n: x.reshape(len(x), -1, x.shape[2], x.shape[3] * n * n), "shape"),
)


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """The right answer of 'receptive-field': 1 + sum_l (k_l - 1) prod_(i<l) s_i."""
    width, step = 1, 1
    for kernel, stride in layers:
        width += (kernel - 1) * step
        step *= stride
    return width


answer(
    "receptive-field",
    receptive_field,
    Submission("sum of the kernels", lambda layers: sum(k for k, _ in layers), "adds k - 1"),
    Submission("strides ignored", lambda layers: 1 + sum(k - 1 for k, _ in layers), "strides multiply"),
    Submission(
        "own stride counted",
        lambda layers: 1 + sum((k - 1) * prod(s for _, s in layers[: i + 1]) for i, (k, _) in enumerate(layers)),
        "not for itself",
    ),
)


def weighted_optimum(probability: float, low: float, high: float, weight: float) -> float:
    """The right answer of 'weighted-optimum'."""
    return (probability * weight * high + (1 - probability) * low) / (probability * weight + 1 - probability)


answer(
    "weighted-optimum",
    weighted_optimum,
    Submission("weights forgotten", lambda p, low, high, w: p * high + (1 - p) * low, "plain mean"),
    Submission("not normalised", lambda p, low, high, w: p * w * high + (1 - p) * low, "divided by"),
    Submission("the median", lambda p, low, high, w: high if p * w > 1 - p else low, "derivative"),
)


def good_skip(coarse: Tensor, factor: int) -> Tensor:
    """The right answer of 'mend-the-skip'."""
    return functional.interpolate(coarse, scale_factor=factor, mode="bicubic", align_corners=False)


def corner_skip(coarse: Tensor, factor: int) -> Tensor:
    """Interpolation that pins the corners of the field: stretches it, so that cell centres move."""
    size = [n * factor for n in coarse.shape[-2:]]
    return functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


answer(
    "mend-the-skip",
    good_skip,
    Submission("corners pinned", corner_skip, "centres have moved"),
    Submission("upper left cells", lambda x, n: good_skip(x, n).roll((n // 2, n // 2), (-2, -1)), "shifted"),
    Submission("nearest", lambda x, n: functional.interpolate(x, scale_factor=n), "stairs"),
)
