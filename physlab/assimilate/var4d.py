r"""4D-Var: the start from which the model passes all observations of a window most closely.

Le Dimet and Talagrand (1986, Tellus 38A, 97-110); incremental as in Courtier et al. (1994).

.. math:: J(x_0) = \tfrac12 (x_0 - x_b)^T B^{-1} (x_0 - x_b)
          + \tfrac12 \sum_t (y_t - H M_t(x_0))^T R^{-1} (y_t - H M_t(x_0)), \qquad x_t = M_t(x_0) .

The model carries what an observation says to other times and other variables; its adjoint, by autograd, carries the
misfit back to the start. B is fixed at the start of the window, and within it follows the flow as :math:`M' B M'^T`. If
model and H are linear the analysis is that of the Kalman smoother.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from physlab.assimilate.observed import Observed
from physlab.assimilate.var3d import Var3D
from physlab.errors import PhysLabError


@dataclass(frozen=True, eq=False)
class Var4D(Var3D):
    """The method; :meth:`analyse` takes y (T, m) or (..., T, m) and returns the state at the start of the window.

    Attributes
    ----------
    model : (..., n) -> (..., n), from one time of the window to the next; one that autograd can follow.
    lead : runs of the model from the background to the first observations: 0 if they are of the same time.
    outer : linearisations of the model; 1 is exact if it is linear.
    """

    model: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    lead: int = 0
    outer: int = 3

    times = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.model):
            raise PhysLabError("Var4D came without a model: pass model=, from one time of the window to the next")
        if self.lead < 0:
            raise PhysLabError(f"lead is {self.lead}: pass the runs of the model before the first observations")

    def predict(self, x: Tensor, times: int, observed: Observed) -> Tensor:
        """What a start (..., n) would show, (..., times, m)."""
        return observed.see(self.trajectory(x, times))

    def trajectory(self, x: Tensor, times: int) -> Tensor:
        """The states at the times of the observations, (..., times, n), from the start (..., n)."""
        assert self.model is not None
        for _ in range(self.lead):
            x = self.model(x)
        states = [x]
        for _ in range(times - 1):
            states.append(self.model(states[-1]))
        return torch.stack(states, -2)
