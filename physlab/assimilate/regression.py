r"""Assimilation as regression: one pass of a network from background and observed columns to the increment.

:class:`Regression` minimises the area-weighted squared error, whose minimum is the posterior mean,

.. math:: L = \big\langle (\hat e - e)^2 \big\rangle .

:class:`GaussianRegression` also states how far off it expects to be, as neural processes do, and minimises

.. math:: L = \Big\langle \ln\sigma + \frac{(e - \mu)^2}{2\sigma^2} \Big\rangle , \qquad
          \sigma = 0.01 + 0.99\, \mathrm{softplus}(s) .

The network gives the mean in units of its own spread, :math:`\mu = \bar\sigma m`, with no gradient through
:math:`\bar\sigma`: the minimum is the same, but the places of small errors, whose weight :math:`1 / \sigma^2` is
large, no longer decide alone where a step goes.

Neither has an ensemble. A member :math:`\mu + \sigma\epsilon` with noise that is independent from point to point has
the right variance at each point and a white spectrum, so that every gradient, balance and score of scales would be
that of the noise. The spread is therefore given as a field, by :meth:`GaussianRegression.spread`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from physlab.assimilate.learned import Cancel, Learned, Progress
from physlab.assimilate.statespace import Columns
from physlab.errors import Cancelled

UNIT = math.log(math.expm1(1.0))  # softplus(UNIT) = 1: an untrained network expects the error of the background


class Regression(Learned):
    """A network whose `forward(background, columns)` is the increment (B, C, H, W) in units of background error.

    Attributes
    ----------
    rate : peak learning rate of AdamW, batches of 8.
    """

    rate: float = 1e-3

    def estimate(self, background: Tensor, columns: Columns) -> Tensor:
        """(B, C, H, W) the analysis increment."""
        return self(background, columns)

    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        self.check_members(members)
        if cancel is not None and cancel():
            raise Cancelled(f"{type(self).__name__} was cancelled before its only step")
        made = self.estimate(background, columns)[:, None]
        if progress is not None:
            progress(1, 1)
        return made

    def loss(self, background: Tensor, increment: Tensor, columns: Columns, generator: torch.Generator) -> Tensor:
        return ((self(background, columns) - increment).square() * self.area).mean()


class GaussianRegression(Regression):
    """A network whose `forward(background, columns)` is m and s of the module docstring, both (B, C, H, W)."""

    def moments(self, background: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the increment, (B, C, H, W) each."""
        m, raw = self(background, columns)
        sigma = 0.01 + 0.99 * functional.softplus(raw + UNIT)
        return sigma.detach() * m, sigma

    def estimate(self, background: Tensor, columns: Columns) -> Tensor:
        return self.moments(background, columns)[0]

    def spread(self, background: Tensor, columns: Columns) -> Tensor:
        """(B, C, H, W) standard deviation of the analysis error that the method expects, in units as the increment."""
        return self.moments(background, columns)[1]

    def loss(self, background: Tensor, increment: Tensor, columns: Columns, generator: torch.Generator) -> Tensor:
        mean, sigma = self.moments(background, columns)
        return ((sigma.log() + 0.5 * ((increment - mean) / sigma).square()) * self.area).mean()
