"""Exercises of the chapter on statistical downscaling."""

from __future__ import annotations

import numpy as np
import torch

from physlab.grid import coarsen, refine
from physlab.teach.case import held_out_water
from physlab.teach.check import Wrong, call, exercise, normal, number, one_of, require, same_shape, uniform, wrong

# ---- which methods conserve (predict and check) ---------------------------------------------------------------------

KINDS = ("linear", "forest", "analog", "quantile mapping")


def _block_errors(generator: torch.Generator) -> dict[str, float]:
    """Largest violation of the block mean by four ways of predicting details, fields (S, 4, 4), factor 2."""
    from physlab.downscale.quantile import map_fields, quantile_table
    from physlab.downscale.trees import RandomForest

    fine = (uniform((60, 4, 4), 0.0, 30.0, generator) ** 2 / 30).numpy()
    coarse = coarsen(fine, 2)
    x, d = coarse.reshape(60, -1), (fine - refine(coarse, 2)).reshape(60, -1)
    new = x[:7] + 1.0
    design = np.column_stack([x, np.ones(60)])
    forest = RandomForest(per="cell", window=0, trees=3)
    nearest = ((new[:, None] - x) ** 2).sum(-1).argsort(1)[:, :3]
    details = {
        "linear": np.column_stack([new, np.ones(7)]) @ np.linalg.lstsq(design, d, rcond=None)[0],
        "forest": forest._apply(forest._estimate(x, d, np.random.default_rng(0)), new),
        "analog": d[nearest].mean(1),
    }
    fields = {name: refine(new.reshape(-1, 2, 2), 2) + value.reshape(-1, 4, 4) for name, value in details.items()}
    source, target = (quantile_table(y, 21, False) for y in (refine(coarse, 2), fine))
    fields["quantile mapping"] = map_fields(refine(new.reshape(-1, 2, 2), 2), source, target)
    return {name: float(np.abs(coarsen(y, 2) - new.reshape(-1, 2, 2)).max()) for name, y in fields.items()}


@exercise("predict-conserves", right={"linear": True, "forest": True, "analog": True, "quantile mapping": False})
@wrong("nobody told it", dict.fromkeys(KINDS, False), "weighted average of training details")
@wrong("all do", dict.fromkeys(KINDS, True), "look again at 'quantile mapping'")
@wrong("incomplete", {"linear": True}, "hand in a dictionary")
def _grade_conserves(answer, generator: torch.Generator) -> str:
    """a dictionary from 'linear', 'forest', 'analog', 'quantile mapping' to True (keeps block means) or False"""
    require(
        isinstance(answer, dict) and set(answer) == set(KINDS), f"hand in a dictionary with True or False for {KINDS}"
    )
    error = _block_errors(generator)
    truth = {name: value < 1e-9 for name, value in error.items()}
    shown = ", ".join(f"{name} {value:.1g}" for name, value in error.items())
    for name in KINDS:
        require(
            bool(answer[name]) == truth[name],
            f"measured block errors on fresh fields: {shown}. Least squares, trees and analogs all return a weighted "
            "average of training details, with the same weights for all cells of a block; each detail has block mean "
            "zero, so the average has. Quantile mapping treats each cell by itself and knows nothing of its block: "
            f"look again at '{name}'",
        )
    return f"measured block errors: {shown}. An average of details with mean zero has mean zero, whatever the weights"


# ---- the variance of a best guess (predict and check) ---------------------------------------------------------------


@exercise("predict-smooth", right="smaller")
@wrong("unbiased, so equal", "equal", "less variance")
@wrong("noise", "larger", "var(unexplained)")
def _grade_smooth(answer, generator: torch.Generator) -> str:
    """'smaller', 'equal' or 'larger': variance inside the coarse cells, best guess against truth"""
    said = one_of(answer, ("smaller", "equal", "larger"))
    fine, coarse, weights = held_out_water(4)
    from physlab.downscale import Interpolate

    guess = Interpolate("bicubic", 4, "add").predict(coarse, weights)
    ratio = float(((guess - refine(coarse, 4)) ** 2).mean() / ((fine - refine(coarse, 4)) ** 2).mean())
    require(
        said == "smaller",
        f"measured for bicubic+add: the variance inside the blocks is {ratio:.2f} of that of the truth. Interpolation "
        "and regression return what is expected given the block means. Var(truth) = Var(expected) + Var(unexplained): "
        "a best guess has less variance than what it guesses, unless the guess is perfect",
    )
    return (
        f"measured for bicubic+add: {ratio:.2f} of the variance inside the blocks. What is missing is what is unknown"
    )


# ---- ridge regression of the detail (code) --------------------------------------------------------------------------


def ridge(x: torch.Tensor, d: torch.Tensor, new: torch.Tensor, alpha: float) -> torch.Tensor:
    """The right answer of 'ridge-detail'."""
    centred = x - x.mean(0)
    slopes = torch.linalg.solve(
        centred.T @ centred + alpha * torch.eye(x.shape[1], dtype=x.dtype), centred.T @ (d - d.mean(0))
    )
    return d.mean(0) + (new - x.mean(0)) @ slopes


def _uncentred(x: torch.Tensor, d: torch.Tensor, new: torch.Tensor, alpha: float) -> torch.Tensor:
    return new @ torch.linalg.solve(x.T @ x + alpha * torch.eye(x.shape[1], dtype=x.dtype), x.T @ d)


@exercise("ridge-detail", right=ridge)
@wrong("not centred", _uncentred, "kelvin")
@wrong("penalty per case", lambda x, d, z, a: ridge(x, d, z, a * len(x)), "derivative to zero")
@wrong("no penalty", lambda x, d, z, a: ridge(x, d, z, 0.0), "derivative to zero")
@wrong(
    "a penalty for each cell",
    lambda x, d, z, a: torch.cat([ridge(x, d[:, [j]], z, a * (1 + j)) for j in range(d.shape[1])], 1),
    "share predictors and penalty",
)
@wrong("the mean detail", lambda x, d, z, a: d.mean(0).expand(len(z), -1), "derivative to zero")
def _grade_ridge(regress, generator: torch.Generator) -> str:
    """a function regress(x, d, new, alpha) -> detail: cases (m, p), details (m, n), new cases (k, p) -> (k, n)"""
    for cases, p, n in ((50, 6, 4), (12, 20, 9)):
        x, new = normal((cases, p), generator) * 3 + 280, normal((5, p), generator) * 3 + 280
        d = normal((cases, n), generator) + x[:, :1] * 0.3
        d = d - d.mean(1, keepdim=True)
        alpha = float(uniform((), 1.0, 10.0, generator))
        out = same_shape(call(regress, x, d, new, alpha), (5, n), "the predicted detail")
        require(
            torch.isfinite(out).all(), "NaN or infinity: with fewer cases than predictors only the ridge is solvable"
        )
        require(
            float(out.mean(1).abs().max()) < 1e-8,
            f"the details of a block average to {float(out.mean(1).abs().max()):.2g}, not to zero: all cells must "
            "share predictors and penalty, then the prediction is one weighted average of training details",
        )
        shift = call(regress, x - 273.15, d, new - 273.15, alpha)
        require(
            torch.allclose(shift, out, atol=1e-6),
            "in degrees Celsius the answer differs from that in kelvin: the penalty acts on the intercept. Subtract "
            "the training means first, and penalise the slopes alone",
        )
        moved = call(regress, x, d + 1.0, new, alpha)
        require(torch.allclose(moved, out + 1.0, atol=1e-6), "the mean detail of the training block is not reproduced")
        exact = ridge(x, d, new, alpha)
        require(
            torch.allclose(out, exact, atol=1e-6),
            f"not the minimum of |d - x b|^2 + alpha |b|^2: off by up to {float((out - exact).abs().max()):.2g}; set "
            "its derivative to zero, (x'x + alpha) b = x'd",
        )
    return "block means zero, the same in kelvin and Celsius, and solvable with more predictors than cases"


# ---- quantile mapping (code) ----------------------------------------------------------------------------------------


def quantile_map(x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The right answer of 'quantile-map'."""
    rank = torch.searchsorted(source.sort().values, x) / len(source)
    return target.quantile(rank.to(target.dtype).clamp(0, 1))


@exercise("quantile-map", right=quantile_map)
@wrong("mean and variance", lambda x, s, t: (x - s.mean()) / s.std() * t.std() + t.mean(), "the shape is not")
@wrong("draws the target", lambda x, s, t: t[: len(x)], "order is lost")
@wrong(
    "ranks of the sample itself",
    lambda x, s, t: t.quantile(x.argsort().argsort().double() / (len(x) - 1)),
    "other company",
)
@wrong("identity", lambda x, s, t: x + 0.0, "map rank to rank")
def _grade_mapping(mapping, generator: torch.Generator) -> str:
    """a function mapping(x, source, target) -> y: values (k,), training samples (m,) and (m,)"""
    source = normal((20_000,), generator).exp() * 2
    target = -torch.log(uniform((20_000,), 1e-9, 1.0, generator)) * 5 + 1
    x = normal((20_000,), generator).exp() * 2
    x = x[(x > source.min()) & (x < source.max())]
    y = same_shape(call(mapping, x, source, target), tuple(x.shape), "the mapped sample")
    require(torch.isfinite(y).all(), "NaN or infinity in the mapped sample")
    order = x.argsort()
    require(
        bool((y[order].diff() >= -1e-9).all()),
        "the order is lost: the wettest cell before the mapping must be the wettest after it, or rain has moved",
    )
    alone = call(mapping, x[:50], source, target)
    require(
        torch.allclose(alone, y[:50], atol=1e-6),
        "a value is mapped differently in other company: its rank belongs to the training sample `source`, not to the "
        "sample that is being mapped",
    )
    levels = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    off = ((y.quantile(levels) - target.quantile(levels)).abs() / target.std()).max()
    if off > 0.15:
        same = abs(float(y.mean() - target.mean())) < 0.5 and abs(float(y.std() / target.std()) - 1) < 0.15
        raise Wrong(
            f"a quantile is off by {float(off):.2f} standard deviations"
            + (": mean and variance are right, the shape is not; map rank to rank" if same else "; map rank to rank"),
        )
    return f"order kept, and all quantiles from 5 to 95 % within {float(off):.2f} standard deviations of the target"


# ---- inflation (derivation) -----------------------------------------------------------------------------------------


@exercise("inflation", right=(0.36, 0.4))
@wrong("no price", (0.36, 0.36), "after inflation")
@wrong("correlation for its square", (0.2, 0.4), "1 - r^2")
@wrong("one number", 0.36, "two numbers")
def _grade_inflation(answer, generator: torch.Generator) -> str:
    """two numbers, in units of the variance of the truth, for a correlation of 0.8"""
    got = [number(value) for value in answer] if isinstance(answer, (list, tuple)) and len(answer) == 2 else None
    require(got is not None, "hand in two numbers: the error of the regression, and that after inflation")
    assert got is not None
    r = 0.8
    x = normal((400_000,), generator)
    y = r * x + (1 - r**2) ** 0.5 * normal((400_000,), generator)
    best, inflated = float(((r * x - y) ** 2).mean()), float(((x - y) ** 2).mean())
    require(
        abs(got[0] - best) < 0.01,
        f"400 000 random pairs give {best:.3f} for the regression: the slope is r (unit variances), and what it leaves "
        "is 1 - r^2",
    )
    require(
        abs(got[1] - inflated) < 0.01,
        f"400 000 random pairs give {inflated:.3f} after inflation: a prediction with the full variance is x "
        "itself, and E(x - y)^2 = 1 - 2 r + 1. Inflation adds amplitude to what is known, not what is unknown",
    )
    return f"400 000 random pairs: {best:.3f} and {inflated:.3f}. The right variance is paid for in error"


# ---- the leaking split (bug hunt) -----------------------------------------------------------------------------------


def split_blocks(hours: torch.Tensor, gap: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The right answer of 'mend-the-split'."""
    first = hours[int(0.7 * len(hours))]
    return torch.nonzero(hours <= first - gap).flatten(), torch.nonzero(hours >= first).flatten()


def _random(hours: torch.Tensor, gap: int) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(len(hours), generator=torch.Generator().manual_seed(0))
    return order[len(hours) // 4 :], order[: len(hours) // 4]


@exercise("mend-the-split", right=split_blocks)
@wrong("random hours", _random, "the weather of the next")
@wrong(
    "blocks without a gap",
    lambda h, gap: (torch.arange(3 * len(h) // 4), torch.arange(3 * len(h) // 4, len(h))),
    "leave a gap",
)
@wrong(
    "half a gap",
    lambda h, gap: (torch.nonzero(h < h[len(h) // 2]), torch.nonzero(h >= h[len(h) // 2] + gap // 2)),
    "leave a gap",
)
@wrong("tests on the training block", lambda h, gap: (torch.arange(len(h)),) * 2, "used twice")
def _grade_split(split, generator: torch.Generator) -> str:
    """a function split(hours, gap) -> (train, test): positions in the rising hours (T,); gap in hours"""
    for length, step, gap in ((400, 1, 24), (200, 6, 48)):
        hours = torch.arange(length) * step + int(uniform((), 0, 1000, generator))
        out = call(split, hours, gap)
        require(isinstance(out, tuple) and len(out) == 2, "return two index tensors, train and test")
        train, test = (torch.as_tensor(part).long().flatten() for part in out)
        require(len(train) and len(test), "one of the two parts is empty")
        require(
            len(torch.unique(torch.cat([train, test]))) == len(train) + len(test),
            "an hour was used twice: that is a leak",
        )
        distance = (hours[test][:, None] - hours[train]).abs().min()
        require(
            distance >= gap,
            f"a test hour lies {int(distance)} h from a training hour, {gap} h are wanted: the weather of the next "
            "hour is nearly that of this one, and an analog method will find it. Split by blocks and leave a gap",
        )
        used = (len(train) + len(test)) / length
        require(used > 0.7, f"only {100 * used:.0f} % of the hours are used: one gap between two blocks is enough")
        require(
            0.1 < len(test) / (len(train) + len(test)) < 0.5,
            "keep between a tenth and a half of the hours for the test",
        )
    return "no test hour within the gap of a training hour, for hourly and six-hourly data, and most hours are used"
