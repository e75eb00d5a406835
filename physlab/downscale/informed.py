"""Networks that are given several fields: variables refined jointly, predictors besides, and static fields of a place.

>>> model = physlab.load_model("models/mine")          # trained by physlab train edsr TRUTH OUT --variable u10 v10
>>> fine = model.downscale(coarse)                     # coarse: u10, v10 and the predictors; fine: u10, v10
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import Cancel, Progress
from physlab.downscale.cnn import CNN
from physlab.downscale.members import MEMBERS, drawn
from physlab.downscale.several import downscale_several
from physlab.downscale.static import statics_on
from physlab.errors import CheckpointError, PhysLabError
from physlab.grid import Grid
from physlab.nn.informed import InformedNetwork
from physlab.registry import Spec
from physlab.store import open_checkpoint, reading, refuse_sizes, write_checkpoint


class Informed(CNN):
    """A :class:`~physlab.nn.informed.InformedNetwork` with a constraint layer.

    Parameters
    ----------
    network, constraint, name, options, grid, card : as in :class:`CNN`.
    variables, predictors : names, in the order of the channels.
    scales : physical unit per layer unit of each channel.
    ground : (K, H, W) static fields of the place that the method is bound to; None for those that are passed.
    """

    lazy = gaps = False  # it takes several fields at once, which have a value everywhere
    scale: Tensor  # type: ignore[assignment]  # one number for each variable
    scale_of_all: Tensor
    ground: Tensor | None

    def __init__(
        self, network: InformedNetwork, constraint: str, variables: Sequence[str], predictors: Sequence[str],
        scales: Sequence[float], name: str = "", options: Mapping | None = None, grid: Mapping | None = None,
        card: Mapping | None = None, ground: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__(network, constraint, 1.0, variables[0], name, options, grid, card)
        self.variables, self.predictors = tuple(variables), tuple(predictors)
        if len(scales) != len(self.variables) + len(self.predictors):
            raise PhysLabError(f"{len(scales)} scales of {len(self.variables) + len(self.predictors)} channels")
        given = torch.tensor([float(s) for s in scales], device="cpu").reshape(-1, 1, 1)
        del self.scale
        self.register_buffer("scale", given[: len(self.variables)].clone(), persistent=False)
        self.register_buffer("scale_of_all", given, persistent=False)
        self.register_buffer("ground", ground, persistent=False)
        if ground is not None:  # what was learned at one place holds there
            self.domain = (ground.shape[-2] // self.factor, ground.shape[-1] // self.factor)

    @property
    def given_scale(self) -> Tensor:
        """(C, 1, 1): variables and predictors."""
        return self.scale_of_all

    def _constrained_to(self, x: Tensor, full: Tensor) -> Tensor:
        """Of the channels that are given, the variables alone are kept: (B, V, h, w)."""
        return x[:, : len(self.variables)] / self.scale

    def predict(self, coarse: Tensor, weights: Tensor | None = None, static: Tensor | None = None) -> Tensor:
        """(..., C, h, w) -> (..., V, h*N, w*N), physical units; the mean of ten members of a network with noise."""
        coarse, static = self._channels(coarse, static)
        if self.noisy:
            return self.sample(coarse, weights, MEMBERS, None, static).mean(0)
        return self._draw(coarse, weights, static)

    def sample(
        self, coarse: Tensor, weights: Tensor | None = None, members: int = MEMBERS,
        generator: torch.Generator | None = None, static: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Distinct members, (..., C, h, w) -> (members, ..., V, h*N, w*N)."""
        coarse, static = self._channels(coarse, static)
        return drawn(lambda noise: self._draw(coarse, weights, static, noise), members, generator)

    def _channels(self, coarse: Tensor, static: Tensor | None) -> tuple[Tensor, Tensor | None]:
        count = self.network.frames[0]
        coarse = coarse.unsqueeze(-3) if count == 1 and (coarse.ndim < 3 or coarse.shape[-3] != 1) else coarse
        return coarse, self.ground if static is None else static

    def _draw(
        self, coarse: Tensor, weights: Tensor | None, static: Tensor | None, generator: torch.Generator | None = None
    ) -> Tensor:
        if self.network.frames[0] > 1:
            return super()._draw(coarse, weights, static, generator)
        made = super()._draw(coarse[..., 0, :, :], weights, static, generator)  # one frame is no axis there
        return made.unsqueeze(-3)

    @property
    def noisy(self) -> bool:
        """Whether the network takes noise."""
        return (
            self.network.noise_shape(torch.zeros(1, self.network.frames[0], 4, 4, device=self.scale.device)) is not None
        )

    @property
    def spec(self) -> Spec:
        units = (self.card.get("data") or {}).get("units", {})
        inputs = {name: units.get(name, "") for name in (*self.variables, *self.predictors)}
        return replace(super().spec, inputs=inputs, frames=(1, 1), ensemble=self.noisy)

    def downscale(
        self, coarse: xr.DataArray | xr.Dataset, *, statics: xr.Dataset | None = None, members: int | None = None,
        seed: int = 0, progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """Fine fields of the variables from them and the predictors; with a `member` dimension if there is noise.

        Raises
        ------
        FieldError : a field that is missing, another place than the one that was learned, missing values.
        """
        self.check_members(members)
        generator = torch.Generator().manual_seed(seed)

        def ground(grid: Grid) -> Tensor | None:
            if not self.network.statics:
                return None
            if self.ground is not None and statics is None:
                return self.ground
            if statics is None:
                raise PhysLabError(f"{self.name} needs the static fields {', '.join(self.network.statics)} of this "
                                   f"place: "
                                   "pass them (--statics)")  # fmt: skip
            return statics_on(self.network.statics, grid, statics)

        def made(x: Tensor, weights: Tensor, static: Tensor | None) -> Tensor:
            return self._draw(x, weights, static, generator if self.noisy else None)

        count = (MEMBERS if members is None else members) if self.noisy else 0
        return downscale_several(self, coarse, self.variables, self.predictors, made, ground, count, progress, cancel)

    # --- files --------------------------------------------------------------------------------------------------------
    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``card.json``."""
        described = {
            "class": type(self).__name__, "name": self.name, "task": "own", "factor": self.factor,
            "constraint": self.constraint, "layer": self.layer.name, "constraint_options": self.options,
            "grid": dict(self.training_grid), "variables": list(self.variables), "predictors": list(self.predictors),
            "scales": self.given_scale.flatten().tolist(),
            "network": {"class": self.network.arguments["network"], "arguments": _plain(self.network.arguments),
                        "parameters": sum(p.numel() for p in self.network.parameters())},
        }  # fmt: skip
        tensors = dict(self.network.state_dict())
        if self.ground is not None:
            tensors["ground"] = self.ground
        return write_checkpoint(folder, {**self.card, **described}, tensors)

    @classmethod
    def load(cls, folder: str | Path) -> Informed:
        """A trained one, on the CPU and in evaluation mode.

        Raises
        ------
        CheckpointError : missing or damaged files, or weights that are not of the network on the card.
        """
        with reading("network", folder):
            found = open_checkpoint(folder)
            card, arguments = found.card, found.card["network"]["arguments"]
            refuse_sizes({k: v for k, v in arguments.items() if k in ("factor", "trunks", "statics")})
            if len(arguments["trunks"]) > 32 or len(arguments["shift"]) > 256:
                raise CheckpointError("more variables or channels than a network of this kind has")
            network = InformedNetwork(**arguments)
            wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
            if "ground" in found.shapes:
                wanted["ground"] = found.shapes["ground"]
            found.require(wanted)
            tensors = {name: tensor.float() for name, tensor in found.tensors().items()}
            ground = tensors.pop("ground", None)
            network.load_state_dict(tensors)
            own = {k: v for k, v in card.items() if k != "class"}
            model = cls(network, card["constraint"], card["variables"], card["predictors"], card["scales"],
                        card["name"], card["constraint_options"], card["grid"], own, ground)  # fmt: skip
        model.network.requires_grad_(False)
        return model.eval()


def _plain(value: Any) -> Any:
    """As JSON holds it."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
