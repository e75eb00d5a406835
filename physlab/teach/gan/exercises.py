"""Exercises of the chapter on GANs and time: scores of ensembles, the loss of a generator, a frame between two."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from physlab.grid import refine
from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform, unlike, wrong

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-member", right=1.414)
@wrong("no difference", 1.0, "square root of two")
@wrong("variance for deviation", 2.0, "twice the variance")
@wrong("a word", "larger", "a number is wanted")
def _grade_member(got: float, generator: torch.Generator) -> str:
    """a number: RMSE of one member over the RMSE of the mean of many, for a reliable ensemble"""
    width = uniform((20000,), 0.2, 3.0, generator)  # some places are certain, others are not
    members, truth = width * normal((100, 20000), generator), width * normal((20000,), generator)
    ratio = float(((members - truth) ** 2).mean().sqrt() / ((members.mean(0) - truth) ** 2).mean().sqrt())
    require(
        abs(got - ratio) < 0.1,
        f"measured on a reliable ensemble of 100 members: {ratio:.2f}, you said {got:.2f}. Truth and member are two "
        "independent draws, so their difference has twice the variance of one; the mean has lost its own share. A "
        "single member pays for its sharpness with the square root of two",
    )
    return f"measured, reliable ensemble of 100: {ratio:.2f}; two independent draws differ by twice the variance"


@exercise("predict-mean-power", right=0.1)
@wrong("averaging keeps power", 1.0, "one part in m")
@wrong("amplitude for power", 10**-0.5, "add by their squares")
def _grade_mean_power(got: float, generator: torch.Generator) -> str:
    """a number: power of the mean of ten members over the power of one, where they are independent"""
    power = torch.fft.rfft2(normal((10, 64, 64), generator)).abs().square().mean(0).sum()
    generator_mean = torch.fft.rfft2(normal((10, 64, 64), generator).mean(0)).abs().square().sum()
    share = float(generator_mean / power)
    require(
        0.6 * share < got < 1.6 * share,
        f"measured: {share:.2f}, you said {got:.3g}. Independent waves add by their squares: the sum of ten has ten "
        "times the power of one, and the division by ten costs a factor of a hundred in power. What the members share "
        "is kept; what they do not share is left to one part in M",
    )
    return f"measured: {share:.2f}, one part in M. The mean is smooth where the members disagree"


# ---- code -----------------------------------------------------------------------------------------------------------


def fair_crps(members: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The right answer of 'member-score': (M, ...) and (...) -> (...)."""
    count = len(members)
    error = (members - truth).abs().mean(0)
    if count == 1:
        return error
    apart = (members[:, None] - members[None]).abs().sum((0, 1))
    return error - apart / (2 * count * (count - 1))


@exercise("member-score", right=fair_crps)
@wrong("error of the mean", lambda f, o: (f.mean(0) - o).abs(), "ten copies")
@wrong("no spread", lambda f, o: (f - o).abs().mean(0), "the spread is forgotten")
@wrong(
    "not fair",
    lambda f, o: (f - o).abs().mean(0) - (f[:, None] - f).abs().mean((0, 1)) / 2,
    "small ensemble is punished",
)
@wrong(
    "pairs twice",
    lambda f, o: (f - o).abs().mean(0) - (f[:, None] - f).abs().sum((0, 1)) / max(1, len(f) * (len(f) - 1)),
    "halve it",
)
@wrong("averaged over points", lambda f, o: fair_crps(f, o).mean(), "belongs to each point")
@wrong(
    "divides by zero",
    lambda f, o: (f - o).abs().mean(0) - (f[:, None] - f).abs().sum((0, 1)) / (2 * len(f) * (len(f) - 1)),
    "one member",
)
def _grade_crps(score, generator: torch.Generator) -> str:
    """a function score(members, truth): (M, ...) and (...) -> the fair CRPS at each point, (...)"""
    for count in (2, 5, 10, 1):
        members, truth = 20 + 5 * normal((count, 3, 4), generator), 20 + 5 * normal((3, 4), generator)
        out = call(score, members, truth)
        require(
            not (isinstance(out, float) or (isinstance(out, torch.Tensor) and out.ndim == 0)),
            "one number for everything: the score belongs to each point (...), since members of different points must "
            "not be compared. Average over the points at the very end, never before",
        )
        out = same_shape(out, truth.shape, "the score")
        error = (members - truth).abs().mean(0)
        if count == 1:
            require(torch.isfinite(out).all(), "one member gives NaN: without pairs the score is the absolute error")
            require(torch.allclose(out, error), "one member: without pairs the score is the absolute error")
            continue
        pairs = (members[:, None] - members[None]).abs().sum((0, 1))
        hints = {
            "this is the error of the ensemble mean: it cannot tell an ensemble from ten copies of its mean": (
                members.mean(0) - truth
            ).abs(),
            "the spread is forgotten: this pays every member to sit on the median": error,
            "divided by M squared, which counts each member's distance to itself, zero: a small ensemble is punished "
            "for being small. The fair score has M (M - 1) pairs": error - pairs / (2 * count**2),
            "each pair is in the double sum twice: halve it": error - pairs / (count * (count - 1)),
            "the spread is added: scattering would be punished twice": error + pairs / (2 * count * (count - 1)),
        }
        unlike(out, hints)
        right = error - pairs / (2 * count * (count - 1))
        worst = float((out - right).abs().max())
        require(
            worst < 1e-9,
            f"misses mean |f - o| - sum |f_i - f_j| / (2 M (M - 1)) by up to {worst:.3g}, with M = {count}",
        )
    return "equal to the double sum for 2, 5 and 10 members, and the absolute error for one"


def generator_loss(logits: torch.Tensor) -> torch.Tensor:
    """The right answer of 'generator-loss'."""
    return functional.softplus(-logits).mean()


@exercise("generator-loss", right=generator_loss)
@wrong("min-max form", lambda x: -functional.softplus(x).mean(), "saturates")
@wrong("the discriminator's term", lambda x: functional.softplus(x).mean(), "being caught")
@wrong("logarithm of a sigmoid", lambda x: -torch.log(torch.sigmoid(x)).mean(), "not finite")
@wrong("sum", lambda x: functional.softplus(-x).sum(), "take the mean")
@wrong("least squares", lambda x: ((x - 1) ** 2).mean(), "not ln 2")
def _grade_generator(loss, generator: torch.Generator) -> str:
    """a function loss(logits): logits (B,) of fakes -> the non-saturating loss of the generator"""

    def value(x: torch.Tensor) -> torch.Tensor:
        out = call(loss, x)
        require(isinstance(out, torch.Tensor) and out.ndim == 0, "the loss must be one number (a 0-dimensional tensor)")
        return out

    def slope(x: torch.Tensor) -> torch.Tensor:
        x = x.requires_grad_(True)
        return torch.autograd.grad(value(x), x)[0].sum()

    require(
        float(slope(torch.zeros(4, dtype=torch.float64))) < 0,
        "the loss rises as the discriminator believes more: this rewards being caught, as the discriminator's own "
        "term does",
    )
    caught = float(slope(uniform((8,), -20.0, -19.0, generator)))
    require(
        abs(caught) > 1e-3,
        "fakes that the discriminator has seen through (D near 0) get no gradient: log(1 - D) saturates there, and "
        "that is where a generator starts. Maximise log D instead",
    )
    chance = float(value(torch.zeros(1, dtype=torch.float64)))
    require(
        abs(chance - math.log(2)) < 1e-9, f"at chance (logit 0) the loss is {chance:.4f}, not ln 2 = {math.log(2):.4f}"
    )
    require(abs(caught + 1) < 1e-3, f"the gradients of 8 clear fakes add up to {caught:.3g}, not -1: take the mean")
    extreme = value(torch.tensor([-1000.0, 3.0], dtype=torch.float64))
    require(
        bool(torch.isfinite(extreme)),
        "the loss is not finite for a logit of -1000: the sigmoid rounds to zero before the logarithm; use softplus",
    )
    return "ln 2 at chance, a full gradient for clear fakes, finite for a logit of -1000"


def middle_frame(first: torch.Tensor, last: torch.Tensor, moved: int) -> torch.Tensor:
    """The right answer of 'middle-frame'."""
    return 0.5 * (torch.roll(first, moved // 2, -1) + torch.roll(last, -(moved // 2), -1))


@exercise("middle-frame", right=middle_frame)
@wrong("linear in time", lambda a, b, n: 0.5 * (a + b), "two ghosts")
@wrong("sign", lambda a, b, n: middle_frame(a, b, -n), "the wrong way")
@wrong("whole way", lambda a, b, n: middle_frame(a, b, 2 * n), "half of the distance")
@wrong("first hour only", lambda a, b, n: torch.roll(a, n // 2, -1), "take both hours")
def _grade_middle(middle, generator: torch.Generator) -> str:
    """a function middle(first, last, moved): two fields (H, W), periodic in longitude; the pattern moved by the even
    number `moved` of cells to the right"""
    for moved in (8, -6, 4):
        first = uniform((6, 32), 0.0, 10.0, generator) ** 2
        growth = float(uniform((), 1.2, 1.6, generator))
        last = growth * torch.roll(first, moved, -1)
        out = same_shape(call(middle, first, last, moved), first.shape, "the middle frame")
        half, level = torch.roll(first, moved // 2, -1), 0.5 * (1 + growth)
        hints = {
            "two ghosts: the mean of two frames shows everything at both places, at half its height": 0.5
            * (first + last),
            "the wrong way: the pattern moved to the right, so the first frame must be rolled by +moved / 2": 0.5
            * (torch.roll(first, -(moved // 2), -1) + torch.roll(last, moved // 2, -1)),
            "the whole way: half of the time, half of the distance": 0.5
            * (torch.roll(first, moved, -1) + torch.roll(last, -moved, -1)),
            "one of the hours is not used: the pattern also grew in the meantime, so take both hours": half,
            "one of the hours is not used: the pattern also shrinks backwards in time, so take both hours": growth
            * half,
        }
        unlike(out, hints)
        worst = float((out - level * half).abs().max())
        require(worst < 1e-9, f"misses the moved pattern, half-way in amplitude, by up to {worst:.3g}")
    return "a pattern that moves and grows is half-way in place and in strength, eastward and westward"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("spread-factor", right=lambda count: math.sqrt((count + 1) / count))
@wrong("none", lambda count: 1.0, "has variance s^2 / m too")
@wrong("no root", lambda count: (count + 1) / count, "take the root")
@wrong("upside down", lambda count: math.sqrt(count / (count + 1)), "upside down")
def _grade_factor(factor, generator: torch.Generator) -> str:
    """a function factor(M) that makes factor * spread / RMSE of the mean 1 for a reliable ensemble"""
    for count in (2, 5, 20):
        width = uniform((60000,), 0.5, 2.0, generator)
        members, truth = width * normal((count, 60000), generator), width * normal((60000,), generator)
        spread = members.var(0, correction=1).mean().sqrt()
        plain = float(spread / ((members.mean(0) - truth) ** 2).mean().sqrt())
        got = number(call(factor, count))
        ratio = got * plain
        if abs(ratio - 1) > 0.03:
            reason = "set the variance of (mean - truth) equal to s^2 (1 + 1 / M)"
            if abs(got - 1) < 1e-9:
                reason = "beside the truth, the mean of M has variance s^2 / M too"
            elif abs(got - (count + 1) / count) < 1e-9:
                reason = "this is the ratio of the variances: take the root, since spread and RMSE are deviations"
            elif abs(got * math.sqrt(1 + 1 / count) - 1) < 1e-9:
                reason = "upside down: the RMSE is the larger one"
            raise Wrong(f"a reliable ensemble of {count} members gets spread/skill {ratio:.3f} instead of 1: {reason}")
    return "reliable ensembles of 2, 5 and 20 members get spread/skill 1"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def ensemble(generate, coarse, members, generator):
    """The right answer of 'mend-the-ensemble'."""
    shape = (len(coarse), 4, *coarse.shape[-2:])
    return torch.stack([generate(coarse, torch.randn(shape, generator=generator)) for _ in range(members)])


def ten_copies(generate, coarse, members, generator):
    """The ensemble of the course report: one draw, written into all ten places."""
    shape = (len(coarse), 4, *coarse.shape[-2:])
    return generate(coarse, torch.randn(shape, generator=generator)).expand(members, -1, -1, -1, -1)


@exercise("mend-the-ensemble", right=ensemble)
@wrong("ten copies", ten_copies, "copies of one another")
@wrong(
    "seed in the loop",
    lambda g, x, m, r: torch.cat([ensemble(g, x, 1, torch.Generator().manual_seed(0)) for _ in range(m)]),
    "copies of one another",
)
@wrong(
    "one noise for the batch",
    lambda g, x, m, r: torch.stack(
        [g(x, torch.randn((1, 4, *x.shape[-2:]), generator=r).expand(len(x), -1, -1, -1)) for _ in range(m)]
    ),
    "share one noise",
)
@wrong("global state", lambda g, x, m, r: ensemble(g, x, m, None), "global state")
@wrong("own seed", lambda g, x, m, r: ensemble(g, x, m, torch.Generator().manual_seed(1)), "a seed is set inside")
@wrong(
    "averaged over the batch",
    lambda g, x, m, r: ensemble(g, x, m, r).mean(1),
    "the ensemble (members, samples, 1, h, w)",
)
@wrong(
    "members are means",
    lambda g, x, m, r: ensemble(g, x, 16 * m, r).unflatten(0, (m, 16)).mean(1),
    "they were averaged",
)
def _grade_ensemble(draw, generator: torch.Generator) -> str:
    """a function ensemble(generate, coarse, members, generator) -> (members, B, 1, H, W); generate(coarse, noise) takes
    noise (B, 4, h, w)"""
    seed = int(torch.randint(0, 10**6, (1,), generator=generator))
    coarse = uniform((3, 1, 4, 5), 5.0, 40.0, generator)

    def generate(x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return refine(x, 2) + refine(noise.double().mean(1, keepdim=True), 2)

    def once(seed: int) -> torch.Tensor:
        out = call(draw, generate, coarse, 6, torch.Generator().manual_seed(seed))
        return same_shape(out, (6, 3, 1, 8, 10), "the ensemble (members, samples, 1, H, W)")

    before = torch.get_rng_state()
    out = once(seed)
    detail = out - refine(coarse, 2)
    apart = (detail[:, None] - detail[None]).abs().mean((2, 3, 4, 5)) + 9 * torch.eye(6, dtype=out.dtype)
    require(
        float(apart.min()) > 1e-6,
        "some members are copies of one another: each member needs its own draw of noise. An ensemble of copies has "
        "no spread, and its CRPS is the absolute error of one of them",
    )
    require(
        float((detail[:, :1] - detail[:, 1:]).abs().mean((0, 2, 3, 4)).min()) > 1e-6,
        "all samples of the batch share one noise: their errors are then the same error, counted several times",
    )
    require(
        torch.equal(out, once(seed)) and torch.equal(before, torch.get_rng_state()),
        "the same generator does not give the same ensemble: draw from the generator that is passed in, not from the "
        "global state",
    )
    require(
        not torch.equal(out, once(seed + 1)),
        "another generator gives the same ensemble: a seed is set inside, and the caller cannot ask for new members",
    )
    scatter = float(detail.std())
    require(
        abs(scatter - 0.5) < 0.15,
        f"the members scatter by {scatter:.2f} where the generator scatters by 0.5: they were averaged",
    )
    return "six distinct members, noise of its own for each sample, the same again from the same generator"
