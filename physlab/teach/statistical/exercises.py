"""Exercises of the chapter on statistical downscaling."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge

from physlab.grid import coarsen, refine
from physlab.teach.case import held_out_water
from physlab.teach.check import Wrong, call, exercise, normal, number, one_of, require, same_shape, uniform

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


@exercise("predict-conserves", wants="value")
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
            "measured otherwise on fresh fields. Least squares, trees and analogs all return a weighted "
            "average of training details, with the same weights for all cells of a block; each detail has block mean "
            "zero, so the average has. Quantile mapping treats each cell by itself and knows nothing of its block: "
            f"look again at '{name}'",
        )
    return f"measured block errors: {shown}. An average of details with mean zero has mean zero, whatever the weights"


# ---- the variance of a best guess (predict and check) ---------------------------------------------------------------


@exercise("predict-smooth", wants="value")
def _grade_smooth(answer, generator: torch.Generator) -> str:
    """'smaller', 'equal' or 'larger': variance inside the coarse cells, best guess against truth"""
    said = one_of(answer, ("smaller", "equal", "larger"))
    fine, coarse, weights = held_out_water(4)
    from physlab.downscale import Interpolate

    guess = Interpolate("bicubic", 4, "add").predict(coarse, weights)
    ratio = float(((guess - refine(coarse, 4)) ** 2).mean() / ((fine - refine(coarse, 4)) ** 2).mean())
    require(
        said == "smaller",
        "measured otherwise for bicubic+add. Interpolation "
        "and regression return what is expected given the block means. Var(truth) = Var(expected) + Var(unexplained): "
        "a best guess has less variance than what it guesses, unless the guess is perfect",
    )
    return (
        f"measured for bicubic+add: {ratio:.2f} of the variance inside the blocks. What is missing is what is unknown"
    )


# ---- ridge regression of the detail (code) --------------------------------------------------------------------------


@exercise("ridge-detail", wants="function")
def _grade_ridge(regress, generator: torch.Generator) -> str:
    """a function regress(x, d, new, alpha) -> detail: cases (m, p), details (m, n), new cases (k, p) -> (k, n)"""
    for cases, p, n in ((50, 6, 4), (12, 20, 9)):
        x, new = normal((cases, p), generator) * 3 + 280, normal((5, p), generator) * 3 + 280
        d = normal((cases, n), generator) + x[:, :1] * 0.3
        d = d - d.mean(1, keepdim=True)
        alpha = float(uniform((), 10.0, 30.0, generator))  # large enough to be missed
        out = same_shape(call(regress, x, d, new, alpha), (5, n), "the predicted detail")
        require(
            torch.isfinite(out).all(), "NaN or infinity: with fewer cases than predictors only the ridge is solvable"
        )
        require(
            float(out.mean(1).abs().max()) < 1e-4,
            f"the details of a block average to {float(out.mean(1).abs().max()):.2g}, not to zero: all cells must "
            "share predictors and penalty, then the prediction is one weighted average of training details",
        )
        shift = call(regress, x - 273.15, d, new - 273.15, alpha)
        require(
            torch.allclose(shift, out, atol=2e-3),
            "in degrees Celsius the answer differs from that in kelvin: the penalty acts on the intercept. Subtract "
            "the training means first, and penalise the slopes alone",
        )
        moved = call(regress, x, d + 1.0, new, alpha)
        require(torch.allclose(moved, out + 1.0, atol=2e-3), "the mean detail of the training block is not reproduced")
        exact = torch.from_numpy(Ridge(alpha).fit(x.numpy(), d.numpy()).predict(new.numpy()))
        require(
            torch.allclose(out, exact, atol=2e-3),
            f"not the minimum of |d - x b|^2 + alpha |b|^2: off by up to {float((out - exact).abs().max()):.2g}; set "
            "its derivative to zero, (x'x + alpha) b = x'd",
        )
    return "block means zero, the same in kelvin and Celsius, and solvable with more predictors than cases"


# ---- quantile mapping (code) ----------------------------------------------------------------------------------------


@exercise("quantile-map", wants="function")
def _grade_mapping(mapping, generator: torch.Generator) -> str:
    """a function mapping(x, source, target) -> y: values (k,), training samples (m,) and (m,)"""
    count, size = 20_000, float(uniform((), 1.0, 3.0, generator))

    def ranks(shift: float) -> torch.Tensor:  # every rank once, in random order: no luck in the tails
        return (torch.randperm(count, generator=generator).double() + shift) / count

    source = torch.special.ndtri(ranks(0.5)).exp() * size
    target = -torch.log(1 - ranks(0.5)) * 5 + 1
    x = torch.special.ndtri(ranks(0.6)).exp() * size
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


@exercise("inflation", wants="value")
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
        "400 000 random pairs give another error of the regression: the slope is r (unit variances), and what it "
        "leaves "
        "is 1 - r^2",
    )
    require(
        abs(got[1] - inflated) < 0.01,
        "400 000 random pairs give another error after inflation: a prediction with the full variance is x "
        "itself, and E(x - y)^2 = 1 - 2 r + 1. Inflation adds amplitude to what is known, not what is unknown",
    )
    return f"400 000 random pairs: {best:.3f} and {inflated:.3f}. The right variance is paid for in error"


# ---- the leaking split (bug hunt) -----------------------------------------------------------------------------------


@exercise("mend-the-split", wants="function")
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
