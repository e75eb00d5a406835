"""Downscaling with a network and a constraint layer: the learned methods of the zoo."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from physlab.constrain import Constraint, layer_name, make_constraint
from physlab.downscale.base import FieldDownscaler, batched
from physlab.errors import FieldError
from physlab.grid import Grid
from physlab.nn import Upscaler


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
    """

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

    def forward(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """Layer units, (B, 1, h, w) -> (B, 1, h*N, w*N); `weights` are fine cell areas."""
        return self.layer(self.network(coarse), coarse, weights)

    @torch.no_grad()
    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """Physical units, (..., h, w) -> (..., h*N, w*N), in the dtype of `coarse`."""
        if coarse.ndim < 2:
            raise FieldError(f"coarse field has shape {tuple(coarse.shape)}: pass (..., h, w)")
        parameter = next(self.network.parameters())
        x = coarse.to(device=parameter.device).reshape(-1, 1, *coarse.shape[-2:])
        weights = None if weights is None else weights.to(parameter.device)
        was_training = self.training
        self.eval()
        fine = batched(lambda part: self._predict(part, parameter.dtype, weights), x)
        self.train(was_training)
        return fine.reshape(*coarse.shape[:-2], *fine.shape[-2:]).to(device=coarse.device, dtype=coarse.dtype)

    def _predict(self, x: Tensor, dtype: torch.dtype, weights: Tensor | None) -> Tensor:
        raw = self.network(x.to(dtype) / self.scale)
        if x.dtype == torch.float64:
            raw = raw.double()
        else:
            x = x.float()
        return self.layer(raw, x / self.scale, weights) * self.scale

    def refine_grid(self, grid: Grid) -> Grid:
        """The fine grid of the training data where the coarse grid is theirs; else an even division."""
        latitude = self.training_grid.get("latitude")
        fine = super().refine_grid(grid)
        if latitude is None or len(latitude) != fine.latitude.size:
            return fine
        exact = Grid(np.asarray(latitude), fine.longitude)
        return exact if np.allclose(exact.coarsen(self.factor).latitude, grid.latitude, atol=1e-3) else fine

    def check_grid(self, grid: Grid) -> None:
        """Also refuse another place than the one that a network with a map has learned."""
        super().check_grid(grid)
        if self.domain is None or "longitude" not in self.training_grid:
            return
        own = Grid(self.training_grid["latitude"], self.training_grid["longitude"]).coarsen(self.factor)
        if not (
            np.allclose(own.latitude, grid.latitude, atol=0.01)
            and np.allclose(own.longitude, grid.longitude, atol=0.01)
        ):
            raise FieldError(
                f"{self.name} has learned the map of latitude {own.latitude[0]:g} to {own.latitude[-1]:g}, longitude "
                f"{own.longitude[0]:g} to {own.longitude[-1]:g} (coarse cells): pass that domain in that order, or a "
                f"method without a map such as bicubic+add-x{self.factor}"
            )
