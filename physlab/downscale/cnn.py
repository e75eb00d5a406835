"""Downscaling with a network and a constraint layer: the learned methods of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import xarray as xr
from torch import Tensor, nn

from physlab import registry
from physlab.constrain import Constraint, layer_name, make_constraint
from physlab.downscale.base import BATCH, Cancel, FieldDownscaler, Progress
from physlab.downscale.recurrent import downscale_sequence
from physlab.downscale.static import statics_on
from physlab.errors import FieldError
from physlab.grid import Grid, ProjectedGrid
from physlab.nn import Upscaler
from physlab.nn.precision import Swift, check_precision, precision_of
from physlab.registry import Spec


class CNN(nn.Module, FieldDownscaler):
    """Network, constraint layer and scale; the layer acts on the field divided by the scale, without offset.

    Parameters
    ----------
    network : coarse -> raw fine, both in units of the scale.
    constraint : one of :data:`physlab.constrain.CONSTRAINTS`; "soft" holds the layer "none" and was trained with the
        penalty.
    scale : physical unit per layer unit, > 0.
    variable : short name of the field it is for, e.g. "tcw".
    name : of the checkpoint.
    options : of the constraint layer.
    grid : {"latitude": [...]} of the fine training grid, and "longitude" for a fixed domain; gives the exact fine
        grid of a coarse one.
    card : the card of the checkpoint, if it comes from one.

    Attributes
    ----------
    precision : of the network in :meth:`predict`: "fp32", "bf16", or "auto" for what the processor multiplies fast; the
        layer works in single precision at least. See :mod:`physlab.nn.precision` for what it costs.
    """

    precision = "fp32"

    def __init__(
        self,
        network: Upscaler,
        constraint: str,
        scale: float,
        variable: str | None = None,
        name: str = "",
        options: Mapping | None = None,
        grid: Mapping | None = None,
        card: Mapping | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.constraint = constraint
        self.options = dict(options or {})
        self.layer: Constraint = make_constraint(layer_name(constraint), network.factor, **self.options)
        self.scale = float(scale)
        self.variable = variable
        self.name = name
        self.factor = network.factor
        self.domain = getattr(network, "domain", None)
        self.training_grid = dict(grid or {})
        self.card = dict(card or {})
        self._swift = Swift()

    def forward(
        self, coarse: Tensor, weights: Tensor | None = None, noise: Tensor | None = None, static: Tensor | None = None
    ) -> Tensor:
        """Layer units, (B, T, h, w) -> (B, T', h*N, w*N); `weights` are fine cell areas, for the rest see Upscaler."""
        raw, full = self.network.run(coarse, noise, static)
        return self.layer(raw, full, weights)

    def predict(self, coarse: Tensor, weights: Tensor | None = None, static: Tensor | None = None) -> Tensor:
        """Physical units, (..., h, w) -> (..., h*N, w*N), in the dtype of `coarse`.

        Networks for sequences take (..., T, h, w) and give (..., T', h*N, w*N). `static` (..., S, h*N, w*N) is wanted
        by the networks that name static fields: :meth:`downscale` finds it by itself.
        """
        return self._draw(coarse, weights, static)

    @torch.no_grad()
    def _draw(
        self,
        coarse: Tensor,
        weights: Tensor | None,
        static: Tensor | None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """:meth:`predict` with the generator of the noise, if the network takes noise."""
        frames, made = self.network.frames
        if coarse.ndim < 2 or (frames > 1 and coarse.shape[-3:-2] != (frames,)):
            wanted = "(..., h, w)" if frames == 1 else f"(..., {frames}, h, w), {frames} successive frames"
            raise FieldError(f"coarse field has shape {tuple(coarse.shape)}: pass {wanted}")
        parameter = next(self.network.parameters())
        x = coarse.to(device=parameter.device).reshape(-1, frames, *coarse.shape[-2:])
        weights = None if weights is None else weights.to(parameter.device)
        if static is not None:
            static = static.to(parameter.device, parameter.dtype).expand(len(x), *static.shape[-3:])
        was_training = self.training
        self.eval()
        parts = range(0, len(x), BATCH)
        fine = torch.cat([
            self._predict(x[i : i + BATCH], weights, None if static is None else static[i : i + BATCH], generator)
            for i in parts
        ])  # fmt: skip
        self.train(was_training)
        shape = (*coarse.shape[:-3], made) if frames > 1 else coarse.shape[:-2]
        return fine.reshape(*shape, *fine.shape[-2:]).to(device=coarse.device, dtype=coarse.dtype)

    def _predict(
        self, x: Tensor, weights: Tensor | None, static: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        parameter = next(self.network.parameters())
        shape, noise = self.network.noise_shape(x), None
        if shape is not None:
            noise = torch.randn(shape, generator=generator).to(parameter)
        half = precision_of(check_precision(self.precision), parameter.device) == "bf16"
        with torch.autocast(parameter.device.type, torch.bfloat16, enabled=half):
            raw, full = self._swift.of(self.network).run(x.to(parameter.dtype) / self.given_scale, noise, static)
        working = torch.promote_types(x.dtype, torch.float32)
        return self.layer(raw.to(working), self._constrained_to(x.to(working), full), weights) * self.scale

    @property
    def given_scale(self) -> float | Tensor:
        """What the network's input is divided by."""
        return self.scale

    def _constrained_to(self, x: Tensor, full: Tensor) -> Tensor:
        """The coarse fields (B, T', h, w) that the layer keeps, in its units: those given, without loss of precision,
        or what a network for sequences makes of them."""
        return x / self.scale if self.network.frames[0] == self.network.frames[1] else full.to(x.dtype)

    @property
    def spec(self) -> Spec:
        network, layer = (getattr(type(part), "entry", None) for part in (self.network, self.layer))
        title = network.title if network else type(self.network).__name__
        if self.constraint != "none" and layer:
            known = {**registry.specs("couplings"), **registry.specs("constraints")}
            title += f", {known[self.constraint].title.lower()}"
        return replace(
            super().spec, title=title, kind="network", statics=self.network.statics, frames=self.network.frames,
            reference=network.reference if network else "",
        )  # fmt: skip

    def downscale(
        self, coarse: xr.DataArray | xr.Dataset, *, statics: xr.Dataset | None = None, members: int | None = None,
        seed: int = 0, progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """As for every method; sequence networks work along time, and static fields that are not given are looked up
        on the fine grid."""
        if self.network.frames != (1, 1):
            self.check_members(members)
            return downscale_sequence(self, coarse, progress, cancel)
        if self.network.statics:
            if statics is None and "own" in self.card:  # those of the laboratory are not of the user's place
                raise FieldError(
                    f"{self.name} was trained with {', '.join(self.network.statics)} of your own: pass them (--statics)"
                )
            self.check_members(members)
            here = AtPlace(self, Grid.from_dataset(self._dataset(coarse)), statics)
            return here.downscale(coarse, progress=progress, cancel=cancel)
        return super().downscale(coarse, statics=statics, members=members, seed=seed, progress=progress, cancel=cancel)


class AtPlace(FieldDownscaler):
    """A network with static fields, at one place: the fields of that grid are found once."""

    def __init__(self, model: CNN, grid: Grid, statics: xr.Dataset | None = None) -> None:
        self.model, self.name, self.factor, self.variable = model, model.name, model.factor, model.variable
        self.domain = grid.shape
        if isinstance(grid, ProjectedGrid):
            raise FieldError(
                f"{model.name} looks up its static fields by latitude and longitude, the field lies on a projected "
                f"grid: take a method without static fields, such as bicubic+add-x{model.factor}"
            )
        fine = model.refine_grid(grid)
        self.static = statics_on(model.network.statics, fine, statics)

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """As the model does."""
        return self.model.predict(coarse, weights, self.static)

    def refine_grid(self, grid: Grid) -> Grid:
        """As the model does."""
        return self.model.refine_grid(grid)
