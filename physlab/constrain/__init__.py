"""Conservation as a layer: what a coarse cell holds, its children hold together.

>>> layer = make_constraint("softmax", factor=4)
>>> fine = layer(raw, coarse)          # (..., H, W), (..., H/4, W/4) -> (..., H, W); coarsen(fine, 4) equals coarse
"""

from __future__ import annotations

from physlab.constrain.additive import Additive
from physlab.constrain.layer import Constraint, Identity
from physlab.constrain.multiplicative import Multiplicative
from physlab.constrain.penalty import ALPHA, conservation_penalty, soft_loss
from physlab.constrain.scaled_additive import ScaledAdditive
from physlab.constrain.softmax import Softmax
from physlab.errors import PhysLabError

LAYERS: dict[str, type[Constraint]] = {
    layer.name: layer for layer in (Identity, Additive, ScaledAdditive, Multiplicative, Softmax)
}
#: What a recipe may name: the layers, and "soft", which is the layer none with a penalty in the loss.
CONSTRAINTS = ("none", "soft", "add", "scaled_add", "mult", "softmax")

__all__ = [
    "ALPHA",
    "CONSTRAINTS",
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


def make_constraint(name: str, factor: int, **options) -> Constraint:
    """Constraint layer by name.

    Parameters
    ----------
    name : "none", "add", "scaled_add", "mult" or "softmax".
    factor : block edge N.
    options : `weights` for all; `bounds` for scaled_add, `threshold` for mult, `temperature` for softmax.

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
    if name not in LAYERS:
        raise PhysLabError(
            f"unknown constraint {name!r}: choose one of {', '.join(LAYERS)} (or train with the penalty 'soft')"
        )
    try:
        return LAYERS[name](factor, **options)
    except TypeError:
        allowed = {"scaled_add": ["bounds"], "mult": ["threshold"], "softmax": ["temperature"]}.get(name, [])
        raise PhysLabError(
            f"constraint {name!r} got options {sorted(options)}: it allows {', '.join(['weights', *allowed])}"
        ) from None


def layer_name(constraint: str) -> str:
    """Name of the layer that a model trained with `constraint` holds: "soft" trains the layer "none" with a penalty."""
    if constraint not in CONSTRAINTS:
        raise PhysLabError(f"unknown constraint {constraint!r}: choose one of {', '.join(CONSTRAINTS)}")
    return "none" if constraint == "soft" else constraint
