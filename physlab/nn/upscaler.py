r"""The frame around a super-resolution trunk: input standardisation, skip connection, output gain.

.. math:: \tilde y = b(x) + \gamma \, f_\theta\!\left(\frac{x - \mu}{\sigma}\right), \qquad
          b(x) = \mu \;\; | \;\; B x \;\; | \;\; \log \max(B x, \epsilon)

for skip = "none", "bicubic" and "log", with bicubic interpolation :math:`B`. The constants :math:`\mu, \sigma,
\gamma` are measured on the training block, in the offset-free units of the constraint layer, so that the trunk sees
and returns numbers of order one while the layer still acts on kg m-2 or kelvin over a scale. The skip "log" belongs
to the softmax layer: an untrained trunk (last layer zero) then gives bicubic interpolation followed by the
multiplicative constraint. For temperature, whose children differ by a few per mille of a kelvin value, the gain
:math:`\gamma` makes logits of order 0.01 a number of order one for the trunk.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import FieldError, PhysLabError

SKIPS = ("none", "bicubic", "log")


def bicubic(x: Tensor, factor: int) -> Tensor:
    """Bicubic interpolation (Keys, a = -0.75) of cell means at cell centres, (..., h, w) -> (..., h*N, w*N)."""
    flat = x.reshape(-1, 1, *x.shape[-2:])
    fine = functional.interpolate(flat, scale_factor=factor, mode="bicubic", align_corners=False)
    return fine.reshape(*x.shape[:-2], *fine.shape[-2:])


class Upscaler(nn.Module):
    """Base of the super-resolution networks; a network implements :meth:`trunk`.

    Attributes
    ----------
    frames : coarse frames in, fine frames out.
    statics : names of the fine static fields that the trunk takes, e.g. ("elevation",).

    Parameters
    ----------
    factor : N, refinement of each axis.
    skip : "none", "bicubic" or "log".
    shift, spread : mu and sigma, in the units of the layer.
    gain : gamma, in the units of the layer (of the logarithm for "log").
    floor : epsilon of the skip "log", in the units of the layer.
    zero_start : start the last layer of the trunk at zero, so that the untrained network is its skip.
    """

    registry = "networks"
    frames: tuple[int, int] = (1, 1)
    statics: tuple[str, ...] = ()

    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keeps the arguments of the constructor, which a card needs to build the network again."""
        made = super().__new__(cls)
        names = [name for name, p in inspect.signature(cls).parameters.items() if p.kind is not p.VAR_KEYWORD]
        made.__dict__["arguments"] = {**dict(zip(names, args, strict=False)), **kwargs}
        return made

    def __init__(
        self,
        factor: int,
        skip: str = "none",
        shift: float = 0.0,
        spread: float = 1.0,
        gain: float = 1.0,
        floor: float = 1e-3,
        zero_start: bool = False,
    ) -> None:
        super().__init__()
        if skip not in SKIPS:
            raise PhysLabError(f"unknown skip {skip!r}: choose one of {', '.join(SKIPS)}")
        if not (spread > 0 and floor > 0):
            raise PhysLabError(f"spread is {spread} and floor is {floor}: pass values > 0 in the units of the layer")
        self.factor = int(factor)
        self.skip, self.zero_start = skip, bool(zero_start)
        self.shift, self.spread, self.gain, self.floor = float(shift), float(spread), float(gain), float(floor)

    def forward(self, coarse: Tensor, noise: Tensor | None = None, static: Tensor | None = None) -> Tensor:
        """Raw fine frames, (B, T, h, w) -> (B, T', h*N, w*N), layer units (or their logarithm), at least float32.

        Parameters
        ----------
        coarse : `frames[0]` coarse frames, units of the layer.
        noise : standard normal numbers of shape `noise_shape(coarse)`, for the networks that take noise.
        static : (B, S, h*N, w*N) fine fields that do not change, one for each name in `statics`.
        """
        return self.run(coarse, noise, static)[0]

    def run(self, coarse: Tensor, noise: Tensor | None = None, static: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Raw fine frames, and the coarse frame of each of them: those given, and the network's estimate of others."""
        if coarse.ndim != 4 or coarse.shape[1] != self.frames[0]:
            raise FieldError(f"network input has shape {tuple(coarse.shape)}: pass (batch, {self.frames[0]}, h, w)")
        extras = {}
        if self.noise_shape(coarse) is not None:
            if noise is None:
                raise FieldError(f"{type(self).__name__} takes noise: pass noise of shape {self.noise_shape(coarse)}")
            extras["noise"] = noise
        if self.statics:
            if static is None:
                raise FieldError(f"{type(self).__name__} needs the static fields {', '.join(self.statics)}: pass them")
            extras["static"] = static
        full = self.complete(coarse)
        correction = self.trunk((full - self.shift) / self.spread, **extras)
        with torch.autocast(coarse.device.type, enabled=False):
            full = full.to(torch.promote_types(full.dtype, torch.float32))
            return self.base(full) + self.gain * correction.to(full.dtype), full

    def base(self, coarse: Tensor) -> Tensor | float:
        """b(x): what an untrained network with a zero last layer returns."""
        if self.skip == "none":
            return self.shift
        fine = bicubic(coarse, self.factor)
        return fine if self.skip == "bicubic" else torch.log(fine.clamp_min(self.floor))

    def noise_shape(self, coarse: Tensor) -> tuple[int, ...] | None:
        """Shape of the noise for (B, T, h, w) coarse frames; None for a network without noise."""
        return None

    @property
    def takes_noise(self) -> bool:
        """Whether :meth:`noise_shape` gives one; asked of a field of 4 x 4, since most networks take any."""
        return self.noise_shape(torch.zeros(1, self.frames[0], 4, 4)) is not None

    def complete(self, coarse: Tensor) -> Tensor:
        """(B, T, h, w) -> (B, T', h, w): a coarse frame for each output frame; the given ones stay as they are."""
        return coarse

    def penalty(self, coarse: Tensor, fine: Tensor) -> Tensor | float:
        """What the network adds to the loss besides the error, in units of the layer squared; 0 for most."""
        return 0.0

    def trunk(self, x: Tensor, *extras: Any, **named: Any) -> Tensor:
        """f: standardised (B, T', h, w) -> (B, T', h*N, w*N), order one; `noise`, `static` by name if it takes them."""
        raise NotImplementedError


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
