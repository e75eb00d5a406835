"""An equation for a refined field of one's own: any law whose other fields stand in the same file at the same time.

A downscaled temperature alone obeys no equation of motion that can be asked; with the wind of the same file it does.
The law takes the refined variable from the method, or from the truth, and all others from the truth: what differs
between the two residuals is the method's, and the target is the residual of the truth, not zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physlab.equations.law import LAWS, laws_of, residual_of
from physlab.equations.relative import relative_residual
from physlab.train.own.data import OwnData
from physlab.train.own.request import Request, opened
from physlab.train.own.source import Source, source_of

NAMES = {  # argument of a law -> variables of a file that are it
    "t": ("t", "t2m", "t_low"),
    "u": ("u", "u10", "u_low"),
    "v": ("v", "v10", "v_low"),
    "z": ("z",),
    "q": ("q",),
    "p": ("sp",),
}
SOME = 6
"""Frames whose true residual says how large one is."""


@dataclass(frozen=True, eq=False)
class Balance:
    """A residual beside that of the truth.

    Attributes
    ----------
    residual, truth : (H, W), unit of the law; the length of a vector where the law has two components.
    relative : root mean square of the residual over that of the truth: 1 is as balanced as the truth.
    """

    residual: Tensor
    truth: Tensor
    relative: float


@dataclass(eq=False)
class Law:
    """A law for the pairs of a request.

    Attributes
    ----------
    name, title, units : of the law.
    argument : what the refined variable is in it.
    others : argument -> variable of the file.
    limit : 98 % of the size of the truth's residual, over some frames.
    """

    name: str
    data: OwnData
    split: str
    argument: str
    others: dict[str, str]
    source: Source
    limit: float = field(init=False)

    def __post_init__(self) -> None:
        frames = len(self.data.fine[self.split])
        some = range(0, frames, max(1, frames // SOME))
        size = torch.cat([self._of(self._true(at), at)[0].abs().flatten() for at in some])
        known = size[torch.isfinite(size)]
        self.limit = (float(np.quantile(known.numpy(), 0.98)) if len(known) else 0.0) or 1.0

    @property
    def title(self) -> str:
        """For people."""
        return LAWS.specs[self.name].title

    @property
    def units(self) -> str:
        """As files have them."""
        return str(LAWS.specs[self.name].facts.get("units", ""))

    def _true(self, index: int) -> Tensor:
        return self.data.fine[self.split][index, 0]

    def _of(self, refined: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """(map, components) of a field (H, W) at a frame."""
        at = int(np.flatnonzero(self.source.time == self.data.time[self.split][index])[0])
        given: dict[str, Any] = {
            name: torch.as_tensor(self.source.fine[v][at].values).float() for name, v in self.others.items()
        }
        given |= {self.argument: refined.float(), "grid": self.data.grid(self.split, index)}
        if "elevation" in self.source.ground:
            given["height"] = 1e3 * torch.as_tensor(self.source.ground["elevation"]).float()  # m
        parts = torch.stack(residual_of(self.name, given))
        return (parts[0] if len(parts) == 1 else torch.linalg.vector_norm(parts, dim=0)), parts

    def balance(self, refined: Tensor, index: int) -> Balance:
        """The residual of a field (H, W) in the place of the truth of a frame."""
        made, parts = self._of(refined, index)
        true, true_parts = self._of(self._true(index), index)
        return Balance(made, true, float(relative_residual(parts, true_parts, self.data.weights)))


def law_for(data: OwnData, request: Request, split: str) -> Law | None:
    """The first law that the file of a request has everything for; None if there is none.

    Only for whole fields of one variable at single times, on latitude and longitude.
    """
    variable = data.variable
    argument = next((name for name, known in NAMES.items() if variable in known), None)
    if argument is None or data.step is not None or not data.fixed or data.on_map or request.coarse:
        return None
    ds = opened(request, request.truth)
    there = {str(n) for n, da in ds.data_vars.items() if set(ds[variable].dims) == set(da.dims)}
    statics = set(data.ground)
    ds.close()
    others = {name: v for name, known in NAMES.items() if name != argument for v in known if v in there}
    chosen = _law_of(argument, {argument, *others, "grid", *(["height"] if "elevation" in statics else [])})
    if chosen is None:
        return None
    takes = LAWS.specs[chosen].facts["takes"]
    others = {name: v for name, v in others.items() if name in takes}
    source = source_of(dataclasses.replace(request, variables=(variable, *others.values()), predictors=()))
    return Law(chosen, data, split, argument, others, source)


def _law_of(argument: str, known: Collection[str]) -> str | None:
    return next((name for name in laws_of(known) if argument in LAWS.specs[name].facts["takes"]), None)
