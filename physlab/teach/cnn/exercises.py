"""Exercises of the chapter on convolutional super-resolution: where a network gains, how far it sees, what it loses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from physlab.grid import coarsen
from physlab.score import extreme_table, extreme_threshold
from physlab.teach.check import Wrong, call, exercise, number, require, same_shape, uniform

# ---- predict and check ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _network_and_baseline() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Truth, network (compact, additive), bicubic+add on every thirtieth test frame, and cell areas."""
    from physlab.data.patches import sr_pairs
    from physlab.zoo import load_model

    data = sr_pairs("tcw", 4, splits=("test",))
    fine, coarse = data.fine["test"][::30], data.coarse["test"][::30]
    return (
        fine,
        load_model("tcw-x4-add").predict(coarse, data.weights),
        load_model("bicubic+add-x4").predict(coarse, data.weights),
        data.weights,
    )


@exercise("predict-where", wants="number")
def _grade_where(got: float, generator: torch.Generator) -> str:
    """a number in per cent: share of the squared error saved by the network (against bicubic+add) that lies in the
    steepest 10 % of the cells"""
    fine, network, baseline, weights = _network_and_baseline()
    across = functional.pad(fine, (1, 1, 0, 0), mode="replicate")
    along = functional.pad(fine, (0, 0, 1, 1), mode="replicate")
    steep = torch.hypot(across[..., 2:] - across[..., :-2], along[..., 2:, :] - along[..., :-2, :])
    saved = weights * ((baseline - fine) ** 2 - (network - fine) ** 2)
    front = steep > extreme_threshold(steep, 0.9)
    share = 100 * float(saved[front].sum() / saved.sum())
    require(
        abs(got - share) < 20,
        f"measured otherwise: you said {got:.0f} %. Smooth areas are already right after interpolation, so there "
        "is nothing to win: the "
        "error, and the gain, sit at the fronts",
    )
    return f"measured: {share:.0f} % of the saved squared error lies in the steepest tenth of the cells"


@exercise("predict-peaks", wants="value")
def _grade_peaks(answer, generator: torch.Generator) -> str:
    """'negative', 'positive' or 'zero': bias of the network where the truth is above its 99th percentile"""
    fine, network, _, weights = _network_and_baseline()
    scores = extreme_table(network, fine, weights=weights)
    truth = "negative" if scores["bias_extreme"] < 0 else "positive"
    said = str(answer).strip().lower()
    require(said in ("negative", "positive", "zero"), f"say negative, positive or zero; got {answer!r}")
    require(
        said == truth,
        "measured otherwise where the truth is above its 99th percentile. The best guess "
        "under a square loss is the conditional mean, and a mean lies below the peaks that it averages over. Part of "
        "it is selection: cells chosen because the truth is high are cells where the truth had luck",
    )
    return (
        f"measured: {scores['bias_extreme']:+.2f} kg m-2 where the truth is above its 99th percentile: the mean lies "
        "below the peaks"
    )


# ---- code: pixel shuffle --------------------------------------------------------------------------------------------


@exercise("pixel-shuffle", wants="function")
def _grade_shuffle(answer, generator: torch.Generator) -> str:
    """a function shuffle(x, factor): (B, C*N*N, h, w) -> (B, C, h*N, w*N)"""
    for factor, fields, (h, w) in ((2, 1, (3, 4)), (4, 2, (2, 5)), (3, 1, (4, 2))):
        x = uniform((2, fields * factor**2, h, w), 0.0, 60.0, generator)
        out = call(answer, x, factor)
        same_shape(out, (2, fields, h * factor, w * factor), "the fine field")
        require(
            torch.allclose(out.flatten().sort().values, x.flatten().sort().values, rtol=1e-6),
            "the values themselves have changed: a shuffle only moves numbers, it computes nothing",
        )
        mean = x.reshape(2, fields, factor**2, h, w).mean(2)
        require(
            torch.allclose(coarsen(out, factor), mean),
            "a fine cell has left its coarse cell: the block mean of the result must be the mean over the channels of "
            "that cell. A plain reshape strings the channels out along rows instead of filling blocks",
        )
        require(
            torch.allclose(out[:, 0, 0, 1], x[:, 1, 0, 0]),
            "blocks are right, but turned: channel a*N + b belongs to row a and column b inside the block",
        )
        require(
            torch.allclose(out, functional.pixel_shuffle(x, factor)),
            "the order of the fields is mixed up: channels come in groups",
        )
    return "numbers are moved, none computed; each block holds the channels of its coarse cell, rows first"


# ---- code: receptive field ------------------------------------------------------------------------------------------


def _measured_field(layers: Sequence[tuple[int, int]]) -> int:
    x = torch.ones(1, 1, 2000, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = functional.conv1d(y, torch.full((1, 1, kernel), 1.0 / kernel, dtype=torch.float64), stride=stride)
    return int((torch.autograd.grad(y[0, 0, 0], x)[0] > 0).sum())


@exercise("receptive-field", wants="function")
def _grade_field(answer, generator: torch.Generator) -> str:
    """a function field(layers) -> width in input cells; layers: list of (kernel, stride), first layer first"""

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    stacks = [[(9, 1), (3, 1), (5, 1)], [(3, 1)] * draw(4, 9), [(3, 2), (3, 2), (3, 1)], [(5, 3), (3, 1)]]
    stacks.append([(2 * draw(1, 5) + 1, draw(1, 3)) for _ in range(4)])
    for layers in stacks:
        got, truth = answer(list(layers)), _measured_field(layers)
        if got == truth:
            continue
        if any(stride > 1 for _, stride in layers):
            reason = "after a stride of s a step of the next kernel spans s input cells, and the strides multiply"
        else:
            reason = "each kernel k adds k - 1 cells to the width, since it already stands on one"
        raise Wrong(
            f"for (kernel, stride) = {layers} a pulse moves the output from {truth} input cells, you said {got}: "
            f"{reason}. The stride of a layer counts for the layers after it, not for itself",
        )
    return "agrees with the gradient of five stacks of convolutions, strides included"


# ---- derivation: the weighted optimum -------------------------------------------------------------------------------


@exercise("weighted-optimum", wants="function")
def _grade_optimum(answer, generator: torch.Generator) -> str:
    """a function best(p, low, high, weight) -> number: the truth is `high` with probability p, and then the squared
    error has that weight; else it is `low`, with weight 1"""
    for _ in range(5):
        p, low, high, weight = (
            float(uniform((), a, b, generator)) for a, b in ((0.1, 0.9), (0, 20), (40, 60), (2, 20))
        )
        y = torch.linspace(low, high, 400_001, dtype=torch.float64)
        best = float(y[(p * weight * (y - high) ** 2 + (1 - p) * (y - low) ** 2).argmin()])
        got = number(answer(p, low, high, weight))
        plain = p * high + (1 - p) * low
        hint = "set the derivative of the weighted expected loss with respect to y to zero and divide by E[w]"
        if abs(got - plain) < 1e-6:
            hint = "that is the plain mean, the optimum without weights: the weight must pull it towards the high value"
        elif got > high:
            hint = "no average lies above the largest value: the weights must be divided by their own mean"
        elif abs(got - p * weight * high - (1 - p) * low) < 1e-6:
            hint = "these weights do not add up to one: they must be divided by their own mean"
        require(
            abs(got - best) < 1e-3,
            f"the loss is least at {best:.2f} for p = {p:.2f}, low {low:.1f}, high {high:.1f}, weight {weight:.1f}; "
            f"you said {got:.2f}. {hint}",
        )
    return "E[w t] / E[w], the minimum of five random cases: above the mean, and the more so the larger the weight"


# ---- bug hunt: a skip that moves the weather ------------------------------------------------------------------------


@exercise("mend-the-skip", wants="function")
def _grade_skip(answer, generator: torch.Generator) -> str:
    """a function skip(coarse, factor): (B, 1, h, w) -> (B, 1, h*N, w*N), an interpolation that keeps the block means of
    planes"""
    for factor, (h, w) in ((4, (12, 16)), (2, (16, 10)), (3, (12, 12))):
        slope = uniform((2,), 0.5, 2.0, generator)
        fine = slope[0] * torch.arange(h * factor, dtype=torch.float64)[:, None] + slope[1] * torch.arange(w * factor)
        fine = 5.0 + fine[None, None]
        out = same_shape(call(answer, coarsen(fine, factor), factor), fine.shape, "the fine field")
        kept = (coarsen(out, factor) - coarsen(fine, factor))[..., 3:-3, 3:-3]
        rough = (out - fine)[..., 3 * factor : -3 * factor, 3 * factor : -3 * factor]
        require(
            float(kept.abs().max()) < 1e-4,
            f"the block means of a plane are off by up to {float(kept.abs().max()):.2g}, more towards the edges: cell "
            "centres have moved. Where does the interpolation put the first and the last coarse value?"
            if float(kept.std()) > 1e-3
            else f"a plane comes back shifted by {float(kept.mean()):+.2g} everywhere: the field has moved by a part "
            "of a cell; the centre of a coarse cell lies between fine cells",
        )
        require(
            float(rough.abs().max()) < 0.2 * factor * float(slope.sum()),
            "block means are kept, but a plane comes back as stairs: that is repetition, not interpolation",
        )
    return "planes keep their block means for factors 2, 3 and 4: cell centres stay where they are"
