r"""Moist static energy (Emanuel 1994, *Atmospheric Convection*, section 4.5): linear, as mostly written, and exact.

.. math::
    h = c_{pd} T + L_0 q + \Phi , \qquad
    h_{exact} = \bigl((1 - q)\, c_{pd} + q\, c_l\bigr) T + \bigl(L_0 - (c_l - c_{pv})(T - T_0)\bigr) q + \Phi .

Per mass of moist air without condensate. Only the second has a product of temperature and humidity, with the
coefficient :math:`c_{pv} - c_{pd}`: only its block mean differs from what the block means of its parts give.
"""

from __future__ import annotations

import torch

from physlab.constants import CP_DRY, CP_VAPOUR, CP_WATER, LATENT_HEAT, MELTING


def moist_static(
    t: torch.Tensor, q: torch.Tensor, z: torch.Tensor | float = 0.0, *, exact: bool = False
) -> torch.Tensor:
    """h in J kg-1 of temperature (K), specific humidity (kg kg-1) and geopotential (m2 s-2), broadcast together.

    Parameters
    ----------
    exact : with the heat capacity of moist air, and latent heat that falls with temperature.
    """
    if not exact:
        return CP_DRY * t + LATENT_HEAT * q + z
    latent = LATENT_HEAT - (CP_WATER - CP_VAPOUR) * (t - MELTING)
    return ((1 - q) * CP_DRY + q * CP_WATER) * t + latent * q + z
