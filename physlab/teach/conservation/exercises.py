"""Exercises of the chapter on conservation layers: the block mean, the projection, and what interpolation breaks."""

from __future__ import annotations

import torch

from physlab.grid import coarsen, refine
from physlab.teach.case import held_out_water
from physlab.teach.check import Wrong, call, exercise, one_of, require, same_shape, uniform


@exercise("block-mean", wants="function")
def _grade_block_mean(layer, generator: torch.Generator) -> str:
    """a function layer(fine, coarse, factor) -> fine: tensors (..., H, W) and (..., H/N, W/N)"""
    # The laws of the additive layer: conservation, least change, projection; factor 2, 3 and 4, free batch shape.
    for factor, lead, (h, w) in ((4, (2, 1), (3, 5)), (3, (), (4, 2)), (2, (2, 1, 3), (2, 3))):
        fine = uniform((*lead, h * factor, w * factor), -5.0, 40.0, generator)
        coarse = uniform((*lead, h, w), 0.0, 60.0, generator)
        out = same_shape(call(layer, fine, coarse, factor), fine.shape, "the corrected field")
        require(torch.isfinite(out).all(), "the output has NaN or infinity: nothing here needs a division by the data")
        kept = coarsen(out, factor)
        if not torch.allclose(kept, coarse, rtol=1e-5, atol=5e-5):
            if torch.allclose(kept * factor**2, coarse, rtol=1e-5, atol=5e-5):
                reason = (
                    "the block SUM equals the coarse value. A coarse pixel of column water is the amount per "
                    "square metre, so the block MEAN must equal it: the sum would divide the water by the number "
                    "of cells"
                )
            elif torch.allclose(out.mean(dim=(-2, -1)), coarse.mean(dim=(-2, -1)), rtol=1e-5, atol=5e-5):
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
            torch.allclose(change, refine(coarsen(change, factor), factor), atol=5e-5),
            "conserved, but the change varies inside a block: the least change (the orthogonal projection) is the "
            "same number for all cells of a block, so the network's gradients inside the block survive",
        )
        again = call(layer, out, coarse, factor)
        require(
            torch.allclose(again, out, atol=5e-5), "applying the layer twice changes the field again: not a projection"
        )
    return (
        "block means kept on non-square fields with factors 2, 3 and 4, the change is constant per block, twice "
        "equals once"
    )


@exercise("weighted-projection", wants="function")
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
        if not torch.allclose(mean, coarse, rtol=1e-5, atol=5e-5):
            if torch.allclose(coarsen(out, factor), coarse, rtol=1e-5, atol=5e-5):
                raise Wrong(
                    "the plain block mean is kept, but cells differ in area: the conserved quantity is sum(w y) / "
                    "sum(w)",
                )
            raise Wrong(
                f"sum(w y) / sum(w) misses the coarse value by up to {float((mean - coarse).abs().max()):.3g} kg m-2",
            )
        change = (out - fine) / weights
        if not torch.allclose(change, refine(coarsen(change, factor), factor), rtol=1e-5, atol=5e-4):
            plain = out - fine
            if torch.allclose(plain, refine(coarsen(plain, factor), factor), rtol=1e-5, atol=5e-4):
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


@exercise("predict-sign", wants="value")
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
        f"measured otherwise on {int(crest.sum())} coarse crests. A smooth curve "
        "through block means cuts the tops: it passes near the mean in the middle of the block and falls off to "
        "both sides, so the block mean of the interpolated field lies below the coarse value at a crest and above "
        "it in a trough",
    )
    return (
        f"measured on {int(crest.sum())} coarse crests: {mean:+.2f} kg m-2. Interpolation removes water from "
        "ridges and adds it to troughs"
    )


@exercise("predict-afterwards", wants="value")
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
        "tried otherwise, 20 times on random fields. The additive layer is the "
        "orthogonal projection onto the set of fields with the right block means, and the truth lies in that set: "
        "by Pythagoras the squared error drops by exactly the squared error of the block means",
    )
    return (
        "20 random trials, no increase: error^2 = (error of the block means)^2 + (the rest)^2, and the layer "
        "removes the first"
    )
