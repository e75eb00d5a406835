r"""Noise schedules: how a clean field is drowned in noise, and the four ways to say what the noise hides.

.. math:: x_t = \alpha(t)\, x_0 + \sigma(t)\, \varepsilon, \qquad \varepsilon \sim N(0, I), \qquad
          \mathrm{SNR}(t) = \alpha^2 / \sigma^2, \qquad r(t) = \sigma / \alpha .

A schedule is known by its noise-to-signal ratio r alone: :math:`x_t / \alpha` depends on nothing else (Karras et al.
2022, arXiv 2206.00364, eq. 20), so that two schedules differ only in the clock and in the unit of x. The kinds are

========  ==========================================================  ==========================  =================
kind      alpha                                                       sigma                       source
========  ==========================================================  ==========================  =================
linear    exp(-B/2), B = beta0 t + (beta1 - beta0) t^2 / 2            sqrt(1 - alpha^2)           Song et al. 2021
cosine    cos(theta t), theta = arccos(1e-2)                          sin(theta t)                Salimans, Ho 2022
sda       cos^2(theta t), theta = arccos(sqrt(1e-3))                  sqrt(1 - alpha^2 + 1e-6)    Rozet, Louppe 2023
edm       1                                                           t                           Karras et al. 2022
========  ==========================================================  ==========================  =================

The first three preserve the variance of standardised data, with t from 1e-3 (linear: 1e-4) to 1; "edm" lets it
explode, with t from 0.002 to 80 in units of the data. They solve :math:`dx = f x\,dt + g\,dw` with
:math:`f = \dot\alpha / \alpha` and :math:`g^2 = 2 \sigma (\dot\sigma - f \sigma)`.

Instead of the clean field :math:`x_0` a network may name the noise, the velocity
:math:`v = (\alpha \varepsilon - \sigma x_0) / n`, :math:`n = \sqrt{\alpha^2 + \sigma^2}` (Salimans and Ho; n = 1 where
the variance is preserved), or the score :math:`\nabla \log p(x_t) = -\varepsilon / \sigma`:
:meth:`NoiseSchedule.convert` turns each into each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.nn.parts import choose
from physlab.nn.share import whole

KINDS = ("linear", "cosine", "sda", "edm")
#: What a network may predict, and what :meth:`NoiseSchedule.convert` converts.
QUANTITIES = ("x0", "eps", "v", "score")
_RANGE = {"linear": (1e-4, 1.0), "cosine": (1e-3, 1.0), "sda": (1e-3, 1.0), "edm": (0.002, 80.0)}
_END = 1e-2  # the signal that "cosine" leaves at t = 1: less wastes steps on noise that hides everything
_ETA = 1e-3  # the same for "sda", as published


@dataclass(frozen=True)
class NoiseSchedule:
    """One of the schedules of the module docstring.

    Times are floats or tensors of any shape; a float is computed and returned in float64. Every formula avoids the
    difference 1 - alpha^2, so that small noise is as exact as large noise.

    Attributes
    ----------
    kind : "linear", "cosine", "sda" or "edm".
    t_min, t_max : least and largest time that is used; None for those of the kind.
    beta : beta0 and beta1 of the kind "linear", per unit of time.
    log_normal : mean and standard deviation of log t in the training of the kind "edm" (Karras et al., table 1).
    """

    kind: str = "cosine"
    t_min: float = None  # type: ignore[assignment]  # never None once made, see __post_init__
    t_max: float = None  # type: ignore[assignment]  # likewise
    beta: tuple[float, float] = (0.1, 20.0)
    log_normal: tuple[float, float] = (-1.2, 1.2)

    def __post_init__(self) -> None:
        choose("noise schedule", self.kind, KINDS)
        low, high = _RANGE[self.kind]
        object.__setattr__(self, "t_min", low if self.t_min is None else float(self.t_min))
        object.__setattr__(self, "t_max", high if self.t_max is None else float(self.t_max))
        top = math.inf if self.kind == "edm" else 1.0
        if not (0 < self.t_min < self.t_max <= top and math.isfinite(self.t_max)):
            raise PhysLabError(
                f"schedule {self.kind!r} has times {self.t_min} to {self.t_max}: pass 0 < t_min < t_max"
                + ("" if self.kind == "edm" else " <= 1")
            )
        if not 0 <= self.beta[0] <= self.beta[1] or self.beta[1] == 0:
            raise PhysLabError(f"beta is {self.beta}: pass 0 <= beta0 <= beta1, beta1 > 0, for example (0.1, 20)")

    # --- the marginal -------------------------------------------------------------------------------------------------
    def alpha(self, t: float | Tensor) -> Tensor:
        """Signal that is left at time t, same shape as t."""
        t = _tensor(t)
        if self.kind == "linear":
            return (-0.5 * self._integral(t)).exp()
        if self.kind == "edm":
            return torch.ones_like(t)
        cosine = (self._theta * t).cos()
        return cosine if self.kind == "cosine" else cosine.square()

    def sigma(self, t: float | Tensor) -> Tensor:
        """Standard deviation of the noise at time t, same shape as t."""
        t = _tensor(t)
        if self.kind == "linear":
            return (-torch.expm1(-self._integral(t))).sqrt()
        if self.kind == "edm":
            return t.clone()
        sine = (self._theta * t).sin()
        if self.kind == "cosine":
            return sine
        return (sine.square() * (2 - sine.square()) + _ETA**2).sqrt()

    def ratio(self, t: float | Tensor) -> Tensor:
        """Noise-to-signal ratio r = sigma / alpha: the noise level in units of the data."""
        return self.sigma(t) / self.alpha(t)

    def snr(self, t: float | Tensor) -> Tensor:
        """Signal-to-noise ratio alpha^2 / sigma^2."""
        return (self.alpha(t) / self.sigma(t)).square()

    def time(self, ratio: float | Tensor) -> Tensor:
        """The time at which the noise-to-signal ratio is `ratio`: the inverse of :meth:`ratio`."""
        r = _tensor(ratio)
        if self.kind == "edm":
            return r.clone()
        if self.kind == "linear":
            low, high = self.beta
            integral = torch.log1p(r.square())
            return 2 * integral / (low + (low**2 + 2 * (high - low) * integral).sqrt())
        if self.kind == "cosine":
            return r.atan() / self._theta
        sine2 = (r.square() - _ETA**2).clamp(min=0) / (1 + r.square())  # 1 - alpha^2 with alpha = cos^2
        alpha = (1 - sine2).sqrt()
        return torch.atan2((sine2 / (1 + alpha)).sqrt(), alpha.sqrt()) / self._theta

    # --- the stochastic differential equation -------------------------------------------------------------------------
    def drift(self, t: float | Tensor) -> Tensor:
        """f(t) = d log(alpha) / dt of the forward equation dx = f x dt + g dw."""
        t = _tensor(t)
        if self.kind == "linear":
            return -0.5 * (self.beta[0] + (self.beta[1] - self.beta[0]) * t)
        if self.kind == "edm":
            return torch.zeros_like(t)
        return -self._theta * (self._theta * t).tan() * (1 if self.kind == "cosine" else 2)

    def diffusion(self, t: float | Tensor) -> Tensor:
        """g(t) of the forward equation: g^2 = d(sigma^2)/dt - 2 f sigma^2."""
        t = _tensor(t)
        if self.kind == "edm":
            return (2 * t).sqrt()
        scale = (1 + _ETA**2) if self.kind == "sda" else 1.0  # d(sigma^2) = -d(alpha^2) = -2 f alpha^2
        return (-2 * self.drift(t) * scale).sqrt()

    # --- use ----------------------------------------------------------------------------------------------------------
    def add_noise(self, x0: Tensor, t: float | Tensor, eps: Tensor) -> Tensor:
        """x_t = alpha x_0 + sigma eps for x0 and eps (B, ...) and one time or one for each sample (B,)."""
        alpha, sigma = self.coefficients(t, x0)
        return alpha * x0 + sigma * eps

    def coefficients(self, t: float | Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) in the dtype of x, but at least float32, on its device and shaped to multiply x (B, ...).

        Raises
        ------
        PhysLabError : t is neither one number nor one for each of the B samples.
        """
        t = _tensor(t)
        if t.ndim > 1 or (t.numel() not in (1, len(x))):
            raise PhysLabError(
                f"time has shape {tuple(t.shape)} for x of shape {tuple(x.shape)}: pass one number, or one for each of "
                f"the {len(x)} samples"
            )
        shape = (-1,) + (1,) * (x.ndim - 1)
        dtype = torch.promote_types(x.dtype, torch.float32)
        alpha, sigma = (value.to(x.device, dtype).reshape(shape) for value in (self.alpha(t), self.sigma(t)))
        return alpha, sigma

    def draw_times(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """(B,) times to train at, float64: uniform (edm: log-normal), one in each of B equal shares of probability.

        Shares instead of independent draws lower the variance of the loss (Kingma et al. 2021, appendix I.1).
        """
        count, mine = whole(batch, generator)
        u = ((torch.rand(1, generator=generator, dtype=torch.float64) + torch.arange(count)) / count)[mine]
        if self.kind != "edm":
            return self.t_min + (self.t_max - self.t_min) * u
        mean, deviation = self.log_normal
        u = u.clamp(1e-12, 1 - 1e-12)
        return (mean + deviation * torch.special.ndtri(u)).exp().clamp(self.t_min, self.t_max)

    def convert(self, value: Tensor, x: Tensor, t: float | Tensor, source: str, target: str) -> Tensor:
        """Say the same with another quantity.

        Parameters
        ----------
        value : (B, ...) the quantity `source`: "x0", "eps", "v" or "score", of the noisy field.
        x : (B, ...) noisy field x_t;  t : its time, one number or (B,).
        target : the quantity that is wanted.

        Returns
        -------
        (B, ...) in the dtype of x, but at least float32.
        """
        choose("quantity", source, QUANTITIES)
        choose("quantity", target, QUANTITIES)
        if source == target:
            return value
        alpha, sigma = self.coefficients(t, x)
        n = (alpha.square() + sigma.square()).sqrt()
        if source == "v":  # the pair (x / n, v) is the pair (x0, eps) turned by the angle arctan(r)
            x0, eps = (alpha * x / n - sigma * value) / n, (sigma * x / n + alpha * value) / n
        elif source == "x0":
            x0, eps = value, (x - alpha * value) / sigma
        else:
            eps = value if source == "eps" else -sigma * value
            x0 = (x - sigma * eps) / alpha
        if target == "v":
            return (alpha * eps - sigma * x0) / n
        return {"x0": x0, "eps": eps, "score": -eps / sigma}[target]

    @property
    def _theta(self) -> float:
        return math.acos(_END) if self.kind == "cosine" else math.acos(math.sqrt(_ETA))

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta[0] * t + 0.5 * (self.beta[1] - self.beta[0]) * t.square()


def _tensor(value: float | Tensor) -> Tensor:
    """Floats become float64 tensors; tensors keep their dtype."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else value.double()
    return torch.tensor(value, dtype=torch.float64)
