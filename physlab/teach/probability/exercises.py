"""Exercises of the chapter on probability: base rates, ranks, likelihood, a score, divergences and a bound."""

from __future__ import annotations

import math

import torch

from physlab.teach.check import Wrong, call, exercise, normal, require, same_shape, uniform, unlike

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-base-rate", wants="number")
def _grade_base_rate(got: float, generator: torch.Generator) -> str:
    """a number: P(flood | alarm), for floods on 1 day in 100, alarms on 90 % of these and on 5 % of others"""
    require(0 <= got <= 1, "a probability lies between 0 and 1")
    dice = uniform((2, 1_000_000), 0.0, 1.0, generator)
    flood = dice[0] < 0.01
    alarm = dice[1] < torch.where(flood, 0.9, 0.05)
    found = float((flood & alarm).sum() / alarm.sum())
    require(
        abs(got - found) < 0.01,
        ("far too sure" if got > found else "not sure enough")
        + ", counted on a million days. Of many days write down how many have a flood and an alarm, and how many have "
        "an alarm without a flood: the second group is a small share of a large number",
    )
    return "counted on a million days: most alarms are false, because floods are rare"


@exercise("predict-outside", wants="number")
def _grade_outside(got: float, generator: torch.Generator) -> str:
    """a number: how often the truth lies outside all nine members of a reliable ensemble, as a share"""
    require(0 <= got <= 1, "a share lies between 0 and 1")
    members, truth = normal((9, 200_000), generator), normal((200_000,), generator)
    below = (members < truth).sum(0)
    found = float(((below == 0) | (below == 9)).double().mean())
    require(
        abs(got - found) < 0.01,
        "counted otherwise. Truth and members are draws of the same kind: sort them all, and ask in how many of the "
        "places that the truth can take it is the first or the last",
    )
    return "counted in 200,000 cases: a reliable ensemble is caught outside as often as that"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("gaussian-loss", wants="function")
def _grade_gaussian(answer, generator: torch.Generator) -> str:
    """a function loss(mean, log_std, y): tensors (B,) -> minus the mean log density of y, one number"""
    for _ in range(2):
        mean, log, y = normal((50,), generator), 0.5 * normal((50,), generator), normal((50,), generator)
        out = call(answer, mean, log, y)
        require(isinstance(out, torch.Tensor) and out.ndim == 0, "one number as a tensor is wanted: a loss")
        z, half = (y - mean) / log.exp(), 0.5 * math.log(2 * math.pi)
        unlike(
            out,
            {
                "the sign: a likely truth must cost less": -(0.5 * z**2 + log + half).mean(),
                "nothing is paid for a wide bell, so that the widest one wins: the log of the spread is missing": (
                    0.5 * z**2 + half
                ).mean(),
                "the constant, half the log of two pi, is missing: no gradient notices, but every comparison does": (
                    0.5 * z**2 + log
                ).mean(),
                "the half before the square is missing": (z**2 + log + half).mean(),
                "the log of the spread was used as the spread": (0.5 * ((y - mean) / log) ** 2 + log + half).mean(),
            },
        )
        require(torch.allclose(out, (0.5 * z**2 + log + half).mean()), "not the mean of minus the log of the densities")
    return "minus the log density; least where the spread is the root mean square error"


@exercise("count-ranks", wants="function")
def _grade_ranks(answer, generator: torch.Generator) -> str:
    """a function histogram(members, truth): (M, n) and (n,) -> how often 0, 1, ... M members lie below the truth, as
    shares (M + 1,)"""
    for count in (4, 9):
        members, truth = 0.6 * normal((count, 400), generator) + 0.4, normal((400,), generator)
        out = same_shape(call(answer, members, truth), (count + 1,), "the histogram")
        rank = (members < truth).sum(0)
        exact = torch.bincount(rank, minlength=count + 1).double() / 400
        unlike(
            out,
            {
                "upside down: count the members below the truth, not above": exact.flip(0),
                "these are counts; divide by the number of cases": 400 * exact,
            },
        )
        require(abs(float(out.sum()) - 1) < 1e-6, "the shares do not add up to one: no rank may be lost, 0 and M too")
        require(torch.allclose(out, exact), "the ranks are counted otherwise")
    return "all ranks from 0 to M, as shares"


@exercise("staircase", wants="function")
def _grade_staircase(answer, generator: torch.Generator) -> str:
    """a function score(members, truth): (M,) and a number -> the integral over x of (share of members <= x, minus one
    where x >= truth) squared"""
    for count in (1, 3, 8):
        members = 3 * normal((count,), generator)
        low, high = (float(x) for x in (members.min(), members.max()))
        within = float(uniform((), 0.3, 0.7, generator))  # between the members: the error of their mean is another one
        truth = low + within * (high - low) if count > 1 else float(3 * normal((), generator))
        got = call(answer, members, truth)
        require(isinstance(got, float | int | torch.Tensor), "a number is wanted")
        pairs = (members[:, None] - members).abs().mean()
        exact = float((members - truth).abs().mean() - 0.5 * pairs)
        value = float(got)
        if abs(value - exact) > 2e-3 * max(1.0, exact):
            error = float((members - truth).abs().mean())
            require(abs(value - error) > 1e-6 or count == 1, "the spread of the members is not rewarded")
            require(
                abs(value - abs(float(members.mean()) - truth)) > 1e-6,
                "this is the error of the mean: the staircase has been replaced by one step",
            )
            if count > 1:
                fair = error - 0.5 * float(pairs) * count / (count - 1)
                require(
                    abs(value - fair) > 1e-6,
                    "this is the fair score; the integral of the staircase itself counts M squared pairs",
                )
            raise Wrong(
                f"the area between staircase and step is otherwise for {count} members: square the difference before "
                "adding up, and go from the smallest corner to the largest, the truth included"
            )
    return "equal to the mean distance to the truth minus half of that between members, for 1, 3 and 8 members"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("divergence-of-bells", wants="function")
def _grade_bells(answer, generator: torch.Generator) -> str:
    """a function kl(m1, s1, m2, s2): mean and spread of two bells -> KL(first || second)"""
    for _ in range(5):
        m1, m2 = (float(uniform((), -2, 2, generator)) for _ in range(2))
        s1, s2 = (float(uniform((), 0.5, 2.0, generator)) for _ in range(2))
        got = float(call(answer, m1, s1, m2, s2))

        def exact(a: float, b: float, c: float, d: float) -> float:
            return math.log(d / b) + (b**2 + (a - c) ** 2) / (2 * d**2) - 0.5

        right = exact(m1, s1, m2, s2)
        if abs(got - right) > 1e-4 * max(1.0, right):
            require(abs(got - exact(m2, s2, m1, s1)) > 1e-6, "the other direction: the mean is taken over the *first*")
            require(abs(got - right - 0.5) > 1e-6, "not zero for two equal bells: one half is missing")
            require(
                abs(got - math.log(s2 / s1) - (s1**2 / s2**2 - 1) / 2) > 1e-6,
                "the distance of the means does not count: two bells at different places are not alike",
            )
            raise Wrong("not the mean, over the first bell, of the log of its density over that of the second")
    same = float(call(answer, 1.0, 0.7, 1.0, 0.7))
    require(abs(same) < 1e-9, "not zero for two equal bells")
    return "right for five pairs, and zero for equal bells"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def loose_bound(log_likelihood, mean, std, noise):
    """As somebody first wrote it: the price of leaving the prior is paid out, and the spread is not used."""
    return log_likelihood(mean + noise).mean() + 0.5 * (mean**2 + std**2 - 1 - 2 * std.log())


@exercise("mend-the-bound", wants="function")
def _grade_bound(answer, generator: torch.Generator) -> str:
    """a function bound(log_likelihood, mean, std, noise): log_likelihood(x) of states (N,), numbers, normal noise (N,)
    -> the bound on the log evidence for the prior N(0, 1), one number"""
    noise = normal((200_000,), generator)
    noise = (noise - noise.mean()) / noise.std()
    for _ in range(2):
        y, error = float(uniform((), 2, 3, generator)), float(uniform((), 0.7, 1.0, generator))  # a price that is felt

        def likelihood(x: torch.Tensor, y: float = y, error: float = error) -> torch.Tensor:
            return -0.5 * ((y - x) / error) ** 2 - math.log(error * math.sqrt(2 * math.pi))

        total = 1 + error**2
        log_evidence = -0.5 * y**2 / total - 0.5 * math.log(2 * math.pi * total)
        best = torch.tensor([y / total, math.sqrt(error**2 / total)]).double()
        tight = float(call(answer, likelihood, best[0], best[1], noise))
        off = float(call(answer, likelihood, best[0] + 0.7, 2 * best[1], noise))
        require(
            max(off, tight) < log_evidence + 1e-3,
            "a bell lies *above* the log evidence: that is no bound. The divergence from the prior is a price and has "
            "a minus",
        )
        require(
            abs(tight - log_evidence) < 5e-3,
            "for the exact posterior the bound must touch the log evidence: states are mean + std times noise, and the "
            "price is half of (mean squared + variance - 1 - log variance)",
        )
    return "touches the log evidence at the posterior, and lies below it elsewhere"
