"""Exercises of the chapter on sequences: ghosts, gates, a residual with units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform, unlike

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-ghosts", wants="number")
def _grade_ghosts(got: float, generator: torch.Generator) -> str:
    """a number: from how many widths on do two equal bells, averaged, show two crests instead of one"""
    width = float(uniform((), 1.0, 3.0, generator))
    x = torch.linspace(-12, 12, 24_001, dtype=torch.float64) * width

    def crests(distance: float) -> int:
        half = 0.5 * distance * width
        y = sum((-0.5 * ((x - s * half) / width) ** 2).exp() for s in (-1, 1))
        inner = (y[1:-1] > y[:-2]) & (y[1:-1] >= y[2:]) & (y[1:-1] > 1e-3)  # type: ignore[index]
        return int(inner.sum())

    require(got > 0, "a distance is positive")
    require(
        crests(1.02 * got) == 2,
        f"at {got:g} widths they still have one crest. In the middle the sum must be bent upwards: where does a "
        "bell bend upwards, inside or outside of one width?",
    )
    require(
        crests(0.98 * got) == 1,
        f"below {got:g} widths there are two crests already. Where does a bell turn from bent down to bent up?",
    )
    return "tried on either side: two widths, since a bell turns its bend at one width from its middle"


@exercise("predict-gate", wants="number")
def _grade_gate(got: float, generator: torch.Generator) -> str:
    """a number: a gate keeps 0.9 of the state; which share of a look is left in the state seven steps later"""
    looks = torch.zeros(8, dtype=torch.float64)
    looks[0] = 1.0
    h = torch.zeros((), dtype=torch.float64)
    for look in looks:
        h = 0.9 * h + 0.1 * look
    left = float(h) / 0.1
    require(
        abs(got - 0.3) > 0.01,
        "measured otherwise: a gate does not take a tenth of what there was at first, but of what is left, every time",
    )
    require(
        abs(got - 0.9) > 0.01,
        "measured otherwise: that is one step; the gate is applied seven times, one after the other",
    )
    require(abs(got - left) < 0.02, f"measured otherwise: {got:.2g} is not what seven steps leave of it")
    return f"measured: {left:.2f}. A memory of one over (1 - gate), ten steps, in which a look fades to a third"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("middle-frame", wants="function")
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
        require(worst < 1e-3, f"misses the moved pattern, half-way in amplitude, by up to {worst:.3g}")
    return "a pattern that moves and grows is half-way in place and in strength, eastward and westward"


def _gru(h: Tensor, e: Tensor, wb: Tensor, wg: Tensor, wk: Tensor) -> Tensor:
    """A step of a gated unit: gates and candidate are linear in [e, h]."""
    both = torch.cat([e, h])
    keep, let = torch.sigmoid(wb @ both), torch.sigmoid(wg @ both)
    return keep * h + (1 - keep) * torch.tanh(wk @ torch.cat([e, let * h]))


@exercise("gated-step", wants="function")
def _grade_gru(answer, generator: torch.Generator) -> str:
    """a function step(h (n,), e (m,), wb, wg, wk (n, m + n)) -> the next state (n,); wb and wg make the gates beta and
    gamma, wk the candidate"""
    n, m = 4, 3
    for _ in range(2):
        h, e = normal((n,), generator), normal((m,), generator)
        wb, wg, wk = (normal((n, m + n), generator) for _ in range(3))
        out = same_shape(call(answer, h, e, wb, wg, wk), (n,), "the state")
        both = torch.cat([e, h])
        keep, let = torch.sigmoid(wb @ both), torch.sigmoid(wg @ both)
        new, blunt = torch.tanh(wk @ torch.cat([e, let * h])), torch.tanh(wk @ both)
        unlike(
            out,
            {
                "beta is the share of the old state that is *kept*; yours is the share that is renewed": (
                    (1 - keep) * h + keep * new
                ),
                "gamma is not used: it says how much of the old state the candidate may see": (
                    keep * h + (1 - keep) * blunt
                ),
                "there is no bend: the candidate is a tanh, or the state can grow without limit": (
                    keep * h + (1 - keep) * (wk @ torch.cat([e, let * h]))
                ),
                "the old state is added whole: kept and renewed shares must add up to one": h + (1 - keep) * new,
            },
        )
        require(
            torch.allclose(out, _gru(h, e, wb, wg, wk), atol=1e-4), "not the step of the equation: compare term by term"
        )
    return "kept and renewed shares add up to one, and the state stays between the old one and a bounded new one"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("middle-bend", wants="function")
def _grade_bend(answer, generator: torch.Generator) -> str:
    """a function bend(d, s): second derivative, half-way between them, of the mean of two bells exp(-x^2 / 2 s^2) at
    the distance d"""
    for _ in range(4):
        s, d = float(uniform((), 0.8, 2.0, generator)), float(uniform((), 0.5, 5.0, generator))

        def mean(x: float, s: float = s, d: float = d) -> float:
            return 0.5 * sum(math.exp(-0.5 * ((x - k * d / 2) / s) ** 2) for k in (-1, 1))

        step = 1e-3 * s
        right = (mean(step) - 2 * mean(0.0) + mean(-step)) / step**2
        got = number(call(answer, d, s))
        if abs(got - right) > 1e-3 * max(1.0, abs(right)):
            case = f"at distance {d:.2f} and width {s:.2f} differences give {right:.4f}, you have {got:.4f}"
            away = math.exp(-0.5 * (d / s) ** 2) * (d**2 / s**2 - 1) / s**2
            require(abs(got - away) > 1e-6, f"{case}. Half-way, the centres are d / 2 away, not d")
            require(abs(got + right) > 1e-6, f"{case}. The sign: a crest is bent downwards")
            raise Wrong(
                f"{case}. Differentiate one bell twice, insert x = d / 2; both give the same, and the mean is that"
            )
    return "right at any distance; it changes its sign at d = 2 s, where one crest becomes two"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def published(before: Tensor, after: Tensor, wind: float, dx: float, dt: float) -> Tensor:
    """What is left of dW/dt + c dW/dx, as published: differences for each hour and for each index of the grid."""
    middle = 0.5 * (before + after)
    return (after - before) + wind * 0.5 * (middle.roll(-1) - middle.roll(1))


@exercise("mend-the-residual", wants="function")
def _grade_residual(answer, generator: torch.Generator) -> str:
    """a function residual(before (n,), after (n,), wind, dx, dt) in kg m-2 s-1, for a ring of latitude: m s-1, m, s"""
    for n in (64, 256):
        length, dt = 2e6, 600.0
        dx, wind = length / n, float(uniform((), 8.0, 20.0, generator))
        x, phase = torch.arange(n, dtype=torch.float64) * dx, float(uniform((), 0.0, 6.0, generator))
        k = 2 * math.pi / length

        def water(t: float, x: Tensor = x, wind: float = wind, phase: float = phase, k: float = k) -> Tensor:
            return 20 + 5 * torch.sin(k * (x - wind * t) + phase)

        out = same_shape(call(answer, water(0.0), water(dt), wind, dx, dt), (n,), "the residual")
        term = 5 * k * wind / 2**0.5
        size = float(out.square().mean().sqrt()) / term
        if size > 0.05:
            require(
                not torch.allclose(out, published(water(0.0), water(dt), wind, dx, dt), rtol=1e-3, atol=1e-6),
                "as it came: a change per step and a change per index are added, kg m-2 to kg m-2 m s-1. Nature knows "
                "neither the step nor the grid",
            )
            require(
                abs(size - 2) > 0.1,
                "the terms add up instead of cancelling: what is carried in from upstream makes the water rise",
            )
            raise Wrong(
                f"water that moves with the wind has a residual {size:.3g} times its transport on a ring of {n} cells; "
                "it obeys the law, so that the terms must cancel: divide the change by dt and the difference by 2 dx"
            )
        wrong = same_shape(call(answer, water(0.0), water(dt), 2 * wind, dx, dt), (n,), "the residual")
        ratio = float(wrong.square().mean().sqrt()) / term
        require(
            abs(ratio - 1) < 0.1, f"a wind twice too strong leaves the transport once; yours leaves {ratio:.2g} of it"
        )
    return "zero for water that moves with the wind, on any grid, and the transport itself for a wind that is wrong"
