"""Laws by name: the residual of any of them for the fields that are at hand.

A law is a function that registers itself::

    @register("temperature-advection", group="laws", title="Advection of temperature", units="K s-1")
    def residual(t, u, v, grid):
        ...

What it takes are the names of its arguments without a default: variables by their short names (u, v, t, q, z, ...), and
`grid` (a :class:`~physlab.grid.Grid`), `level` (hPa), `height` (m, of the ground) or `dt` (s). Whoever has these
fields can ask for the law: an analysis of a state, members over terrain, the loss of a training.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch

from physlab.equations.relative import relative_residual
from physlab.errors import PhysLabError
from physlab.registry import Registered, unknown

#: Name -> residual(...) of the registered laws.
LAWS: Registered[Callable] = Registered("laws")


def laws_of(known: Collection[str]) -> list[str]:
    """Names of the laws that take nothing beyond these fields and names."""
    return [name for name, spec in LAWS.specs.items() if set(spec.facts.get("takes", ("?",))) <= set(known)]


def residual_of(name: str, fields: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """The components of the residual of a law, most laws have one; the unit is that of the law.

    Parameters
    ----------
    fields : argument -> tensor (..., H, W), `grid`, `level` and the like, as the law takes them; others are left out.

    Raises
    ------
    PhysLabError : unknown law, or an argument that is not there.
    """
    if name not in LAWS:
        raise PhysLabError(unknown("law", name, LAWS))
    takes = LAWS.specs[name].facts["takes"]
    missing = [arg for arg in takes if arg not in fields]
    if missing:
        raise PhysLabError(f"law {name!r} takes {', '.join(takes)}: there is no {', '.join(missing)}")
    made = LAWS[name](*(fields[arg] for arg in takes))
    return made if isinstance(made, tuple) else (made,)


def relative_to_truth(
    name: str, fields: Mapping[str, Any], truth: Mapping[str, Any], weights: torch.Tensor | None = None
) -> float:
    """Root mean square of the residual over that of the truth, dimensionless: 1 is as balanced as the truth."""
    made, true = (torch.stack(residual_of(name, given)) for given in (fields, truth))
    return float(relative_residual(made, true, weights))
