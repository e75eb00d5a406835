"""Exercises of the chapter on latent diffusion: clean fields from velocities, a law in kelvin, void weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from physlab.score.ensemble import crps
from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform
from physlab.teach.latent.weights import first_step

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-smooth-residual", wants="number")
def _grade_smooth(got: float, generator: torch.Generator) -> str:
    """a number: residual of the field without its short waves over that of the truth"""
    x = torch.arange(960, dtype=torch.float64) / 960
    phases = 2 * math.pi * torch.rand(2, generator=generator, dtype=torch.float64)
    speed = float(uniform((), 3.0, 20.0, generator))
    large, small = (a * torch.sin(2 * math.pi * k * x + p) for a, k, p in zip((1.0, 0.1), (1, 8), phases, strict=True))
    truth, smooth = (speed * torch.gradient(t)[0].square().mean().sqrt() for t in (large + small, large))
    ratio = float(smooth / truth)
    require(
        got < 0.98 or got > 1.5,
        f"measured otherwise: you said {got:.3g}. The waves are small, but a law looks at gradients: a tenth of the "
        "amplitude at eight times the wavenumber has nearly the same slope",
    )
    require(
        abs(got - ratio) < 0.05,
        f"measured otherwise with random phases and wind: you said {got:.3g}. Slopes are amplitude times "
        "wavenumber, and their squares add up: where is the smooth field in that sum?",
    )
    return f"measured: {ratio:.2f}. The smooth field is more balanced than the truth, because it has less to balance"


@exercise("predict-crps-gain", wants="number")
def _grade_crps(got: float, generator: torch.Generator) -> str:
    """a number: fair CRPS of a perfect Gaussian ensemble over the mean absolute error of the perfect mean"""
    spread = float(uniform((), 0.2, 3.0, generator))
    truth, *members = spread * normal((9, 200_000), generator)  # about the right mean, zero
    ratio = float(crps(torch.stack(members), truth)) / float(truth.abs().mean())
    require(
        abs(got - 1) > 0.05,
        f"measured otherwise: you said {got:.3g}. The ensemble also says how far the truth may be from the mean, "
        "and CRPS pays for that",
    )
    require(
        abs(got - ratio) < 0.02,
        f"measured otherwise: you said {got:.3g}. CRPS is the mean of |f - o| less half the mean of |f - f'|; the "
        "differences f - o and f - f' have the same variance, twice that of the truth about its mean",
    )
    return f"measured with spread {spread:.2f}: {ratio:.3f}, whatever the spread. More than that no ensemble can gain"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("clean-from-velocity", wants="function")
def _grade_clean(answer, generator: torch.Generator) -> str:
    """a function clean(noisy (C, h, w), v (C, h, w), alpha, sigma) -> latents (C, h, w) without noise"""
    worst = 0.0
    for preserving in (True, False):
        z, eps = normal((2, 4, 6, 8), generator)
        sigma = float(uniform((), 0.3, 0.9, generator))
        alpha = math.sqrt(1 - sigma**2) if preserving else float(uniform((), 1.2, 1.6, generator))
        noisy, v = alpha * z + sigma * eps, alpha * eps - sigma * z
        out = same_shape(call(answer, noisy, v, alpha, sigma), (4, 6, 8), "the clean latents")
        off = float((out - z).square().mean().sqrt())
        worst = max(worst, off)
        if off > 1e-5:
            case = f"alpha = {alpha:.2f}, sigma = {sigma:.2f}: off by {off:.2f} standard deviations of the latents"
            require(
                not torch.allclose(out, v),
                f"{case}. You hand on what the network names; it names the velocity, and that is a target, not a field",
            )
            require(
                not torch.allclose(out, noisy / alpha),
                f"{case}. The noise is still in it: take out what the velocity knows of it",
            )
            require(
                preserving or not torch.allclose(out, alpha * noisy - sigma * v),
                f"{case}. Right where alpha^2 + sigma^2 = 1, and only there: put noisy and v in, what is left of z?",
            )
            raise Wrong(
                f"{case}. noisy = alpha z + sigma eps and v = alpha eps - sigma z are two equations for z and eps: "
                "which sum of them has no eps?",
            )
    return f"the latents are back to {worst:.0e}, also for a schedule that does not keep the variance"


def _balance(T: Tensor, u: Tensor, v: Tensor, h: Tensor, gamma: float, kappa: float, d: float) -> Tensor:
    s = T + gamma * h
    east, west, north, south = s.roll(-1, 1), s.roll(1, 1), s.roll(-1, 0), s.roll(1, 0)
    flow = u * (east - west) / (2 * d) + v * (north - south) / (2 * d)
    return flow - kappa * (east + west + north + south - 4 * s) / d**2


@exercise("surface-balance", wants="function")
def _grade_balance(answer, generator: torch.Generator) -> str:
    """a function balance(T, u, v, h, gamma, kappa, d) -> residual without S (H, W), periodic in both directions; T in
    K, rows to the north, cells of d metres"""
    n, L = 48, 2.4e6
    d, gamma, kappa = L / n, float(uniform((), 5e-3, 9e-3, generator)), float(uniform((), 1e5, 3e5, generator))
    i = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    p, q = 2 * math.pi * torch.rand(2, generator=generator, dtype=torch.float64)
    y, x = i[:, None] + p, i[None] + q
    w = 2 * math.pi / L
    h = 900 * (1 + torch.sin(x) * torch.cos(y))
    star = 285 + 6 * torch.sin(x) + 4 * torch.cos(y) + 0 * x * y
    u = float(uniform((), 4.0, 7.0, generator)) * torch.ones(n, n, dtype=torch.float64)
    v = u + uniform((), 3.0, 6.0, generator)
    flow = w * (6 * u * torch.cos(x) - 4 * v * torch.sin(y))
    wanted = flow + kappa * w**2 * (6 * torch.sin(x) + 4 * torch.cos(y))
    T = star - gamma * h

    def ask(t: Tensor, u_: Tensor = u, v_: Tensor = v) -> Tensor:
        return same_shape(call(answer, t, u_, v_, h, gamma, kappa, d), (n, n), "the residual")

    size = float(wanted.square().mean().sqrt())
    off = lambda t: float((t - wanted).square().mean().sqrt()) / size  # noqa: E731
    out = ask(T)
    require(
        torch.allclose(ask(T + 100), out, atol=1e-3 * size),
        "with 100 K more everywhere your residual changes: a law of temperature does not know where zero is",
    )
    rest = ask(285 - gamma * h)
    require(
        float(rest.abs().max()) < 0.02 * size,
        f"air that only follows the terrain, T = 285 K - gamma h, gets {float(rest.abs().max()) / size:.2f} of the "
        "size of the terms: it should get zero. With which sign does the height enter?",
    )
    calm = ask(T, 0 * u, 0 * v)
    mixing = kappa * w**2 * (6 * torch.sin(x) + 4 * torch.cos(y))
    ratio = float((calm * mixing).mean() / mixing.square().mean())
    require(
        abs(ratio - 1) < 0.05,
        f"without wind only mixing is left, and yours is {ratio:.2g} times what it should be: - kappa times the "
        "Laplacian, whose differences are divided by the square of the distance",
    )
    require(
        off(out) < 0.02,
        f"off by {off(out):.2f} of its size from the solution in closed form: u goes with the gradient along the "
        "columns, v with that along the rows, and central differences span two cells",
    )
    return f"within {off(out):.1%} of a solution in closed form; no change with 100 K more, zero over resting terrain"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("adam-step", wants="function")
def _grade_step(answer, generator: torch.Generator) -> str:
    """a function step(lam, g, eps) -> first step of Adam over its rate, for a gradient lam * g"""
    for low, high in ((-12.0, -10.0), (-9.5, -7.5), (-7.0, -4.0), (-3.0, 1.0)):
        weight = 10.0 ** float(uniform((), low, high, generator))
        gradient = float(uniform((), 2.0, 10.0, generator))
        measured = first_step(weight, gradient)
        got = number(call(answer, weight, gradient, 1e-8))
        if abs(got - measured) > 0.01 * measured:
            case = f"λ = {weight:.1e}, gradient {gradient:.2f}: measured {measured:.3g}, you have {got:.3g}"
            require(
                abs(got / (weight * gradient) - 1) > 0.01,
                f"{case}. That is the step of plain descent; Adam divides the gradient by its own size",
            )
            require(abs(got - 1) > 0.01, f"{case}. It is 1 only if λ g is far above ε: where does ε enter?")
            raise Wrong(f"{case}. Mean of gradients over root of the mean of their squares, plus ε")
    return "right from λ = 1e-12 to 10: below ε a brake, above it nothing at all. It was never a weight"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def decoded_velocity(named: Tensor, noisy: Tensor, alpha: float, sigma: float, mean: Tensor, decode, law):
    """The penalty as published: `named` is what the network names, the velocity of the noisy latents."""
    field_ = decode(named)
    return law(field_).square().mean()


@exercise("mend-the-decoding", wants="function")
def _grade_penalty(answer, generator: torch.Generator) -> str:
    """a function penalty(named, noisy, alpha, sigma, mean, decode, law) -> mean square of the law of the temperature;
    named is the velocity, mean the field of the U-Net in K, decode and law are functions"""
    n, d = 32, 5e4
    i = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    p, q = 2 * math.pi * torch.rand(2, generator=generator, dtype=torch.float64)
    phase, zero = i[None] + i[:, None], torch.zeros(n, n, dtype=torch.float64)
    truth = 280 + 6 * torch.sin(phase + p) + 3 * torch.cos(2 * phase + q)  # along x + y, and the wind blows across
    wind = zero + uniform((), 4.0, 12.0, generator)
    law = lambda t: _balance(t, wind, -wind, zero, 0.0, 0.0, d)  # noqa: E731
    mean = functional.avg_pool2d(truth[None, None], 4).repeat_interleave(4, -1).repeat_interleave(4, -2)[0, 0]
    rho = float((truth - mean).square().mean().sqrt())
    decode = lambda z: rho * functional.pixel_shuffle(z[None], 4)[0, 0]  # noqa: E731
    z = functional.pixel_unshuffle((truth - mean)[None, None], 4)[0] / rho
    cost = float(law(mean).square().mean())
    for ratio in (0.2, 1.0, 3.0):
        alpha = 1 / math.sqrt(1 + ratio**2)
        sigma, eps = ratio * alpha, normal(z.shape, generator)
        noisy, named = alpha * z + sigma * eps, alpha * eps - sigma * z
        got = float(call(answer, named, noisy, alpha, sigma, mean, decode, law)) / cost
        require(
            math.isfinite(got) and got >= 0,
            f"the penalty is {got:.2g}: a mean square of the law is wanted, and it is never negative",
        )
        if got > 1e-8:
            case = f"the network is perfect, the truth obeys the law, and at noise {ratio:g} you charge {got:.2g}"
            out = float(law(decode(alpha * noisy - sigma * named)).square().mean()) / cost
            require(
                abs(got - out) > 1e-4 * out,
                f"{case}. The field of the U-Net and what the clean latents decode to belong together: the law holds "
                "for their sum, the temperature",
            )
            raise Wrong(f"{case}. What is decoded here, and what is the law about?")
    nonsense = normal(z.shape, generator)
    wrong = float(call(answer, nonsense, z, 1.0, 0.5, mean, decode, law)) / cost
    require(wrong > 1e-3, "a network that says nonsense is charged nothing: the penalty must see what it names")
    return "a perfect network on an exact solution is charged nothing at three noise levels, and nonsense is charged"


# ---- judge a claim --------------------------------------------------------------------------------------------------


@exercise("least-residual", wants="function")
def _grade_least(answer, generator: torch.Generator) -> str:
    """a function field(truth (H, W) K, h (H, W) m, gamma K/m) -> (H, W) K, with no residual in any wind"""
    n, d = 32, 5e4
    gamma, kappa = float(uniform((), 5e-3, 9e-3, generator)), 2e5
    rough = lambda scale: functional.avg_pool2d(  # noqa: E731
        functional.pad(scale * normal((1, 1, n, n), generator), (2, 2, 2, 2), mode="circular"), 5, 1
    )[0, 0]
    h = rough(4000.0).abs()
    truth = 285 - 0.8 * gamma * h + rough(15.0)
    u, v = (8.0 + rough(10.0), rough(10.0))
    made = same_shape(call(answer, truth, h, gamma), (n, n), "the field")
    size = float(_balance(truth, u, v, h, gamma, kappa, d).square().mean().sqrt())
    left = float(_balance(made, u, v, h, gamma, kappa, d).square().mean().sqrt()) / size
    error = float((made - truth).square().mean().sqrt() / truth.std())
    require(
        left < 1e-4,
        f"the residual is still {left:.2g} of the truth's. For which T is T + gamma h the same everywhere, so that no "
        "wind can change anything?",
    )
    require(error > 0.1, f"no counterexample: the field is right (error {error:.2f} of its standard deviation)")
    return f"residual 0 in any wind, and {error:.2f} standard deviations from the truth: no weather at all"
