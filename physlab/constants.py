"""Physical constants, each with symbol, value, unit and source: SI throughout, one value for the whole library.

Sources: [IAU] IAU/IERS conventions; [WMO] WMO guide to instruments, CIPM normal gravity; [IFS] ECMWF, IFS
documentation CY47R3, Part IV, section 12 (thermodynamic constants); [DIN] Kochkov et al. (2024), NeuralGCM, dynamical
core `dinosaur`.
"""

EARTH_RADIUS: float = 6.37122e6
"""a, mean radius of the Earth, m [DIN; also Williamson et al. 1992]."""

OMEGA: float = 7.292115e-5
"""Omega, angular velocity of the Earth's rotation, s-1 [IAU]."""

GRAVITY: float = 9.80665
"""g, standard acceleration of gravity, m s-2 [WMO]."""

R_DRY: float = 287.0597
"""R_d, gas constant of dry air, J kg-1 K-1 [IFS]."""

R_VAPOUR: float = 461.525
"""R_v, gas constant of water vapour, J kg-1 K-1 [IFS]."""

CP_DRY: float = 1004.709
"""c_p, specific heat capacity of dry air at constant pressure, 7/2 R_d, J kg-1 K-1 [IFS]."""

CP_VAPOUR: float = 1846.1
"""c_pv, specific heat capacity of water vapour at constant pressure, 4 R_v, J kg-1 K-1 [IFS]."""

CP_WATER: float = 4218.0
"""c_l, specific heat capacity of liquid water, J kg-1 K-1 [IFS]."""

LATENT_HEAT: float = 2.5008e6
"""L_0, latent heat of vaporisation at 0 degrees Celsius, J kg-1 [IFS]."""

MELTING: float = 273.15
"""T_0, 0 degrees Celsius, K [IFS: 273.16, the triple point]."""

KAPPA: float = 2.0 / 7.0
"""kappa = R_d / c_p of a diatomic ideal gas, dimensionless."""

EPSILON: float = R_DRY / R_VAPOUR
"""epsilon = R_d / R_v, ratio of the gas constants (0.622), dimensionless."""

WATER_DENSITY: float = 1000.0
"""rho_w, density of liquid water, kg m-3: turns metres of water into kg m-2."""

REFERENCE_PRESSURE: float = 1.0e5
"""p_0, reference pressure of the potential temperature, Pa."""
