r"""Features of fine structure: what a content loss compares beside the values at points.

SRGAN and ESRGAN compare features of a network that was trained on photographs (Ledig et al. 2017, eq. 5; Wang et al.
2018, section 3.3: before the last activation). Weather is no photograph and nothing is downloaded here. These features
are the code of a denoising autoencoder (Vincent et al. 2008, ICML) of what interpolation lacks,

.. math:: d = \frac{y - B x}{u}, \qquad \min_{\phi, \psi} \; E\,\bigl|\psi(\phi(d + n)) - d\bigr|^2,

with bicubic interpolation :math:`B`, the error :math:`u` of nearest neighbour as the unit and white noise :math:`n` of
unit variance: a code from which the structure can be told from noise has to know what structure looks like.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from physlab.nn.parts import pad_to, same

SLOPE = 0.2


class Features(nn.Module):
    """Encoder and decoder of single frames.

    Parameters
    ----------
    channels : width at full resolution; doubled at each halving of the grid.
    depth : number of halvings.
    """

    spread: Tensor

    def __init__(self, channels: int = 16, depth: int = 2) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(depth + 1)]
        down: list[nn.Module] = [same(1, channels)]
        up: list[nn.Module] = []
        for fine, coarse in zip(widths, widths[1:], strict=False):
            down += [nn.LeakyReLU(SLOPE), nn.AvgPool2d(2), same(fine, coarse)]
            up = [nn.Upsample(scale_factor=2, mode="nearest"), same(coarse, fine), nn.LeakyReLU(SLOPE), *up]
        self.depth = depth
        self.encoder = nn.Sequential(*down)
        self.decoder = nn.Sequential(nn.LeakyReLU(SLOPE), *up, same(channels, 1))
        self.register_buffer("spread", torch.ones(widths[-1], 1, 1))

    def forward(self, detail: Tensor) -> Tensor:
        """(..., H, W) of order one -> (..., C, h, w): the code of each frame, before its activation, each channel over
        its standard deviation in the training block."""
        code = self.encoder(pad_to(detail.reshape(-1, 1, *detail.shape[-2:]), 2**self.depth)) / self.spread
        return code.reshape(*detail.shape[:-2], *code.shape[-3:])

    def loss(self, detail: Tensor, noise: Tensor) -> Tensor:
        """Mean square error of the denoised frames, both (..., H, W)."""
        frames = detail.reshape(-1, 1, *detail.shape[-2:])
        height, width = detail.shape[-2:]
        made = self.decoder(self.encoder(pad_to(frames + noise.reshape(frames.shape), 2**self.depth)))
        return (made[..., :height, :width] - frames).square().mean()

    @torch.no_grad()
    def measure(self, detail: Tensor) -> None:
        """Take the standard deviation of each channel from these frames."""
        code = self.encoder(pad_to(detail.reshape(-1, 1, *detail.shape[-2:]), 2**self.depth))
        self.spread.copy_(code.std((0, 2, 3)).clamp_min(1e-6)[:, None, None])
