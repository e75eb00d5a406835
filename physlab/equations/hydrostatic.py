r"""Hydrostatic balance on pressure levels: the hypsometric equation (Holton and Hakim 2013, eq. 1.29).

.. math::
    \Phi(p_2) - \Phi(p_1) = R_d\, \overline{T_v}\, \ln\frac{p_1}{p_2}, \qquad
    T_v = T \left(1 + (1/\epsilon - 1)\, q\right) .

The layer mean of the virtual temperature is the mean of the two levels (T_v linear in ln p): exact for such a layer,
good to a few per mille for 100 hPa, and the larger part of the residual if only two levels 350 hPa apart are known.
"""

from __future__ import annotations

import torch

from physlab.constants import EPSILON, R_DRY
from physlab.errors import PhysLabError
from physlab.registry import register


def virtual_temperature(t: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
    """T_v in K of temperature in K and specific humidity in kg kg-1 (None: dry air), any shape."""
    return t if q is None else t * (1.0 + (1.0 / EPSILON - 1.0) * q)


def pressures(level: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The levels (L,) of a field (..., L, H, W), in its dtype.

    Raises
    ------
    PhysLabError : levels that do not fit the field, or fewer than two.
    """
    p = torch.as_tensor(level, dtype=x.dtype, device=x.device)
    if p.ndim != 1 or x.ndim < 3 or p.numel() != x.shape[-3] or p.numel() < 2:
        raise PhysLabError(
            f"levels {tuple(p.shape)} do not fit the field {tuple(x.shape)}: pass (..., level, H, W) "
            "and at least 2 pressures"
        )
    return p


def thickness(t: torch.Tensor, level: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
    """Geopotential of each level minus that of the level before, from temperature: (..., L-1, H, W), J kg-1 (= m2 s-2).

    Parameters
    ----------
    t : (..., L, H, W), K. q : same shape, kg kg-1, or None for dry air.
    level : (L,) pressure, any unit (only ratios matter), in the order of the field.
    """
    p = pressures(level, t)
    tv = virtual_temperature(t, q)
    mean = 0.5 * (tv[..., 1:, :, :] + tv[..., :-1, :, :])
    return R_DRY * mean * torch.log(p[:-1] / p[1:])[:, None, None]


@register("hydrostatic", group="laws", title="Hypsometric equation", units="J kg-1")
def residual(z: torch.Tensor, t: torch.Tensor, level: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
    """Thickness of the geopotential minus that of the temperature, layer by layer: (..., L-1, H, W), J kg-1.

    Parameters
    ----------
    z : (..., L, H, W) geopotential, m2 s-2 (not height in metres). Others as in :func:`thickness`.
    """
    return z[..., 1:, :, :] - z[..., :-1, :, :] - thickness(t, level, q)
