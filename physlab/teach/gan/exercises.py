"""Exercises of the chapter on GANs and time: scores of ensembles, the loss of a generator, a frame between two."""

from __future__ import annotations

import math

import torch

from physlab.grid import refine
from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform, unlike

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-member", wants="number")
def _grade_member(got: float, generator: torch.Generator) -> str:
    """a number: RMSE of one member over the RMSE of the mean of many, for a reliable ensemble"""
    width = uniform((20000,), 0.2, 3.0, generator)  # some places are certain, others are not
    members, truth = width * normal((100, 20000), generator), width * normal((20000,), generator)
    ratio = float(((members - truth) ** 2).mean().sqrt() / ((members.mean(0) - truth) ** 2).mean().sqrt())
    require(
        abs(got - ratio) < 0.1,
        f"measured otherwise on a reliable ensemble of 100 members: you said {got:.2f}. Truth and member are two "
        "independent draws, so their difference has twice the variance of one; the mean has lost its own share. A "
        "single member pays for its sharpness with the square root of two",
    )
    return f"measured, reliable ensemble of 100: {ratio:.2f}; two independent draws differ by twice the variance"


@exercise("predict-mean-power", wants="number")
def _grade_mean_power(got: float, generator: torch.Generator) -> str:
    """a number: power of the mean of ten members over the power of one, where they are independent"""
    power = torch.fft.rfft2(normal((10, 64, 64), generator)).abs().square().mean(0).sum()
    generator_mean = torch.fft.rfft2(normal((10, 64, 64), generator).mean(0)).abs().square().sum()
    share = float(generator_mean / power)
    require(
        0.6 * share < got < 1.6 * share,
        f"measured otherwise: you said {got:.3g}. Independent waves add by their squares: the sum of ten has ten "
        "times the power of one, and the division by ten costs a factor of a hundred in power. What the members share "
        "is kept; what they do not share is left to one part in M",
    )
    return f"measured: {share:.2f}, one part in M. The mean is smooth where the members disagree"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("member-score", wants="function")
def _grade_crps(score, generator: torch.Generator) -> str:
    """a function score(members, truth): (M, ...) and (...) -> the fair CRPS at each point, (...)"""
    for count in (2, 5, 10, 1):
        members, truth = 20 + 5 * normal((count, 3, 4), generator), 20 + 5 * normal((3, 4), generator)
        truth[0, 0] = members[:, 0, 0].mean()  # within the members: the error of their mean is another one than theirs
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
            require(torch.allclose(out, error, atol=1e-4), "one member: without pairs the score is the absolute error")
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
            worst < 1e-4,
            f"misses mean |f - o| - sum |f_i - f_j| / (2 M (M - 1)) by up to {worst:.3g}, with M = {count}",
        )
    return "equal to the double sum for 2, 5 and 10 members, and the absolute error for one"


@exercise("generator-loss", wants="function")
def _grade_generator(loss, generator: torch.Generator) -> str:
    """a function loss(logits): logits (B,) of fakes -> the non-saturating loss of the generator"""

    def value(x: torch.Tensor) -> torch.Tensor:
        out = call(loss, x)
        require(isinstance(out, torch.Tensor) and out.ndim == 0, "the loss must be one number (a 0-dimensional tensor)")
        require(out.requires_grad or not x.requires_grad, "the loss has no gradient: compute it with tensors")
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
        abs(chance - math.log(2)) < 1e-5, f"at chance (logit 0) the loss is {chance:.4f}, not ln 2 = {math.log(2):.4f}"
    )
    require(abs(caught + 1) < 1e-3, f"the gradients of 8 clear fakes add up to {caught:.3g}, not -1: take the mean")
    extreme = value(torch.tensor([-1000.0, 3.0], dtype=torch.float64))
    require(
        bool(torch.isfinite(extreme)),
        "the loss is not finite for a logit of -1000: the sigmoid rounds to zero before the logarithm; use softplus",
    )
    return "ln 2 at chance, a full gradient for clear fakes, finite for a logit of -1000"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("spread-factor", wants="function")
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


def ten_copies(generate, coarse, members, generator):
    """The ensemble of the course report: one draw, written into all ten places."""
    shape = (len(coarse), 4, *coarse.shape[-2:])
    return generate(coarse, torch.randn(shape, generator=generator)).expand(members, -1, -1, -1, -1)


@exercise("mend-the-ensemble", wants="function")
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
