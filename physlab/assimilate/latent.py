r"""Analysis in the latent space of an autoencoder of increments.

The autoencoder learns what background errors look like. It does not learn whole states, as in the PhyDA paper: at the
size that a laptop can train, what it would lose of a state is larger than the error of the background, so that no
analysis could be better than none. Of the increments it keeps most; whatever it loses is left as in the background.

:class:`LatentDiffusion` is the common form of SLAM and PhyDA: with a centre :math:`c` and features from background
and observations, the latents are :math:`z = c + \rho u`, and u is drawn by a diffusion model (see
:mod:`physlab.diffusion`) that is given the features; :math:`\rho` is the root mean square of :math:`z - c`. Two or more
members are drawn about their centre: without that their mean would miss it by the sampling error of a few draws.
A method may say part of the increment past the latents, on the whole grid (:meth:`LatentDiffusion.direct`); these are
then of what that leaves.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from physlab.assimilate.learned import Cancel, Learned, Progress, about
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.diffusion import AdamsBashforth, Denoiser, Heun, NoiseSchedule, PredictorCorrector, Sampler
from physlab.errors import PhysLabError
from physlab.nn.parts import choose
from physlab.nn.share import mean
from physlab.nn.unet import UNet
from physlab.nn.vae import VAE

SAMPLERS: dict[str, type[Sampler]] = {"heun": Heun, "pc": PredictorCorrector, "adams": AdamsBashforth}
TOGETHER = 16  # fields that go through a network at a time


class LatentMethod(Learned):
    """Base: an autoencoder of increments on half of the grid.

    Parameters
    ----------
    latent : channels of the latent field, (latent, H/2, W/2).
    vae_width : of its layers.
    """

    def __init__(self, space: StateSpace, latent: int = 24, vae_width: int = 64, **arguments) -> None:
        super().__init__(space, latent=latent, vae_width=vae_width, **arguments)
        self.vae = VAE(space.shape[0], latent, (vae_width,), 1, periodic=True, patch=2)

    def adopt(self, other: LatentMethod) -> None:
        """Take over the trained autoencoder of another method, and leave it as it is from now on."""
        self.vae.load_state_dict(other.vae.state_dict())
        self.vae.requires_grad_(False)

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Standardise the latents over the training block, as diffusion needs."""
        self.vae.calibrate(e for _, e in batches)


class LatentDiffusion(LatentMethod):
    """Base of SLAM and PhyDA, which implement :meth:`given`.

    Parameters
    ----------
    features : channels of the features that the denoiser is given.
    levels : widths of the denoiser's U-Net.

    Attributes
    ----------
    sampler, steps : "heun", "pc" (predictor-corrector) or "adams" (multistep), and how many steps it takes.
    temperature : what the distance of the draws from their centre is multiplied by. Below 1 single members are better
        and the ensemble is too sure of itself; 0 is the centre.
    """

    ensemble = True
    rate = 2e-3
    rho: Tensor

    def __init__(
        self, space: StateSpace, latent: int, vae_width: int, features: int, levels: tuple[int, ...], **arguments
    ) -> None:
        super().__init__(space, latent, vae_width, levels=list(levels), **arguments)
        if space.shape[1] % 2 or space.shape[2] % 2:
            raise PhysLabError(f"states of {space.shape[1]} x {space.shape[2]} points: pass even numbers of both")
        network = UNet(latent, latent, levels, 1, level=True, condition=features, attention=True, periodic=True)
        self.denoiser = Denoiser(network, NoiseSchedule("cosine"))
        self.register_buffer("rho", torch.ones(latent, 1, 1))
        self.sampler, self.steps = "heun", 24  # ten overshoot: 1.4 times the variance, with 24 it is 1.06
        self.temperature = 1.0

    def given(self, background: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """Centre c (B, latent, h, w) and features (B, features, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} is a base: use SLAM or PhyDA")

    def direct(self, features: Tensor) -> Tensor:
        """(B, C, H, W) of the increment, past the latents; nothing here."""
        return features.new_zeros(1, 1, 1, 1)

    def decode(self, latents: Tensor, direct: Tensor) -> Tensor:
        """(B, C, H, W): the increment of latents (B, ...), with what is said past them."""
        return direct + self.vae.decode(latents, self.space.shape[1:])

    def penalty(self, background: Tensor, latents: Tensor, direct: Tensor, ratio: Tensor) -> Tensor:
        """(B,) what is added to the loss for denoised latents (B, ...) of noise-to-signal ratios (B,): nothing here."""
        return latents.new_zeros(len(latents))

    def loss(self, background: Tensor, increment: Tensor, columns: Columns, generator: torch.Generator) -> Tensor:
        centre, features = self.given(background, columns)
        direct = self.direct(features)
        said = direct.detach()
        with torch.no_grad():
            z = self.vae.encode(increment - said).float()
        miss = z - centre.float()
        if self.training:  # rho follows the centre while that is learned
            with torch.no_grad():
                self.rho.lerp_(mean(miss.square(), (0, 2, 3)).sqrt()[:, None, None], 0.05)
        u = miss.detach() / self.rho

        def penalty(D: Tensor, ratio: Tensor) -> Tensor:
            return self.penalty(background, centre.detach() + self.rho * D, said.expand(len(D), -1, -1, -1), ratio)

        cost = self.denoiser.loss(u, features, generator, penalty=penalty)
        if direct.requires_grad:
            cost = cost + ((increment - direct).square() * self.area).mean()
        return cost + (miss.square().mean() if miss.requires_grad else 0.0)

    def make_sampler(self, denoiser) -> Sampler:
        """The sampler by the attributes `sampler` ("heun", "pc", predictor-corrector, or "adams") and `steps`."""
        return SAMPLERS[choose("sampler", self.sampler, tuple(SAMPLERS))](denoiser, steps=self.steps)

    @torch.no_grad()
    def centre(self, background: Tensor, columns: Columns, cancel: Cancel | None = None) -> Tensor | None:
        if not self.centred:
            return None
        centre, features = self.given(background, columns)
        return self.decode(centre, self.direct(features))

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        self.check_members(members)
        centre, features = self.given(background, columns)
        direct = self.direct(features)
        centre, features = (x.repeat_interleave(members, 0) for x in (centre, features))
        sampler, made, parts = self.make_sampler(self.denoiser), [], -(-len(centre) // TOGETHER)
        for part, (c, f) in enumerate(zip(centre.split(TOGETHER), features.split(TOGETHER), strict=True)):
            tell = None if progress is None else lambda k, n, _, part=part: progress(part * n + k, parts * n)
            made.append(sampler(c.shape, generator, f, progress=tell, cancel=cancel, device=c.device))
        u = torch.cat(made).unflatten(0, (len(background), members))
        if members > 1 and self.centred:
            u = about(u, torch.zeros_like(u[:, :1]))
        latents = (centre + self.temperature * self.rho * u.flatten(0, 1)).split(TOGETHER)
        fields = torch.cat([self.vae.decode(z, self.space.shape[1:]) for z in latents]).unflatten(0, u.shape[:2])
        return fields + direct[:, None]
