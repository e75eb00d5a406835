r"""What all constraint layers share: shapes, precision and weights.

A layer turns a raw fine field :math:`\tilde y` (..., H, W) and the coarse field :math:`x` (..., H/N, W/N) that it
must agree with into a fine field :math:`y`. A *hard* layer guarantees :math:`P y = x` for the block mean :math:`P` of
:func:`physlab.grid.coarsen`, area-weighted if weights are given; Harder et al. (2023), "Hard-constrained deep
learning for climate downscaling", JMLR 24, eq. 1 and 7.

Units: the layers act in units without offset. ``mult`` and ``softmax`` rescale, so that "twice as much" must mean
something: pass kg m-2 or kelvin divided by a scale, never degrees Celsius or a z-score.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from physlab.errors import CoarseningError
from physlab.grid import coarsen, refine
from physlab.registry import Spec, register


class Constraint(nn.Module):
    """Base of the layers; a layer implements :meth:`apply_constraint` and says in `hard` and `non_negative` what it
    guarantees, and in `logarithmic` whether its raw field is read as logarithms.

    Parameters
    ----------
    factor : block edge N, whole number >= 1.
    weights : cell areas, broadcastable to (H, W), positive, any unit (only ratios within a block matter); None: plain
        mean. Not stored in checkpoints: they belong to the grid, not to the weights of the network.
    """

    registry = "constraints"
    name = "none"
    hard = False
    non_negative = False
    logarithmic = False
    entry: ClassVar[Spec]  # by the decorator
    weights: Tensor | None

    def __init__(self, factor: int, weights: Tensor | None = None) -> None:
        super().__init__()
        if isinstance(factor, bool) or factor != int(factor) or factor < 1:
            raise CoarseningError(f"factor {factor!r} is not a whole number >= 1: pass 2, 4 or 8, for example")
        self.factor = int(factor)
        if weights is not None:
            weights = torch.as_tensor(weights)
            weights = weights if weights.is_floating_point() else weights.float()
            if not bool(((weights > 0) & torch.isfinite(weights)).all()):
                raise CoarseningError(
                    "area weights must be finite and greater than 0: pass cell areas, for example Grid.cell_area"
                )
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, fine: Tensor, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """Constrain a field.

        Parameters
        ----------
        fine : (..., H, W) raw field, units without offset (for ``softmax``: logits).
        coarse : (..., H/N, W/N) field to agree with, same leading shape, same units as the result.
        weights : replaces the weights of the layer for this call (crops of a larger grid).

        Returns
        -------
        (..., H, W) in the dtype of `fine`. Half precision is computed in float32 and rounded at the end, so that the
        block error is then that of the rounding.

        Raises
        ------
        CoarseningError : shapes that are not related by the factor.
        """
        self.check_shapes(fine, coarse)
        working = torch.promote_types(torch.promote_types(fine.dtype, coarse.dtype), torch.float32)
        weights = self.weights if weights is None else weights
        if weights is not None:
            weights = weights.to(device=fine.device, dtype=working)
        with torch.autocast(fine.device.type, enabled=False):
            return self.apply_constraint(fine.to(working), coarse.to(working), weights).to(fine.dtype)

    def apply_constraint(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        """The formula of the layer, in float32 or float64."""
        return raw

    @staticmethod
    def within(low: float, high: float) -> dict:
        """Options of the layer for fields whose values lie between `low` and `high`, units of the layer."""
        return {}

    def mean(self, fine: Tensor, weights: Tensor | None) -> Tensor:
        """Block mean P, (..., H, W) -> (..., H/N, W/N)."""
        return coarsen(fine, self.factor, weights)

    def up(self, coarse: Tensor) -> Tensor:
        """Block replication, (..., H/N, W/N) -> (..., H, W)."""
        return refine(coarse, self.factor)

    def shifted(self, raw: Tensor, coarse: Tensor, weights: Tensor | None) -> Tensor:
        """The same correction for all cells of a block, y + U (x - P y), (..., H, W); twice, which removes rounding."""
        fine = raw + self.up(coarse - self.mean(raw, weights))
        return fine + self.up(coarse - self.mean(fine, weights))

    def block_max(self, fine: Tensor) -> Tensor:
        """Largest value of each block, (..., H, W) -> (..., H/N, W/N); carries no gradient (only used as a shift)."""
        n = self.factor
        height, width = fine.shape[-2:]
        blocks = fine.detach().reshape(*fine.shape[:-2], height // n, n, width // n, n)
        return blocks.amax(-1).amax(-2)

    def check_shapes(self, fine: Tensor, coarse: Tensor) -> None:
        n = self.factor
        expected = (*coarse.shape[:-2], coarse.shape[-2] * n, coarse.shape[-1] * n) if coarse.ndim >= 2 else None
        if fine.ndim < 2 or tuple(fine.shape) != expected:
            raise CoarseningError(
                f"fine {tuple(fine.shape)} is not the coarse {tuple(coarse.shape)} refined by factor {n}: "
                f"pass fine (..., H, W) with coarse (..., H/{n}, W/{n}) and equal leading dimensions"
            )

    def extra_repr(self) -> str:
        return f"factor={self.factor}" + ("" if self.weights is None else ", area-weighted")


@register(
    "none",
    title="None",
    order=0,
    colour="#7d8a94",
    question="Nothing tells this method what a coarse cell holds. Where will the block mean drift from the input: "
    "in smooth regions, or along sharp edges such as moist filaments and coasts?",
    afterwards="A finished field as it is. How large is its error next to the other columns of the table?",
    answer="Without a constraint nothing forces the result to agree with the input.",
)
class Identity(Constraint):
    """Layer ``none``: y = raw. The shapes are still checked."""
