"""Right and known-wrong answers of the chapter, for tests and instructors: never installed."""

from __future__ import annotations

import math

from torch import Tensor

from physlab.teach.answers import Submission, answer
from physlab.teach.latent.exercises import _balance, decoded_velocity

answer(
    "predict-smooth-residual",
    1 / math.sqrt(1 + 0.8**2),
    Submission("amplitudes, not slopes", 1 / math.sqrt(1 + 0.1**2), "gradients"),
    Submission("squares forgotten", 1 / 1.64, "squares"),
    Submission("slopes added", 1 / 1.8, "squares add up"),
)

answer(
    "predict-crps-gain",
    1 / math.sqrt(2),
    Submission("an ensemble gains nothing", 1.0, "pays for that"),
    Submission("half of it", 0.5, "twice"),
    Submission("as many times as there are members", 1 / 8, "half the mean"),
)


def _clean(noisy: Tensor, v: Tensor, alpha: float, sigma: float) -> Tensor:
    return (alpha * noisy - sigma * v) / (alpha**2 + sigma**2)


answer(
    "clean-from-velocity",
    _clean,
    Submission("the velocity itself", lambda noisy, v, alpha, sigma: 1.0 * v, "not a field"),
    Submission("the noise stays", lambda noisy, v, alpha, sigma: noisy / alpha, "still in it"),
    Submission("variance taken as kept", lambda n, v, a, s: a * n - s * v, "only there"),
    Submission("sign of the velocity", lambda n, v, a, s: a * n + s * v, "no eps"),
)

answer(
    "surface-balance",
    _balance,
    Submission("no terrain", lambda T, u, v, h, g, k, d: _balance(T, u, v, h, 0.0, k, d), "the terrain"),
    Submission("terrain of the wrong sign", lambda T, u, v, h, g, k, d: _balance(T, u, v, h, -g, k, d), "the terrain"),
    Submission("mixing of the other sign", lambda T, u, v, h, g, k, d: _balance(T, u, v, h, g, -k, d), "mixing"),
    Submission("distance forgotten", lambda T, u, v, h, g, k, d: _balance(T, u, v, h, g, k * d**2, d), "mixing"),
    Submission("u and v exchanged", lambda T, u, v, h, g, k, d: _balance(T, v, u, h, g, k, d), "columns"),
    Submission("T in the law", lambda T, u, v, h, g, k, d: _balance(T, u, v, h, g, k, d) + 1e-6 * T, "where zero is"),
)

answer(
    "adam-step",
    lambda lam, g, eps: lam * g / (lam * g + eps),
    Submission("plain descent", lambda lam, g, eps: lam * g, "plain descent"),
    Submission("always one", lambda lam, g, eps: 1.0, "far above"),
    Submission("epsilon in the wrong place", lambda lam, g, eps: lam * g / (g + eps), "mean of"),
    Submission("root of epsilon", lambda lam, g, eps: lam * g / (lam * g + eps**0.5), "mean of"),
)


def _in_kelvin(named, noisy, alpha, sigma, mean, decode, law):
    return law(mean + decode((alpha * noisy - sigma * named) / (alpha**2 + sigma**2))).square().mean()


answer(
    "mend-the-decoding",
    _in_kelvin,
    Submission("as it came", decoded_velocity, "what is decoded"),
    Submission(
        "velocity on the U-Net field",
        lambda named, noisy, a, s, mean, decode, law: law(mean + decode(named)).square().mean(),
        "what is decoded",
    ),
    Submission(
        "without the U-Net field",
        lambda named, noisy, a, s, mean, decode, law: law(decode(a * noisy - s * named)).square().mean(),
        "their sum",
    ),
    Submission("U-Net alone", lambda named, noisy, a, s, mean, decode, law: law(mean).square().mean(), "their sum"),
    Submission("no penalty", lambda named, *rest: 0 * named.sum(), "must see what it names"),
)

answer(
    "least-residual",
    lambda truth, h, gamma: truth.mean() + gamma * h.mean() - gamma * h,
    Submission("the truth", lambda truth, h, gamma: 1.0 * truth, "the same everywhere"),
    Submission("constant T", lambda truth, h, gamma: 0 * truth + truth.mean(), "the same everywhere"),
    Submission("terrain upside down", lambda truth, h, gamma: 285 + gamma * h, "the same everywhere"),
)
