r"""Guided denoisers: a prior that was learned once meets observations that it never saw.

Bayes' rule for the score, :math:`\nabla \log p(x_t|y) = \nabla \log p(x_t) + \nabla \log p(y|x_t)`, says for denoisers

.. math:: E[x_0 | x_t, y] = D + \frac{\sigma^2}{\alpha} \nabla_{x_t} \log p(y | x_t) .

The likelihood needs what the noisy field leaves open. With :math:`x_0 | x_t \approx N(D, V)` it is Gaussian, and with
:math:`J = \partial D / \partial x_t`

.. math:: \nabla_{x_t} \log p(y | x_t) = J^T A^T (R + A V A^T)^{-1} (y - A(D)) .

The methods differ in V alone, r = sigma / alpha:

===============  =================================================  =================================================
class            A V A^T                                            source
===============  =================================================  =================================================
:class:`SDA`     gamma r^2 I                                        Rozet and Louppe 2023, arXiv 2306.10574, eq. 15
:class:`PiGDM`   r^2 s^2 / (r^2 + s^2) A A^T                        Song et al. 2023 (ICLR), section 3.3
:class:`MMPS`    (sigma^2 / alpha) A J A^T                          Rozet et al. 2024, arXiv 2405.13712, eq. 14
===============  =================================================  =================================================

Only the last is the covariance that Tweedie's formula gives, and exact where the data are Gaussian: it returns the
Kalman filter's analysis. The usual gamma = 0.01 says that the truth lies within r / 10 of D: ten times too sure at
small r, where Cov[x0 | x_t] is r^2, and lost at large r, where it stays at the variance of the data. Members then come
to lie at the wrong place and too close together. :class:`DPS` has no likelihood at all but a step along the gradient of
the misfit; how far it goes depends on the number of steps, not on R.

The system in brackets is solved in a Krylov space (:mod:`physlab.diffusion.krylov`), each step one product with J^T.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from physlab.diffusion.denoise import PosteriorMean
from physlab.diffusion.krylov import solve_shifted
from physlab.diffusion.observe import Observation
from physlab.errors import PhysLabError


class Guided(PosteriorMean):
    """Base: a denoiser that knows of observations; a method implements :meth:`spread`.

    Parameters
    ----------
    denoiser : the prior, learned or exact.
    y, A, R : see :class:`physlab.diffusion.observe.Observation`; an Observation may be passed as y alone.
    iterations : most steps of the solver for each evaluation; m of them solve the system for certain.
    tolerance : relative residual at which it stops.
    trust : largest noise-to-signal ratio at which J is taken; above it, J is that of the same noise made smaller.
    """

    def __init__(
        self,
        denoiser: PosteriorMean,
        y: Tensor | Observation,
        A: Tensor | Callable[[Tensor], Tensor] | None = None,
        R: float | Tensor | None = None,
        iterations: int = 16,
        tolerance: float = 1e-4,
        trust: float = math.inf,
    ) -> None:
        super().__init__(denoiser.schedule)
        if not isinstance(y, Observation):
            if A is None or R is None:
                raise PhysLabError("observations need y, A and R: values, operator and error variance")
            y = Observation(y, A, R)
        if iterations < 1:
            raise PhysLabError(f"iterations is {iterations}: pass at least 1")
        self.denoiser = denoiser
        self.observation = y
        if not trust > 0:
            raise PhysLabError(f"trust is {trust}: pass a noise-to-signal ratio above 0, or infinity")
        self.iterations, self.tolerance, self.trust = int(iterations), float(tolerance), float(trust)

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        r = self.schedule.ratio(t) if isinstance(t, Tensor) else self.schedule.ratio(torch.tensor(t).double())
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            D = self.denoiser(x, t, condition)
            seen = self.observation(D)
        misfit = self.observation.misfit(seen.detach())
        if bool((r > self.trust).any()):
            x, t, seen = self.nearer(x.detach(), D.detach(), t, r, condition)
        alpha, sigma = self.schedule.coefficients(t, x)

        def pull(v: Tensor) -> Tensor:
            """(sigma^2 / alpha) J^T A^T v, (B, m) -> (B, ...)."""
            return sigma.square() / alpha * torch.autograd.grad(seen, x, v, retain_graph=True)[0]

        spread = self.spread(D.detach(), (sigma / alpha).reshape(-1, 1), pull)
        whiten, back = self.observation.whiten, self.observation.whiten_transposed  # R = L L^T: solve I + L^-1 S L^-T
        white = solve_shifted(lambda v: whiten(spread(back(v))), whiten(misfit), self.iterations, self.tolerance)
        return D.detach() + pull(back(white))

    def nearer(
        self, x: Tensor, D: Tensor, t: float | Tensor, r: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same noise made smaller, to the ratio `trust` where r is above it: the point, its time, A(D) there."""
        alpha, _ = self.schedule.coefficients(t, x)
        limited = r.clamp(max=self.trust)
        time = self.schedule.time(limited)
        share = (limited / r).to(x).reshape(-1, *(1,) * (x.ndim - 1))
        with torch.enable_grad():
            x = (self.schedule.coefficients(time, x)[0] * (D + share * (x / alpha - D))).requires_grad_(True)
            return x, time, self.observation(self.denoiser(x, time, condition))

    def spread(self, D: Tensor, r: Tensor, pull: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The product v -> A V A^T v, (B, m) -> (B, m).

        Parameters
        ----------
        D : (B, ...) denoised mean;  r : (B, 1) or (1, 1) noise-to-signal ratio.
        pull : v -> (sigma^2 / alpha) J^T A^T v, (B, m) -> (B, ...).
        """
        raise NotImplementedError(f"{type(self).__name__} has no spread: use SDA, PiGDM or MMPS")


class SDA(Guided):
    """Score-based data assimilation as published: one number gamma for what the noisy field leaves open.

    Parameters
    ----------
    gamma : variance of what is left open, in units of r^2; published 1e-2.
    """

    def __init__(self, denoiser: PosteriorMean, y, A=None, R=None, gamma: float = 1e-2, **options) -> None:
        super().__init__(denoiser, y, A, R, **options)
        if not gamma >= 0:
            raise PhysLabError(f"gamma is {gamma}: pass a number of at least 0; published 0.01")
        self.gamma = float(gamma)

    def spread(self, D: Tensor, r: Tensor, pull: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda v: self.gamma * r.square() * v


class PiGDM(Guided):
    """Pseudo-inverse guidance: independent points of variance s^2 before the noisy field was seen.

    The published sampler multiplies the guidance by a further factor; here it is the gradient of the likelihood.

    Parameters
    ----------
    data_std : s, standard deviation of the clean fields; published 1.
    """

    def __init__(self, denoiser: PosteriorMean, y, A=None, R=None, data_std: float = 1.0, **options) -> None:
        super().__init__(denoiser, y, A, R, **options)
        if not data_std > 0:
            raise PhysLabError(f"data_std is {data_std}: pass the standard deviation of the clean fields, above 0")
        self.data_std = float(data_std)

    def spread(self, D: Tensor, r: Tensor, pull: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        forward, transpose = self.observation.slope(D)
        V = (r * self.data_std).square() / (r.square() + self.data_std**2)
        return lambda v: V * forward(transpose(v))


class MMPS(Guided):
    """Moment matching: the covariance that the denoiser itself implies. The corrected guidance of this book.

    A learned Jacobian is multiplied by r^2, and so is its error: a small U-Net whose V is useful up to r = 10 names
    variances of minus nine at r = 100, where two is right. But V hardly changes there: above a ratio of ten standard
    deviations it is the covariance of the data within a percent. So J is taken at the ratio `trust` at most.

    Parameters
    ----------
    trust : as for :class:`Guided`, in units of the data; 10 for standardised data, infinity for an exact denoiser.
    """

    def __init__(self, denoiser: PosteriorMean, y, A=None, R=None, trust: float = 10.0, **options) -> None:
        super().__init__(denoiser, y, A, R, trust=trust, **options)

    def spread(self, D: Tensor, r: Tensor, pull: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        forward = self.observation.slope(D)[0]
        return lambda v: forward(pull(v))


class DPS(Guided):
    r"""Diffusion posterior sampling as published (Chung et al. 2023, arXiv 2209.14687, algorithm 1 and its code).

    The denoiser is that of the prior; after each step :math:`x_s \leftarrow x_s - \zeta \nabla_{x_t} \|y - A(D)\|`.
    Published with 1,000 DDPM steps on images. R does not enter.

    Parameters
    ----------
    zeta : length of the step, in units of x times the unit of the field by that of y; published 0.3 to 1.
    """

    def __init__(self, denoiser: PosteriorMean, y, A=None, R=None, zeta: float = 1.0) -> None:
        super().__init__(denoiser, y, A, 1.0 if R is None else R)
        if not zeta > 0:
            raise PhysLabError(f"zeta is {zeta}: pass a number above 0; published 0.3 to 1")
        self.zeta = float(zeta)

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        return self.denoiser(x, t, condition)

    def after_step(
        self, new: Tensor, old: Tensor, s: Tensor, t: Tensor, generator: torch.Generator | None, condition=None
    ) -> Tensor:
        with torch.enable_grad():
            old = old.detach().requires_grad_(True)
            misfit = self.observation.misfit(self.observation(self.denoiser(old, t, condition)))
            gradient = torch.autograd.grad(misfit.square().sum(1).sqrt().sum(), old)[0]
        return new - self.zeta * gradient


GUIDES: dict[str, Callable[..., Guided]] = {
    "mmps": functools.partial(MMPS, trust=math.inf),
    "sda": functools.partial(SDA, gamma=0.01),
    "sda-1": functools.partial(SDA, gamma=1.0),
    "pigdm": PiGDM,
    "dps": functools.partial(DPS, zeta=1.0),
}
"""Guides that are compared where the answer is known; each takes a denoiser, y (m,), A (m, n) and R (m, m)."""
