"""Exercises of the chapter on conservation layers, second half: water is positive, ratios need a physical zero."""

from __future__ import annotations

import torch

from physlab.grid import coarsen
from physlab.teach.check import Wrong, call, exercise, require, same_shape, uniform


@exercise("positive-layer", wants="function")
def _grade_positive(layer, generator: torch.Generator) -> str:
    """a function layer(logits, coarse, factor) -> fine, non-negative and with the coarse value as block mean"""
    # The laws of the softmax layer: mean, sign, dry cells, large logits, and only differences of logits count.
    factor = 4
    logits = 3.0 * torch.randn((2, 1, 12, 20), generator=generator, dtype=torch.float64)
    coarse = uniform((2, 1, 3, 5), 0.0, 60.0, generator)
    coarse[..., -1, :] = 0.2  # dry air: an additive correction goes below zero here
    out = same_shape(call(layer, logits, coarse, factor), logits.shape, "the downscaled field")
    require(torch.isfinite(out).all(), "the output has NaN or infinity for ordinary inputs")
    kept = coarsen(out, factor)
    if not torch.allclose(kept, coarse, rtol=1e-5, atol=1e-5):
        if torch.allclose(kept * factor**2, coarse, rtol=1e-5):
            raise Wrong(
                "the block SUM equals the coarse value; softmax weights sum to one, so multiply by the number of cells",
            )
        if torch.allclose(out.mean((-2, -1)), coarse.mean((-2, -1)), rtol=1e-5):
            raise Wrong(
                "the softmax runs over the whole map: normalise inside each block, or water crosses block borders",
            )
        raise Wrong(f"the block mean misses the coarse value by up to {float((kept - coarse).abs().max()):.3g}")
    require(
        (out >= 0).all(), f"{int((out < 0).sum())} cells hold negative water: the weights of a block must be positive"
    )
    dry = coarse.clone()
    dry[..., 0, 0] = 0.0
    out = call(layer, logits, dry, factor)
    require(
        torch.isfinite(out).all(),
        "a dry coarse pixel (0) gives NaN or infinity: no division by the coarse value, please",
    )
    require((out[..., :factor, :factor] == 0).all(), "a dry coarse pixel must stay dry in every one of its cells")
    big = logits.float() * 1e3
    out = call(layer, big, coarse.float(), factor)
    require(
        torch.isfinite(out).all(),
        "logits of a few thousand give NaN: exp overflows float32 above 88.7. Subtract the block maximum first "
        "(it cancels)",
    )
    shifted = call(layer, logits + 7.0, coarse, factor)
    require(
        torch.allclose(shifted, call(layer, logits, coarse, factor), rtol=1e-4, atol=1e-6),
        "adding a constant to all logits changes the field: a softmax depends on differences of logits only",
    )
    return (
        "block means kept, no negative water, dry stays dry, finite for logits of thousands, and only differences "
        "of logits count"
    )


@exercise("mend-the-ratio", wants="function")
def _grade_mult(layer, generator: torch.Generator) -> str:
    """a function layer(fine, coarse, factor) -> fine that scales each block, whatever the raw values are"""
    # The bug hunt: a ratio layer that must survive dry blocks, mixed signs and half precision.
    factor = 4
    fine = uniform((2, 1, 8, 12), 0.0, 30.0, generator)
    coarse = uniform((2, 1, 2, 3), 0.5, 60.0, generator)
    coarse[..., 1, 2] = 1.0  # little water: a layer that adds has something to clip
    out = same_shape(call(layer, fine, coarse, factor), fine.shape, "the scaled field")
    require(
        torch.allclose(coarsen(out, factor), coarse, rtol=1e-5),
        "the block mean is not the coarse value even for harmless positive inputs: the ratio must be formed from "
        "block means",
    )
    dry = fine.clone()
    dry[..., :factor, :factor] = 0.0
    none = coarse.clone()
    none[..., 0, 0] = 0.0
    require(
        torch.isfinite(call(layer, dry, none, factor)).all(), "0/0: a dry block under a dry coarse pixel became NaN"
    )
    out = call(layer, dry, coarse, factor)
    require(
        torch.isfinite(out).all(),
        "the network says dry, the coarse pixel says wet, and the ratio is infinite: there is nothing to scale, "
        "so fill evenly",
    )
    require(
        torch.allclose(coarsen(out, factor), coarse, rtol=1e-5),
        "finite, but the water of the coarse pixel is lost where the network's block is dry: adding a small "
        "number to the denominator alone avoids NaN and breaks the law; add it to the numerator too, or fill the "
        "block evenly",
    )
    mixed = fine - 15.0
    out = call(layer, mixed, coarse, factor)
    require(
        (out >= 0).all(),
        "mixed signs inside a block come out negative (or amplified): make the raw values positive first",
    )
    require(
        torch.allclose(coarsen(out, factor), coarse, rtol=1e-5),
        "with mixed signs in the raw values the block mean is lost",
    )
    return (
        "means kept, dry over dry stays finite, dry under wet is filled evenly, and mixed signs give no negative water"
    )


@exercise("offset", wants="value")
def _grade_offset(answer, generator: torch.Generator) -> str:
    """a dictionary {"add": ..., "mult": ..., "softmax": ...}: True if an offset does not change the result"""
    # Which layers do not care if an offset is taken off before and added back after? Tried, not looked up.
    from physlab.constrain import make_constraint

    require(isinstance(answer, dict), "hand in a dictionary from layer name to True or False")
    missing = [name for name in ("add", "mult", "softmax") if name not in answer]
    require(not missing, f"no prediction for {', '.join(missing)}")
    fine = uniform((1, 1, 8, 8), 1.0, 3.0, generator)
    coarse = uniform((1, 1, 2, 2), 1.0, 3.0, generator)
    for name in ("add", "mult", "softmax"):
        layer = make_constraint(name, 4)
        change = float((layer(fine, coarse) - (layer(fine - 0.5, coarse - 0.5) + 0.5)).abs().max())
        commutes = change < 1e-9
        if bool(answer[name]) != commutes:
            why = {
                "add": "it only adds the difference of two means, in which an offset cancels",
                "mult": "it multiplies by a ratio of means, and a ratio has no meaning once the zero has moved",
                "softmax": "its output is proportional to the coarse value above zero, so the zero must be the "
                "physical one",
            }[name]
            raise Wrong(f"{name}: an offset of 0.5 was tried, and it is otherwise. Reason: {why}")
    return "tried on random fields: only the additive layer is indifferent to an offset; ratios need the physical zero"
