r"""Softmax constraint (SmCL): the raw field holds the logarithms of the children's shares.

.. math:: y = e^{\tilde y / \tau} \; U \frac{x}{P e^{\tilde y / \tau}}

Harder et al. (2023), JMLR 24, eq. 4. The largest raw value of each block is subtracted before the exponential, which
cancels in the quotient: raw values of 1e4 are as safe as those of 1 (the published layer overflows at 89, in half
precision at 11).

Stated behaviour: for coarse > 0 no child is negative; for coarse = 0 all are 0 (the only non-negative answer) and the
gradient towards the raw field is 0; for coarse < 0 no child is positive, in the same ratios. The block mean is the
coarse value in each case.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.constrain.layer import Constraint
from physlab.errors import PhysLabError
from physlab.registry import register


@register(
    "softmax",
    title="Softmax",
    order=5,
    colour="#c2571a",
    reference="Harder et al. (2023), JMLR 24, eq. 4",
    bounds={"temperature": (0, None)},
    question="The network's output is read as logarithms, and each block shares out exactly what its coarse cell "
    "holds. Will any value be negative, and will the residual map show any colour?",
    afterwards="This layer reads logarithms, so it is given the logarithm of the finished field. What then still "
    "distinguishes it from the multiplicative layer?",
    answer="The softmax layer shares out each coarse value by positive weights: exact means, nothing negative.",
)
class Softmax(Constraint):
    """Layer ``softmax``: raw [1, 2, 3, 4] with coarse 5 gives [0.64117, 1.74289, 4.73766, 12.87829].

    Parameters
    ----------
    factor, weights : see :class:`physlab.constrain.layer.Constraint`.
    temperature : tau, dimensionless, > 0; large values flatten the children towards the coarse value.
    """

    hard = True
    non_negative = True
    logarithmic = True

    def __init__(self, factor: int, weights: Tensor | None = None, temperature: float = 1.0) -> None:
        super().__init__(factor, weights)
        if not temperature > 0:
            raise PhysLabError(f"softmax temperature is {temperature}: pass a value > 0; 1 is the published layer")
        self.temperature = float(temperature)

    def apply_constraint(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        logits = raw if self.temperature == 1.0 else raw / self.temperature
        share = torch.exp(logits - self.up(self.block_max(logits)))
        return share * self.up(coarse / self.mean(share, weights))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, temperature={self.temperature}"
