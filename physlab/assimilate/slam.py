"""SLAM: latent diffusion that is given background and observations as two modalities (after Qu et al. 2024, SLAMS,
arXiv 2404.06665).

Each modality has an encoder of its own, and what they say is laid side by side as the condition of the denoiser; no
physics, and no reconstruction before the diffusion. Adapted: the latents are those of increments, not of states, and
the modalities are forecast and columns (published: satellite, stations, reanalysis).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from physlab.assimilate.latent import LatentDiffusion
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.nn.unet import ResBlock
from physlab.registry import register


@register("slam", title="SLAM", kind="assimilation", order=41, ensemble=True)
class SLAM(LatentDiffusion):
    """The method.

    Parameters
    ----------
    latent, vae_width : of the autoencoder.
    width : channels of each of the two encoders.
    levels : widths of the denoiser.
    """

    def __init__(
        self, space: StateSpace, latent: int = 24, vae_width: int = 64, width: int = 32, levels: tuple = (48, 64)
    ) -> None:
        super().__init__(space, latent, vae_width, 2 * width, levels, width=width)
        C = space.shape[0]
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n + 2, width, 2, stride=2), ResBlock(width, width, periodic=True)) for n in (C, C)
        )

    def given(self, background: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        features = [e(x) for e, x in zip(self.encoders, (self.known(background), columns.planes()), strict=True)]
        centre = features[0].new_zeros(len(background), self.vae.latent, *features[0].shape[-2:])
        return centre, torch.cat(features, dim=1)
