r"""Denoisers: the mean of all clean fields that could hide in a noisy one, and the network that learns it.

A denoiser is the function :math:`D(x_t, t) = E[x_0 | x_t]`. Everything that diffusion needs follows from it: the score
by Tweedie's formula, and the covariance of what it leaves open by its second-order form (Efron 2011),

.. math:: \nabla \log p(x_t) = \frac{\alpha D - x_t}{\sigma^2}, \qquad
          \mathrm{Cov}[x_0 | x_t] = \frac{\sigma^2}{\alpha} \frac{\partial D}{\partial x_t} .

The network F sees :math:`c_{in} x_t` and the level :math:`\ln(r) / 4`, with r = sigma / alpha, and names the noise, the
clean field, the velocity, or the mixture of Karras et al. (2022, table 1) with s the standard deviation of the data,

.. math:: D = \frac{s^2}{r^2 + s^2} \frac{x_t}{\alpha} + \frac{r s}{\sqrt{r^2 + s^2}} F .

The loss is the mean square error of what F names, a weighted error of D: by :math:`1/r^2` for "eps", 1 for "x0",
:math:`1 + 1/r^2` for "v" and :math:`1/r^2 + 1/s^2` for "edm".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from physlab.diffusion.noise import NoiseSchedule
from physlab.errors import FieldError, PhysLabError
from physlab.nn.parts import choose
from physlab.nn.share import whole

PARAMETERISATIONS = ("eps", "x0", "v", "edm")


class PosteriorMean(nn.Module):
    """What every denoiser is, learned, exact or guided: ``denoiser(x, t) -> E[x0 | x_t = x]``.

    Attributes
    ----------
    schedule : the noise that the denoiser is for.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        if not isinstance(schedule, NoiseSchedule):
            raise PhysLabError(f"schedule is {schedule!r}: pass a physlab.diffusion.NoiseSchedule")
        self.schedule = schedule

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        """E[x0 | x_t = x].

        Parameters
        ----------
        x : (B, ...) noisy fields.
        t : their time, one number or (B,).
        condition : (B, ...) what else is known of each, for a network that was trained with it.
        """
        raise NotImplementedError

    def eps(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, ...) the noise that the denoiser sees in x."""
        return self.schedule.convert(self(x, t, condition), x, t, "x0", "eps")

    def score(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, ...) gradient of log p(x_t) at x, by Tweedie's formula."""
        return self.schedule.convert(self(x, t, condition), x, t, "x0", "score")

    def after_step(
        self, new: Tensor, old: Tensor, s: Tensor, t: Tensor, generator: torch.Generator | None, condition=None
    ) -> Tensor:
        """What a sampler does to x_s = `new` after its step from x_t = `old`; nothing, except with DPS."""
        return new


class Denoiser(PosteriorMean):
    """A network as a denoiser; see the module docstring.

    Parameters
    ----------
    network : ``network(x (B, ...), level (B,))`` or, with a condition, ``network(x, level, condition)``, to (B, ...).
    schedule : the noise; None for the cosine schedule.
    parameterisation : what the network names: "eps", "x0", "v" or "edm".
    data_std : standard deviation s of the clean fields that it learns from; 1 for standardised fields.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule | None = None,
        parameterisation: str = "edm",
        data_std: float = 1.0,
    ) -> None:
        super().__init__(NoiseSchedule() if schedule is None else schedule)
        if not data_std > 0:
            raise PhysLabError(f"data_std is {data_std}: pass the standard deviation of the clean fields, above 0")
        self.network, self.data_std = network, float(data_std)
        self.parameterisation = choose("parameterisation", parameterisation, PARAMETERISATIONS)

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        named = self.call(x, t, condition)
        return self.mean(named, x, t).to(x.dtype)

    def mean(self, named: Tensor, x: Tensor, t: float | Tensor) -> Tensor:
        """D from what the network named."""
        if self.parameterisation != "edm":
            return self.schedule.convert(named, x, t, self.parameterisation, "x0")
        skip, out = self.mixture(x, t)
        return skip * x + out * named

    def call(self, x: Tensor, t: float | Tensor, condition: Tensor | None) -> Tensor:
        """What the network names, for noisy fields x (B, ...)."""
        alpha, sigma = self.schedule.coefficients(t, x)
        level = ((sigma / alpha).log() / 4).flatten().expand(len(x)).to(x.dtype)
        scaled = x / ((alpha * self.data_std).square() + sigma.square()).sqrt()
        named = self.network(*(a for a in (scaled.to(x.dtype), level, condition) if a is not None))
        if named.shape != x.shape:
            raise FieldError(
                f"the network gave {tuple(named.shape)} for noisy fields {tuple(x.shape)}: it must keep their shape"
            )
        return named

    def mixture(self, x: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """Factors of x_t and F in D, shaped to multiply x."""
        alpha, sigma = self.schedule.coefficients(t, x)
        r, s = sigma / alpha, self.data_std
        return s**2 / (r.square() + s**2) / alpha, r * s / (r.square() + s**2).sqrt()

    def loss(
        self,
        x0: Tensor,
        condition: Tensor | None = None,
        generator: torch.Generator | None = None,
        weight: Callable[[Tensor], Tensor] | None = None,
        area: Tensor | None = None,
        penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Mean square error of what the network names, at times and noise drawn from the generator.

        Parameters
        ----------
        x0 : (B, ...) clean fields, standardised to `data_std`.
        condition : (B, ...) passed on to the network.
        generator : on the CPU, so that the draws do not depend on the device.
        weight : further weight of a sample as a function of its noise-to-signal ratio, (B,) -> (B,).
        area : weight of each point, broadcastable to x0, mean 1 (cell areas on the sphere).
        penalty : ``penalty(D (B, ...), r (B,)) -> scalar or (B,)``, averaged and added: a physical residual of the
            denoised mean, with its factor lambda(r) (PhyDA's regularisation; the factor must fade as r grows, because
            the residual of a mean is not the mean residual).

        Returns
        -------
        Scalar.
        """
        t = self.schedule.draw_times(len(x0), generator)
        count, mine = whole(len(x0), generator)
        eps = torch.randn((count, *x0.shape[1:]), generator=generator)[mine].to(x0)
        x = self.schedule.add_noise(x0, t, eps)
        named = self.call(x, t, condition)
        if self.parameterisation == "edm":
            skip, out = self.mixture(x, t)
            target = (x0 - skip * x) / out
        elif self.parameterisation == "v":
            target = self.schedule.convert(x0, x, t, "x0", "v")
        else:
            target = eps if self.parameterisation == "eps" else x0
        error = (named - target).square()
        r = self.schedule.ratio(t).to(x0)
        if weight is not None:
            error = error * weight(r).reshape(-1, *(1,) * (x0.ndim - 1))
        if area is not None:
            error = error * area.to(error)
        loss = error.mean()
        return loss if penalty is None else loss + penalty(self.mean(named, x, t), r).mean()
