"""A residual relative to that of the truth: the target is "as balanced as the truth", not zero."""

from __future__ import annotations

import torch


def relative_residual(
    residual: torch.Tensor, truth_residual: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """RMS of a residual divided by the RMS of the residual of the truth: 1 means as balanced as the truth.

    Parameters
    ----------
    residual, truth_residual : (..., H, W), same unit; points that are NaN in either (poles, the tropics) do not count.
    weights : broadcastable to them, e.g. cell areas.

    Returns
    -------
    0-dim tensor, dimensionless.
    """
    valid = torch.isfinite(residual) & torch.isfinite(truth_residual)
    w = valid.to(residual.dtype) if weights is None else torch.where(valid, torch.as_tensor(weights).to(residual), 0.0)

    def square(x: torch.Tensor) -> torch.Tensor:
        return (w * torch.where(valid, x, 0.0) ** 2).sum()

    return (square(residual) / square(truth_residual)).sqrt()
