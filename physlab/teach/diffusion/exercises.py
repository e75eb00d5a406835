"""Exercises of the chapter on diffusion: gain, steps, loss, score, Heun, two points, an ancestor that is too wide."""

from __future__ import annotations

import math

import torch

from physlab.teach.check import Wrong, call, exercise, normal, one_of, require, same_shape, uniform, unlike
from physlab.teach.diffusion.analysis import euler, heun, levels

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-half", wants="number")
def _grade_half(got: float, generator: torch.Generator) -> str:
    """a number: the noise r at which the denoiser believes half of what it sees, for clean states of spread 3"""
    require(got > 0, "r is a size of noise, above zero")
    clean = 3 * normal((40000,), generator)
    noisy = clean + got * normal((40000,), generator)
    believed = float((clean * noisy).mean() / noisy.square().mean())
    require(
        abs(believed - 0.5) < 0.04,
        "measured otherwise: at this noise the best guess keeps "
        + ("more" if believed > 0.5 else "less")
        + " than half of what is seen. The gain is the variance of the state over the sum of both variances: what must "
        "the noise be like for the two to be equal?",
    )
    return "measured on 40,000 states: half is believed where noise and signal have the same spread"


@exercise("predict-steps", wants="value")
def _grade_steps(answer, generator: torch.Generator) -> str:
    """'narrow', 'wide' or 'right': the spread of what Euler draws of a single bell in few steps"""
    said = one_of(answer, ("narrow", "wide", "right"))
    grid = levels(8)
    end = float(euler(lambda u, r: u / (1 + r**2), torch.full((1,), math.sqrt(1 + 400.0)).double(), grid))
    found = "right" if abs(end - 1) < 0.02 else "narrow" if end < 1 else "wide"
    require(
        said == found,
        "measured otherwise with 8 steps. On the way down the slope flattens: at the start of a step it is steeper "
        "than it will be at the end, and Euler walks the whole step with the slope of the start",
    )
    return f"measured with 8 steps: {end:.2f} of the right spread, and never the right one with few steps"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("denoising-loss", wants="function")
def _grade_loss(answer, generator: torch.Generator) -> str:
    """a function loss(network, clean, r, noise): network(u, r), clean and noise (B, n), r (B,) -> the mean square error
    of the clean state, one number"""
    clean, noise, r = normal((16, 3), generator), normal((16, 3), generator), uniform((16,), 0.2, 3.0, generator)

    def network(u: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return u / (1 + level.reshape(-1, 1) ** 2)

    got = call(answer, network, clean, r, noise)
    require(isinstance(got, torch.Tensor) and got.ndim == 0, "one number as a tensor is wanted: a loss")
    u = clean + r[:, None] * noise
    exact = (network(u, r) - clean).square().mean()
    unlike(
        got,
        {
            "the network is compared with the noise; here it names the clean state": (
                (network(u, r) - noise).square().mean()
            ),
            "the network is compared with what it was given: it would learn to leave the noise in": (
                (network(u, r) - u).square().mean()
            ),
            "the noise was not scaled by r: each sample has its own level": (
                (network(clean + noise, r) - clean).square().mean()
            ),
            "the network saw the clean state: there is nothing to learn in returning it": (
                (network(clean, r) - clean).square().mean()
            ),
            "this is the root of the mean square; the loss is the mean square itself": exact.sqrt(),
            "this is the sum of the squares; take the mean": exact * clean.numel(),
        },
    )
    require(torch.allclose(got, exact), f"the loss is {float(got):.4g} for a network where it should be otherwise")
    return "noise of each sample's own size, and the square error of the clean state"


@exercise("tweedie", wants="function")
def _grade_tweedie(answer, generator: torch.Generator) -> str:
    """a function score(D, x, alpha, sigma): denoised and noisy states (B,), x = alpha x0 + sigma n -> slope of the log
    density of x, (B,)"""
    for _ in range(3):
        alpha, sigma, s = (float(uniform((), 0.3, 1.5, generator)) for _ in range(3))
        x = 2 * normal((20,), generator)
        variance = (alpha * s) ** 2 + sigma**2
        clean = alpha * s**2 / variance * x
        out = same_shape(call(answer, clean, x, alpha, sigma), (20,), "the score")
        exact = -x / variance
        unlike(
            out,
            {
                "the sign: the score points uphill, towards where states are": -exact,
                "alpha is missing: x is compared with alpha D, what the clean state looks like at this level": (
                    (clean - x) / sigma**2
                ),
                "divided by sigma instead of its square": (alpha * clean - x) / sigma,
                "the square below is missing": alpha * clean - x,
            },
        )
        require(torch.allclose(out, exact), "for a bell of known variance the slope of the log density is otherwise")
    return "equal to the slope of the log density of three bells"


@exercise("heun", wants="function")
def _grade_heun(answer, generator: torch.Generator) -> str:
    """a function heun(denoise, u, levels): denoise(u, r), u (B,), levels (n + 1,) falling to 0 -> states (B,)"""
    s = float(uniform((), 0.7, 1.5, generator))

    def denoise(u: torch.Tensor, r: float) -> torch.Tensor:
        return torch.tanh(u / (s**2 + float(r) ** 2))

    for count in (3, 7):
        grid, u = levels(count, high=5.0), 5 * normal((8,), generator)
        out = same_shape(call(answer, denoise, u, grid), (8,), "the states")
        exact = heun(denoise, u, grid)
        require(
            torch.isfinite(out).all(),
            "NaN or infinity: at the last level r is zero, and the slope there is a division by zero; the last step "
            "has one slope only",
        )
        unlike(
            out,
            {
                "this is Euler: evaluate the denoiser at the end of the step too, and take the mean of both slopes": (
                    euler(denoise, u, grid)
                ),
                "the last step is missing: from the smallest level to zero": heun(denoise, u, grid[:-1]),
                "nothing was stepped": u,
            },
        )
        worst = float((out - exact).abs().max())
        require(
            worst < 1e-4,
            f"differs from Heun's method by up to {worst:.2g}: the slope at the end of a step is "
            "(end - D(end, s)) / s, with the level s of the end, and both slopes start from the same u",
        )
    return "Heun's method with 3 and 7 steps, the last one to zero"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("two-points", wants="function")
def _grade_two(answer, generator: torch.Generator) -> str:
    """a function denoise(u, r): noisy states (B,) of a clean state that is +1 or -1, both as likely -> their E[x0 | u],
    (B,)"""
    for _ in range(3):
        r = float(uniform((), 0.4, 2.0, generator))
        u = 2 * normal((20,), generator)
        out = same_shape(call(answer, u, r), (20,), "the mean")
        right, left = torch.exp(-0.5 * ((u - 1) / r) ** 2), torch.exp(-0.5 * ((u + 1) / r) ** 2)
        exact = (right - left) / (right + left)
        unlike(
            out,
            {
                "this is the more likely of the two points, not the mean: between them a mean is possible": u.sign(),
                "r instead of its square: a likelihood has the variance of the noise in it": torch.tanh(u / r),
                "this is the gain of a bell; two points are no bell": u / (1 + r**2),
                "twice too sure: the exponents differ by 2 u / r^2, and tanh takes half of that": (
                    torch.tanh(2 * u / r**2)
                ),
            },
        )
        require(torch.allclose(out, exact), "not the mean of +1 and -1 with the weights that Bayes' rule gives them")
    return "equal to the mean with Bayes' weights at three noise levels"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def wide_ancestor(denoise, u, r, s, noise):
    """A step back as somebody first wrote it: a part of the old noise, and all of the new one."""
    clean = denoise(u, r)
    return clean + (s / r) * (u - clean) + s * noise


@exercise("mend-the-ancestor", wants="function")
def _grade_ancestor(answer, generator: torch.Generator) -> str:
    """a function step(denoise, u, r, s, noise): from the level r to the smaller s, u and noise (B,) -> (B,), a draw
    from p(u_s | u_r, x0 = D)"""
    r, s = float(uniform((), 1.0, 3.0, generator)), float(uniform((), 0.3, 0.9, generator))
    clean = torch.full((60000,), 2.0, dtype=torch.float64)
    old, noise = normal((2, 60000), generator)
    old = (old - old.mean()) / old.std()
    noise = noise - noise.mean() - (noise * old).mean() / old.square().mean() * old  # no luck: wholly independent
    u, noise = clean + r * old, noise / noise.std()
    out = same_shape(call(answer, lambda u, level: clean, u, r, s, noise), (60000,), "the states")
    off = out - clean
    spread = float(off.std()) / s
    if abs(spread - 1) > 0.02:
        require(
            spread < 1,
            f"the noise of the new states is {spread:.2f} times what it should be at their level: what is kept of the "
            "old noise and what is added anew must add up by their variances",
        )
        raise Wrong(f"the noise of the new states is {spread:.2f} times what it should be: too calm")
    link = float((off * (u - clean)).mean()) / s**2
    require(
        abs(link - 1) < 0.04,
        "the spread is right, but not what is remembered: given the clean state, u_r is u_s plus further independent "
        "noise, so that their covariance is s^2"
        + (". Here nothing is remembered" if abs(link) < 0.04 else "; here the old noise is kept as a fraction s / r"),
    )
    return "noise of the right size at the new level, and the right covariance with the old one"
