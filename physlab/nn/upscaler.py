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

    Parameters
    ----------
    factor : N, refinement of each axis.
    skip : "none", "bicubic" or "log".
    shift, spread : mu and sigma, in the units of the layer.
    gain : gamma, in the units of the layer (of the logarithm for "log").
    floor : epsilon of the skip "log", in the units of the layer.
    """

    def __init__(
        self,
        factor: int,
        skip: str = "none",
        shift: float = 0.0,
        spread: float = 1.0,
        gain: float = 1.0,
        floor: float = 1e-3,
    ) -> None:
        super().__init__()
        if skip not in SKIPS:
            raise PhysLabError(f"unknown skip {skip!r}: choose one of {', '.join(SKIPS)}")
        if not (spread > 0 and floor > 0):
            raise PhysLabError(f"spread is {spread} and floor is {floor}: pass values > 0 in the units of the layer")
        self.factor = int(factor)
        self.skip = skip
        self.shift, self.spread, self.gain, self.floor = float(shift), float(spread), float(gain), float(floor)

    def forward(self, coarse: Tensor) -> Tensor:
        """Raw fine field, (B, 1, h, w) -> (B, 1, h*N, w*N), layer units (or their logarithm), at least float32."""
        if coarse.ndim != 4 or coarse.shape[1] != 1:
            raise FieldError(f"network input has shape {tuple(coarse.shape)}: pass (batch, 1, h, w)")
        correction = self.trunk((coarse - self.shift) / self.spread)
        with torch.autocast(coarse.device.type, enabled=False):
            working = torch.promote_types(coarse.dtype, torch.float32)
            return self.base(coarse.to(working)) + self.gain * correction.to(working)

    def base(self, coarse: Tensor) -> Tensor | float:
        """b(x): what an untrained network with a zero last layer returns."""
        if self.skip == "none":
            return self.shift
        fine = bicubic(coarse, self.factor)
        return fine if self.skip == "bicubic" else torch.log(fine.clamp_min(self.floor))

    def trunk(self, x: Tensor) -> Tensor:
        """f: standardised (B, 1, h, w) -> (B, 1, h*N, w*N), order one."""
        raise NotImplementedError


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
