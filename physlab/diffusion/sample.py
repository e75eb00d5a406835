r"""Samplers: from pure noise back to a field, in steps from large noise to small.

In the variables :math:`u = x / \alpha` and :math:`r = \sigma / \alpha` every schedule has the same probability-flow
equation (Karras et al. 2022, eq. 4), whose marginals are those of the noisy data,

.. math:: \frac{du}{dr} = \frac{u - D}{r} .

A step goes from the time t to the smaller time s; :math:`\hat\varepsilon = (x_t - \alpha_t D) / \sigma_t`:

* :class:`Euler`, :class:`Heun`: the equation above, of order 1 and 2 (Karras et al., algorithm 1 without churn);
* :class:`DDIM`: :math:`x_s = \alpha_s D + \sqrt{\sigma_s^2 - \tau^2}\, \hat\varepsilon + \tau z` with
  :math:`\tau = \eta\, \sigma_s \sqrt{1 - r_s^2 / r_t^2}` (Song, Meng and Ermon 2021, eq. 12 and 16); eta = 0 is Euler;
* :class:`DDPM`: draws from :math:`p(x_s | x_t, x_0 = D)` (Ho et al. 2020, eq. 7), which is DDIM with eta = 1;
* :class:`PredictorCorrector`: DDIM, then Langevin steps at s (Song et al. 2021, algorithm 3).

The last step returns D. Ancestral draws with few steps have too small a variance: each uses the variance of
:math:`x_s` given x0 and forgets that x0 is uncertain; the error falls with the number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.diffusion.denoise import PosteriorMean
from physlab.errors import Cancelled, FieldError, PhysLabError
from physlab.nn.parts import choose

GRIDS = ("karras", "log", "uniform")


@dataclass(frozen=True)
class Sampler:
    """Base of the samplers, which implement :meth:`step`.

    Attributes
    ----------
    denoiser : learned, exact or guided.
    steps : number of steps, the last one included.
    grid : times, from t_max to t_min: "karras" (r^(1/rho) uniform), "log" (log r uniform) or "uniform" (t uniform).
    rho : exponent of "karras"; 7 puts most steps at small noise, 1 makes r uniform.
    denoise_last : the last step returns D at t_min; False stops at x(t_min) after as many steps (to compare marginals).
    """

    denoiser: PosteriorMean
    steps: int = 64
    grid: str = "karras"
    rho: float = 7.0
    denoise_last: bool = True

    def __post_init__(self) -> None:
        choose("grid of times", self.grid, GRIDS)
        if self.steps != int(self.steps) or self.steps < 2:
            raise PhysLabError(f"{type(self).__name__} has {self.steps} steps: pass a whole number of at least 2")
        if not self.rho > 0:
            raise PhysLabError(f"rho is {self.rho}: pass a number above 0, for example 7")

    def times(self) -> Tensor:
        """Decreasing times, float64: `steps` of them if the last step denoises, else one more."""
        schedule, count = self.denoiser.schedule, int(self.steps) + (not self.denoise_last)
        high, low = schedule.t_max, schedule.t_min
        share = torch.linspace(0, 1, count, dtype=torch.float64)
        first, last = float(schedule.ratio(high)), float(schedule.ratio(low))
        if self.grid == "uniform":
            times = high + share * (low - high)
        elif self.grid == "log":
            times = schedule.time(first * (last / first) ** share)
        else:
            power = 1 / self.rho
            times = schedule.time((first**power + share * (last**power - first**power)) ** self.rho)
        times[0], times[-1] = high, low  # what rounding may have moved
        return times

    @torch.no_grad()
    def __call__(
        self,
        shape: Sequence[int] | None = None,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
        start: Tensor | None = None,
        progress: Callable[[int, int, Tensor], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw fields.

        Parameters
        ----------
        shape : (B, ...) of the draws; B members in one batch.
        generator : on the CPU, so that the draws do not depend on the device; it makes the start and all later noise.
        condition : (B, ...) passed on to the denoiser.
        start : x at t_max instead of shape: decides also dtype and device.
        progress : called after each step with (steps done, steps, x).
        cancel : called before each step; True stops the draw.

        Returns
        -------
        (B, ...) in the units of the data of the denoiser.

        Raises
        ------
        Cancelled : `cancel` returned True.
        PhysLabError : neither or both of shape and start.
        """
        if (shape is None) == (start is None):
            raise PhysLabError(f"{type(self).__name__} got shape {shape} and a start: pass exactly one of the two")
        times = self.times()
        if start is None:
            assert shape is not None  # it is one of the two
            sigma = float(self.denoiser.schedule.sigma(times[0]))
            start = sigma * torch.randn(tuple(shape), generator=generator, dtype=dtype).to(device)
        if condition is not None and len(condition) != len(start):
            raise FieldError(f"condition holds {len(condition)} samples for {len(start)} draws: pass one for each draw")
        x = start
        ends = [*times[1:], times.new_tensor(0.0)] if self.denoise_last else times[1:]
        for done, (t, s) in enumerate(zip(times, ends, strict=self.denoise_last)):
            if cancel is not None and cancel():
                raise Cancelled(f"sampling stopped after {done} of {self.steps} steps: it was asked to")
            new = self.denoiser(x, t, condition) if s == 0 else self.step(x, t, s, generator, condition)
            x = self.denoiser.after_step(new, x, s, t, generator, condition)
            if progress is not None:
                progress(done + 1, int(self.steps), x)
        return x

    def moments(
        self, n: int, progress: Callable[[int, int, Tensor], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """(n,) mean and (n, n) covariance of the draws where all is Gaussian, without Monte Carlo error, float64.

        Of a deterministic sampler and an affine denoiser, as :class:`~physlab.diffusion.GaussianDenoiser` and its
        guides are (but for DPS): a draw is then an affine function of its start, and n + 1 draws tell it.

        Parameters
        ----------
        n : numbers of a state.  progress, cancel : as of a draw.

        Raises
        ------
        Cancelled : `cancel` returned True.
        """
        start = torch.cat([torch.zeros(1, n), torch.eye(n)]).double()
        out = self(start=start, progress=progress, cancel=cancel)
        matrix = (out[1:] - out[0]).mT * float(self.denoiser.schedule.sigma(self.denoiser.schedule.t_max))
        return out[0], matrix @ matrix.mT

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator: torch.Generator | None, condition=None) -> Tensor:
        """x_s from x_t = x."""
        raise NotImplementedError(f"{type(self).__name__} has no step: use DDPM, DDIM, Euler, Heun, PredictorCorrector")

    def levels(self, *times: Tensor) -> list[float]:
        """alpha and sigma of each time in turn."""
        schedule = self.denoiser.schedule
        return [float(level(t)) for t in times for level in (schedule.alpha, schedule.sigma)]


@dataclass(frozen=True)
class DDPM(Sampler):
    """Ancestral sampling."""

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator: torch.Generator | None, condition=None) -> Tensor:
        alpha, sigma, alpha_s, sigma_s = self.levels(t, s)
        step = alpha / alpha_s  # x_t = step x_s + noise of variance beta
        beta = sigma**2 - (step * sigma_s) ** 2
        mean = (alpha_s * beta * self.denoiser(x, t, condition) + step * sigma_s**2 * x) / sigma**2
        return mean + sigma_s / sigma * math.sqrt(max(beta, 0.0)) * _normal(x, generator)


@dataclass(frozen=True)
class DDIM(Sampler):
    """Implicit sampling.

    Attributes
    ----------
    eta : share of fresh noise, 0 (deterministic) to 1 (that of DDPM).
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise PhysLabError(f"eta is {self.eta}: pass 0 (no fresh noise) to 1 (ancestral)")

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator: torch.Generator | None, condition=None) -> Tensor:
        alpha, sigma, alpha_s, sigma_s = self.levels(t, s)
        D = self.denoiser(x, t, condition)
        tau = self.eta * sigma_s * math.sqrt(max(1 - (sigma_s * alpha / (alpha_s * sigma)) ** 2, 0.0))
        new = alpha_s * D + math.sqrt(sigma_s**2 - tau**2) / sigma * (x - alpha * D)
        return new + tau * _normal(x, generator) if self.eta > 0 else new


@dataclass(frozen=True)
class Euler(Sampler):
    """Probability flow, order 1."""

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator: torch.Generator | None, condition=None) -> Tensor:
        return self.flow(x, t, s, self.denoiser(x, t, condition))

    def flow(self, x: Tensor, t: Tensor, s: Tensor, *means: Tensor) -> Tensor:
        """Step along the mean of the slopes: (u_t - D_t) / r_t, and at its own end (u_s - D_s) / r_s."""
        alpha, sigma, alpha_s, sigma_s = self.levels(t, s)
        r, r_s, u = sigma / alpha, sigma_s / alpha_s, x / alpha
        slope = (u - means[0]) / r
        if len(means) > 1:
            end = u + (r_s - r) * slope
            slope = 0.5 * (slope + (end - means[1]) / r_s)
        return alpha_s * (u + (r_s - r) * slope)


@dataclass(frozen=True)
class Heun(Euler):
    """Probability flow, order 2, two evaluations a step."""

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator: torch.Generator | None, condition=None) -> Tensor:
        first = self.denoiser(x, t, condition)
        return self.flow(x, t, s, first, self.denoiser(self.flow(x, t, s, first), s, condition))


@dataclass(frozen=True)
class PredictorCorrector(DDIM):
    """DDIM, then Langevin steps x <- x + tau sigma_s^2 score + sqrt(2 tau) sigma_s z.

    The published steps are tau / mean(eps^2) of each sample instead of tau. In a state of few numbers that mean is near
    zero now and then, and the step throws the sample away: the covariance of a Gaussian in three dimensions came out
    200 standard errors wrong. With tau itself, a mode of variance v settles at v / (1 - tau sigma_s^2 / (2 v)).

    Attributes
    ----------
    corrections : Langevin steps after each step.
    tau : their size in units of sigma_s^2.
    """

    corrections: int = 1
    tau: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corrections < 1 or not 0 < self.tau < 1:
            raise PhysLabError(
                f"corrections = {self.corrections}, tau = {self.tau}: pass at least 1, and a size between 0 and 1"
            )

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator: torch.Generator | None, condition=None) -> Tensor:
        x = super().step(x, t, s, generator, condition)
        sigma = self.levels(s)[1]
        for _ in range(self.corrections):
            drift = self.tau * self.denoiser.eps(x, s, condition)
            x = x + sigma * (math.sqrt(2 * self.tau) * _normal(x, generator) - drift)
        return x


def _normal(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
