r"""The chapter on reading a results table: each artefact of the course report, made again by running it.

What is broken here is broken on purpose, and named so; the working forms are in :mod:`physlab.score`,
:mod:`physlab.train` and :mod:`physlab.constrain`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from physlab.benchmark import PAPER, read_runs
from physlab.constrain import conservation_penalty, make_constraint, soft_loss
from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.score import crps, mse
from physlab.teach.check import Exercise, Submission, number, register, require, uniform
from physlab.teach.report import implied_crps, runs_of
from physlab.train import get_recipe
from physlab.train.loop import Objective
from physlab.zoo import load_model

# ---- the artefacts ----------------------------------------------------------------------------------------------


def broken_crps(members: Tensor, truth: Tensor, width: int) -> Tensor:
    """CRPS as the published code computes it: (M, ...) members, one divisor wrong.

    The right score is a sum over the sorted members f_(i): (2i - 1)/M^2 (o - f_(i)) for members below the observation
    and the same from the other side for members above it. Here the first branch is divided by the image width squared.
    """
    count = len(members)
    ordered = members.sort(0).values
    share = (2 * torch.arange(1, count + 1, dtype=members.dtype) - 1).reshape(-1, *[1] * truth.ndim)
    below = share * (truth - ordered).clamp_min(0) / width**2
    above = share.flip(0) * (ordered - truth).clamp_min(0) / count**2
    return (below + above).sum(0).mean()


def copies_of_first(members: Tensor) -> Tensor:
    """The de-normalisation of the report: member 0 is written into all places."""
    return members[:1].expand_as(members)


def report_generator_loss(made: Tensor, truth: Tensor, coarse: Tensor, verdict: Tensor, soft: bool = False) -> Tensor:
    """MSE + 1e-4 BCE. `coarse` and `soft` are taken and never used, as in the published code."""
    real = torch.ones_like(verdict)
    return functional.mse_loss(made, truth) + 1e-4 * functional.binary_cross_entropy_with_logits(verdict, real)


def soft_gradients(data: SRData, samples: int = 8) -> pd.DataFrame:
    """Change of a trained network's gradient when "soft" is switched on, for the report's loss and for PhysLab's.

    Returns
    -------
    DataFrame, one row per loss: `change`, |g_soft - g_none| / |g_none| over all parameters, and `angle` in degrees.
    """
    trained = load_model("tcw-x4-none")
    settings = get_recipe("tcw-x4-gan-report").presets["cpu"].settings
    x, y = data.coarse["train"][:samples] / trained.scale, data.fine["train"][:samples] / trained.scale
    gradients: dict[tuple[str, bool], Tensor] = {}
    for soft in (False, True):
        model = CNN(trained.network, "soft" if soft else "none", trained.scale).requires_grad_()
        made = model(x, data.weights)
        verdict = made.mean((1, 2, 3))  # any discriminator does
        losses = {
            "the report's": report_generator_loss(made, y, x, verdict, soft),
            "PhysLab's": Objective(model, data, settings).error(made[None], x, y, data.weights),
        }
        for name, loss in losses.items():
            parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            gradients[name, soft] = torch.cat([part.flatten() for part in parts]).double()
    rows = {}
    for name in ("the report's", "PhysLab's"):
        without, with_soft = gradients[name, False], gradients[name, True]
        cosine = float(functional.cosine_similarity(without, with_soft, dim=0).clamp(-1, 1))
        change = float((with_soft - without).norm() / without.norm())
        rows[name] = {"change": change, "angle": float(np.degrees(np.arccos(cosine)))}
    return pd.DataFrame.from_dict(rows, orient="index")


class Triplets(nn.Module):
    """A small network from three coarse frames to three fine ones, without any skip, as the report's had none."""

    def __init__(self, factor: int, channels: int = 32) -> None:
        super().__init__()
        self.factor = factor
        self.body = nn.Sequential(
            *(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()),
            nn.Conv2d(channels, 3 * factor**2, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.body(x), self.factor)


def min_max(data: SRData, frames: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Offset and scale (1, 3, 1, 1) of a min-max normalisation of the named frames; the others stay as they are."""
    low, high = float(data.fine["train"].min()), float(data.fine["train"].max())
    offset, scale = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    for t in frames:
        offset[:, t], scale[:, t] = low, high - low
    return offset, scale


def failed_normalisation(data: SRData, steps: int = 150, batch: int = 8, crop: int = 16, seed: int = 0) -> pd.DataFrame:
    """Train a small network on triplets, all frames normalised or frame 0 alone, without a layer and with softmax.

    Parameters
    ----------
    crop : edge of the random windows in coarse cells.

    Returns
    -------
    DataFrame: for each of the four the test MSE of frame 0 in kg2 m-4, the one that was scored, its bias (prediction
    minus truth) and the share of the training loss that frame 0 has at the start.
    """
    fine, coarse = data.fine["train"], data.coarse["train"]
    truth, given = data.fine["test"], data.coarse["test"]
    rows = {}
    for frames, constraint in itertools.product(((0, 1, 2), (0,)), ("none", "softmax")):
        offset, scale = min_max(data, frames)
        layer = make_constraint(constraint, data.factor)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Triplets(data.factor)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        generator, share = torch.Generator().manual_seed(seed), None
        for _ in range(steps):
            pick = torch.randint(len(fine), (batch,), generator=generator)
            top, left = (int(torch.randint(n - crop + 1, (), generator=generator)) for n in coarse.shape[-2:])
            x, y = (
                (field[pick, :, n * top : n * (top + crop), n * left : n * (left + crop)] - offset) / scale
                for field, n in ((coarse, 1), (fine, data.factor))
            )
            error = (layer(network(x), x) - y).square().mean((0, 2, 3))
            share = float(error[0].detach() / error.detach().sum()) if share is None else share
            optimiser.zero_grad()
            error.mean().backward()
            optimiser.step()
        with torch.no_grad():
            x = (given - offset) / scale
            made = torch.cat([layer(network(part), part) for part in x.split(32)]) * scale + offset
        error = (made - truth)[:, 0]
        name = ("all frames" if len(frames) == 3 else "frame 0 alone", constraint)
        rows[name] = {"mse": float(error.square().mean()), "bias": float(error.mean()), "share": share}
    return pd.DataFrame.from_dict(rows, orient="index")


def restless(model: CNN, data: SRData, steps: int = 60, every: int = 5, batch: int = 8, crop: int = 24) -> list[float]:
    """Go on training a network as the report did, Adam at a constant 1e-3 without averaged weights; the test MSE on
    the way, kg2 m-4, on every twentieth field.

    Parameters
    ----------
    crop : edge of the random windows in coarse cells.
    """
    model = copy.deepcopy(model).requires_grad_().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    generator, scores, n = torch.Generator().manual_seed(0), [], data.factor
    fine, coarse = data.fine["train"], data.coarse["train"]
    for step in range(1, steps + 1):
        pick = torch.randint(len(fine), (batch,), generator=generator)
        top, left = (int(torch.randint(size - crop + 1, (), generator=generator)) for size in coarse.shape[-2:])
        y = fine[pick, :, n * top : n * (top + crop), n * left : n * (left + crop)] / model.scale
        loss = functional.mse_loss(model(coarse[pick, :, top : top + crop, left : left + crop] / model.scale), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % every == 0:
            made = model.predict(data.coarse["test"][::20], data.weights)
            scores.append(float(mse(made, data.fine["test"][::20], data.weights)))
    return scores


def reported_psnr(truth: Tensor, error: Tensor) -> dict[str, float]:
    """PSNR of one error with three peaks that papers use: the range, the largest value, and one (a scaled field)."""
    rmse = float(error.double().square().mean().sqrt())
    peaks = {"max - min": float(truth.max() - truth.min()), "max": float(truth.max())}
    return {name: 20 * float(np.log10(peak / rmse)) for name, peak in peaks.items()}


def draw_runs(runs: pd.DataFrame, score: str = "rmse") -> Figure:
    """Each run of the rows of the report as a dot: a score over that of bicubic+add of its task and factor."""
    figure, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
    colours = {"none": "#b2182b", "soft": "#ef8a62", "add": "#2166ac", "softmax": "#67a9cf"}
    for place, (task, factor, model, constraint) in enumerate(PAPER.values()):
        base = float(runs_of(runs, task, factor, "bicubic", "add")[score].mean())
        values = runs_of(runs, task, factor, model, constraint)[score].to_numpy(float) / base
        ax.plot(np.full(values.size, place), values, "o", color=colours[constraint], ms=5, alpha=0.8)
        ax.text(place, 0.02, model.split("-")[0], transform=ax.get_xaxis_transform(), ha="center", fontsize=7)
    for name, colour in colours.items():
        ax.plot([], [], "o", color=colour, label=name)
    ax.axhline(1.0, color="0.4", lw=1, ls="--")
    ax.set_xticks(range(len(PAPER)), list(PAPER), fontsize=8)
    ax.set_yscale("log")
    ax.set_ylabel(f"{score.replace('_', ' ')} / that of bicubic+add", fontsize=8)
    ax.legend(fontsize=8, ncols=4, loc="upper left")
    plt.close(figure)
    return figure


# ---- predict and check ------------------------------------------------------------------------------------------

HARD = ("add", "scaled_add", "mult", "softmax")


def _lottery() -> tuple[float, str]:
    """Per cent of the draws of one run per hard layer whose winner is the winner of the means, and that winner."""
    runs = read_runs()
    values = {name: runs_of(runs, "tcw", 4, "compact", name)["rmse"].to_numpy(float) for name in HARD}
    best = min(values, key=lambda name: values[name].mean())
    draws = [dict(zip(HARD, drawn, strict=True)) for drawn in itertools.product(*values.values())]
    return 100 * sum(min(draw, key=draw.get) == best for draw in draws) / len(draws), best


def _grade_lottery(answer, generator: torch.Generator) -> str:
    share, best = _lottery()
    got = number(answer)
    require(0 <= got <= 100, f"a percentage lies between 0 and 100, got {got:g}")
    require(
        abs(got - share) <= 25,
        f"counted: of all {3**4} ways to run each hard layer once, {share:.0f} % crown {best}, the winner of the "
        f"means; you said {got:.0f} %. Pure chance would give 25 %, a clear winner 100 %: compare the spread over "
        "seeds with the distance between the layers",
    )
    return f"counted: {share:.0f} % of the single-run tables crown {best}, the winner of the means of three seeds"


def lottery_share() -> float:
    """Per cent of the tables with one run per hard layer that crown the winner of the means of all seeds."""
    return _lottery()[0]


def _near(low: float, high: float) -> float:
    share = lottery_share()
    return low if abs(share - low) > 25 else high


class _Live(float):
    """A number that is computed when it is used: the right answer depends on the shipped table."""

    def __new__(cls, make):
        self = super().__new__(cls, 0.0)
        self.make = make
        return self

    def __float__(self) -> float:
        return float(self.make())


register(
    Exercise(
        name="predict-lottery",
        asks="a number in per cent: how many of the tables with one run per hard layer crown the true winner",
        grade=_grade_lottery,
        right=_Live(lottery_share),
        wrong=(
            Submission("far off", _Live(lambda: _near(0.0, 100.0)), "pure chance would give"),
            Submission("more than all", 120.0, "between 0 and 100"),
            Submission("a word", "most", "a number is wanted"),
        ),
    )
)


def _grade_residual(answer, generator: torch.Generator) -> str:
    got = number(answer)
    raw, coarse = uniform((2, 32, 32), -5.0, 5.0, generator).float(), uniform((2, 8, 8), 1.0, 60.0, generator).float()
    layer = make_constraint("softmax", 4)
    from physlab.grid import coarsen

    error = float(((coarsen(layer(raw, coarse), 4) - coarse).abs() / coarse).mean())
    exponent = float(np.log10(error))
    require(
        abs(got - exponent) < 1.2,
        f"measured on random numbers, no training at all: 10^{exponent:.1f}. Float32 carries 24 bits, a rounding error "
        "of 6e-8 each time; sixteen of them are added. A layer that is there does no worse, whatever the network",
    )
    return f"measured on random numbers, without any training: 10^{exponent:.1f}, the rounding of float32"


register(
    Exercise(
        name="predict-residual",
        asks="a number: log10 of the mean relative block error of any network that ends in a softmax layer, in float32",
        grade=_grade_residual,
        right=-7.0,
        wrong=(
            Submission("depends on training", -1.0, "rounding"),
            Submission("exact", -16.0, "float32"),
            Submission("zero", 0.0, "24 bits"),
        ),
    )
)

# ---- code: a CRPS that works ------------------------------------------------------------------------------------


def fair_crps(members: Tensor, truth: Tensor) -> Tensor:
    """The right answer of 'fair-crps'."""
    return crps(members, truth, mean=False)


def _grade_crps(answer, generator: torch.Generator) -> str:
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
        torch.allclose(score(copies, truth), (single[0] - truth).abs()),
        f"ten copies of one member score {float(score(copies, truth).mean()):.3f}; they are one single forecast, "
        f"whose CRPS is the absolute error, {float((single[0] - truth).abs().mean()):.3f}, on both sides of the truth",
    )
    two = uniform((2, 50), -3.0, 3.0, generator)
    wanted = (two - truth).abs().mean(0) - 0.5 * (two[0] - two[1]).abs()
    got = score(two, truth)
    if not torch.allclose(got, wanted):
        plain = (two - truth).abs().mean(0)
        require(
            False,
            "the spread of the members is missing: their mean absolute error punishes an honest ensemble for its width"
            if torch.allclose(got, plain)
            else "not fair: of M members there are M(M - 1) pairs; dividing by M^2 counts each member against itself "
            "and makes a small ensemble look worse than a large one of the same quality"
            if torch.allclose(got, plain - 0.25 * (two[0] - two[1]).abs())
            else "for two members f, g the fair score is (|f - o| + |g - o|)/2 - |f - g|/2",
        )
    five = torch.randn(5, 50, generator=generator, dtype=torch.float64)
    pairs = [score(five[list(pick)], truth) for pick in itertools.combinations(range(5), 2)]
    require(
        torch.allclose(score(five, truth), torch.stack(pairs).mean(0)),
        "not fair: the score of five members must be the mean of the scores of all their pairs",
    )
    return "one forecast gives the absolute error, and five members the mean over all their pairs: fair in any size"


register(
    Exercise(
        name="fair-crps",
        asks="a function score(members, truth): (M, n), (n,) -> (n,), the fair CRPS at each point",
        grade=_grade_crps,
        right=fair_crps,
        wrong=(
            Submission(
                "divided by the width",
                lambda f, o: torch.stack([broken_crps(f[:, i : i + 1], o[i : i + 1], 128) for i in range(len(o))]),
                "ten copies of one member",
            ),
            Submission("spread forgotten", lambda f, o: (f - o).abs().mean(0), "spread of the members is missing"),
            Submission("divided by M squared", lambda f, o: crps(f, o, fair=False, mean=False), "m(m - 1)"),
            Submission("averaged", lambda f, o: crps(f, o), "one score for each point"),
            Submission("error of the mean", lambda f, o: (f.mean(0) - o).abs(), "two members"),
        ),
    )
)

# ---- code: is it more than chance? ------------------------------------------------------------------------------


def more_than_chance(a: Sequence[float], b: Sequence[float]) -> bool:
    """The right answer of 'more-than-chance': Welch's test at 5 %."""
    from scipy.stats import ttest_ind

    return bool(ttest_ind(a, b, equal_var=False).pvalue < 0.05)


def _grade_chance(answer, generator: torch.Generator) -> str:
    def rate(gap: float, trials: int) -> float:
        hits = 0
        for _ in range(trials):
            a, b = torch.randn(2, 3, generator=generator, dtype=torch.float64)
            said = answer((1.65 + 0.01 * a).tolist(), (1.65 + 0.01 * (b + gap)).tolist())
            require(isinstance(said, (bool, np.bool_)), f"the answer must be True or False, got {said!r}")
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


register(
    Exercise(
        name="more-than-chance",
        asks="a function differ(a, b) -> True or False: lists with the RMSE of three seeds of two rows of a table",
        grade=_grade_chance,
        right=more_than_chance,
        wrong=(
            Submission("the smaller mean wins", lambda a, b: sum(a) != sum(b), "differ by nothing but the seed"),
            Submission("one seed each", lambda a, b: abs(a[0] - b[0]) > 0.01, "differ by nothing but the seed"),
            Submission("bars do not touch", lambda a, b: max(a) < min(b) or max(b) < min(a), "differ by nothing but"),
            Submission("never", lambda a, b: False, "finds nothing"),
            Submission("a difference", lambda a, b: sum(a) - sum(b), "true or false"),
        ),
    )
)

# ---- derivation: what the broken CRPS returns --------------------------------------------------------------------


def _grade_derivation(answer, generator: torch.Generator) -> str:
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
        require(
            False,
            f"the code returns {value:.4f} for {members} copies and width {width}, your formula {got:.4f}: {hint}",
        )
    return "the formula gives what the broken code returns, for three ensembles and widths"


register(
    Exercise(
        name="broken-crps",
        asks="a function value(mae, bias, members, width) -> number; bias is mean(truth - prediction)",
        grade=_grade_derivation,
        right=implied_crps,
        wrong=(
            Submission("the right score", lambda mae, b, m, w: mae, "correct crps"),
            Submission("bias of the other sign", lambda mae, b, m, w: implied_crps(mae, -b, m, w), "swapped"),
            Submission("one side dropped", lambda mae, b, m, w: (mae - b) / 2, "nearly"),
            Submission("half", lambda mae, b, m, w: mae / 2, "positive and its negative part"),
        ),
    )
)

# ---- bug hunt: a soft constraint that is in the loss ----------------------------------------------------------------


def mended_loss(made: Tensor, truth: Tensor, coarse: Tensor, verdict: Tensor, soft: bool, alpha: float) -> Tensor:
    """The right answer of 'mend-the-loss'."""
    pixel = functional.mse_loss(made, truth)
    if soft:
        pixel = soft_loss(pixel, conservation_penalty(made, coarse, made.shape[-1] // coarse.shape[-1]), alpha)
    return pixel + 1e-4 * functional.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))


def _grade_loss(answer, generator: torch.Generator) -> str:
    for alpha in (0.99, 0.5):
        made = uniform((2, 1, 8, 8), 0.0, 5.0, generator)
        truth, coarse = uniform((2, 1, 8, 8), 0.0, 5.0, generator), uniform((2, 1, 2, 2), 0.0, 5.0, generator)
        verdict = uniform((2, 1), -1.0, 1.0, generator)
        slopes, wanted = [], []
        for soft in (False, True):
            for loss, kept in ((answer, slopes), (mended_loss, wanted)):
                x = made.clone().requires_grad_()
                value = loss(x, truth, coarse, verdict, soft, alpha)
                require(isinstance(value, Tensor) and value.requires_grad, "the loss has no gradient: keep it a tensor")
                kept.append(torch.autograd.grad(value, x)[0])
        require(
            not torch.allclose(slopes[0], slopes[1]),
            "the gradient is the same with and without the soft constraint: whatever is printed, the network is told "
            "nothing about conservation",
        )
        require(
            torch.allclose(slopes[0], wanted[0]), "the loss without the soft constraint has changed: leave that alone"
        )
        require(
            torch.allclose(slopes[1], wanted[1]),
            "the gradient changes, but it is not that of alpha * MSE(block mean, coarse) + (1 - alpha) * MSE: look at "
            "which field the penalty compares with the coarse one, and at the share of the rest",
        )
    return "the gradient changes with the flag, for two alphas, and is that of the soft loss"


register(
    Exercise(
        name="mend-the-loss",
        asks="a function loss(made, truth, coarse, verdict, soft, alpha) -> scalar tensor; fields (B, 1, H, W)",
        grade=_grade_loss,
        right=mended_loss,
        wrong=(
            Submission(
                "as published", lambda m, t, c, v, soft, a: report_generator_loss(m, t, c, v, soft), "told nothing"
            ),
            Submission(
                "penalty of the truth",
                lambda m, t, c, v, soft, a: mended_loss(m, t, c, v, False, a) + soft * conservation_penalty(t, c, 4),
                "told nothing",
            ),
            Submission(
                "added, not shared",
                lambda m, t, c, v, soft, a: (
                    mended_loss(m, t, c, v, False, a) + (a * conservation_penalty(m, c, 4) if soft else 0)
                ),
                "not that of alpha",
            ),
            Submission("always soft", lambda m, t, c, v, soft, a: mended_loss(m, t, c, v, True, a), "told nothing"),
            Submission("a number", lambda m, t, c, v, soft, a: 1.0, "no gradient"),
        ),
    )
)
