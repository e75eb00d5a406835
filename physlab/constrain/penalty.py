r"""The soft constraint: a penalty in the loss, not a layer.

.. math:: L = \alpha \, \mathrm{MSE}(P y, x) + (1 - \alpha) \, \mathrm{MSE}(y, y_\mathrm{true}), \qquad \alpha = 0.99

Harder et al. (2023), JMLR 24, section 4.3. It conserves only as far as it was trained, and it costs accuracy: in the
published table of x4 column water the RMSE rises from 0.657 to 0.801 kg m-2.
"""

from __future__ import annotations

from torch import Tensor

from physlab.constrain.layer import Identity
from physlab.errors import PhysLabError
from physlab.grid import coarsening_residual
from physlab.registry import register

ALPHA = 0.99


@register(
    "soft",
    title="Soft penalty",
    order=1,
    colour="#56a0d3",
    reference="Harder et al. (2023), JMLR 24, section 4.3",
    layer=False,
    question="The network was only fined for violating conservation. Will the residual map be blank, or merely "
    "paler than without the fine?",
    answer="A penalty pulls towards conservation but does not guarantee it.",
)
class Soft(Identity):
    """A penalty in the loss; the layer of a network trained with it leaves the field as it is."""


def conservation_penalty(fine: Tensor, coarse: Tensor, factor: int, weights: Tensor | None = None) -> Tensor:
    """Mean square of coarsen(fine) - coarse.

    Parameters
    ----------
    fine : (..., H, W) any unit u.
    coarse : (..., H/N, W/N) unit u.
    factor : N.
    weights : cell areas, broadcastable to (H, W), or None.

    Returns
    -------
    0-dim tensor, unit u squared, differentiable.

    Raises
    ------
    CoarseningError : shapes that are not related by the factor.
    """
    return coarsening_residual(fine, coarse, factor, weights).square().mean()


def soft_loss(mse: Tensor, penalty: Tensor, alpha: float = ALPHA) -> Tensor:
    """alpha * penalty + (1 - alpha) * mse, both in the same unit."""
    if not 0.0 <= alpha <= 1.0:
        raise PhysLabError(
            f"soft constraint has alpha = {alpha}: pass a share of the penalty from 0 to 1; published is 0.99"
        )
    return alpha * penalty + (1.0 - alpha) * mse
