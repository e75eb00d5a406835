r"""A network of coordinates: weather as a function of place and time, with its exact derivatives.

Eight hidden layers of sines take (x, y, t), scaled to [-1, 1], to standardised variables (PhyDL-NWP: Luo et al. 2025).
Derivatives come by forward-mode automatic differentiation: each layer carries the value h together with its first and
second derivatives (a jet) by the chain rule,

.. math:: h \to \sin(Wh + b), \qquad h_i \to \cos(\cdot)\, W h_i, \qquad
          h_{ii} \to \cos(\cdot)\, W h_{ii} - \sin(\cdot)\, (W h_i)^2 ,

in one pass, so that a loss on derivatives costs one backward pass whatever the number of variables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from physlab.errors import PhysLabError

ACTIVATIONS = ("sine", "siren", "fourier")


class Jet(NamedTuple):
    """Values (N, V), first derivatives (D, N, V) and pure second derivatives (D, N, V) by the scaled coordinates."""

    value: Tensor
    first: Tensor
    second: Tensor


class CoordinateNetwork(nn.Module):
    """Scaled coordinates (N, D) in [-1, 1] -> standardised variables (N, V).

    Parameters
    ----------
    outputs : V.
    width, depth : units and number of the hidden layers. 8 x 87 has 54,644 parameters with eight variables, 8 x 100
        (the published code) 71,908.
    activation : "sine" is the published code (sin, PyTorch's initial weights), which starts very smooth; "siren" draws
        the first layer from frequencies up to `omega` and keeps the variance of the others (Sitzmann et al. 2020);
        "fourier" puts `features` random frequencies of standard deviation `omega` before the first layer
        (Tancik et al. 2020).
    omega : radians per unit of each scaled coordinate, one number or D.
    seed : of the initial weights, by a generator of its own.

    Raises
    ------
    PhysLabError : an unknown activation, or sizes below 1.
    """

    frequencies: Tensor  # of "fourier" alone

    def __init__(
        self,
        outputs: int,
        width: int = 87,
        depth: int = 8,
        activation: str = "siren",
        omega: float | tuple[float, ...] = 6.0,
        features: int = 64,
        inputs: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise PhysLabError(f"activation {activation!r}: choose one of {', '.join(ACTIVATIONS)}")
        if min(outputs, width, depth, features, inputs) < 1:
            raise PhysLabError("outputs, width, depth, features and inputs must be at least 1")
        self.activation = activation
        generator = torch.Generator().manual_seed(seed)
        frequency = torch.as_tensor(omega, dtype=torch.float32, device="cpu").expand(inputs).clone()
        first = inputs
        if activation == "fourier":
            self.register_buffer(
                "frequencies", torch.randn(features, inputs, generator=generator, device="cpu") * frequency
            )
            first = 2 * features
        sizes = [first, *[width] * depth, outputs]
        with torch.random.fork_rng(devices=[]):
            layers = [nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        self.layers = nn.ModuleList(layers)
        for number, layer in enumerate(layers):
            lone = 1 / math.sqrt(layer.in_features)
            weight, bias = (lone, lone) if activation == "sine" else (math.sqrt(6) * lone, lone)
            if number == 0 and activation == "siren":
                weight, bias = 1.0, math.pi
            with torch.no_grad():
                layer.weight.uniform_(-weight, weight, generator=generator)
                layer.bias.uniform_(-bias, bias, generator=generator)
                if number == 0 and activation == "siren":
                    layer.weight.mul_((frequency / math.sqrt(inputs)).to(layer.weight))  # see LevelEmbedding

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, V)."""
        if self.activation == "fourier":
            phase = z @ self.frequencies.T
            z = torch.cat([phase.sin(), phase.cos()], dim=-1)
        for layer in self.layers[:-1]:
            z = torch.sin(layer(z))
        return self.layers[-1](z)

    def jet(self, z: Tensor) -> Jet:
        """Value and derivatives at (N, D), as :class:`Jet`."""
        count, axes = z.shape
        unit = torch.eye(axes, dtype=z.dtype, device=z.device)[:, None]
        first, second = unit.expand(axes, count, axes), None
        if self.activation == "fourier":
            phase, slope = z @ self.frequencies.T, first @ self.frequencies.T
            sine, cosine = phase.sin(), phase.cos()
            z = torch.cat([sine, cosine], dim=-1)
            second = torch.cat([-sine * slope**2, -cosine * slope**2], dim=-1)
            first = torch.cat([cosine * slope, -sine * slope], dim=-1)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            stack = torch.cat([z[None], first] + ([] if second is None else [second])) @ layer.weight.T
            value, slope = stack[0] + layer.bias, stack[1 : axes + 1]
            bend = stack[axes + 1 :] if second is not None else torch.zeros_like(slope)
            if number == len(self.layers) - 1:
                return Jet(value, slope, bend)
            z, cosine = value.sin(), value.cos()
            first, second = cosine * slope, cosine * bend - z * slope**2
        raise AssertionError("a network has at least one layer")
