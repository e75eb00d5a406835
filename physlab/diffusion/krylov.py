r"""Solve :math:`(I + S)\, v = b` for a covariance S that is known by its products alone, and only nearly.

The Krylov space of b and S is built with full orthogonalisation (Arnoldi 1951); in its basis Q the system is the small
matrix :math:`H = Q^T S Q`. Where S is a covariance, H is tridiagonal and the result is that of conjugate gradients
(Lanczos 1950; Hestenes and Stiefel 1952). Where S comes from the Jacobian of a learned denoiser it is neither symmetric
nor positive: an eigenvalue near -1 makes conjugate gradients throw the field away. So the symmetric part of H is taken
and its negative eigenvalues are set to zero, which no covariance can have:

.. math:: v = Q\, (I + H_+)^{-1} Q^T b .
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def solve_shifted(
    product: Callable[[Tensor], Tensor], b: Tensor, iterations: int = 16, tolerance: float = 1e-4
) -> Tensor:
    """v of the module docstring, each row of a batch on its own.

    Parameters
    ----------
    product : (B, m) -> (B, m), v -> S v.
    b : (B, m).
    iterations : dimension of the Krylov space, at most; m of them solve the system for certain.
    tolerance : stops when the residual of all rows, relative to b, is below.

    Returns
    -------
    (B, m); never longer than b.
    """
    size = torch.linalg.vector_norm(b, dim=1, keepdim=True)
    basis, images = [b / size.clamp(min=torch.finfo(b.dtype).tiny)], []
    limit = min(iterations, b.shape[1])
    while True:
        images.append(product(basis[-1]))
        Q, SQ = torch.stack(basis, dim=2), torch.stack(images, dim=2)  # (B, m, k)
        H = Q.mT @ SQ
        values, vectors = torch.linalg.eigh(0.5 * (H + H.mT))
        first = vectors[:, 0, :] / (1 + values.clamp(min=0))  # Q^T b = (size, 0, 0, ...)
        y = size * torch.einsum("bik,bk->bi", vectors, first)
        following = images[-1]
        for _ in range(2):  # once more, against rounding
            following = following - torch.einsum("bmk,bk->bm", Q, torch.einsum("bmk,bm->bk", Q, following))
        length = torch.linalg.vector_norm(following, dim=1, keepdim=True)
        residual = length * y[:, -1:].abs()
        if len(basis) == limit or not bool((residual > tolerance * size).any()):
            return torch.einsum("bmk,bk->bm", Q, y)
        scale = torch.linalg.vector_norm(images[-1], dim=1, keepdim=True)
        kept = length > 10 * torch.finfo(b.dtype).eps * scale  # a row whose space is complete goes on with zeros
        basis.append(torch.where(kept, following / length.clamp(min=torch.finfo(b.dtype).tiny), 0.0))
