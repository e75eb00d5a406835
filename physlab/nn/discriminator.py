"""Discriminators: (B, inputs, H, W) -> logits; the sigmoid is left to the loss.

`Discriminator`: that of Harder et al. (2023): six 3x3 convolutions with ReLU, five of stride 2, conv1x1, average over
the field, 286,561 parameters. It gives one number for the whole field. `PatchDiscriminator`: a number for each
overlapping patch (Isola et al. 2017, arXiv:1611.07004), with spectral normalisation (Miyato et al. 2018,
arXiv:1802.05957); pass the fine field and the interpolated coarse field as two channels for the conditional game.
`SRGANDiscriminator`: Ledig et al. (2017, arXiv:1609.04802), eight convolutions and two dense layers; the field is
averaged before the dense layers, where the published one is bound to 96 x 96 pixels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from physlab.nn.parts import same
from physlab.nn.share import BatchNorm2d


class Discriminator(nn.Module):
    """The published global discriminator; logits (B, 1)."""

    def __init__(self, inputs: int = 1, channels: int = 32) -> None:
        super().__init__()
        widths = [inputs] + [channels * n for n in (1, 1, 2, 2, 4, 4)]
        self.layers = nn.ModuleList(
            nn.Conv2d(widths[n], widths[n + 1], 3, stride=1 if n == 0 else 2, padding=1) for n in range(6)
        )
        self.last = nn.Conv2d(widths[-1], 1, 1, padding=1)  # the padding is published: a ring of bias in the average

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.relu(layer(x))
        return self.last(x).mean(dim=(-2, -1))


class PatchDiscriminator(nn.Module):
    """conv4x4 stride 2 + LeakyReLU(0.2), `depth` times and twice as wide each time, conv3x3 to a map of logits.

    Parameters
    ----------
    inputs : channels, e.g. 2 for the fine and the interpolated coarse field.
    channels : width of the first layer.
    depth : number of halvings; a patch is 8 fine cells wide for 1, 18 for 2, 38 for 3, less at the border.
    spectral : spectral normalisation of all weights.
    """

    def __init__(self, inputs: int = 2, channels: int = 32, depth: int = 3, spectral: bool = True) -> None:
        super().__init__()
        widths = [inputs] + [channels * 2**n for n in range(depth)]
        layers = [nn.Conv2d(a, b, 4, stride=2, padding=2) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        wrap = spectral_norm if spectral else (lambda layer: layer)
        self.layers = nn.ModuleList(wrap(layer) for layer in layers)
        self.last = wrap(same(widths[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
        return self.last(x)


class SRGANDiscriminator(nn.Module):
    """C, C s2, 2C, 2C s2, 4C, 4C s2, 8C, 8C s2 (BN but for the first, LeakyReLU 0.2), average, dense 16C, dense 1."""

    def __init__(self, inputs: int = 1, channels: int = 64, norm: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n in range(8):
            width, normed = channels * 2 ** (n // 2), norm and n > 0
            layers.append(nn.Conv2d(inputs, width, 3, stride=1 + n % 2, padding=1, bias=not normed))
            layers += [BatchNorm2d(width)] if normed else []
            layers.append(nn.LeakyReLU(0.2))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.dense = nn.Linear(inputs, 16 * channels)
        self.last = nn.Linear(16 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x).mean(dim=(-2, -1))
        return self.last(functional.leaky_relu(self.dense(x), 0.2))


DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "Discriminator": Discriminator,
    "PatchDiscriminator": PatchDiscriminator,
    "SRGANDiscriminator": SRGANDiscriminator,
}
