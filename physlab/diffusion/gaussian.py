r"""Denoisers that need no network: the data are Gaussian, and everything is known in closed form.

.. math:: x_0 \sim N(\mu, C): \qquad D(x_t) = \mu + \alpha C (\alpha^2 C + \sigma^2 I)^{-1} (x_t - \alpha \mu), \qquad
          \mathrm{Cov}[x_0 | x_t] = \sigma^2 C (\alpha^2 C + \sigma^2 I)^{-1} .

In the basis in which C is diagonal each component is a number: the Wiener filter. The basis is that of the
eigenvectors of a matrix, or the Fourier modes of a homogeneous periodic field. These denoisers teach what a network has
to learn, and they test samplers and guidance against numbers that owe nothing to training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.diffusion.denoise import PosteriorMean
from physlab.diffusion.noise import NoiseSchedule
from physlab.errors import FieldError, PhysLabError


class GaussianDenoiser(PosteriorMean):
    """Exact denoiser of x0 ~ N(mean, covariance).

    Parameters
    ----------
    mean : state of any shape, with n numbers.
    covariance : (n, n), symmetric and positive semi-definite.
    schedule : the noise; None for the cosine schedule.

    Raises
    ------
    PhysLabError : a covariance of another shape, not symmetric, or with a negative eigenvalue.
    """

    mean: Tensor
    variances: Tensor
    basis: Tensor

    def __init__(self, mean: Tensor, covariance: Tensor, schedule: NoiseSchedule | None = None) -> None:
        super().__init__(NoiseSchedule() if schedule is None else schedule)
        n = mean.numel()
        if tuple(covariance.shape) != (n, n):
            raise PhysLabError(
                f"covariance has shape {tuple(covariance.shape)}, the mean {tuple(mean.shape)}: pass ({n}, {n})"
            )
        if not torch.allclose(covariance, covariance.mT, rtol=1e-4, atol=1e-6 * float(covariance.abs().max())):
            raise PhysLabError("covariance is not symmetric: pass C with C = C^T, for example 0.5 * (C + C.T)")
        values, vectors = torch.linalg.eigh(covariance.double())
        if values[0] < -1e-6 * values[-1].abs():
            raise PhysLabError(f"covariance has the negative eigenvalue {float(values[0]):.3g}: pass one without")
        self.register_buffer("mean", mean.clone())
        self.register_buffer("variances", values.clamp(min=0).to(mean))
        self.register_buffer("basis", vectors.to(mean))

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        _check(x, self.mean)
        alpha, sigma = (c.flatten()[:, None] for c in self.schedule.coefficients(t, x))
        anomaly = x.flatten(1) - alpha * self.mean.flatten()
        gain = alpha * self.variances / (alpha.square() * self.variances + sigma.square())
        return (self.mean + (((anomaly @ self.basis) * gain) @ self.basis.T).reshape(x.shape)).to(x.dtype)

    def covariance(self, t: float | None = None) -> Tensor:
        """(n, n) Cov[x0 | x_t], the same for all x_t; without a time Cov[x0]."""
        variances = self.variances
        if t is not None:
            alpha, sigma = self.schedule.alpha(t).to(variances), self.schedule.sigma(t).to(variances)
            variances = sigma.square() * variances / (alpha.square() * variances + sigma.square())
        return (self.basis * variances) @ self.basis.T

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """(batch, ...) draws of x0."""
        white = torch.randn(batch, self.mean.numel(), generator=generator, dtype=self.mean.dtype).to(self.mean)
        return self.mean + ((white * self.variances.sqrt()) @ self.basis.T).reshape(batch, *self.mean.shape)

    def given(self, y: Tensor, A: Tensor, R: Tensor) -> GaussianDenoiser:
        """Exact denoiser of x0 given y = A x0 + noise of covariance R: the Kalman filter's analysis.

        Parameters
        ----------
        y : (m,);  A : (m, n);  R : (m, m).
        """
        P, mu = self.covariance(), self.mean.flatten()
        gain = torch.linalg.solve(A @ P @ A.T + R, A @ P).T
        P = P - gain @ A @ P
        return GaussianDenoiser((mu + gain @ (y - A @ mu)).reshape(self.mean.shape), 0.5 * (P + P.T), self.schedule)


class SpectralDenoiser(PosteriorMean):
    """Exact denoiser of homogeneous, doubly periodic Gaussian fields: C is diagonal in Fourier space.

    Parameters
    ----------
    mean : (..., H, W).
    spectrum : (H, W) or (..., H, W), variance of each mode of the orthonormal ``torch.fft.fft2``, in its order and in
        the unit of the field squared; its mean over all modes is the variance of a point.
    schedule : the noise; None for the cosine schedule.

    Raises
    ------
    PhysLabError : a spectrum that is negative, or that no real field has: S(-k) must equal S(k).
    """

    mean: Tensor
    spectrum: Tensor

    def __init__(self, mean: Tensor, spectrum: Tensor, schedule: NoiseSchedule | None = None) -> None:
        super().__init__(NoiseSchedule() if schedule is None else schedule)
        if mean.ndim < 2 or spectrum.shape[-2:] != mean.shape[-2:]:
            raise PhysLabError(
                f"spectrum {tuple(spectrum.shape)} does not fit fields {tuple(mean.shape)}: both end in (H, W)"
            )
        mirrored = spectrum.flip(-2, -1).roll((1, 1), (-2, -1))
        if bool((spectrum < 0).any()) or not torch.allclose(spectrum, mirrored, rtol=1e-4):
            raise PhysLabError("a spectrum must not be negative and must be the same at k and -k: build it from |k|")
        self.register_buffer("mean", mean.clone())
        self.register_buffer("spectrum", spectrum.to(mean))

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        _check(x, self.mean)
        alpha, sigma = self.schedule.coefficients(t, x)
        gain = alpha * self.spectrum / (alpha.square() * self.spectrum + sigma.square())
        return (self.mean + self._filter(x - alpha * self.mean, gain)).to(x.dtype)

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """(batch, ..., H, W) draws of x0."""
        white = torch.randn(batch, *self.mean.shape, generator=generator, dtype=self.mean.dtype).to(self.mean)
        return self.mean + self._filter(white, self.spectrum.sqrt())

    @staticmethod
    def _filter(x: Tensor, factor: Tensor) -> Tensor:
        return torch.fft.ifft2(factor * torch.fft.fft2(x)).real


def _check(x: Tensor, mean: Tensor) -> None:
    if x.shape[1:] != mean.shape:
        raise FieldError(f"x has shape {tuple(x.shape)}: pass (B, {', '.join(map(str, mean.shape))})")
