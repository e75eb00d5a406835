"""What nature says: one law per module, in SI units, written once and used as penalty, diagnostic, score and exercise.

Each law offers `residual(...)`, zero where the law holds; compare it with the residual of the truth by
:func:`relative_residual`.
"""

from physlab.equations import advection, geostrophic, hydrostatic, moisture, momentum, operators, saturation
from physlab.equations.relative import relative_residual

__all__ = [
    "advection",
    "geostrophic",
    "hydrostatic",
    "moisture",
    "momentum",
    "operators",
    "relative_residual",
    "saturation",
    "surface_temperature",
]
