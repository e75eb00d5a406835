"""Exercises of the chapter on reading a results table: luck, rounding, broken scores and a loss that forgets."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from physlab.benchmark import read_runs
from physlab.constrain import make_constraint
from physlab.grid import coarsen, refine
from physlab.teach.check import Wrong, exercise, number, require, uniform
from physlab.teach.handed import shown
from physlab.teach.report import implied_crps, runs_of
from physlab.teach.results.artefacts import broken_crps

# ---- predict and check ----------------------------------------------------------------------------------------------

HARD = ("add", "scaled_add", "mult", "softmax")


def _lottery() -> tuple[float, str]:
    """Per cent of the draws of one run per hard layer whose winner is the winner of the means, and that winner."""
    runs = read_runs()
    values = {name: runs_of(runs, "tcw", 4, "compact", name)["rmse"].to_numpy(float) for name in HARD}
    best = min(values, key=lambda name: values[name].mean())
    draws = [dict(zip(HARD, drawn, strict=True)) for drawn in itertools.product(*values.values())]
    winners = [min(draw.items(), key=lambda pair: pair[1])[0] for draw in draws]
    return 100 * winners.count(best) / len(draws), best


def lottery_share() -> float:
    """Per cent of the tables with one run per hard layer that crown the winner of the means of all seeds."""
    return _lottery()[0]


@exercise("predict-lottery", wants="number")
def _grade_lottery(got: float, generator: torch.Generator) -> str:
    """a number in per cent: how many of the tables with one run per hard layer crown the true winner"""
    share, best = _lottery()
    require(0 <= got <= 100, f"a percentage lies between 0 and 100, got {got:g}")
    require(
        abs(got - share) <= 25,
        f"counted otherwise, over all ways to run each hard layer once: you said {got:.0f} %. Pure chance would "
        "give 25 %, a clear winner 100 %: compare the spread over "
        "seeds with the distance between the layers",
    )
    return f"counted: {share:.0f} % of the single-run tables crown {best}, the winner of the means of three seeds"


@exercise("predict-residual", wants="number")
def _grade_residual(got: float, generator: torch.Generator) -> str:
    """a number: log10 of the mean relative block error of any network that ends in a softmax layer, in float32"""
    raw, coarse = uniform((2, 32, 32), -5.0, 5.0, generator).float(), uniform((2, 8, 8), 1.0, 60.0, generator).float()
    layer = make_constraint("softmax", 4)
    error = float(((coarsen(layer(raw, coarse), 4) - coarse).abs() / coarse).mean())
    exponent = float(np.log10(error))
    require(
        abs(got - exponent) < 1.2,
        f"measured otherwise on random numbers, no training at all: you said 10^{got:g}. Float32 carries 24 bits, "
        "a rounding error "
        "of 6e-8 each time; sixteen of them are added. A layer that is there does no worse, whatever the network",
    )
    return f"measured on random numbers, without any training: 10^{exponent:.1f}, the rounding of float32"


# ---- code: a CRPS that works ----------------------------------------------------------------------------------------


@exercise("fair-crps", wants="function")
def _grade_crps(answer, generator: torch.Generator) -> str:
    """a function score(members, truth): (M, n), (n,) -> (n,), the fair CRPS at each point"""

    def score(members: Tensor, truth: Tensor) -> Tensor:
        out = torch.as_tensor(answer(members.clone(), truth.clone()))
        require(
            out.shape == truth.shape,
            f"one score for each point is wanted, {tuple(truth.shape)}, got {tuple(out.shape)}",
        )
        return out.double()

    truth = uniform((50,), -3.0, 3.0, generator)
    single = uniform((1, 50), -3.0, 3.0, generator)
    copies = single.expand(10, 50)
    require(
        torch.allclose(score(copies, truth), (single[0] - truth).abs(), atol=1e-5),
        f"ten copies of one member score {float(score(copies, truth).mean()):.3f}; they are one single forecast, "
        f"whose CRPS is the absolute error, {float((single[0] - truth).abs().mean()):.3f}, on both sides of the truth",
    )
    two = uniform((2, 50), -3.0, 3.0, generator)
    wanted = (two - truth).abs().mean(0) - 0.5 * (two[0] - two[1]).abs()
    got = score(two, truth)
    if not torch.allclose(got, wanted, atol=1e-5):
        plain = (two - truth).abs().mean(0)
        raise Wrong(
            "the spread of the members is missing: their mean absolute error punishes an honest ensemble for its width"
            if torch.allclose(got, plain, atol=1e-5)
            else "not fair: of M members there are M(M - 1) pairs; dividing by M^2 counts each member against itself "
            "and makes a small ensemble look worse than a large one of the same quality"
            if torch.allclose(got, plain - 0.25 * (two[0] - two[1]).abs(), atol=1e-5)
            else "for two members f, g the fair score is (|f - o| + |g - o|)/2 - |f - g|/2",
        )
    five = torch.randn(5, 50, generator=generator, dtype=torch.float64)
    pairs = [score(five[list(pick)], truth) for pick in itertools.combinations(range(5), 2)]
    require(
        torch.allclose(score(five, truth), torch.stack(pairs).mean(0), atol=1e-5),
        "not fair: the score of five members must be the mean of the scores of all their pairs",
    )
    return "one forecast gives the absolute error, and five members the mean over all their pairs: fair in any size"


# ---- code: is it more than chance? ----------------------------------------------------------------------------------


@exercise("more-than-chance", wants="function")
def _grade_chance(answer, generator: torch.Generator) -> str:
    """a function differ(a, b) -> True or False: lists with the RMSE of three seeds of two rows of a table"""

    def rate(gap: float, trials: int) -> float:
        hits = 0
        for _ in range(trials):
            a, b = torch.randn(2, 3, generator=generator, dtype=torch.float64)
            said = answer((1.65 + 0.01 * a).tolist(), (1.65 + 0.01 * (b + gap)).tolist())
            require(isinstance(said, (bool, np.bool_)), f"the answer must be True or False, got {shown(said)}")
            hits += bool(said)
        return hits / trials

    false_alarms = rate(0.0, 1200)
    require(
        false_alarms < 0.075,  # bars that do not touch: 10 %
        f"two rows that differ by nothing but the seed are called different in {100 * false_alarms:.0f} % of the "
        "tables; allowed are about 5. With three seeds each the means scatter by s / sqrt(3), and s is itself poorly "
        "known: use the t distribution",
    )
    found = rate(8.0, 100)
    require(
        found > 0.9,
        f"a difference of eight standard deviations is found in {100 * found:.0f} % of the tables only: too strict a "
        "test finds nothing, and calls everything equal",
    )
    return f"false alarms in {100 * false_alarms:.0f} % of the tables, a large difference found in {100 * found:.0f} %"


# ---- derivation: what the broken CRPS returns -----------------------------------------------------------------------


@exercise("broken-crps", wants="function")
def _grade_derivation(answer, generator: torch.Generator) -> str:
    """a function value(mae, bias, members, width) -> number; bias is mean(truth - prediction)"""
    for members, width in ((10, 128), (5, 64), (20, 32)):
        truth = uniform((200,), -2.0, 2.0, generator)
        single = truth + torch.randn(200, generator=generator, dtype=torch.float64) + uniform((), -1, 1, generator)
        value = float(broken_crps(single.expand(members, 200), truth, width))
        mae, bias = float((single - truth).abs().mean()), float((truth - single).mean())
        got = number(answer(mae, bias, members, width))
        if abs(got - value) < 1e-9:
            continue
        hint = "split the error into its positive and its negative part: MAE is their sum, the bias their difference"
        if abs(got - implied_crps(mae, -bias, members, width)) < 1e-9:
            hint = "the branches are swapped: the bias is truth minus prediction; members BELOW the truth are shrunk"
        elif abs(got - (mae - bias) / 2) < 1e-9:
            hint = "nearly: the branch below the truth is shrunk by (M / width)^2, not to nothing"
        elif abs(got - mae) < 1e-9:
            hint = "MAE is what a correct CRPS gives; the broken one loses most of one side"
        raise Wrong(
            f"the code returns {value:.4f} for {members} copies and width {width}, your formula {got:.4f}: {hint}",
        )
    return "the formula gives what the broken code returns, for three ensembles and widths"


# ---- bug hunt: a soft constraint that is in the loss ----------------------------------------------------------------


@exercise("mend-the-loss", wants="function")
def _grade_loss(answer, generator: torch.Generator) -> str:
    """a function loss(made, truth, coarse, verdict, soft, alpha) -> scalar tensor; fields (B, 1, H, W)"""
    for alpha in (0.99, 0.5):
        made = uniform((2, 1, 8, 8), 0.0, 5.0, generator)
        truth, coarse = uniform((2, 1, 8, 8), 0.0, 5.0, generator), uniform((2, 1, 2, 2), 0.0, 5.0, generator)
        verdict = uniform((2, 1), -1.0, 1.0, generator)
        slopes: list[Tensor] = []
        for soft in (False, True):
            x = made.clone().requires_grad_()
            value = answer(x, truth, coarse, verdict, soft, alpha)
            require(isinstance(value, Tensor) and value.requires_grad, "the loss has no gradient: keep it a tensor")
            slopes.append(torch.autograd.grad(value, x)[0])
        # by hand: d MSE / d made, and d MSE(block mean, coarse) / d made
        pixel = 2 * (made - truth) / made.numel()
        penalty = refine(2 * (coarsen(made, 4) - coarse) / coarse.numel(), 4) / 16
        wanted = [pixel, alpha * penalty + (1 - alpha) * pixel]
        require(
            not torch.allclose(slopes[0], slopes[1]),
            "the gradient is the same with and without the soft constraint: whatever is printed, the network is told "
            "nothing about conservation",
        )
        require(
            torch.allclose(slopes[0], wanted[0], atol=1e-6),
            "the loss without the soft constraint has changed: leave that alone",
        )
        require(
            torch.allclose(slopes[1], wanted[1], atol=1e-6),
            "the gradient changes, but it is not that of alpha * MSE(block mean, coarse) + (1 - alpha) * MSE: look at "
            "which field the penalty compares with the coarse one, and at the share of the rest",
        )
    return "the gradient changes with the flag, for two alphas, and is that of the soft loss"
