r"""Any network, given further fields: other coarse variables and fine fields that do not change, refined jointly.

A super-resolution network sees one coarse field. Here its first convolution gets a companion that sees all that is
given, and their results are added,

.. math:: c_1(x) \;\to\; c_1(x) + c_+(z), \qquad z = (x_1, \dots, x_C, \text{statics}),

with :math:`c_+` zero at the start, so that training begins at the network as it is. Fine static fields come as one
coarse channel for each position within a coarse cell (pixel unshuffle). Several variables have a trunk each, and every
trunk sees all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.errors import FieldError, PhysLabError
from physlab.nn.parts import same, zero
from physlab.nn.upscaler import Upscaler
from physlab.registry import load


class Joined(nn.Module):
    """A convolution that is told of further fields: conv(x) + more(z)."""

    def __init__(self, conv: nn.Conv2d, further: int) -> None:
        super().__init__()
        self.conv, self.more = conv, zero(same(further, conv.out_channels))
        self.further: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, ., H', W') -> (B, ., H', W'); the further fields are interpolated to this grid where it is finer."""
        y, z = self.conv(x), self.further
        if z is None:
            return y
        if z.shape[-2:] != y.shape[-2:]:
            z = functional.interpolate(z, size=y.shape[-2:], mode="bilinear", align_corners=False)
        return y + self.more(z)


class InformedNetwork(Upscaler):
    """See the module docstring.

    Parameters
    ----------
    factor : N.
    network : name in the registry, of one coarse frame.
    trunks : arguments of it for each of the V variables, the factor included.
    shift, spread : mean and standard deviation of the C coarse channels, variables first, in units of the layer.
    statics : names of the static fields.
    level, size : mean and standard deviation of these, in their own units.
    """

    own_shift: Tensor
    own_spread: Tensor
    own_level: Tensor
    own_size: Tensor

    def __init__(
        self,
        factor: int,
        network: str,
        trunks: Sequence[Mapping],
        shift: Sequence[float],
        spread: Sequence[float],
        statics: Sequence[str] = (),
        level: Sequence[float] = (),
        size: Sequence[float] = (),
    ) -> None:
        super().__init__(factor)
        if len(shift) != len(spread) or len(shift) < len(trunks) or not len(statics) == len(level) == len(size):
            raise PhysLabError(
                f"{len(trunks)} trunks, {len(shift)} channels and {len(statics)} static fields: give one shift and "
                "spread for each channel, one level and size for each static field"
            )
        self.frames = (len(shift), len(trunks))
        self.statics = tuple(statics)
        further = len(shift) + len(statics) * factor**2
        made: list[Upscaler] = [load("networks", network)(**arguments) for arguments in trunks]
        self.heads = [join(trunk, further) for trunk in made]
        self.trunks = nn.ModuleList(made)
        self.domain = getattr(made[0], "domain", None)
        del self.shift, self.spread  # one number for each channel, that goes where the weights go
        for name, values in (("shift", shift), ("spread", spread), ("level", level), ("size", size)):
            column = torch.tensor([float(v) for v in values], device="cpu").reshape(-1, 1, 1)
            self.register_buffer(f"own_{name}", column, persistent=False)
        self.register_buffer("shift", self.own_shift[: len(trunks)], persistent=False)
        self.register_buffer("spread", self.own_spread[: len(trunks)], persistent=False)

    @property
    def parts(self) -> list[Upscaler]:
        """The trunks."""
        return list(self.trunks)  # type: ignore[arg-type]  # a ModuleList forgets of what

    def noise_shape(self, coarse: Tensor) -> tuple[int, ...] | None:
        """That of all trunks, one behind the other."""
        shapes = [shape for trunk in self.parts if (shape := trunk.noise_shape(coarse[:, :1])) is not None]
        return (shapes[0][0], sum(s[1] for s in shapes), *shapes[0][2:]) if shapes else None

    def run(self, coarse: Tensor, noise: Tensor | None = None, static: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Raw fine fields of the variables (B, V, H, W), and their coarse fields, from (B, C, h, w)."""
        if coarse.ndim != 4 or coarse.shape[1] != self.frames[0]:
            raise FieldError(f"network input has shape {tuple(coarse.shape)}: pass (batch, {self.frames[0]}, h, w)")
        z = (coarse - self.own_shift) / self.own_spread
        if self.statics:
            if static is None:
                raise FieldError(f"this network needs the static fields {', '.join(self.statics)}: pass them")
            ground = functional.pixel_unshuffle((static - self.own_level) / self.own_size, self.factor)
            z = torch.cat([z, ground.to(z.dtype).expand(len(z), -1, -1, -1)], 1)
        shape = self.noise_shape(coarse)
        if shape is not None and noise is None:
            raise FieldError(f"this network takes noise: pass noise of shape {shape}")
        parts: list[Tensor | None] = [None] * len(self.heads)
        if shape is not None and noise is not None:
            parts = list(noise.chunk(len(self.heads), 1))
        made = []
        for number, (trunk, head) in enumerate(zip(self.parts, self.heads, strict=True)):
            joined = trunk.get_submodule(head)
            assert isinstance(joined, Joined)
            joined.further = z
            try:
                made.append(trunk.run(coarse[:, number : number + 1], parts[number])[0])
            finally:
                joined.further = None
        full = coarse[:, : len(self.trunks)]
        return torch.cat(made, 1), full.to(torch.promote_types(full.dtype, torch.float32))


def join(network: Upscaler, further: int) -> str:
    """Give the first convolution of a network its companion, in place; returns the name of the pair.

    Raises
    ------
    PhysLabError : a network of several frames or with static fields of its own, or one without a convolution.
    """
    kind = type(network).__name__
    if network.frames != (1, 1) or network.statics:
        raise PhysLabError(f"{kind} takes {network.frames[0]} frames and {len(network.statics)} static fields: "
                           f"choose a "
                           "network of one field, such as edsr, for predictors and several variables")  # fmt: skip
    convolutions = {name: part for name, part in network.named_modules() if isinstance(part, nn.Conv2d)}
    met: list[str] = []
    hooks = [p.register_forward_pre_hook(lambda *_, name=n: met.append(name)) for n, p in convolutions.items()]
    device = next(network.parameters()).device
    domain = getattr(network, "domain", None) or getattr(network, "size", None) or (8, 8)
    x = torch.zeros(1, 1, *domain, device=device)
    shape, trained = network.noise_shape(x), network.training
    with torch.no_grad():
        network.eval().run(x, None if shape is None else torch.zeros(shape, device=device))
    network.train(trained)
    for hook in hooks:
        hook.remove()
    if not met:
        raise PhysLabError(f"{kind} has no convolution that could be told of further fields: choose another network")
    parent, _, last = met[0].rpartition(".")
    joined = Joined(convolutions[met[0]], further).to(device)
    setattr(network.get_submodule(parent), last, joined)
    return met[0]
