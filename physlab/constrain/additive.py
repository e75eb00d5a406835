r"""Additive constraint (AddCL): the same correction for all children of a coarse cell.

.. math:: y = \tilde y + U (x - P \tilde y)

with the block mean :math:`P` and block replication :math:`U`; Harder et al. (2023), JMLR 24, eq. 2. It is the
orthogonal projection onto the fields that agree with :math:`x` (in the area-weighted norm: the oblique one with equal
corrections). Exact for any sign and any offset; it does not preserve the sign: a dry child of a block that must lose
water becomes negative.
"""

from __future__ import annotations

from torch import Tensor

from physlab.constrain.layer import Constraint
from physlab.registry import register


@register(
    "add",
    title="Additive",
    order=2,
    colour="#0b6b4f",
    reference="Harder et al. (2023), JMLR 24, eq. 2",
    question="Each block is shifted by one number. Can that create values below zero where the air is very dry?",
    afterwards="A finished field is shifted block by block, without any training. How much of what a constrained "
    "network gains is already here?",
    answer="The additive layer closes each block by one shift, so signs are not protected.",
)
class Additive(Constraint):
    """Layer ``add``: raw [1, 2, 3, 4] with coarse 5 gives [3.5, 4.5, 5.5, 6.5]."""

    hard = True

    def apply_constraint(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        return self.shifted(raw, coarse, weights)  # twice: raw values can be large where the coarse ones are small
