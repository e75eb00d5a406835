r"""A multistep sampler: exponential Adams-Bashforth on the probability flow, one call of the denoiser a step.

In :math:`u = x / \alpha` and :math:`r = \sigma / \alpha` the flow :math:`du/dr = (u - D) / r` is linear but for the
denoiser, so that a step from :math:`r_0` to :math:`r_s` is known up to an integral over D,

.. math:: u_s = \frac{r_s}{r_0} u_0 - r_s \int_{r_0}^{r_s} \frac{D(\rho)}{\rho^2}\, d\rho .

D is replaced by the polynomial in :math:`\rho` through its values at this step and at those before, which costs nothing
since they are known. With this step's value alone the result is DDIM. In Newton's form, with the divided differences
:math:`D[0, 1] = (D_0 - D_1) / (r_0 - r_1)`, :math:`D[0, 1, 2]`, and :math:`J_k = \int (\rho - r_0)^k \rho^{-2} d\rho`,

.. math:: u_s = \frac{r_s}{r_0} u_0 - r_s \{ D_0 J_0 + D[0, 1] J_1 + D[0, 1, 2] (J_2 + (r_0 - r_1) J_1) \} ,

.. math:: J_0 = \frac{1}{r_0} - \frac{1}{r_s}, \quad J_1 = \log \frac{r_s}{r_0} + \frac{r_0}{r_s} - 1, \quad
          J_2 = r_s - \frac{r_0^2}{r_s} - 2 r_0 \log \frac{r_s}{r_0} .

This is the data form of DEIS (Zhang and Chen 2023, rho-AB). DPM-Solver++(2M) (Lu et al. 2022) extrapolates in
:math:`\log r` instead. There the last steps are the longest and overshoot: on a mixture of Gaussians with 8 calls it is
several times worse than DDIM, and this one better. In r each step is shorter than the one before.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from torch import Tensor

from physlab.diffusion.sample import Sampler
from physlab.errors import PhysLabError


@dataclass(frozen=True)
class AdamsBashforth(Sampler):
    """Multistep sampling along the probability flow.

    Attributes
    ----------
    order : values of the denoiser that a step uses, 1 (DDIM) to 3; the first steps have as many as there are.
    """

    order: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2, 3):
            raise PhysLabError(f"order is {self.order}: pass 1 (DDIM), 2 or 3")

    def __call__(self, *args, **kwargs) -> Tensor:
        """Draw fields, see :meth:`Sampler.__call__`; each call has a past of its own."""
        run = copy.copy(self)
        object.__setattr__(run, "_past", [])
        return Sampler.__call__(run, *args, **kwargs)

    def step(self, x: Tensor, t: Tensor, s: Tensor, generator=None, condition=None) -> Tensor:
        alpha, sigma, alpha_s, sigma_s = self.levels(t, s)
        r, end = sigma / alpha, sigma_s / alpha_s
        past: list[tuple[float, Tensor]] = getattr(self, "_past", [])
        past.insert(0, (r, self.denoiser(x, t, condition)))
        del past[self.order :]
        log = math.log(end / r)
        J0, J1, J2 = 1 / r - 1 / end, log + r / end - 1, end - r * r / end - 2 * r * log
        D = past[0][1]
        integral = J0 * D
        if len(past) > 1:
            r1, D1 = past[1]
            slope = (D - D1) / (r - r1)
            integral = integral + J1 * slope
            if len(past) > 2:
                r2, D2 = past[2]
                bend = (slope - (D1 - D2) / (r1 - r2)) / (r - r2)
                integral = integral + (J2 + (r - r1) * J1) * bend
        return alpha_s * (end / r * (x / alpha) - end * integral)
