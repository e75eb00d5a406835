r"""A moist hydrostatic column: temperature, humidity and height that were refined together, made to fit together.

Variables are named by quantity and pressure, ``t_850`` (K), ``q_850`` (kg kg-1), ``z_850`` (geopotential, m2 s-2); what
has another name, such as ``u_850``, keeps its block mean and nothing else. With the block mean :math:`P`, block
replication :math:`U`, coarse values :math:`x` and raw fields marked by a tilde, the layer goes down a triangle, each
law given what stands before it:

1. **Temperature**, and all without a law: :math:`T = \tilde T + U(x_T - P\tilde T)`, the nearest field with that mean.
2. **Humidity within 0 and saturation**, with the saturation of the fine temperature
   (:mod:`physlab.equations.saturation`) times `relative` as :math:`s = r\,q_s(T, p)`:

   .. math:: q_i = \min\bigl(\max(\tilde q_i + \lambda, 0), s_i\bigr), \qquad \lambda \text{ such that } P q = x_q .

   It is the nearest field that obeys (Karush, Kuhn, Tucker), one number for each block, found by bisection; its
   gradient is that of the implicit equation. There is one for each :math:`0 \le x_q \le P s`. Since :math:`q_s` is
   convex in :math:`T`, :math:`P q_s(T) \ge q_s(x_T)`: whatever the network says of the temperature, a block that is not
   supersaturated on the coarse grid has one.
   A block that holds more than :math:`P s` has it above saturation by the same amount everywhere, so that the water is
   kept and the excess is least; one with less than nothing (coarse values with an error) has the same everywhere.
3. **Hydrostatic balance within blocks.** With the thickness of :mod:`physlab.equations.hydrostatic`, added up from the
   lowest level to :math:`\tau_l(T, q)`, the heights nearest to the raw ones that differ by it, and their block means:

   .. math:: \Phi_l = c + \tau_l + U\bigl(x_{\Phi_l} - P(c + \tau_l)\bigr), \qquad
             c = \tfrac1L \textstyle\sum_l (\tilde\Phi_l - \tau_l) .

   The residual of the law is then one number for each block and layer, :math:`x_{\Delta\Phi} - P\tau`: that of the
   coarse data themselves. A coarse state that is in balance gives a fine one that is.

**Energy.** The moist static energy of the multivariate experiment of Harder et al. (2023, JMLR 24, section 5) is
:math:`h = c_p T + L q + \Phi`. It is linear, so that the block means of its parts hold that of the whole: there is
nothing left to do. With the heat capacity and latent heat of moist air (:mod:`physlab.equations.energy`) a product
enters, and

.. math:: P h = h(x_T, x_q, x_\Phi) + (c_{pv} - c_{pd})\, P(T' q')

where primes are what a block mean lacks: 0.84 kJ kg-1 K-1 times a covariance that is at most the product of the two
standard deviations, some J kg-1 of 3e5, which the layer leaves to the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.constrain.layer import Constraint
from physlab.equations import hydrostatic, saturation
from physlab.errors import CoarseningError, PhysLabError
from physlab.registry import register

HALVINGS = 30  # of the interval of lambda, then a step of Newton's method


@dataclass(frozen=True)
class Level:
    """Places of the variables of a pressure level (hPa) among the channels; None where there is none."""

    pressure: float
    t: int
    q: int | None
    z: int | None


def levels_of(variables: Sequence[str]) -> tuple[Level, ...]:
    """The levels with a temperature, from the ground up."""
    found: dict[float, dict[str, int]] = {}
    for number, name in enumerate(variables):
        match = re.fullmatch(r"([tqz])_?(\d+)", name)
        if match:
            found.setdefault(float(match[2]), {})[match[1]] = number
    return tuple(
        Level(p, found[p]["t"], found[p].get("q"), found[p].get("z")) for p in sorted(found, reverse=True)
        if "t" in found[p]
    )  # fmt: skip


@register(
    "column",
    title="Moist hydrostatic column",
    colour="#8a4f9e",
    order=0,
    bounds={"relative": (0, None)},
    reference="Harder et al. (2023), JMLR 24, section 5; Holton and Hakim (2013), eq. 1.29",
)
class Column(Constraint):
    """Block means of all variables, humidity within 0 and saturation, and heights in hydrostatic balance.

    Parameters
    ----------
    factor, weights : see :class:`physlab.constrain.layer.Constraint`.
    variables : names of the channels, such as t_850, q_850, z_850.
    scales : physical unit per layer unit of each; None for physical units.
    relative : relative humidity at which air is saturated, > 0.
    """

    registry = "couplings"
    hard = True

    def __init__(
        self,
        factor: int,
        weights: Tensor | None = None,
        variables: Sequence[str] = (),
        scales: Sequence[float] | None = None,
        relative: float = 1.0,
    ) -> None:
        super().__init__(factor, weights)
        self.variables, self.relative = tuple(variables), float(relative)
        self.levels = levels_of(self.variables)
        self.heights = tuple(level for level in self.levels if level.z is not None)
        if not any(level.q is not None for level in self.levels) and len(self.heights) < 2:
            raise PhysLabError(
                f"the layer column got the variables {', '.join(self.variables) or 'none'}: it couples t_850 with "
                "q_850 of the same pressure, or t and z of two pressures (names with the pressure in hPa)"
            )
        scales = [1.0] * len(self.variables) if scales is None else list(scales)
        if len(scales) != len(self.variables) or not all(scale > 0 for scale in scales) or not self.relative > 0:
            raise PhysLabError(
                f"the layer column got scales {scales} for {len(self.variables)} variables and relative "
                f"{relative}: pass one scale > 0 for each variable, and a relative humidity > 0"
            )
        self.scales = tuple(map(float, scales))

    def check_shapes(self, fine: Tensor, coarse: Tensor) -> None:
        """Beside the factor: one channel for each variable."""
        super().check_shapes(fine, coarse)
        if fine.ndim < 3 or fine.shape[-3] != len(self.variables):
            raise CoarseningError(
                f"fine has shape {tuple(fine.shape)}: pass (..., {len(self.variables)}, H, W), the variables "
                f"{', '.join(self.variables)}"
            )

    def apply_constraint(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        unit = torch.tensor(self.scales, dtype=raw.dtype, device=raw.device)[:, None, None]
        given = list((coarse * unit).unbind(-3))
        made = list(self.shifted(raw * unit, coarse * unit, weights).unbind(-3))
        for level in self.levels:
            if level.q is not None:
                top = self.relative * saturation.humidity(made[level.t], 100 * level.pressure)
                made[level.q] = self.filled(
                    raw.select(-3, level.q) * self.scales[level.q], given[level.q], top, weights
                )
        if len(self.heights) > 1:
            self.balance(made, given, weights)
        return torch.stack(made, -3) / unit

    def filled(self, raw: Tensor, coarse: Tensor, top: Tensor, weights: Tensor | None) -> Tensor:
        """The field nearest to `raw` within 0 and `top` that has the block means `coarse`; see the module docstring."""
        with torch.no_grad():
            low, high = -self.block_max(raw), self.block_max(top - raw)
            for _ in range(HALVINGS):
                middle = 0.5 * (low + high)
                more = self.mean(self.clipped(raw + self.up(middle), top), weights) < coarse
                low, high = torch.where(more, middle, low), torch.where(more, high, middle)
            shift = self.up(0.5 * (low + high))
            free = ((raw + shift > 0) & (raw + shift < top)).to(raw.dtype)
            share = self.mean(free, weights)
            full, dry = self.up(coarse >= self.mean(top, weights)), self.up(coarse <= 0)
            # where no cell is free, all have the same part of what is left
            some = self.up(share > 0) & ~full & ~dry
            answer = torch.where(some, free / self.up(share.clamp_min(1e-12)), torch.ones_like(free))
        fine = torch.where(full, top, self.clipped(raw + shift, top).masked_fill(dry, 0.0))
        fine = self.clipped(fine + answer * self.up(coarse - self.mean(fine, weights)), top)
        return fine + answer * self.up(coarse - self.mean(fine, weights))

    @staticmethod
    def clipped(raw: Tensor, top: Tensor) -> Tensor:
        """Within 0 and `top`."""
        return torch.minimum(raw.clamp_min(0.0), top)

    def balance(self, made: list[Tensor], given: list[Tensor], weights: Tensor | None) -> None:
        """Replace the heights in `made`."""
        t = torch.stack([made[level.t] for level in self.heights], -3)
        q = torch.stack([torch.zeros_like(made[level.t]) if level.q is None else made[level.q]
                         for level in self.heights], -3)  # fmt: skip
        thick = hydrostatic.thickness(t, torch.tensor([level.pressure for level in self.heights]), q)
        tau = torch.cat([torch.zeros_like(thick[..., :1, :, :]), thick.cumsum(-3)], -3)
        raw = torch.stack([made[level.z] for level in self.heights if level.z is not None], -3)
        coarse = torch.stack([given[level.z] for level in self.heights if level.z is not None], -3)
        common = (raw - tau).mean(-3, keepdim=True)
        for level, z in zip(self.heights, self.shifted(common + tau, coarse, weights).unbind(-3), strict=True):
            if level.z is not None:
                made[level.z] = z

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, variables={', '.join(self.variables)}, relative={self.relative:g}"
