"""From the model's spectral state to the fields that a weather service would publish.

Surface and column fields come straight from the sigma layers; pressure-level fields by linear interpolation in
ln(p), below ground by holding the lowest layer's value (z: by continuing its slope).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from dinosaur import primitive_equations, spherical_harmonic

from physlab import constants
from physlab.cf import VARIABLES

LEVELS = (200, 300, 400, 500, 700, 850, 925)


def layers(atmosphere, dynamics):
    """Nodal u, v (m s-1), T (K), q (kg kg-1, not negative) on layers and p_s (Pa); (layers, longitude, latitude)."""
    grid = atmosphere.coords.horizontal
    u, v = spherical_harmonic.get_cos_lat_vector(dynamics.vorticity, dynamics.divergence, grid, clip=False)
    u = grid.to_nodal(u) / grid.cos_lat * atmosphere.speed_unit
    v = grid.to_nodal(v) / grid.cos_lat * atmosphere.speed_unit
    t = grid.to_nodal(dynamics.temperature_variation) + atmosphere.reference_temperature
    q = jnp.maximum(grid.to_nodal(dynamics.tracers["q"]), 0.0)
    sp = jnp.exp(grid.to_nodal(dynamics.log_surface_pressure)[0]) * atmosphere.pressure_unit
    return u, v, t, q, sp


def surface_fields(atmosphere, state) -> dict[str, jax.Array]:
    """Surface and column fields, each (longitude, latitude); units in ``physlab.cf.VARIABLES``."""
    u, v, t, q, sp = layers(atmosphere, state["dynamics"])
    water = q * atmosphere.thickness[:, None, None] * sp / constants.GRAVITY
    return {
        "tcw": water.sum(0), "sp": sp, "t_low": t[-1], "u_low": u[-1], "v_low": v[-1],
        "ivt_u": (water * u).sum(0), "ivt_v": (water * v).sum(0),
        "tp": state["budget"]["precipitation"], "e": state["budget"]["evaporation"],
    }  # fmt: skip


def _to_pressure(x, log_p, log_target, extrapolate: bool):
    """Interpolate (layers, ...) to (targets, ...), linearly in ln p."""

    def column(x, log_p):
        i = jnp.clip(jnp.searchsorted(log_p, log_target) - 1, 0, log_p.shape[0] - 2)
        w = (log_target - log_p[i]) / (log_p[i + 1] - log_p[i])
        return x[i] + (w if extrapolate else jnp.clip(w, 0, 1)) * (x[i + 1] - x[i])

    flat = jax.vmap(column, in_axes=1, out_axes=1)(x.reshape(x.shape[0], -1), log_p.reshape(x.shape[0], -1))
    return flat.reshape((-1,) + x.shape[1:])


def level_fields(atmosphere, state, levels: tuple[int, ...] = LEVELS) -> dict[str, jax.Array]:
    """u, v, t, q, z on `levels` (hPa), each (level, longitude, latitude)."""
    u, v, t, q, sp = layers(atmosphere, state["dynamics"])
    grid = atmosphere.coords.horizontal
    log_p = jnp.log(atmosphere.sigma)[:, None, None] + jnp.log(sp)
    target = jnp.log(jnp.asarray(levels, jnp.float32) * 100)
    geopotential = grid.to_nodal(
        primitive_equations.get_geopotential(
            state["dynamics"].temperature_variation,
            jnp.full(len(atmosphere.sigma), atmosphere.reference_temperature),
            atmosphere.orography,
            atmosphere.coords.vertical,
            atmosphere.specs.g,
            atmosphere.specs.R,
        )
    )
    out = {k: _to_pressure(x, log_p, target, False) for k, x in {"u": u, "v": v, "t": t, "q": q}.items()}
    out["z"] = _to_pressure(geopotential * atmosphere.geopotential_unit, log_p, target, True)
    return out


class Diagnostics:
    """Compiled diagnostics of one Atmosphere."""

    def __init__(self, atmosphere):
        self.atmosphere = atmosphere
        self.surface = jax.jit(partial(surface_fields, atmosphere))
        self.levels = jax.jit(partial(level_fields, atmosphere), static_argnames="levels")

    def state(self, state) -> dict[str, jax.Array]:
        """All that an analysis holds: u, v, t, q, z on levels (level, longitude, latitude); tcw, sp and the wind and
        temperature of the lowest layer (longitude, latitude); units in ``physlab.cf.VARIABLES``."""
        surface = self.surface(state)
        return {**{k: surface[k] for k in ("tcw", "sp", "t_low", "u_low", "v_low")}, **self.levels(state)}

    def dataset(self, fields: Sequence[dict], times: Sequence[np.datetime64]) -> xr.Dataset:
        """Stack fields of several times into a CF Dataset (time, [level,] latitude, longitude)."""
        variables = {}
        for name in fields[0]:
            values = np.stack([np.asarray(f[name], np.float32) for f in fields]).swapaxes(-1, -2)
            dims = ("time", "level", "latitude", "longitude") if values.ndim == 4 else ("time", "latitude", "longitude")
            variables[name] = (dims, values, VARIABLES[name])
        a = self.atmosphere
        coordinates = {
            "time": ("time", np.array(times, "datetime64[ns]"), {"standard_name": "time"}),
            "latitude": ("latitude", a.latitude, {"standard_name": "latitude", "units": "degrees_north"}),
            "longitude": ("longitude", a.longitude, {"standard_name": "longitude", "units": "degrees_east"}),
        }
        if any(v[1].ndim == 4 for v in variables.values()):
            level = {"standard_name": "air_pressure", "units": "hPa", "positive": "down"}
            coordinates["level"] = ("level", np.array(LEVELS, np.int32), level)
        return xr.Dataset(variables, coordinates, a.attributes)


@cache
def of(atmosphere) -> Diagnostics:
    """The diagnostics of a model, compiled once per process."""
    return Diagnostics(atmosphere)
