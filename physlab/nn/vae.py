r"""Variational autoencoder: a field as a smaller field of a few channels, from which it can be drawn again.

.. math:: L = \overline{|\hat x - x|} + \beta\, \overline{\mathrm{KL}}, \qquad
          \mathrm{KL} = \tfrac12 (m^2 + s^2 - 1 - \ln s^2), \qquad \hat x = G(m + s \epsilon),

with the encoder's mean m and standard deviation s at each latent point (Kingma and Welling 2014), both terms averaged
over points (so beta is the price of a latent number in units of the error of a point). Encoder: head conv3x3; on each
level R residual blocks and conv3x3 of stride 2; a block, SiLU and conv3x3 to 2 x latent channels. The decoder is its
mirror image with nearest x2. There is no normalisation layer: the amplitude of a field is information, and what is
learned on patches holds on larger fields. n widths give a latent grid of 1 / 2^(n-1); fields of any shape are padded
below and to the right, and cropped. Columns wrap around on a globe (`periodic`). With `patch` p the first layer takes
p x p points as one and the last gives them back (sub-pixel convolution, Shi et al. 2016): the rest costs 1 / p^2.

Diffusion needs latents of unit variance: :meth:`VAE.calibrate` stores their mean and scale after training, and from
then on :meth:`VAE.encode` and :meth:`VAE.decode` speak of standardised latents.

Parameters with one channel, 4 latent channels, widths (32, 64, 128) and R = 1: 974,217.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from physlab.errors import FieldError, PhysLabError
from physlab.nn.parts import choose, zero
from physlab.nn.share import whole
from physlab.nn.unet import GridConv, ResBlock, pad_grid


class VAE(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    inputs : channels of the field, standardised.
    latent : channels of the latent field.
    channels : width of each level, from fine to coarse: three for a latent grid of a quarter, four for an eighth.
    blocks : R, residual blocks of a level.
    periodic : columns are longitudes of a whole globe.
    patch : edge of the square of points that the first layer takes as one.

    Attributes
    ----------
    factor : edge of the block of points that one latent point stands for.
    shift, scale : (latent, 1, 1) mean and standard deviation of the latents, once calibrated.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        inputs: int,
        latent: int = 4,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        periodic: bool = False,
        patch: int = 1,
    ) -> None:
        super().__init__()
        widths = [int(c) for c in channels]
        if min([inputs, latent, blocks, patch, len(widths), *widths]) < 1:
            raise PhysLabError(
                f"VAE with {inputs} inputs, {latent} latent channels, widths {tuple(channels)}, {blocks} blocks and "
                f"patches of {patch}: pass at least 1 of each"
            )
        self.inputs, self.latent, self.periodic = int(inputs), int(latent), bool(periodic)
        self.factor = patch * 2 ** (len(widths) - 1)
        options = {"periodic": periodic, "normalise": False}
        first: nn.Module = GridConv(inputs, widths[0], periodic=periodic)
        if patch > 1:
            first = nn.Conv2d(inputs, widths[0], patch, stride=patch)
        encoder: list[nn.Module] = [first]
        for fine, coarse in pairwise(widths):
            encoder += [ResBlock(fine, fine, **options) for _ in range(blocks)]
            encoder += [GridConv(fine, coarse, stride=2, periodic=periodic)]
        encoder += [ResBlock(widths[-1], widths[-1], **options), nn.SiLU()]
        self.encoder = nn.Sequential(*encoder, GridConv(widths[-1], 2 * latent, periodic=periodic))
        decoder: list[nn.Module] = [GridConv(latent, widths[-1], periodic=periodic)]
        decoder += [ResBlock(widths[-1], widths[-1], **options)]
        for coarse, fine in pairwise(widths[::-1]):
            decoder += [nn.Upsample(scale_factor=2.0, mode="nearest"), GridConv(coarse, fine, periodic=periodic)]
            decoder += [ResBlock(fine, fine, **options) for _ in range(blocks)]
        last = zero(GridConv(widths[0], inputs * patch**2, periodic=periodic))
        self.decoder = nn.Sequential(*decoder, nn.SiLU(), last, nn.PixelShuffle(patch))
        self.register_buffer("shift", torch.zeros(latent, 1, 1))
        self.register_buffer("scale", torch.ones(latent, 1, 1))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latents of x (B, inputs, H, W), each (B, latent, h, w), as learned.

        h and w are H and W over `factor`, rounded up.
        """
        if x.ndim != 4 or x.shape[1] != self.inputs:
            raise FieldError(f"field has shape {tuple(x.shape)}: pass (B, {self.inputs}, H, W)")
        mean, log_variance = self.encoder(pad_grid(x, self.factor, self.periodic)).chunk(2, dim=1)
        return mean, log_variance.clamp(-20.0, 10.0)

    def encode(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, latent, h, w) mean of the latents, standardised once calibrated."""
        return (self.posterior(x)[0] - self.shift) / self.scale

    def decode(self, z: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """(B, latent, h, w) -> (B, inputs, H, W).

        Parameters
        ----------
        z : latents in the unit of :meth:`encode`.
        shape : (H, W) of the field, None for `factor` times (h, w).

        Raises
        ------
        FieldError : another number of channels, or a shape that such latents do not come from.
        """
        if z.ndim != 4 or z.shape[1] != self.latent:
            raise FieldError(f"latents have shape {tuple(z.shape)}: pass (B, {self.latent}, h, w)")
        h, w = (n * self.factor for n in z.shape[-2:]) if shape is None else shape
        if tuple(z.shape[-2:]) != (math.ceil(h / self.factor), math.ceil(w / self.factor)):
            raise FieldError(
                f"latents of {z.shape[-2]} x {z.shape[-1]} do not make a field of {h} x {w}: it would have "
                f"{math.ceil(h / self.factor)} x {math.ceil(w / self.factor)} at factor {self.factor}"
            )
        return self.decoder(z * self.scale + self.shift)[..., :h, :w]

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> what is left of it, same shape."""
        return self.decode(self.encode(x), x.shape[-2:])

    def loss(
        self,
        x: Tensor,
        beta: float = 1e-2,
        generator: torch.Generator | None = None,
        error: str = "l1",
        area: Tensor | None = None,
    ) -> Tensor:
        """Error of the field plus beta times the divergence of the latents from N(0, I).

        Parameters
        ----------
        x : (B, inputs, H, W).
        beta : price of the divergence; 0 makes an autoencoder with noise.
        generator : on the CPU; draws the latents.
        error : "l1" (published for downscaling) or "l2".
        area : weight of each point, broadcastable to x, mean 1.

        Raises
        ------
        PhysLabError : the latents are calibrated already: the loss is for training before that.
        """
        choose("error", error, ("l1", "l2"))
        if self.calibrated:
            raise PhysLabError("the latents are calibrated: train first, or call calibrate(None) to go on training")
        mean, log_variance = self.posterior(x)
        count, mine = whole(len(x), generator)
        noise = torch.randn((count, *mean.shape[1:]), generator=generator)[mine].to(mean)
        difference = self.decode(mean + (0.5 * log_variance).exp() * noise, x.shape[-2:]) - x
        difference = difference.abs() if error == "l1" else difference.square()
        if area is not None:
            difference = difference * area.to(difference)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return difference.mean() + beta * divergence.mean()

    @property
    def calibrated(self) -> bool:
        """Whether latents are standardised."""
        return bool((self.shift != 0).any() or (self.scale != 1).any())

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor] | None) -> VAE:
        """Store mean and standard deviation of each latent channel over training fields.

        Parameters
        ----------
        batches : of fields (B, inputs, H, W), from the training block only; None forgets the calibration.

        Raises
        ------
        PhysLabError : a latent channel that never varies: it carries nothing.
        """
        self.shift.zero_()
        self.scale.fill_(1.0)
        if batches is None:
            return self
        count, first = 0, self.shift.new_zeros(self.latent, dtype=torch.float64)
        second = first
        for x in batches:
            z = self.encode(x).double()
            count += z[:, 0].numel()
            first, second = first + z.sum((0, 2, 3)), second + z.square().sum((0, 2, 3))
        if not count:
            raise PhysLabError("no fields came: pass batches (B, inputs, H, W) of the training block")
        mean = first / count
        scale = (second / count - mean.square()).clamp(min=0).sqrt()
        if not bool((scale > 1e-6).all()):
            raise PhysLabError(
                f"latent channel {int(scale.argmin())} does not vary over these fields: train first, with less beta, "
                "or use fewer latent channels"
            )
        self.shift.copy_(mean[:, None, None])
        self.scale.copy_(scale[:, None, None])
        return self
