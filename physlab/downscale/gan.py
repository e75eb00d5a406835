"""Generators: networks that take noise, so that one coarse field has many fine ones.

A member is a draw; :meth:`GAN.predict`, which every table of errors uses, is the mean of ten members of a fixed seed.
Scores of the ensemble (CRPS, spread against skill, rank histogram) want the members themselves: :meth:`GAN.sample`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import Cancel, Progress
from physlab.downscale.cnn import CNN
from physlab.downscale.members import MEMBERS, downscale_members, drawn
from physlab.registry import Spec


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
        return drawn(lambda noise: self._draw(coarse, weights, static, noise), members, generator)

    def predict(self, coarse: Tensor, weights: Tensor | None = None, static: Tensor | None = None) -> Tensor:
        """The mean of ten members, physical units, (..., h, w) -> (..., h*N, w*N)."""
        return self.sample(coarse, weights, MEMBERS, None, static).mean(0)

    @property
    def spec(self) -> Spec:
        return replace(super().spec, ensemble=True)

    def downscale(
        self, coarse: xr.DataArray | xr.Dataset, *, statics: xr.Dataset | None = None, members: int | None = None,
        seed: int = 0, progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """As for every method, with a leading `member` dimension; ten members unless told otherwise."""
        self.check_members(members)
        members = MEMBERS if members is None else members
        return downscale_members(self, coarse, members, seed, statics=statics, progress=progress, cancel=cancel)


def make_downscaler(network, *args, **kwargs) -> CNN:
    """The Downscaler that suits a network: :class:`GAN` for one with noise, :class:`CNN` for the others."""
    return (GAN if network.takes_noise else CNN)(network, *args, **kwargs)
