r"""Scaled additive constraint (ScAddCL): corrections in proportion to the room that each child has left.

With :math:`d = x - P \tilde y` and bounds :math:`[a, b]`,

.. math:: y = \tilde y + U d \; \frac{g}{U P g}, \qquad g = b - \tilde y \;\; (d > 0), \quad g = \tilde y - a \;\; (d
< 0) .

For :math:`[a, b] = [-1, 1]` this is Geiss and Hardin (2023), "Strictly enforcing invertibility and conservation in
CNN-based super resolution for scientific datasets", AIES 2 (their s + raw over s + mean), as used by Harder et al.
(2023), JMLR 24, eq. 5. If raw and coarse lie within the bounds, so does the result; a child at the bound stays there.

Guard: the quotient is used where it is well-conditioned, :math:`|P g| > \epsilon P |g|`. Elsewhere (raw values on
both sides of a bound, or all at the bound) the block falls back to the plain additive correction, which is exact too.
The published layer divides by zero there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.constrain.layer import Constraint
from physlab.errors import PhysLabError
from physlab.registry import register

CONDITION = 0.05  # a correction is at most 1/CONDITION times the mean |room| quotient of its block


@register(
    "scaled_add",
    title="Scaled additive",
    order=3,
    by_name=False,
    colour="#c9a400",
    reference="Geiss and Hardin (2023), AIES 2",
    question="The correction is shared out by how much room each cell has left to its bounds. Will there be fewer "
    "negative values than with the plain additive layer?",
    answer="The scaled layer closes each block and respects its bounds where it can.",
)
class ScaledAdditive(Constraint):
    """Layer ``scaled_add``.

    Parameters
    ----------
    factor, weights : see :class:`physlab.constrain.layer.Constraint`.
    bounds : (a, b) in the units of the layer, a < b.
    """

    hard = True

    def __init__(self, factor: int, weights: Tensor | None = None, bounds: tuple[float, float] = (-1.0, 1.0)) -> None:
        super().__init__(factor, weights)
        low, high = (float(value) for value in bounds)
        if not low < high:
            raise PhysLabError(
                f"scaled_add bounds are ({low}, {high}): pass (low, high) with low < high, in the units of the layer"
            )
        self.bounds = (low, high)

    @staticmethod
    def within(low: float, high: float) -> dict:
        return {"bounds": [low, high]}

    def apply_constraint(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        low, high = self.bounds
        deficit = coarse - self.mean(raw, weights)
        room = torch.where(self.up(deficit) > 0, high - raw, raw - low)
        mean_room = self.mean(room, weights)
        safe = mean_room.abs() > CONDITION * self.mean(room.detach().abs(), weights) + torch.finfo(raw.dtype).tiny
        step = torch.where(safe, deficit / torch.where(safe, mean_room, 1.0), 0.0)
        fine = raw + self.up(step) * room + self.up(torch.where(safe, 0.0, deficit))
        return fine + self.up(coarse - self.mean(fine, weights))  # rounding only

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bounds={self.bounds}"
