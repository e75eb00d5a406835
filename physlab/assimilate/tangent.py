r"""The tangent-linear function and its adjoint, by autograd: :math:`\delta y = F'(x)\, \delta x` and
:math:`\hat x = F'(x)^T \hat y`.

The adjoint is what backpropagation computes. It is linear in :math:`\hat y`, so that backpropagation through it gives
its own transpose, the tangent-linear function: no line of either is written by hand. The dot-product test

.. math:: \langle F' \delta x, \hat y \rangle = \langle \delta x, F'^T \hat y \rangle

holds to rounding (Kalnay 2003, section 6.3, on adjoints that are written by hand and have to pass it).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from physlab.errors import PhysLabError


def linearise(
    function: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """A function at x, its tangent-linear and its adjoint there; each product costs about one run of the function.

    Parameters
    ----------
    function : takes and returns tensors, each leading index on its own.
    x : where.

    Returns
    -------
    function(x);  dx -> F' dx, from the shape of x to that of function(x);  dy -> F'^T dy, the other way.

    Raises
    ------
    PhysLabError : autograd cannot follow the function.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        y = function(x)
        if not y.requires_grad:
            raise PhysLabError("autograd cannot follow the function: write it in torch, without detach or no_grad")
        weights = torch.zeros_like(y, requires_grad=True)
        back = torch.autograd.grad(y, x, weights, create_graph=True)[0]

    def tangent(dx: Tensor) -> Tensor:
        return torch.autograd.grad(back, weights, dx, retain_graph=True)[0]

    def adjoint(dy: Tensor) -> Tensor:
        return torch.autograd.grad(y, x, dy, retain_graph=True)[0]

    return y.detach(), tangent, adjoint
