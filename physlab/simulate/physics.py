"""What the laboratory atmosphere adds to the dry primitive equations: Held-Suarez forcing and a water cycle.

Each physics step, of length dt, acts on the prognostic state after the dynamics (time splitting), implicitly, so that
no rate is too large for the step:

* Rayleigh friction        dV/dt = -k_v(sigma) V                                (Held and Suarez 1994, eq. for k_v)
* Newtonian relaxation     dT/dt = -k_T(sigma, lat) (T - T_eq(lat, p))          (Held and Suarez 1994)
* evaporation over the sea dq/dt = g E / (p_s dsigma),  E = rho C_E |V| max(h q_sat - q, 0)   in the lowest layer
* condensation             q -> r q_sat(min(T, T_cap), p) where q is above it; the excess falls out at once as P

Water has no influence on the temperature (no latent heat) and none on density: q is a tracer with a source and a sink.
That keeps the simulation free of grid-point storms without a convection scheme; see the chapter on the laboratory
atmosphere for what it therefore cannot show.

References: Held, I. M. and M. J. Suarez, 1994, Bull. Amer. Meteor. Soc. 75, 1825-1830; saturation vapour pressure
after Bolton, D., 1980, Mon. Wea. Rev. 108, 1046-1053, eq. 10.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from physlab import constants

DAY = 86400.0


@dataclasses.dataclass(frozen=True)
class Physics:
    """Parameters of the forcing and of the water cycle (SI units).

    Attributes
    ----------
    friction_rate, slow_rate, fast_rate : float
        k_f, k_a, k_s of Held and Suarez (s-1).
    sigma_b : float
        Top of the boundary layer in sigma.
    t_min, t_max, dt_y, dtheta_z : float
        Equilibrium temperature of Held and Suarez (K).
    exchange : float
        Bulk coefficient of evaporation C_E (1).
    gustiness : float
        Smallest wind speed that evaporates (m s-1).
    surface_humidity : float
        h: relative humidity at which evaporation stops (1).
    critical_humidity : float
        r: relative humidity of a grid cell at which its vapour condenses (1); below one, as cells are not uniform.
    t_cap : float
        Temperature above which saturation does not rise further (K). Held-Suarez tropics are warmer than any sea.
    """

    friction_rate: float = 1 / DAY
    slow_rate: float = 1 / (40 * DAY)
    fast_rate: float = 1 / (4 * DAY)
    sigma_b: float = 0.7
    t_min: float = 200.0
    t_max: float = 315.0
    dt_y: float = 60.0
    dtheta_z: float = 10.0
    exchange: float = 1.3e-3
    gustiness: float = 2.0
    surface_humidity: float = 0.85
    critical_humidity: float = 0.9
    t_cap: float = 300.0


def saturation_humidity(temperature, pressure):
    """Saturation specific humidity (kg kg-1) over water: Bolton (1980), eq. 10.

    Parameters
    ----------
    temperature : array
        Temperature (K), any shape.
    pressure : array
        Pressure (Pa), broadcastable.
    """
    celsius = temperature - 273.15
    vapour = 611.2 * jnp.exp(17.67 * celsius / jnp.maximum(celsius + 243.5, 1.0))
    vapour = jnp.minimum(vapour, 0.5 * pressure)
    return constants.EPSILON * vapour / (pressure - (1 - constants.EPSILON) * vapour)


def friction(physics: Physics, sigma: np.ndarray, dt: float) -> np.ndarray:
    """Factor (layers, 1, 1) by which vorticity and divergence shrink in one step."""
    rate = physics.friction_rate * np.maximum(0, (sigma - physics.sigma_b) / (1 - physics.sigma_b))
    return (1 / (1 + dt * rate))[:, None, None]


def relaxation_rate(physics: Physics, sigma: np.ndarray, sin_lat: np.ndarray) -> np.ndarray:
    """k_T (s-1), shape (layers, longitude, latitude)."""
    depth = np.maximum(0, (sigma - physics.sigma_b) / (1 - physics.sigma_b))[:, None, None]
    return physics.slow_rate + (physics.fast_rate - physics.slow_rate) * depth * (1 - sin_lat**2) ** 2


def equilibrium_temperature(physics: Physics, sigma, sin_lat, surface_pressure):
    """T_eq (K), shape (layers, longitude, latitude); surface_pressure in Pa, shape (longitude, latitude)."""
    ratio = sigma[:, None, None] * surface_pressure / 1e5
    cos2 = 1 - sin_lat**2
    warm = physics.t_max - physics.dt_y * sin_lat**2 - physics.dtheta_z * jnp.log(ratio) * cos2
    return jnp.maximum(physics.t_min, ratio**constants.KAPPA * warm)


def fill(humidity, mass, area):
    """Set negative humidity to zero and shrink the rest so that the global amount of water stays the same.

    Spectral advection leaves ripples of negative humidity beside sharp fronts. Filling them alone would make water
    (as much as a tenth of the evaporation); the common factor by which the positive values shrink is 1 - O(1e-4).

    Returns the humidity and the water moved (kg m-2), shape (longitude, latitude).
    """
    filled = jnp.maximum(humidity, 0.0)
    moved = jnp.sum((filled - humidity) * mass, axis=0)
    total = jnp.sum(filled * mass * area)
    shrink = jnp.where(total > 0, 1 - jnp.sum(moved * area) / jnp.maximum(total, 1e-20), 1.0)
    return filled * jnp.maximum(shrink, 0.0), moved


def step(physics: Physics, sigma, thickness, sin_lat, sea, area, dt, temperature, humidity, wind, surface_pressure):
    """One physics step in grid space.

    Parameters
    ----------
    sigma, thickness : (layers,)
        Layer centres and thicknesses.
    sin_lat, sea, area : (longitude, latitude)
        Sine of latitude; fraction of sea in 0..1; area weights with sum 1.
    dt : float
        Step (s).
    temperature, humidity : (layers, longitude, latitude)
        K and kg kg-1, after the dynamics (humidity may be slightly negative).
    wind : (longitude, latitude)
        Wind speed in the lowest layer (m s-1).
    surface_pressure : (longitude, latitude)
        Pa.

    Returns
    -------
    temperature, humidity : as given
    budget : dict of (longitude, latitude) arrays in kg m-2
        ``evaporation``, ``precipitation`` and ``filling`` (water moved to fill negative humidity, no net source).
    """
    pressure = sigma[:, None, None] * surface_pressure
    mass = thickness[:, None, None] * surface_pressure / constants.GRAVITY  # kg of air per m2 and layer
    rate = relaxation_rate(physics, sigma, sin_lat)
    target = equilibrium_temperature(physics, sigma, sin_lat, surface_pressure)
    temperature = (temperature + dt * rate * target) / (1 + dt * rate)

    filled, moved = fill(humidity, mass, area)
    saturation = saturation_humidity(jnp.minimum(temperature, physics.t_cap), pressure)

    t_low = jnp.minimum(temperature[-1], physics.t_cap)
    density = pressure[-1] / (constants.R_DRY * temperature[-1])
    speed = physics.exchange * jnp.sqrt(wind**2 + physics.gustiness**2) * density / mass[-1]  # s-1
    goal = physics.surface_humidity * saturation_humidity(t_low, surface_pressure)
    low = filled[-1]
    moistened = (low + dt * speed * goal) / (1 + dt * speed)
    gain = sea * jnp.maximum(moistened - low, 0.0)
    humidity = filled.at[-1].add(gain)

    wet = jnp.minimum(humidity, physics.critical_humidity * saturation)
    precipitation = jnp.sum((humidity - wet) * mass, axis=0)
    return temperature, wet, {"evaporation": gain * mass[-1], "precipitation": precipitation, "filling": moved}
