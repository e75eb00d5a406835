r"""Saturation humidity over water (Bolton 1980, eq. 10), and the excess of vapour over it.

.. math:: e_s = 611.2 \exp\frac{17.67\,(T - 273.15)}{T - 29.65}, \qquad
          q_s = \frac{\epsilon e_s}{p - (1 - \epsilon) e_s} .
"""

from __future__ import annotations

import torch

from physlab.constants import EPSILON
from physlab.registry import register


def humidity(t: torch.Tensor, p: torch.Tensor | float) -> torch.Tensor:
    """q_s, kg kg-1, of temperature (K) and pressure (Pa), broadcast together."""
    celsius = t - 273.15
    vapour = 611.2 * torch.exp(17.67 * celsius / (celsius + 243.5).clamp_min(1.0))
    vapour = torch.minimum(vapour, 0.5 * torch.as_tensor(p, dtype=t.dtype, device=t.device))
    return EPSILON * vapour / (p - (1 - EPSILON) * vapour)


def excess(q: torch.Tensor, t: torch.Tensor, p: torch.Tensor | float, relative: float = 1.0) -> torch.Tensor:
    """max(q - r q_s, 0), kg kg-1: the vapour that must condense at relative humidity r."""
    return (q - relative * humidity(t, p)).clamp_min(0.0)


@register("saturation", group="laws", title="Humidity within 0 and saturation", units="kg kg-1")
def residual(q: torch.Tensor, t: torch.Tensor, p: torch.Tensor | float) -> torch.Tensor:
    """How far q lies outside 0 <= q <= q_s, kg kg-1: positive above saturation, negative below zero."""
    return excess(q, t, p) + q.clamp_max(0.0)
