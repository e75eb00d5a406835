"""Conservation as a layer: what a coarse cell holds, its children hold together.

>>> layer = make_constraint("softmax", factor=4)
>>> fine = layer(raw, coarse)          # (..., H, W), (..., H/4, W/4) -> (..., H, W); coarsen(fine, 4) equals coarse

Each layer is one file in this folder, entered by :func:`physlab.registry.register`. Those in `coupled` act on several
variables at once, and are told their names:

>>> make_constraint("column", 4, variables=("t_850", "q_850"))       # (..., 2, H, W), (..., 2, H/4, W/4)
"""

from __future__ import annotations

from typing import Any

from physlab import registry
from physlab.constrain.additive import Additive
from physlab.constrain.layer import Constraint, Identity
from physlab.constrain.multiplicative import Multiplicative
from physlab.constrain.penalty import ALPHA, conservation_penalty, soft_loss
from physlab.constrain.scaled_additive import ScaledAdditive
from physlab.constrain.softmax import Softmax
from physlab.errors import PhysLabError

#: Name -> class of the layers.
LAYERS: registry.Registered[type[Constraint]] = registry.Registered("constraints", lambda s: s.facts.get("layer", True))
#: The same of those that act on several variables at once.
COUPLINGS: registry.Registered[type[Constraint]] = registry.Registered("couplings")

__all__ = [
    "ALPHA",
    "CONSTRAINTS",
    "COUPLINGS",
    "LAYERS",
    "Additive",
    "Constraint",
    "Identity",
    "Multiplicative",
    "ScaledAdditive",
    "Softmax",
    "conservation_penalty",
    "layer_name",
    "make_constraint",
    "soft_loss",
]


def __getattr__(name: str) -> Any:
    """`CONSTRAINTS`: what a recipe may name, the layers and "soft", which is the layer none with a penalty."""
    if name == "CONSTRAINTS":
        return registry.names("constraints")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_constraint(name: str, factor: int, **options) -> Constraint:
    """Constraint layer by name.

    Parameters
    ----------
    name : "none", "add", "scaled_add", "mult", "softmax", or another that is registered; of several variables "column".
    factor : block edge N.
    options : `weights` for all; others as the layer has them, such as `bounds`, `threshold` and `temperature`.

    Returns
    -------
    Module with ``layer(fine (..., H, W), coarse (..., H/N, W/N)) -> (..., H, W)``.

    Raises
    ------
    PhysLabError : unknown name or option; "soft", which is no layer.
    """
    if name == "soft":
        raise PhysLabError(
            "'soft' is a penalty in the loss, not a layer: use physlab.constrain.conservation_penalty(fine, coarse, "
            "factor) in the loss, or train a recipe with constraint='soft'; layers: " + ", ".join(LAYERS)
        )
    if name not in LAYERS and name not in COUPLINGS:
        raise PhysLabError(
            f"unknown constraint {name!r}: choose one of {', '.join(LAYERS)} (or train with the penalty 'soft'), or of "
            f"several variables {', '.join(COUPLINGS)}"
        )
    layer = (LAYERS if name in LAYERS else COUPLINGS)[name]
    known = ["weights", *(option.name for option in layer.entry.options)]
    if not set(options) <= set(known):
        raise PhysLabError(f"constraint {name!r} got options {sorted(options)}: it allows {', '.join(known)}")
    return layer(factor, **options)


def layer_name(constraint: str) -> str:
    """Name of the layer that a model trained with `constraint` holds: "soft" trains the layer "none" with a penalty."""
    known = (*registry.names("constraints"), *COUPLINGS)
    if constraint not in known:
        raise PhysLabError(f"unknown constraint {constraint!r}: choose one of {', '.join(known)}")
    return constraint if constraint in LAYERS or constraint in COUPLINGS else "none"
