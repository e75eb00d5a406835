r"""PhyDA: physics-guided diffusion in latent space (arXiv 2505.12882), concretised where the paper is silent.

* The observations pass the Virtual Reconstruction Encoder (:mod:`physlab.nn.vre`), which reconstructs a latent field
  from them and the background: the centre of the diffusion. It is learned by its square error.
* The diffusion model (variance preserving) draws what the reconstruction leaves open.
* Physically Regularised Diffusion Objective: the denoised estimate is decoded, added to the background in physical
  units and held to the laws of :mod:`~physlab.assimilate.proxy`,

  .. math:: L = E\big[\| D - u \|_w^2 + \lambda(t)\, \| r(x_b + s\,G(c + \rho D)) \|^2\big], \qquad
            \lambda(t) = \frac{\lambda_0}{1 + \sigma^2 / \alpha^2}

  with r relative to the truth. The paper leaves :math:`\lambda(t)` open; it has to fade with the noise, because D is
  then a mean, and the residual of a mean is not the mean of residuals. To save time the penalty is asked of the
  quarter of a batch with the least noise, and its gradient goes into the denoiser and its features alone: the centre
  is a mean from the start.

Other than the paper, the latents are those of increments, see :mod:`~physlab.assimilate.latent`. With `skip` a U-Net
reads part of the increment off the encoder's features, past the bottleneck of the autoencoder, and the latents are of
what it leaves: what the autoencoder loses need not be lost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.assimilate.latent import LatentDiffusion
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.errors import PhysLabError
from physlab.nn.parts import choose, zero
from physlab.nn.share import least
from physlab.nn.unet import GridConv, UNet
from physlab.nn.vre import VirtualReconstruction
from physlab.registry import register

ENCODERS = ("attention", "convolution", "none")


class Skip(nn.Module):
    """Features (B, width, H/2, W/2) to an increment (B, channels, H, W) that goes past the autoencoder."""

    def __init__(self, width: int, channels: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.unet = UNet(width, width, tuple(levels), 1, periodic=True, zero_start=False)
        self.last = zero(GridConv(width, 4 * channels, periodic=True))

    def forward(self, features: Tensor) -> Tensor:
        made = self.last(functional.silu(self.unet(features)))
        return functional.pixel_shuffle(made, 2).float()


@register(
    "phyda",
    title="PhyDA",
    kind="assimilation",
    order=40,
    ensemble=True,
    reference="arXiv 2505.12882",
    variants={
        "phyda-without-prdo": "PhyDA without physics in the loss",
        "phyda-without-vre": "PhyDA without its encoder",
        "phyda-convolution-for-vre": "PhyDA with convolutions",
    },
)
class PhyDA(LatentDiffusion):
    """The method.

    Parameters
    ----------
    latent, vae_width : of the autoencoder.
    width : of the encoder and channels of its features.
    levels : widths of the denoiser.
    encoder : "attention" (the VRE), or, as ablations, "convolution" in its place, or "none": the denoiser is given
        background and observations as they are.
    physics : lambda_0; 0 is the ablation without PRDO.
    skip : whether part of the increment goes past the autoencoder.

    Attributes
    ----------
    proxy : the laws, fitted to the truth of the training block; a training with physics needs it.
    """

    def __init__(
        self,
        space: StateSpace,
        latent: int = 24,
        vae_width: int = 64,
        width: int = 48,
        levels: tuple = (48, 64),
        encoder: str = "attention",
        physics: float = 0.03,
        skip: bool = False,
    ) -> None:
        further = {"skip": True} if skip else {}
        super().__init__(
            space, latent, vae_width, width, levels, width=width, encoder=encoder, physics=physics, **further
        )
        C = space.shape[0]
        self.encoder: nn.Conv2d | VirtualReconstruction
        if choose("encoder", encoder, ENCODERS) == "none":
            self.encoder = nn.Conv2d(2 * C + 4, width, 2, stride=2)
        else:
            self.encoder = VirtualReconstruction(C, C + 2, latent, width, encoder)
        self.past = Skip(width, C, levels) if skip else None
        self.centred = encoder != "none"
        self.physics, self.proxy = float(physics), None  # or a PhysicsProxy

    def given(self, background: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        known = self.known(background)
        if not isinstance(self.encoder, VirtualReconstruction):
            features = self.encoder(torch.cat([known, columns.planes()], dim=1))
            return features.new_zeros(len(known), self.vae.latent, *features.shape[-2:]), features
        return self.encoder(known, columns.innovation, columns.mask, columns.trust)

    def direct(self, features: Tensor) -> Tensor:
        return super().direct(features) if self.past is None else self.past(features)

    def penalty(self, background: Tensor, latents: Tensor, direct: Tensor, ratio: Tensor) -> Tensor:
        cost = latents.new_zeros(len(latents))
        if not self.physics:
            return cost
        if self.proxy is None:
            raise PhysLabError("training with physics needs laws: set `proxy` to a fitted PhysicsProxy or physics to 0")
        at = least(ratio, 4)
        if not len(at):  # others have the clearest quarter of the batch
            return cost
        increment = self.decode(latents[at], direct[at]).float()
        space = self.space
        x = space.mean.to(increment) + space.std.to(increment) * background[at] + space.error.to(increment) * increment
        with torch.autocast(x.device.type, enabled=False):
            held = self.physics / (1 + ratio[at].square()) * self.proxy.penalty(x)
        return cost.index_add(0, at, held)
