"""A constraint put on a finished method: what the law gives by itself, without being part of the training.

The comparison matters because most of what is credited to a network trained with a constraint layer may already come
from the layer alone. Compare ``load_model("tcw-x4-add")`` with ``Constrained(load_model("tcw-x4-none"), "add")``.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from physlab.constrain import make_constraint
from physlab.downscale.around import Around
from physlab.downscale.base import FieldDownscaler
from physlab.registry import Spec

FLOOR = 1e-6  # of a value before its logarithm, in the units of the layer


class Constrained(Around):
    """Any field-by-field method followed by a constraint layer.

    Parameters
    ----------
    method : the Downscaler to be corrected.
    constraint : a layer of :mod:`physlab.constrain`. "softmax" takes logarithms, so it receives that of the finished
        field: it then agrees with "mult", except that values below `FLOOR` are lifted to it first.
    scale : physical unit per unit of the layer, > 0; it matters for options such as the bounds of scaled_add.
    options : of the constraint layer.
    """

    def __init__(self, method: FieldDownscaler, constraint: str, scale: float = 1.0, **options) -> None:
        super().__init__(method)
        self.method, self.constraint, self.scale = method, constraint, float(scale)
        self.layer = make_constraint(constraint, self.factor, **options)
        self.name = f"{method.name} then {constraint}"

    @property
    def spec(self) -> Spec:
        title = f"{self.method.spec.title}, then {self.layer.entry.title.lower()}"
        return replace(self.method.spec, name=self.name, title=title, ensemble=False)

    @torch.no_grad()
    def predict(self, coarse: Tensor, weights: Tensor | None = None, static: Tensor | None = None) -> Tensor:
        """(..., h, w) -> (..., h*N, w*N), physical units; see :meth:`FieldDownscaler.predict`."""
        extra = {} if static is None else {"static": static}
        return self.constrain(self.method.predict(coarse, weights, **extra), coarse, weights)

    @torch.no_grad()
    def constrain(self, fine: Tensor, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """The second half alone: a finished field (..., h*N, w*N) made to agree with the coarse one, physical units."""
        fine = fine / self.scale
        if self.layer.logarithmic:
            fine = torch.log(fine.clamp_min(FLOOR))
        return self.layer(fine, coarse / self.scale, weights) * self.scale
