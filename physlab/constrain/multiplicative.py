r"""Multiplicative constraint (MultCL): the children keep their ratios.

.. math:: y = g(\tilde y) \; U \frac{x}{P g(\tilde y)}, \qquad
          g(r) = \begin{cases} r & r \ge \delta \\ \delta \, e^{r/\delta - 1} & r < \delta \end{cases}

Harder et al. (2023), JMLR 24, eq. 3 and 5. The published layer has g(r) = r and so divides by zero for a dry block
and flips signs for a negative mean. Here g is positive, has a continuous slope, and leaves raw values above
:math:`\delta` exactly as they are.

Stated behaviour: for coarse > 0 all children are positive; for coarse = 0 all are 0 (the only non-negative answer); for
coarse < 0 all are negative, in the same ratios. The block mean is the coarse value in each case.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.constrain.layer import Constraint
from physlab.errors import PhysLabError
from physlab.registry import register


@register(
    "mult",
    title="Multiplicative",
    order=4,
    colour="#b0508a",
    reference="Harder et al. (2023), JMLR 24, eq. 3 and 5",
    bounds={"threshold": (0, None)},
    question="Each block is multiplied by one number. What happens to a perfectly dry block, and what to the "
    "ratios within a block?",
    afterwards="Each block of a finished field is multiplied by one number. Does the error get smaller everywhere?",
    answer="The multiplicative layer closes each block and keeps the sign.",
)
class Multiplicative(Constraint):
    """Layer ``mult``: raw [1, 2, 3, 4] with coarse 5 gives [2, 4, 6, 8].

    Parameters
    ----------
    factor, weights : see :class:`physlab.constrain.layer.Constraint`.
    threshold : delta, the raw value (units of the layer) below which g leaves the identity; > 0.
    """

    hard = True
    non_negative = True

    def __init__(self, factor: int, weights: Tensor | None = None, threshold: float = 1e-3) -> None:
        super().__init__(factor, weights)
        if not threshold > 0:
            raise PhysLabError(
                f"mult threshold is {threshold}: pass a small value > 0 in the units of the layer, for example 0.001"
            )
        self.threshold = float(threshold)

    def apply_constraint(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        share = self.positive(raw)
        return share * self.up(coarse / self.mean(share, weights))

    def positive(self, raw: Tensor) -> Tensor:
        """g(raw), positive, up to one common factor per block.

        Where a whole block lies below delta, g is a pure exponential there and a common shift of the block cancels in
        the quotient: shifting its maximum up to delta keeps the sum away from underflow without changing the result.
        """
        delta = self.threshold
        shift = torch.clamp(self.block_max(raw) - delta, max=0.0)
        raw = raw - self.up(shift)
        return torch.where(raw >= delta, raw, delta * torch.exp(torch.clamp(raw, max=delta) / delta - 1.0))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, threshold={self.threshold}"
