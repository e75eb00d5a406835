"""Exercises of the chapter on conservation layers: the block mean, the projection, and what interpolation breaks."""

from __future__ import annotations

import torch

from physlab.grid import coarsen, refine
from physlab.teach.case import held_out_water
from physlab.teach.check import Wrong, call, exercise, one_of, require, same_shape, uniform, wrong


def additive(fine: torch.Tensor, coarse: torch.Tensor, factor: int) -> torch.Tensor:
    """The right answer of 'block-mean'."""
    return fine + refine(coarse - coarsen(fine, factor), factor)


@exercise("block-mean", right=additive)
@wrong("block sum", lambda y, x, n: y + refine(x / n**2 - coarsen(y, n), n), "the block mean must equal it")
@wrong("adds the coarse value", lambda y, x, n: y + refine(x, n), "without taking off the block mean")
@wrong(
    "global mean",
    lambda y, x, n: y + (x.mean((-2, -1), keepdim=True) - y.mean((-2, -1), keepdim=True)),
    "only the mean of the whole map",
)
@wrong("replaces the field", lambda y, x, n: refine(x, n), "varies inside a block")
@wrong("changes its input", lambda y, x, n: y.add_(refine(x - coarsen(y, n), n)), "in place")
@wrong("factor fixed at 4", lambda y, x, n: additive(y, x, 4), "stopped with")
@wrong("forgets to return", lambda y, x, n: None, "returned none")
def _grade_block_mean(layer, generator: torch.Generator) -> str:
    """a function layer(fine, coarse, factor) -> fine: tensors (..., H, W) and (..., H/N, W/N)"""
    # The laws of the additive layer: conservation, least change, projection; factor 2, 3 and 4, free batch shape.
    for factor, lead, (h, w) in ((4, (2, 1), (3, 5)), (3, (), (4, 2)), (2, (2, 1, 3), (2, 3))):
        fine = uniform((*lead, h * factor, w * factor), -5.0, 40.0, generator)
        coarse = uniform((*lead, h, w), 0.0, 60.0, generator)
        out = same_shape(call(layer, fine, coarse, factor), fine.shape, "the corrected field")
        require(torch.isfinite(out).all(), "the output has NaN or infinity: nothing here needs a division by the data")
        kept = coarsen(out, factor)
        if not torch.allclose(kept, coarse, rtol=1e-9, atol=1e-9):
            if torch.allclose(kept * factor**2, coarse, rtol=1e-6, atol=1e-6):
                reason = (
                    "the block SUM equals the coarse value. A coarse pixel of column water is the amount per "
                    "square metre, so the block MEAN must equal it: the sum would divide the water by the number "
                    "of cells"
                )
            elif torch.allclose(out.mean(dim=(-2, -1)), coarse.mean(dim=(-2, -1)), rtol=1e-6, atol=1e-6):
                reason = (
                    "only the mean of the whole map is conserved: water has moved between coarse pixels; correct "
                    "each block"
                )
            elif torch.allclose(kept, coarsen(fine, factor) + coarse):
                reason = "the coarse value was added without taking off the block mean that the field already has"
            else:
                worst = float((kept - coarse).abs().max())
                reason = (
                    f"the block mean misses the coarse value by up to {worst:.3g}: the correction must be constant "
                    "in a block"
                )
            raise Wrong(reason)
        change = out - fine
        require(
            torch.allclose(change, refine(coarsen(change, factor), factor), atol=1e-9),
            "conserved, but the change varies inside a block: the least change (the orthogonal projection) is the "
            "same number for all cells of a block, so the network's gradients inside the block survive",
        )
        again = call(layer, out, coarse, factor)
        require(
            torch.allclose(again, out, atol=1e-9), "applying the layer twice changes the field again: not a projection"
        )
    return (
        "block means kept on non-square fields with factors 2, 3 and 4, the change is constant per block, twice "
        "equals once"
    )


def weighted_projection(fine: torch.Tensor, coarse: torch.Tensor, factor: int, weights: torch.Tensor) -> torch.Tensor:
    """The right answer of 'weighted-projection': y = y' + w (x - m) <w> / <w^2>, with block means <.>."""
    w = coarsen(weights, factor)
    gap = coarse - coarsen(weights * fine, factor) / w
    return fine + weights * refine(gap * w / coarsen(weights**2, factor), factor)


@exercise("weighted-projection", right=weighted_projection)
@wrong("weights ignored", lambda y, x, n, w: additive(y, x, n), "cells differ in area")
@wrong("constant change", lambda y, x, n, w: y + refine(x - coarsen(w * y, n) / coarsen(w, n), n), "area-weighted norm")
@wrong(
    "weights not normalised",
    lambda y, x, n, w: y + w * refine(x - coarsen(w * y, n) / coarsen(w, n), n),
    "misses the coarse value",
)
@wrong(
    "ratio instead of projection",
    lambda y, x, n, w: y * refine(x / (coarsen(w * y, n) / coarsen(w, n)), n),
    "another correction is smaller",
)
def _grade_weighted(layer, generator: torch.Generator) -> str:
    """a function layer(fine, coarse, factor, weights) -> fine; weights (H, W) are cell areas"""
    # Area weights: the weighted block mean is kept and the correction is the least change in the stated norm.
    factor = 4
    for _ in range(3):
        fine = uniform((2, 8, 12), -5.0, 40.0, generator)
        coarse = uniform((2, 2, 3), 0.0, 60.0, generator)
        weights = uniform((8, 12), 0.2, 2.0, generator)
        out = same_shape(call(layer, fine, coarse, factor, weights), fine.shape, "the corrected field")
        mean = coarsen(weights * out, factor) / coarsen(weights, factor)
        if not torch.allclose(mean, coarse, rtol=1e-9, atol=1e-9):
            if torch.allclose(coarsen(out, factor), coarse, rtol=1e-6, atol=1e-6):
                raise Wrong(
                    "the plain block mean is kept, but cells differ in area: the conserved quantity is sum(w y) / "
                    "sum(w)",
                )
            raise Wrong(
                f"sum(w y) / sum(w) misses the coarse value by up to {float((mean - coarse).abs().max()):.3g} kg m-2",
            )
        change = (out - fine) / weights
        if not torch.allclose(change, refine(coarsen(change, factor), factor), rtol=1e-8, atol=1e-8):
            plain = out - fine
            if torch.allclose(plain, refine(coarsen(plain, factor), factor), rtol=1e-8, atol=1e-8):
                raise Wrong(
                    "conserved, but this is the least change in the AREA-weighted norm sum w (y - y')^2. The "
                    "exercise asks for the plain norm sum (y - y')^2: there the Lagrange condition makes the "
                    "change proportional to w",
                )
            raise Wrong(
                "conserved, but another correction is smaller: set the derivative of the Lagrangian to zero, cell "
                "by cell",
            )
    return (
        "the weighted mean is kept, and the change is proportional to the weights: the least change in the plain norm"
    )


@exercise("predict-sign", right="negative")
@wrong("overshoot", "positive", "cuts the tops")
@wrong("conserved", "zero", "cuts the tops")
@wrong("a sentence", "it goes down", "must be one of")
def _grade_sign(answer, generator: torch.Generator) -> str:
    """'negative', 'positive' or 'zero': block mean of bicubic minus coarse value, on a crest of moisture"""
    from physlab.downscale import Interpolate

    _, coarse, weights = held_out_water(4)
    guess = Interpolate("bicubic", 4).predict(coarse, weights)
    residual = (coarsen(guess, 4, weights) - coarse)[..., 1:-1, 1:-1]
    centre = coarse[..., 1:-1, 1:-1]
    around = (coarse[..., :-2, 1:-1] + coarse[..., 2:, 1:-1] + coarse[..., 1:-1, :-2] + coarse[..., 1:-1, 2:]) / 4
    crest = centre - around > 2.0
    mean = float(residual[crest].mean())
    truth = "negative" if mean < 0 else "positive"
    require(
        one_of(answer, ("negative", "positive", "zero")) == truth,
        f"measured on {int(crest.sum())} coarse crests: the residual averages {mean:+.2f} kg m-2. A smooth curve "
        "through block means cuts the tops: it passes near the mean in the middle of the block and falls off to "
        "both sides, so the block mean of the interpolated field lies below the coarse value at a crest and above "
        "it in a trough",
    )
    return (
        f"measured on {int(crest.sum())} coarse crests: {mean:+.2f} kg m-2. Interpolation removes water from "
        "ridges and adds it to troughs"
    )


@exercise("predict-afterwards", right="never")
@wrong("it can", "sometimes", "pythagoras")
@wrong("it must", "always", "orthogonal projection")
def _grade_afterwards(answer, generator: torch.Generator) -> str:
    """'never', 'sometimes' or 'always': does the additive layer, applied afterwards, raise the RMSE of a prediction?"""
    said = one_of(answer, ("never", "sometimes", "always"))
    largest = -1.0
    for _ in range(20):
        truth = uniform((8, 8), 0.0, 50.0, generator)
        guess = truth + uniform((), 0.1, 20.0, generator) * torch.randn(
            (8, 8), generator=generator, dtype=torch.float64
        )
        mended = guess + refine(coarsen(truth, 4) - coarsen(guess, 4), 4)
        before, after = ((guess - truth) ** 2).mean(), ((mended - truth) ** 2).mean()
        largest = max(largest, float(after - before))
    require(
        said == "never",
        f"in 20 random trials the mean square error changed by at most {largest:+.2g}. The additive layer is the "
        "orthogonal projection onto the set of fields with the right block means, and the truth lies in that set: "
        "by Pythagoras the squared error drops by exactly the squared error of the block means",
    )
    return (
        "20 random trials, no increase: error^2 = (error of the block means)^2 + (the rest)^2, and the layer "
        "removes the first"
    )
