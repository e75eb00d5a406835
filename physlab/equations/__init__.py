"""What nature says: one law per module, in SI units, written once and used as penalty, diagnostic, score and exercise.

Each law offers `residual(...)`, zero where the law holds, and registers it; :func:`residual_of` finds it by name.
Compare it with the residual of the truth by :func:`relative_residual`.
"""

from physlab.equations import (
    advection,
    geostrophic,
    hydrostatic,
    moisture,
    momentum,
    operators,
    saturation,
    surface_temperature,
)
from physlab.equations.law import LAWS, laws_of, relative_to_truth, residual_of
from physlab.equations.relative import relative_residual

__all__ = [
    "LAWS",
    "advection",
    "geostrophic",
    "hydrostatic",
    "laws_of",
    "moisture",
    "momentum",
    "operators",
    "relative_residual",
    "relative_to_truth",
    "residual_of",
    "saturation",
    "surface_temperature",
]
