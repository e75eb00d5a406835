"""The nature run: a global primitive-equation simulation that plays the part of the real atmosphere.

The dynamics are those of the dinosaur package (Kochkov et al., 2024, Nature 632, 1060-1066): spectral in the
horizontal, sigma layers in the vertical, semi-implicit in time with the SIL3 scheme of Whitaker and Kar (2013, Mon.
Wea. Rev. 141, 3426-3434). The forcing and the water cycle are in ``physics.py``, mountains and sea in ``surface.py``.

    physlab simulate --preset t85 --days 300 --output nature/

A run is made in pieces of a few days. Each piece is one file of hourly surface fields and one of full states; a
restart is written after each, so that a run which is interrupted goes on where it was, bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cache, cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from dinosaur import (
    coordinate_systems,
    filtering,
    primitive_equations,
    scales,
    sigma_coordinates,
    spherical_harmonic,
    time_integration,
)

from physlab import constants
from physlab.simulate import physics as physics_module
from physlab.simulate import surface
from physlab.simulate.harmonics import FourierSphericalHarmonics

HOUR = 3600.0
T_REFERENCE = 288.0
FIRST_YEAR = 2001  # the calendar of a world without seasons is a label only: one year per seed


@dataclasses.dataclass(frozen=True)
class Resolution:
    """A truncation with the step and the filter that go with it.

    Attributes
    ----------
    name : str
        ``"t21"`` (32 x 64, a classroom's size), ``"t42"`` (64 x 128) or ``"t85"`` (128 x 256).
    truncation, gaussian : int
        Largest total wavenumber; Gaussian latitudes between equator and pole.
    dt : float
        Time step (s).
    filter_order : int
        p of the exponential filter exp(-(dt/tau) (l/L)^(2p)).
    filter_tau : float
        tau (s): time in which the last wavenumber loses a factor e.
    """

    name: str
    truncation: int
    gaussian: int
    dt: float
    filter_order: int
    filter_tau: float
    layers: int = 8


T21 = Resolution("t21", 21, 16, 1800.0, 3, 2 * HOUR)
T42 = Resolution("t42", 42, 32, 1800.0, 3, 2 * HOUR)
T85 = Resolution("t85", 85, 64, 1200.0, 2, 4 * HOUR)
RESOLUTIONS = {"t21": T21, "t42": T42, "t85": T85}


class Atmosphere:
    """The model at one resolution: state in, state out.

    A state is a dict: ``dynamics`` (dinosaur State, modal, nondimensional, with the tracer ``q``) and ``budget``, the
    water (kg m-2) evaporated, precipitated and moved to fill negative humidity since the budget was last emptied, on
    the grid (longitude, latitude).
    """

    def __init__(self, resolution: Resolution, physics: physics_module.Physics | None = None):
        self.resolution = resolution
        self.physics = physics or physics_module.Physics()
        self.reference_temperature = T_REFERENCE
        self.specs = primitive_equations.PrimitiveEquationsSpecs.from_si()
        grid = spherical_harmonic.Grid.construct(
            resolution.truncation, resolution.gaussian, spherical_harmonics_impl=FourierSphericalHarmonics
        )
        self.coords = coordinate_systems.CoordinateSystem(
            grid, sigma_coordinates.SigmaCoordinates.equidistant(resolution.layers)
        )
        self.sigma = np.asarray(self.coords.vertical.centers)
        self.thickness = np.asarray(self.coords.vertical.layer_thickness)
        longitude, sin_latitude = grid.nodal_axes
        self.longitude = np.rad2deg(np.asarray(longitude, dtype=np.float64))
        self.latitude = np.rad2deg(np.arcsin(np.asarray(sin_latitude, dtype=np.float64)))
        self.sin_lat = np.asarray(grid.nodal_mesh[1])
        self.height = surface.orography(self.latitude[:, None], self.longitude[None, :])
        self.sea = surface.sea_fraction(self.latitude, self.longitude)
        weights = np.broadcast_to(np.asarray(grid.quadrature_weights), self.sin_lat.shape)
        self.area = weights / weights.sum()
        bells = np.asarray(self.specs.nondimensionalize(self.height.T * scales.units.meter))
        self.orography = np.asarray(primitive_equations.truncated_modal_orography(bells, self.coords))  # modal

    @property
    def attributes(self) -> dict[str, str]:
        """Global attributes of every file that this model writes."""
        return {
            "Conventions": "CF-1.10",
            "title": f"PhysLab nature run, {self.resolution.name.upper()}, {self.resolution.layers} layers",
            "source": "dinosaur primitive equations with Held-Suarez forcing and a water cycle without latent heat",
            "references": "Kochkov et al. 2024 (Nature 632); Held and Suarez 1994 (BAMS 75)",
            "resolution": json.dumps(dataclasses.asdict(self.resolution)),
            "physics": json.dumps(dataclasses.asdict(self.physics)),
        }

    # -- units ---------------------------------------------------------------------------------------------------
    @cached_property
    def pressure_unit(self) -> float:
        return float(self.specs.dimensionalize(1.0, scales.units.pascal).magnitude)

    @cached_property
    def speed_unit(self) -> float:
        return float(self.specs.dimensionalize(1.0, scales.units("m/s")).magnitude)

    @property
    def geopotential_unit(self) -> float:
        return self.speed_unit**2

    def _time(self, seconds: float) -> float:
        return float(self.specs.nondimensionalize(seconds * scales.units.second))

    # -- the model -----------------------------------------------------------------------------------------------
    @cached_property
    def equations(self):
        return primitive_equations.PrimitiveEquations(
            np.full(self.resolution.layers, T_REFERENCE), self.orography, self.coords, self.specs
        )

    def rest(self, seed: int):
        """Isothermal atmosphere at rest with a small random vorticity (seeded) and dry air."""
        grid = self.coords.horizontal
        rng = np.random.default_rng(seed)
        shape = self.coords.nodal_shape
        noise = rng.standard_normal(shape).astype(np.float32)
        total = np.asarray(grid.modal_axes[1])
        large = (total > 0) & (total <= 12)
        vorticity = grid.to_modal(noise) * large * 0.05
        # hydrostatic surface pressure over the mountains of an isothermal atmosphere
        log_sp = np.log(1e5 / self.pressure_unit) - constants.GRAVITY * self.height.T / (constants.R_DRY * T_REFERENCE)
        zeros = jnp.zeros(self.coords.modal_shape)
        dynamics = primitive_equations.State(
            vorticity=jnp.asarray(vorticity),
            divergence=zeros,
            temperature_variation=zeros,
            log_surface_pressure=grid.to_modal(jnp.asarray(log_sp[None], dtype=jnp.float32)),
            tracers={"q": zeros},
        )
        return {"dynamics": dynamics, "budget": self.empty_budget()}

    def empty_budget(self):
        return {k: jnp.zeros(self.coords.horizontal.nodal_shape) for k in ("evaporation", "precipitation", "filling")}

    @cached_property
    def _step(self):
        """One time step: dynamics, filter, physics."""
        res, grid = self.resolution, self.coords.horizontal
        advance = time_integration.imex_rk_sil3(self.equations, self._time(res.dt))
        smooth = filtering.exponential_filter(grid, res.dt / res.filter_tau, res.filter_order)
        shrink = jnp.asarray(physics_module.friction(self.physics, self.sigma, res.dt), dtype=jnp.float32)
        sea = jnp.asarray(self.sea.T, dtype=jnp.float32)
        sin_lat = jnp.asarray(self.sin_lat, dtype=jnp.float32)
        area = jnp.asarray(self.area, dtype=jnp.float32)
        apply = partial(physics_module.step, self.physics, self.sigma, self.thickness, sin_lat, sea, area, res.dt)

        def step(state):
            s = smooth(advance(state["dynamics"]))
            vorticity, divergence = s.vorticity * shrink, s.divergence * shrink
            old = grid.to_nodal(s.temperature_variation) + T_REFERENCE
            humidity = grid.to_nodal(s.tracers["q"])
            pressure = jnp.exp(grid.to_nodal(s.log_surface_pressure)[0]) * self.pressure_unit
            u, v = spherical_harmonic.get_cos_lat_vector(vorticity[-1:], divergence[-1:], grid, clip=False)
            u, v = grid.to_nodal(u)[0] / grid.cos_lat, grid.to_nodal(v)[0] / grid.cos_lat
            wind = jnp.sqrt(u**2 + v**2) * self.speed_unit
            new, humidity, rain = apply(old, humidity, wind, pressure)
            dynamics = s.replace(
                vorticity=vorticity,
                divergence=divergence,
                temperature_variation=s.temperature_variation + grid.to_modal(new - old),
                tracers={"q": grid.clip_wavenumbers(grid.to_modal(humidity))},
            )
            return {"dynamics": dynamics, "budget": jax.tree.map(jnp.add, state["budget"], rain)}

        return step

    @cached_property
    def _advance(self):
        step = self._step  # made here: what it holds must not belong to a trace
        return jax.jit(lambda state, n: jax.lax.fori_loop(0, n, lambda _, s: step(s), state))

    def advance(self, state, hours: float):
        """The state `hours` later."""
        return self._advance(state, round(hours * HOUR / self.resolution.dt))

    def regrid(self, state, other: Atmosphere):
        """A state of `other` at this resolution, by padding or cutting in spectral space (budget emptied)."""
        (m, n), (m0, n0) = self.coords.horizontal.modal_shape, other.coords.horizontal.modal_shape
        # dinosaur keeps one total wavenumber more than it uses: it stays empty
        keep = (slice(0, min(m, m0)), slice(0, min(n, n0) - 1))

        def move(x):
            x = jnp.asarray(x)
            out = jnp.zeros((*x.shape[:-2], m, n), x.dtype)
            return out.at[(..., *keep)].set(x[(..., *keep)])

        return {"dynamics": jax.tree.map(move, state["dynamics"]), "budget": self.empty_budget()}

    def mean(self, field) -> float:
        """Area mean of a (longitude, latitude) field."""
        return float(np.sum(np.asarray(field, np.float64) * self.area))

    def fix_mass(self, state, pressure: float):
        """Rescale the surface pressure to the given global mean (Pa). Returns (state, drift removed in Pa).

        The logarithm of pressure is what the model carries, so that truncation does not conserve mass exactly.
        """
        s = state["dynamics"]
        grid = self.coords.horizontal
        now = self.mean(np.exp(np.asarray(grid.to_nodal(s.log_surface_pressure))[0]) * self.pressure_unit)
        shift = np.log(pressure / now) * np.sqrt(4 * np.pi)  # Y_00 = 1 / sqrt(4 pi)
        fixed = s.replace(log_surface_pressure=s.log_surface_pressure.at[0, 0, 0].add(shift))
        return {**state, "dynamics": fixed}, now - pressure


@cache
def atmosphere(name: str) -> Atmosphere:
    """The model of a preset, compiled once per process."""
    return Atmosphere(RESOLUTIONS[name])
