"""Exercises of the chapter on diffusion and PhyDA: what guidance needs, what a mean breaks, what spectra forgive."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.score.spectra import radial_spectrum, spectral_divergence
from physlab.teach.check import Wrong, call, exercise, normal, number, require, same_shape, uniform


def _covariance(n: int, generator: torch.Generator) -> Tensor:
    root = normal((n, n), generator)
    return root @ root.mT / n + 0.2 * torch.eye(n, dtype=torch.float64)


def weather(count: int, generator: torch.Generator, slope: float = 3.0, size: int = 32) -> Tensor:
    """(count, size, size) periodic random fields of unit variance whose power falls like k^-slope."""
    f = torch.fft.fftfreq(size, dtype=torch.float64) * size
    k = (f[:, None].square() + f.square()).sqrt()
    amplitude = torch.where(k > 0, k.clamp(min=1) ** (-0.5 * slope), 0.0)
    x = torch.fft.ifft2(amplitude * torch.fft.fft2(normal((count, size, size), generator))).real
    return x / x.square().mean((-2, -1), keepdim=True).sqrt()


# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-kept", wants="number")
def _grade_keep(got: float, generator: torch.Generator) -> str:
    """a number: share of the variance of whole states that an autoencoder must keep for a tie"""
    state = normal((400_000,), generator)
    background = state + 0.2 * normal((400_000,), generator)
    before = float((background - state).square().mean())
    require(
        got < 1.5,
        "a share of the variance is wanted: 1 is all of it. How much may be lost before the loss itself is as "
        "large as the error of the background?",
    )
    after = 1 - got  # of a perfect analysis in the space of the latents
    require(
        after < before + 0.003,
        f"with {got:.3g} kept, what is lost comes back as error even of the best analysis, and is more than the error "
        "of the background. Doing nothing would have been better",
    )
    require(
        after > before - 0.003,
        f"with {got:.4g} kept the best analysis is already better than the background. Less is enough for a tie",
    )
    return f"what is lost ({after:.3f}) is then as large as the error of the background ({before:.3f})"


@exercise("predict-eight", wants="number")
def _grade_eight(got: float, generator: torch.Generator) -> str:
    """a number: mean square error of the mean of eight perfect draws over that of the right mean"""
    truth, *draws = 0.7 * normal((9, 400_000), generator)  # about the right mean, zero
    ratio = float((sum(draws) / 8 - truth).square().mean() / truth.square().mean())
    require(
        abs(got - 1) > 0.04,
        f"measured otherwise: you said {got:.3g}. The mean of eight draws is not the mean of "
        "all: it misses that by its own sampling error",
    )
    require(
        abs(got - ratio) < 0.03,
        f"measured otherwise with 400,000 truths: you said {got:.3g}. The truth is one more draw, independent "
        "of the "
        "eight: the variance of the truth and that of a mean of eight add up",
    )
    return f"measured: {ratio:.3f}. An eighth is lost by chance, more than many methods differ; a known centre saves it"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("guided-mean", wants="function")
def _grade_guided(answer, generator: torch.Generator) -> str:
    """a function guided(D (n,), V (n, n), A (m, n), R (m, m), y (m,)) -> E[x | noisy field, y] (n,)"""
    n, m = 6, 3
    C, A, R = _covariance(n, generator), normal((m, n), generator), _covariance(m, generator)
    y, mu = (normal((k,), generator) for k in (m, n))
    alpha = 1.0
    for sigma in (0.3, 1.0, 5.0):
        x = mu + torch.linalg.cholesky(C) @ normal((n,), generator) + sigma * normal((n,), generator)
        V = torch.linalg.inv(torch.linalg.inv(C) + alpha / sigma**2 * torch.eye(n, dtype=C.dtype))
        D = V @ (torch.linalg.solve(C, mu) + x / sigma**2)
        # least squares with all that is known at once: prior, noisy field, observations
        P = torch.linalg.inv(torch.linalg.inv(V) + A.mT @ torch.linalg.solve(R, A))
        right = P @ (torch.linalg.solve(V, D) + A.mT @ torch.linalg.solve(R, y))
        out = same_shape(call(answer, D, V, A, R, y), (n,), "the guided mean")
        off = float((out - right).norm() / P.trace().sqrt())
        if off > 1e-6:
            exact = D + V @ A.mT @ torch.linalg.solve(A @ V @ A.mT, y - A @ D)
            require(
                not torch.allclose(out, exact, atol=1e-6),
                f"at noise {sigma:g} you are off by {off:.2f} spreads and "
                "meet the observations exactly, as if they had no errors: where is R?",
            )
            plain = D + V @ A.mT @ torch.linalg.solve(R, y - A @ D)
            require(
                not torch.allclose(out, plain, atol=1e-6),
                f"at noise {sigma:g} you are off by {off:.2f} spreads: the "
                "misfit was weighed by R alone, as if D were the truth. What the noisy field leaves open is V, and "
                "at the stations A V A^T",
            )
            raise Wrong(
                f"at noise {sigma:g} you are off by {off:.2f} spreads from least squares with the prior, the "
                "noisy field and the observations at once. D is a background with the covariance V: what does the "
                "gain look like?",
            )
    return "the same as least squares with prior, noisy field and observations at once, at three noise levels"


@exercise("relative-residual", wants="function")
def _grade_relative(answer, generator: torch.Generator) -> str:
    """a function relative(R (H, W), truths (N, H, W)) -> r (H, W), with a mean square of 1 for the truth"""
    H, W, N = 6, 8, 400
    mean = 5.0 * normal((H, W), generator)  # as over mountains, where the law does not hold
    size = 0.1 + 3 * torch.rand(H, W, generator=generator, dtype=torch.float64)
    truths, new = (mean + size * normal((N, H, W), generator) for _ in range(2))
    out = torch.stack([same_shape(call(answer, R, truths), (H, W), "the relative residual") for R in new])
    total = float(out.square().mean())
    at = out.square().mean(0)
    require(
        float(out.mean(0).abs().mean()) < 0.3,
        f"new true states get a mean square of {total:.1f}. Where the law fails in every truth, over mountains for "
        "example, the penalty now asks the analysis to be unlike the truth: take off what is usual at each place",
    )
    require(
        float(at.max() / at.min()) < 3,
        f"new true states get {float(at.min()):.2g} at one place and {float(at.max()):.2g} at another: a place "
        "where the "
        "truth is restless then rules the loss. Divide by the spread at each place",
    )
    require(
        0.9 < total < 1.1,
        f"new true states should have a mean square near 1, yours have {total:.2g}: standard deviation or variance?",
    )
    return f"new true states have a mean square of {total:.2f}, at every place: as balanced as the truth, not more"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("jensen-gap", wants="function")
def _grade_jensen(answer, generator: torch.Generator) -> str:
    """a function gap(n, s, r) -> E R(x) - E R(D) for R(x) = |x|^2 - c, x ~ N(0, s^2) in n dimensions and D the denoised
    x + r noise"""
    for _ in range(4):
        n = int(torch.randint(2, 7, (1,), generator=generator))
        s, r = (float(uniform((), 0.5, 2.0, generator)) for _ in range(2))
        x = s * normal((200_000, n), generator)
        D = s**2 / (s**2 + r**2) * (x + r * normal((200_000, n), generator))
        measured = float((x.square().sum(1) - D.square().sum(1)).mean())
        got = number(call(answer, n, s, r))
        if abs(got - measured) > 0.05 * measured:
            case = f"n = {n}, s = {s:.2f}, r = {r:.2f}: measured {measured:.3f}, you have {got:.3f}"
            require(
                abs(got - n * r**2) > 1e-6,
                f"{case}. That is the noise; but the prior is known, and no denoised "
                "state is ever more uncertain than it",
            )
            require(abs(got - r**2 * s**2 / (r**2 + s**2)) > 1e-6, f"{case}. Each of the n components has its variance")
            raise Wrong(f"{case}. The gap of a square is the variance that is left, summed over the components")
    return "right for any n, s and r; at large noise it is the whole variance of the prior"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def averaged_first(predictions: Tensor, truths: Tensor) -> Tensor:
    """SpecDiv of a batch of fields (N, H, W)."""
    _, p = radial_spectrum(predictions.mean(0))
    _, t = radial_spectrum(truths.mean(0))
    p, t = p / p.sum(), t / t.sum()
    return (t * (t / p).log()).sum()


def _of_mean_spectra(predictions: Tensor, truths: Tensor) -> Tensor:
    p, t = (radial_spectrum(x)[1].mean(0) for x in (predictions, truths))
    p, t = p / p.sum(), t / t.sum()
    return (t * (t / p).log()).sum()


@exercise("mend-the-spectrum", wants="function")
def _grade_spectrum(answer, generator: torch.Generator) -> str:
    """a function specdiv(predictions (N, H, W), truths (N, H, W)) -> a number"""
    climate = 2.0 * weather(1, generator, slope=6.0)
    truths, others = (climate + weather(64, generator, slope=2.0) for _ in range(2))
    smooth = climate + weather(64, generator, slope=6.0)  # the same large scales, no small ones
    same, worse = (float(call(answer, x, truths)) for x in (others, smooth))
    low, high = (float(_of_mean_spectra(x, truths)) for x in (others, smooth))
    require(
        worse > 0.6 * high,
        f"fields without small scales get {worse:.3f}, and {high:.2f} is what their spectra differ by. The batch was "
        "averaged before the transform: weather that differs from day to day cancels, and with it what the score "
        "is about",
    )
    require(
        same < 0.5 * high,
        f"fields with the right spectrum get {same:.2f}, those without small scales {worse:.2f}: "
        "truth and prediction need the same normalisation",
    )
    swapped = float(call(answer, truths, smooth))
    require(
        abs(swapped - worse) > 1e-6, "the score is the same with truth and prediction exchanged, and SpecDiv is not"
    )
    return f"{worse:.2f} without small scales, {same:.3f} with the right spectrum (of the batch as a whole: {low:.3f})"


# ---- judge a claim --------------------------------------------------------------------------------------------------


@exercise("blind-score", wants="function")
def _grade_blind(answer, generator: torch.Generator) -> str:
    """a function analysis(truth (H, W)) -> (H, W) of SpecDiv zero that is wrong"""
    truths = weather(4, generator)
    worst = []
    for truth in truths:
        made = same_shape(call(answer, truth.clone()), tuple(truth.shape), "the analysis")
        score = float(spectral_divergence(made, truth))
        error = float((made - truth).square().mean().sqrt())
        require(
            score < 1e-6,
            f"SpecDiv is {score:.2g}: that is no counterexample yet. Which changes of a field leave the "
            "absolute values of its Fourier coefficients as they are?",
        )
        require(
            error > 0.5,
            f"SpecDiv is zero, but so is nearly the error ({error:.2f} of the standard deviation). Find a "
            "field that is wrong",
        )
        worst.append(error)
    return f"SpecDiv 0, and an RMSE of {min(worst):.1f} to {max(worst):.1f} climatological standard deviations"
