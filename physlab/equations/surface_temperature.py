r"""Temperature near the ground over terrain: effective advection and diffusion of what is left without the terrain.

Air that is mixed over hills keeps its temperature reduced to one height, :math:`T_* = T + \Gamma h`, with the height h
of the ground and a lapse rate :math:`\Gamma` (6.5 K km-1, the standard atmosphere). Of one moment, without a tendency,

.. math:: R = \mathbf u \cdot \nabla T_* - \kappa \nabla^2 T_* - S ,

with the actual wind, an effective diffusivity :math:`\kappa` and a heating S that nobody knows: compare R with that of
the truth. R does not change if a constant is added to T, as a law of temperature must not.

:func:`flux_ratio` is the form that was published for PDE-informed latent diffusion (arXiv 2510.23866, section 3, as
coded): no wind, no diffusivity, and a temperature that multiplies a direction, so that it depends on where zero is. It
is here to be compared.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from physlab.equations.advection import transport
from physlab.equations.operators import Order, ddx, ddy, laplacian
from physlab.errors import PhysLabError
from physlab.grid import Grid, coarsen
from physlab.registry import register

LAPSE_RATE = 6.5e-3
"""K m-1, of the standard atmosphere (ISO 2533:1975)."""


def reduced(t: torch.Tensor, height: torch.Tensor, lapse_rate: float = LAPSE_RATE) -> torch.Tensor:
    """T + Gamma h in K, of temperature in K and height of the ground in m, broadcast together."""
    return t + lapse_rate * height


@register("surface temperature", group="laws", title="Temperature over terrain", units="K s-1")
def residual(
    t: torch.Tensor,
    u: torch.Tensor,
    v: torch.Tensor,
    height: torch.Tensor,
    grid: Grid,
    diffusivity: float = 0.0,
    source: torch.Tensor | None = None,
    lapse_rate: float = LAPSE_RATE,
    order: Order = 2,
) -> torch.Tensor:
    """u . grad T_* - kappa lap T_* - S, (..., H, W), K s-1.

    Parameters
    ----------
    t : (..., H, W) temperature, K.  u, v : wind near the ground, m s-1, same shape.
    height : (H, W) of the ground, m, on the same grid.
    diffusivity : kappa, m2 s-1.  source : S, K s-1, or None for zero.
    lapse_rate : Gamma, K m-1; 0 forgets the terrain.

    Raises
    ------
    PhysLabError : a negative diffusivity, or a height on another grid.
    """
    if not diffusivity >= 0:
        raise PhysLabError(f"diffusivity is {diffusivity} m2 s-1: pass a number of at least 0")
    if tuple(height.shape[-2:]) != tuple(t.shape[-2:]):
        raise PhysLabError(f"height has shape {tuple(height.shape)}, the field {tuple(t.shape)}: they share their grid")
    star = reduced(t, height.to(t), lapse_rate)
    total = -transport(u, v, ddx(star, grid, order), ddy(star, grid, order))
    if diffusivity:
        total = total - diffusivity * laplacian(star, grid, order)
    return total if source is None else total - source


@dataclass(frozen=True, eq=False)
class EffectiveBalance:
    r"""The law between a fine and a coarse field: what drives the fine one is what the coarse one shows.

    The heating, and the tendency that one moment does not have, are taken from the coarse field:
    :math:`S = \uparrow R(\bar T, \bar u, \bar v)`, interpolated. What is left, R - S, says how far the *detail* is from
    being balanced by itself, and is compared with the root mean square that the truth leaves.

    Attributes
    ----------
    grid : fine grid.  factor : N.
    height : (H, W) of the ground, m, on the fine grid.
    lapse_rate : Gamma, K m-1.  diffusivity : kappa, m2 s-1.
    scale : root mean square of R - S over true fields, K s-1.
    """

    grid: Grid
    factor: int
    height: torch.Tensor
    lapse_rate: float = LAPSE_RATE
    diffusivity: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(cls, t: torch.Tensor, u: torch.Tensor, v: torch.Tensor, height: torch.Tensor, grid: Grid, factor: int):
        """With the lapse rate and the diffusivity of least area-weighted squares over true fields (N, H, W).

        R - S is bilinear in the two, the diffusion of the terrain has both: Gauss-Newton steps from zero, to a few
        parts in a million. A negative diffusivity, which no law allows, becomes 0.
        """
        raw, mixed = cls(grid, factor, height, 0.0, 0.0), cls(grid, factor, height, 0.0, 1.0)
        t, u, v = (x.double() for x in (t, u, v))
        level = height.to(t).expand_as(t)
        base, terrain = raw.residual(t, u, v), raw.residual(level, u, v)
        mixing, hills = mixed.residual(t, u, v) - base, mixed.residual(level, u, v) - terrain
        area = torch.from_numpy(grid.area_weights)[:, :1].sqrt()

        def solve(target: torch.Tensor, *columns: torch.Tensor) -> list[float]:
            A = torch.stack([(c * area).flatten() for c in columns], dim=1)
            unit = A.square().mean(0).sqrt()
            unit = torch.where(unit > 0, unit, torch.ones_like(unit))  # flat ground tells no lapse rate
            A = A / unit
            known = A.mT @ (target * area).flatten()[:, None]  # the two columns are far from parallel
            return (torch.linalg.lstsq(A.mT @ A, known, driver="gelsd").solution[:, 0] / unit).tolist()

        gamma = kappa = 0.0
        for _ in range(20):
            before = gamma, kappa
            gamma, kappa = solve(gamma * kappa * hills - base, terrain + kappa * hills, mixing + gamma * hills)
            if abs(gamma - before[0]) <= 1e-6 * abs(gamma) and abs(kappa - before[1]) <= 1e-6 * abs(kappa):
                break
        if not kappa >= 0:
            (gamma,), kappa = solve(-base, terrain), 0.0
        made = cls(grid, factor, height, gamma, kappa)
        return replace(made, scale=float((made.residual(t, u, v) * area).square().mean().sqrt()))

    def residual(self, t: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """R - S of temperature (K) and wind (m s-1), (..., H, W) each, K s-1; 0 in a row at a pole, without an east."""
        law = functools.partial(residual, diffusivity=self.diffusivity, lapse_rate=self.lapse_rate)
        weights = self.grid.row_weights.to(t)
        tc, uc, vc, height = (coarsen(x, self.factor, weights) for x in (t, u, v, self.height.to(t)))
        source = law(tc, uc, vc, height, self.grid.coarsen(self.factor))
        left = law(t, u, v, self.height, self.grid, source=self._interpolate(source))
        pole = torch.from_numpy(np.abs(self.grid.latitude) > 90 - 1e-6).to(t.device)[:, None]
        return left if self.grid.is_plane else left.masked_fill(pole, 0.0)

    def relative(self, t: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """(...) area-weighted mean square of R - S over that of the truth: 1 for a field as balanced as the truth."""
        area = self.grid.row_weights.to(t)
        return ((self.residual(t, u, v) / self.scale).square() * area).mean((-2, -1))

    def _interpolate(self, x: torch.Tensor) -> torch.Tensor:
        """(..., h, w) -> (..., H, W), linear between the centres of cells."""
        n, wrap = self.factor, self.grid.periodic
        flat = x.reshape(-1, 1, *x.shape[-2:])
        flat = functional.pad(flat, (1, 1, 0, 0), mode="circular" if wrap else "replicate")
        fine = functional.interpolate(flat, scale_factor=n, mode="bilinear")[..., n:-n]
        return fine.reshape(*x.shape[:-2], *fine.shape[-2:])


def flux_ratio(t: torch.Tensor, block: int = 8, eps: float = 1e-4) -> torch.Tensor:
    """The published ratio of "advection" to "diffusion" of each super-cell, (..., H / block, W / block).

    On the perimeter of a block the mean of T times the part of the direction of grad T along the outward normal, over
    the mean of the size of grad T. Differences are per cell (dx = 1), whatever the distance of the cells.

    Parameters
    ----------
    t : (..., H, W) temperature, any unit; the ratio depends on its zero.

    Raises
    ------
    PhysLabError : blocks below 2 or that do not fit the field.
    """
    H, W = t.shape[-2:]
    if block < 2 or H % block or W % block:
        raise PhysLabError(f"blocks of {block} do not fit a field of {H} x {W}: pass a divisor of both, at least 2")
    cells = t.unflatten(-1, (W // block, block)).unflatten(-3, (H // block, block)).transpose(-3, -2)
    east, north = torch.gradient(cells, dim=-1)[0], torch.gradient(cells, dim=-2)[0]
    size = (east.square() + north.square()).sqrt()
    x, y = cells * east / (size + eps), cells * north / (size + eps)
    flux = torch.cat([-x[..., 0], x[..., -1], -y[..., 0, :], y[..., -1, :]], -1).mean(-1)
    edge = torch.cat([size[..., 0], size[..., -1], size[..., 0, :], size[..., -1, :]], -1).mean(-1)
    return flux / (edge + eps)


def flux_ratio_misfit(fine: torch.Tensor, coarse: torch.Tensor, block: int = 8) -> torch.Tensor:
    """Mean absolute difference of the ratios of a fine (..., H, W) and a coarse field (..., h, w), as published.

    The coarse field is repeated to the size of the fine one, so that both have the same super-cells.
    """
    factor = fine.shape[-1] // coarse.shape[-1]
    flat = coarse.reshape(-1, 1, *coarse.shape[-2:])
    spread = functional.interpolate(flat, scale_factor=factor, mode="bilinear")[:, 0]
    return (flux_ratio(fine, block) - flux_ratio(spread.reshape(fine.shape), block)).abs().mean()
