r"""What a physics-informed discriminator sees: the residual of the water budget of a fine sequence.

.. math:: R = \frac{\partial W}{\partial t} + \nabla\cdot(\mathbf c W) - (E - P), \qquad
          \mathbf c = \overline{\mathbf Q} / \overline W

A super-resolved sequence has fine column water W but no fine fluxes. What a coarse model knows is the block mean of the
flux Q; the velocity c that carries the water is smooth compared with the water itself, so the fine flux is
c W. All terms are in kg m-2 s-1 on the sphere. (The published residual of PID-GAN, METHODS E of the sources, adds the
advection by the winds of two levels and divides by grid indices, so that its terms cannot balance in any unit.)

The residual is divided by the root mean square that the truth has in the same row, so that 1 means "as unbalanced as
the truth" (fields are given to a discriminator, not driven to zero).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from physlab.data.patches import SRData
from physlab.equations import moisture
from physlab.errors import PhysLabError
from physlab.grid import Grid, refine

LIMIT = 8.0  # of a relative residual, either sign: one bad point must not rule a discriminator
BUDGET = ("ivt_u", "ivt_v", "e", "tp")


class WaterBudget:
    """Relative residual of fine sequences, for :class:`physlab.train.adversarial.Judge`.

    Raises
    ------
    PhysLabError : data without the coarse terms of the budget, or not in sequences.
    """

    def __init__(self, data: SRData, scale: float) -> None:
        check_budget(data)
        assert data.step is not None  # of sequences, as checked
        self.scale, self.factor = float(scale), data.factor
        self.seconds = float(data.step.astype("timedelta64[s]").astype(float))
        # operators need even longitudes, not their place
        self.grid = Grid(data.latitude, data.longitude["train"][0])
        self.typical = torch.ones(1, 1, data.latitude.size, 1)
        fine, coarse = data.fine["train"][::4] / self.scale, data.coarse["train"][::4] / self.scale
        found = self(fine, coarse, self.terms(data)[::4], limit=torch.inf)
        self.typical = found.square().mean((0, 1, 3), keepdim=True).sqrt()

    @property
    def channels(self) -> int:
        """One map for each interval between the three frames."""
        return 2

    @staticmethod
    def terms(data: SRData) -> Tensor:
        """(S, 4 T, h, w): the coarse terms of the training block, in the order of `BUDGET`."""
        check_budget(data)
        return torch.cat([data.budget[name] for name in BUDGET], dim=1)

    def __call__(self, fine: Tensor, coarse: Tensor, terms: Tensor, limit: float = LIMIT) -> Tensor:
        """(B, T - 1, H, W) relative residual of fine (B, T, H, W) and coarse (B, T, h, w) frames in layer units."""
        flux_u, flux_v, e, tp = terms.float().chunk(len(BUDGET), dim=1)
        water = coarse.float() * self.scale
        size = fine.shape[-2:]
        c_u, c_v = (
            functional.interpolate(flux / water.clamp_min(1e-3), size=size, mode="bilinear")
            for flux in (flux_u, flux_v)
        )
        w = fine.float() * self.scale
        e, tp = (refine(x, self.factor) for x in (e, tp))
        found = moisture.residual(w, c_u * w, c_v * w, e, tp, self.grid, self.seconds)
        return (found / self.typical.to(found)).clamp(-limit, limit)


def check_budget(data: SRData) -> None:
    """Refuse data without the coarse terms of the water budget."""
    if not data.budget or data.step is None or data.factor != 4 or len(data.given) != data.fine["train"].shape[1]:
        raise PhysLabError(
            f"task {data.task} x{data.factor} has no coarse water budget: a physics-informed discriminator "
            "works on tcw-t1 at factor 4"
        )
