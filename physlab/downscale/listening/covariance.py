r"""Covariances of what a downscaling method gets wrong, B, on a fine grid of n points.

Where the coarse field is the true block mean, P x = c, a method that conserves makes errors e with P e = 0. A
covariance that knows this, P B = 0, moves no block mean whatever the stations say: every increment
:math:`B H^T \lambda` lies in the null space of P. Two ways lead there:

* errors that were measured have no block mean, and neither has their covariance; a localisation that is constant
  within blocks, :math:`\rho_{xx'} = \rho(|c(x) - c(x')|)` with the middles c of the blocks, keeps it so exactly, for
  :math:`P (\rho \circ B) = \rho \circ P B`, and a covariance stays one (Schur);
* any other covariance C is projected, :math:`B = \Pi C \Pi^T`, :math:`\Pi = I - U P`, with the block replication U.

None of them is written down but :class:`Known`: what an analysis needs is :math:`B H^T`, (n, m), and the diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from physlab.assimilate.localisation import gaspari_cohn, grid_points, sphere_distance
from physlab.data.observe import Interpolation
from physlab.errors import PhysLabError
from physlab.grid import Grid, coarsen, refine

LARGEST = 2**27
"""Most numbers of B H^T: 1 GiB in float64."""


class Errors:
    """Base: the covariance B of a method's errors on a grid of n points, rows of latitude one after another."""

    n: int

    def columns(self, see: Interpolation) -> Tensor:
        """B H^T, (n, m), of the observation operator H."""
        raise NotImplementedError(f"{type(self).__name__} is a base: use Sampled, Stationary or Known")

    def variance(self) -> Tensor:
        """Diagonal of B, (n,)."""
        raise NotImplementedError(f"{type(self).__name__} is a base: use Sampled, Stationary or Known")


class Known(Errors):
    """A matrix B (n, n), for small problems."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.n = matrix.double(), len(matrix)

    def columns(self, see: Interpolation) -> Tensor:
        return see(self.matrix).reshape(self.n, -1)

    def variance(self) -> Tensor:
        return self.matrix.diagonal()


class Blocks:
    """The blocks of a fine grid: where their middles are, and what is left of a field without its block means.

    Parameters
    ----------
    grid : fine;  factor : N, which divides it.
    """

    def __init__(self, grid: Grid, factor: int) -> None:
        self.shape, self.factor = grid.shape, factor
        coarse = grid.coarsen(factor)
        self.middles = grid_points(coarse.latitude, coarse.longitude)
        h, w = coarse.shape
        self.of = torch.from_numpy(refine(np.arange(h * w).reshape(h, w), factor).ravel())
        self.weights = grid.row_weights
        self.size = float(np.sqrt(coarse.cell_area.mean()))

    def detail(self, x: Tensor) -> Tensor:
        r""":math:`\Pi x = x - U P x` of (..., n)."""
        field = x.unflatten(-1, self.shape)
        return (field - refine(coarsen(field, self.factor, self.weights), self.factor)).flatten(-2)

    def detail_transposed(self, g: Tensor) -> Tensor:
        r""":math:`\Pi^T g` of (..., n)."""
        field, one = g.unflatten(-1, self.shape), self.weights.expand(self.shape)
        share = one / refine(coarsen(one, self.factor), self.factor)  # area over the mean area of the block
        return (field - share * refine(coarsen(field, self.factor), self.factor)).flatten(-2)


class Sampled(Errors):
    """Of errors that were measured, or of the deviations of members.

    Parameters
    ----------
    samples : (K, n), each with mean zero over what it stands for: errors as they are, members without their mean.
    blocks : of the grid, for the localisation.
    radius : m; samples count nothing for places from twice this distance on (Gaspari and Cohn), by the middles of the
        blocks; None: everywhere.
    degrees : K for errors, M - 1 for members; None for K.
    """

    def __init__(
        self, samples: Tensor, blocks: Blocks, radius: float | None = None, degrees: int | None = None
    ) -> None:
        self.samples, self.blocks, self.radius = samples.double(), blocks, radius
        self.n, self.degrees = samples.shape[-1], len(samples) if degrees is None else degrees
        if self.degrees < 1:
            raise PhysLabError("a covariance of samples needs at least one error or two members")

    def columns(self, see: Interpolation) -> Tensor:
        check_size(self.n, see)
        made = self.samples.new_zeros(self.n, see.index.shape[1])
        for index, weight in zip(see.index, see.weight.double(), strict=True):
            part = self.samples.T @ (self.samples[:, index] * weight)
            if self.radius is not None:
                near = sphere_distance(self.blocks.middles, self.blocks.middles[self.blocks.of[index]])
                part *= gaspari_cohn(near, self.radius)[self.blocks.of]
            made += part
        return made / self.degrees

    def variance(self) -> Tensor:
        return self.samples.square().sum(0) / self.degrees


class Stationary(Errors):
    r"""The same everywhere: :math:`C = s(x) s(x') \rho(|x - x'|)`, Gaspari and Cohn, as it is or without block means.

    Parameters
    ----------
    std : s, one number or (n,), in the unit of the field: of C, before block means are taken out.
    length : m; the correlation is zero from twice this distance on.
    grid : fine.  blocks : of the grid.
    conserve : whether block means are taken out, :math:`B = \\Pi C \\Pi^T`.
    """

    def __init__(self, std: float | Tensor, length: float, grid: Grid, blocks: Blocks, conserve: bool) -> None:
        if not length > 0:
            raise PhysLabError(f"length is {length}: pass the distance at which errors are half alike, in m, above 0")
        self.points = grid_points(grid.latitude, grid.longitude)
        self.blocks, self.length, self.conserve = blocks, float(length), conserve
        self.n = len(self.points)
        self.std = torch.as_tensor(std, dtype=torch.float64).expand(self.n)
        order = torch.argsort(blocks.of, stable=True)
        self.inside = order.reshape(len(blocks.middles), -1)  # points of each block

    def columns(self, see: Interpolation) -> Tensor:
        check_size(self.n, see)
        m = see.index.shape[1]
        made = torch.zeros(self.n, m, dtype=torch.float64)
        reach = 2 * self.length + self.blocks.size  # from the middle of a block to all its points, with room
        for j in range(m):
            support, share = self._seen(see.index[:, j], see.weight[:, j].double())
            centre = self.points[support[:1]]
            near = sphere_distance(self.blocks.middles, centre)[:, 0] <= reach + 2 * self.blocks.size
            at = self.inside[near].flatten()
            alike = gaspari_cohn(sphere_distance(self.points[at], self.points[support]), self.length)
            made[at, j] = self.std[at] * (alike @ (self.std[support] * share))
        return self.blocks.detail(made.T).T if self.conserve else made

    def _seen(self, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Points and weights of an observation, of its deviation from the block means where these are kept."""
        if not self.conserve:
            return index, weight
        touched = torch.unique(self.blocks.of[index])
        support = self.inside[touched].flatten()
        g = torch.zeros(self.n, dtype=torch.float64).index_add_(0, index, weight)
        return support, self.blocks.detail_transposed(g)[support]

    def variance(self) -> Tensor:
        if not self.conserve:
            return self.std.square()
        x = self.points[self.inside].double()  # (blocks, N^2, 2)
        made = torch.empty(self.n, dtype=torch.float64)
        area = self.blocks.weights.expand(self.blocks.shape).flatten()[self.inside]
        share = area / area.sum(1, keepdim=True)
        for part in torch.arange(len(x)).split(4096):
            C = gaspari_cohn(_within(x[part]), self.length)
            s = self.std[self.inside[part]]
            C = s[:, :, None] * C * s[:, None, :]
            mean = (C * share[part][:, None, :]).sum(-1)  # covariance of each point with the mean of its block
            whole = (mean * share[part]).sum(-1, keepdim=True)
            made[self.inside[part]] = C.diagonal(dim1=1, dim2=2) - 2 * mean + whole
        return made.clamp(min=0)


class Together(Errors):
    """A sum of covariances, each with its weight: what samples hold, and what so few samples cannot."""

    def __init__(self, parts: Sequence[tuple[float, Errors]]) -> None:
        self.parts, self.n = tuple(parts), parts[0][1].n

    def columns(self, see: Interpolation) -> Tensor:
        return torch.stack([weight * part.columns(see) for weight, part in self.parts]).sum(0)

    def variance(self) -> Tensor:
        return torch.stack([weight * part.variance() for weight, part in self.parts]).sum(0)


def check_size(n: int, see: Interpolation) -> None:
    """Refuse what would not go into memory."""
    m = see.index.shape[1]
    if n * m > LARGEST:
        raise PhysLabError(
            f"{m} observations of a field of {n} points are too many at a time: pass at most {LARGEST // n}, or a part "
            "of the domain"
        )


def _within(x: Tensor) -> Tensor:
    """(b, k, k) great-circle distances within each block of points (b, k, 2), m."""
    return torch.stack([sphere_distance(p, p) for p in x])
