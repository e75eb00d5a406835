"""Generators: networks that take noise, so that one coarse field has many fine ones.

A member is a draw; :meth:`GAN.predict`, which every table of errors uses, is the mean of ten members of a fixed seed.
Scores of the ensemble (CRPS, spread against skill, rank histogram) want the members themselves: :meth:`GAN.sample`.
"""

from __future__ import annotations

import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import FieldDownscaler
from physlab.downscale.cnn import CNN
from physlab.errors import PhysLabError
from physlab.grid import Grid

MEMBERS = 10


class GAN(CNN):
    """A :class:`CNN` whose network takes noise; see there for the parameters."""

    def sample(
        self,
        coarse: Tensor,
        weights: Tensor | None = None,
        members: int = MEMBERS,
        generator: torch.Generator | None = None,
        static: Tensor | None = None,
    ) -> Tensor:
        """Distinct members, physical units: (..., h, w) -> (members, ..., h*N, w*N).

        Parameters
        ----------
        generator : of the noise, on the CPU; a new one of seed 0 by default, so that the same call gives the same.
        """
        if members < 1:
            raise PhysLabError(f"members is {members}: pass at least 1")
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        return torch.stack([self._draw(coarse, weights, static, generator) for _ in range(members)])

    def predict(self, coarse: Tensor, weights: Tensor | None = None, static: Tensor | None = None) -> Tensor:
        """The mean of ten members, physical units, (..., h, w) -> (..., h*N, w*N)."""
        return self.sample(coarse, weights, MEMBERS, None, static).mean(0)

    def downscale(self, coarse: xr.DataArray | xr.Dataset, members: int = MEMBERS, seed: int = 0) -> xr.Dataset:
        """As for every method, with a leading `member` dimension."""
        generator = torch.Generator().manual_seed(seed)
        drawn = [Member(self, generator).downscale(coarse) for _ in range(members)]
        return xr.concat(drawn, dim="member").assign_coords(member=range(members))


class Member(FieldDownscaler):
    """One draw of a generator at a time."""

    def __init__(self, model: GAN, generator: torch.Generator) -> None:
        self.model, self.generator = model, generator
        self.name, self.factor, self.variable, self.domain = model.name, model.factor, model.variable, model.domain

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """The next draw."""
        return self.model.sample(coarse, weights, 1, self.generator)[0]

    def refine_grid(self, grid: Grid) -> Grid:
        """As the model does."""
        return self.model.refine_grid(grid)

    def check_grid(self, grid: Grid) -> None:
        """As the model does."""
        self.model.check_grid(grid)


def make_downscaler(network, *args, **kwargs) -> CNN:
    """The Downscaler that suits a network: :class:`GAN` for one with noise, :class:`CNN` for the others."""
    noisy = network.noise_shape(torch.zeros(1, network.frames[0], 4, 4)) is not None
    return (GAN if noisy else CNN)(network, *args, **kwargs)
