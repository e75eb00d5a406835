r"""The physics that an analysis of one moment can be held to: residuals at each place, relative to the truth.

The paper's "adaptive physics-proxy operator" (arXiv 2505.12882, section 3) penalises tendencies, which a single moment
does not have. What it has are balances: the hypsometric equation of each layer, geostrophic balance poleward of 25
degrees, and humidity between zero and saturation. Derivatives along longitude are spectral.

The truth does not fulfil them exactly: over mountains levels lie underground, near the ground friction turns the wind.
So each residual R is compared with what it is in the truth of the training block at the same place,

.. math:: r = g\, \frac{R(x) - \bar R}{\sigma}, \qquad g = \max(1 - \sigma^2 / \sigma_0^2,\, 0),

with mean :math:`\bar R` and standard deviation :math:`\sigma` of R over the truth, and :math:`\sigma_0` that of the
term that it should balance. A law is enforced by g where it explains something and left out where it does not
("selective enforcement"). In the truth r has a mean square near 1: the target is as balanced as the truth, not zero.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from physlab.assimilate.statespace import StateSpace
from physlab.equations import geostrophic, hydrostatic, saturation
from physlab.equations.law import laws_of, residual_of
from physlab.equations.operators import ddx, ddy

POLEWARD = 25.0  # degrees; nearer to the equator the wind is not geostrophic
POLES = 75.0  # beyond it zonal derivatives on this grid amplify rounding
LAWS = ("hypsometric", "geostrophic", "humidity")
GIVEN = ("u", "v", "t", "q", "z", "grid", "level")  # what a registered law may take of a state on levels


def residuals(x: Tensor, space: StateSpace) -> dict[str, Tensor]:
    """Residual of each law for states (..., C, H, W) in SI units.

    Returns
    -------
    "hypsometric" (..., L - 1, H, W) J kg-1, "geostrophic" (..., 2 L, H, W) m s-2 (zonal, then meridional, zero outside
    25 to 75 degrees), "humidity" (..., L, H, W) kg kg-1, how far q is below zero or above saturation.
    """
    u, v, t, q, z = (x[..., space.part(name), :, :] for name in ("u", "v", "t", "q", "z"))
    level = torch.tensor(space.levels, dtype=x.dtype, device=x.device)
    east, north = geostrophic.residual(u, v, z, space.grid, order="spectral")
    return {
        "hypsometric": hydrostatic.residual(z, t, level, q),
        "geostrophic": torch.cat([east, north], dim=-3) * _belt(space).to(x),
        "humidity": saturation.residual(q, t, 100.0 * level[:, None, None]),
    }


def further_laws() -> list[str]:
    """Registered laws that a state on levels can be asked for, beyond those above."""
    return [name for name in laws_of(GIVEN) if name not in ("geostrophic", "hydrostatic")]


def further_parts(name: str, x: Tensor, space: StateSpace) -> tuple[Tensor, ...]:
    """Components (..., L, H, W) of the residual of a registered law for states (..., C, H, W), SI units."""
    fields = {v: x[..., space.part(v), :, :] for v in GIVEN[:5]}
    level = torch.tensor(space.levels, dtype=x.dtype, device=x.device)
    return residual_of(name, {**fields, "grid": space.grid, "level": level})


def balanced(x: Tensor, space: StateSpace) -> dict[str, Tensor]:
    """The term that each law balances: thickness, pressure gradient, humidity; shapes as in :func:`residuals`."""
    t, q, z = (x[..., space.part(name), :, :] for name in ("t", "q", "z"))
    level = torch.tensor(space.levels, dtype=x.dtype, device=x.device)
    gradient = torch.cat([ddx(z, space.grid, "spectral"), ddy(z, space.grid, "spectral")], dim=-3)
    return {"hypsometric": hydrostatic.thickness(t, level, q), "geostrophic": gradient * _belt(space).to(x),
            "humidity": q}  # fmt: skip


def _belt(space: StateSpace) -> Tensor:
    latitude = torch.from_numpy(abs(space.latitude))[:, None]
    return ((latitude >= POLEWARD) & (latitude <= POLES)).float()


class PhysicsProxy(nn.Module):
    """r of the module docstring.

    Parameters
    ----------
    space : of the states. The statistics are fitted by :meth:`fit`; they serve the training and are not saved.
    """

    def __init__(self, space: StateSpace) -> None:
        super().__init__()
        self.space = space
        L, (_, H, W) = len(space.levels), space.shape
        for law, count in zip(LAWS, (L - 1, 2 * L, L), strict=True):
            self.register_buffer(f"{law}_mean", torch.zeros(count, H, W), persistent=False)
            self.register_buffer(f"{law}_weight", torch.zeros(count, H, W), persistent=False)  # g / sigma

    @torch.no_grad()
    def fit(self, truths: Iterable[Tensor]) -> PhysicsProxy:
        """Mean and spread at each place over batches of true states (B, C, H, W) of the training block."""
        count = 0
        sums: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
        for x in truths:
            count += len(x)
            for kind, values in (("r", residuals(x.double(), self.space)), ("b", balanced(x.double(), self.space))):
                for law, y in values.items():
                    moments = (y.sum(0), y.square().sum(0))
                    before = sums.get((kind, law))
                    sums[kind, law] = moments if before is None else (before[0] + moments[0], before[1] + moments[1])
        for law in LAWS:
            (mean, spread), (_, signal) = (self._moments(*sums[kind, law], count) for kind in ("r", "b"))
            area = self.space.area.to(spread)
            floor = 0.1 * ((spread.square() * area).mean((-2, -1), keepdim=True)).sqrt()  # nothing is exact
            g = (1 - (spread / signal.clamp(min=1e-30)).square()).clamp(min=0)
            weight = torch.where(floor > 0, g / torch.maximum(spread, floor).clamp(min=1e-30), 0.0)
            getattr(self, f"{law}_mean").copy_(mean)
            getattr(self, f"{law}_weight").copy_(weight)
        return self

    @staticmethod
    def _moments(first: Tensor, second: Tensor, count: int) -> tuple[Tensor, Tensor]:
        mean = first / count
        return mean, (second / count - mean.square()).clamp(min=0).sqrt()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """r of each law for states (..., C, H, W) in SI units, dimensionless."""
        return {law: (y - getattr(self, f"{law}_mean")) * getattr(self, f"{law}_weight")
                for law, y in residuals(x, self.space).items()}  # fmt: skip

    def penalty(self, x: Tensor) -> Tensor:
        """(B,) mean over laws of the mean square of r, area-weighted; near 1 for the truth."""
        parts = [(r.square() * self.space.area.to(r)).mean((-3, -2, -1)) for r in self(x).values()]
        return torch.stack(parts).mean(0)
