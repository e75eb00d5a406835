"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.grid import coarsen, refine
from physlab.teach.answers import Submission, answer


def additive(fine: torch.Tensor, coarse: torch.Tensor, factor: int) -> torch.Tensor:
    """The right answer of 'block-mean'."""
    return fine + refine(coarse - coarsen(fine, factor), factor)


answer(
    "block-mean",
    additive,
    Submission("block sum", lambda y, x, n: y + refine(x / n**2 - coarsen(y, n), n), "the block mean must equal it"),
    Submission("adds the coarse value", lambda y, x, n: y + refine(x, n), "without taking off the block mean"),
    Submission(
        "global mean",
        lambda y, x, n: y + (x.mean((-2, -1), keepdim=True) - y.mean((-2, -1), keepdim=True)),
        "only the mean of the whole map",
    ),
    Submission("replaces the field", lambda y, x, n: refine(x, n), "varies inside a block"),
    Submission("changes its input", lambda y, x, n: y.add_(refine(x - coarsen(y, n), n)), "in place"),
    Submission("factor fixed at 4", lambda y, x, n: additive(y, x, 4), "stopped with"),
    Submission("forgets to return", lambda y, x, n: None, "returned none"),
)


def weighted_projection(fine: torch.Tensor, coarse: torch.Tensor, factor: int, weights: torch.Tensor) -> torch.Tensor:
    """The right answer of 'weighted-projection': y = y' + w (x - m) <w> / <w^2>, with block means <.>."""
    w = coarsen(weights, factor)
    gap = coarse - coarsen(weights * fine, factor) / w
    return fine + weights * refine(gap * w / coarsen(weights**2, factor), factor)


answer(
    "weighted-projection",
    weighted_projection,
    Submission("weights ignored", lambda y, x, n, w: additive(y, x, n), "cells differ in area"),
    Submission(
        "constant change", lambda y, x, n, w: y + refine(x - coarsen(w * y, n) / coarsen(w, n), n), "area-weighted norm"
    ),
    Submission(
        "weights not normalised",
        lambda y, x, n, w: y + w * refine(x - coarsen(w * y, n) / coarsen(w, n), n),
        "misses the coarse value",
    ),
    Submission(
        "ratio instead of projection",
        lambda y, x, n, w: y * refine(x / (coarsen(w * y, n) / coarsen(w, n)), n),
        "another correction is smaller",
    ),
)

answer(
    "predict-sign",
    "negative",
    Submission("overshoot", "positive", "cuts the tops"),
    Submission("conserved", "zero", "cuts the tops"),
    Submission("a sentence", "it goes down", "must be one of"),
)

answer(
    "predict-afterwards",
    "never",
    Submission("it can", "sometimes", "pythagoras"),
    Submission("it must", "always", "orthogonal projection"),
)


def _blocks(x: torch.Tensor, factor: int) -> torch.Tensor:
    """(..., H, W) -> (..., h, w, factor * factor)."""
    *lead, height, width = x.shape
    x = x.reshape(*lead, height // factor, factor, width // factor, factor)
    return x.transpose(-3, -2).reshape(*lead, height // factor, width // factor, factor * factor)


def _unblock(x: torch.Tensor, factor: int) -> torch.Tensor:
    """The inverse of `_blocks`."""
    *lead, h, w, _ = x.shape
    return x.reshape(*lead, h, w, factor, factor).transpose(-3, -2).reshape(*lead, h * factor, w * factor)


def softmax_layer(logits: torch.Tensor, coarse: torch.Tensor, factor: int) -> torch.Tensor:
    """The right answer of 'positive-layer'."""
    return _unblock(torch.softmax(_blocks(logits, factor), -1) * factor**2 * coarse[..., None], factor)


def _naive_softmax(logits: torch.Tensor, coarse: torch.Tensor, factor: int) -> torch.Tensor:
    e = torch.exp(logits)
    return e * refine(coarse / coarsen(e, factor), factor)


answer(
    "positive-layer",
    softmax_layer,
    Submission("no maximum subtracted", _naive_softmax, "subtract the block maximum"),
    Submission(
        "sum instead of mean",
        lambda y, x, n: _unblock(torch.softmax(_blocks(y, n), -1) * x[..., None], n),
        "multiply by the number of cells",
    ),
    Submission(
        "softmax over the whole map",
        lambda y, x, n: (
            torch.softmax(y.flatten(-2), -1).reshape(y.shape)
            * y.shape[-1]
            * y.shape[-2]
            * x.mean((-2, -1), keepdim=True)
        ),
        "inside each block",
    ),
    Submission("the additive layer", additive, "negative water"),
    Submission(
        "ratio of raw values", lambda y, x, n: y.abs() * refine(x / coarsen(y.abs(), n), n), "differences of logits"
    ),
)


def ratio_layer(fine: torch.Tensor, coarse: torch.Tensor, factor: int) -> torch.Tensor:
    """The right answer of 'mend-the-ratio'."""
    positive = fine.clamp_min(0) + 1e-6
    return positive * refine(coarse / coarsen(positive, factor), factor)


answer(
    "mend-the-ratio",
    ratio_layer,
    Submission("no guard", lambda y, x, n: y * refine(x / coarsen(y, n), n), "0/0"),
    Submission(
        "guard in the denominator only",
        lambda y, x, n: y.clamp_min(0) * refine(x / (coarsen(y.clamp_min(0), n) + 1e-9), n),
        "water of the coarse pixel is lost",
    ),
    Submission("sign kept", lambda y, x, n: (y + 1e-6) * refine(x / coarsen(y + 1e-6, n), n), "mixed signs"),
    Submission("clipped afterwards", lambda y, x, n: additive(y, x, n).clamp_min(0), "block means"),
    Submission("mean of ratios", lambda y, x, n: y * coarsen(refine(x, n) / (y + 1.0), n).mean(), "block means"),
)

answer(
    "offset",
    {"add": True, "mult": False, "softmax": False},
    Submission("all safe", {"add": True, "mult": True, "softmax": True}, "mult: an offset"),
    Submission("none safe", {"add": False, "mult": False, "softmax": False}, "an offset cancels"),
    Submission("softmax safe", {"add": True, "mult": False, "softmax": True}, "the zero must be the physical one"),
    Submission("incomplete", {"add": True}, "no prediction for"),
)
