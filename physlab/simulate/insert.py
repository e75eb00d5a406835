r"""From an analysis back into the model: fields on pressure levels become sigma layers and spectra.

In each column the layers x of a background are corrected so that the model, looked at as in
:mod:`~physlab.simulate.diagnostics`, shows the analysis: with A the interpolation to the pressure levels and to the
lowest layer (it depends on the surface pressure of the analysis), C a smooth covariance of layers and y the analysis,

.. math:: x_a = x_b + C A^T (A C A^T + \epsilon I)^{-1} (y - A x_b) ,

the smallest change that does so (minimum norm; optimal interpolation with all but exact observations). Where the
analysis equals the background, nothing changes: no interpolation error enters the cycle. Wind becomes vorticity and
divergence, all is cut at the truncation of the model; what the cut takes away is asked for again in some sweeps.

Two things keep a cycle alive that lives on this. Neighbouring levels may ask of the layers between them what these
cannot show together, and a nearly exact fit answers with changes of tens of kelvins that each sweep makes larger; so
:data:`NUGGET` is no smaller than a hundredth. And a layer above the highest of several levels is left as it is: nobody
observes it, and what C would carry there from below comes back with the next forecasts as an error that grows, in the
tropics within days.

What an analysis breaks is the balance of mass and wind, and the model rings with gravity waves. The *incremental
analysis update* of Bloom et al. (1996, Mon. Weather Rev. 124, 1256-1271) adds the change over the steps of a window
instead, which filters what oscillates faster than the window (:func:`updated`). A wave of frequency omega gets of
its correction the share of the Fourier transform of the weights (Polavarapu et al. 2004, Tellus 56A, 238-247). Equal
weights have one that is negative, down to -0.22, for periods between a half and the whole of the window: such waves,
among them the external Kelvin waves of numbers 6 to 10 in a window of six hours, are corrected with the wrong sign, and
a cycle feeds them. Weights that rise to the time of the analysis and fall again have none (:func:`ramp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from dinosaur import spherical_harmonic

from physlab.errors import FieldError, PhysLabError
from physlab.simulate import diagnostics
from physlab.simulate.nature import HOUR, Atmosphere

LENGTH = 0.15
"""Correlation length of the changes of layers, in units of sigma."""
NUGGET = 1e-2
"""Variance that levels are allowed to miss, of that of the layers. Where the analysis asks of neighbouring layers what
they cannot show together, the change of layers grows with one over its root, and from sweep to sweep."""
LEVELLED = {"u": "u_low", "v": "v_low", "t": "t_low", "q": ""}
"""Variable on levels -> the same in the lowest layer."""


def insert(
    atmosphere: Atmosphere, background: Mapping, analysis: xr.Dataset | Mapping, sweeps: int = 12, above: bool = False
) -> dict:
    """The state of the model that shows an analysis.

    Parameters
    ----------
    background : state of the model, which gives all that the analysis leaves open.
    analysis : fields (latitude, longitude), with level (hPa) for u, v (m s-1), t (K) and q (kg kg-1); sp (Pa), and of
        the lowest layer u_low, v_low (m s-1), t_low (K); on the grid of the model. What is missing stays the
        background's; further fields (z, tcw) follow from these and are not read.
    sweeps : how often the analysis is asked for; of the error of a background 12 % are left over after one (root of
        the energy, T42), 5 % after four, 3.5 % after twelve; of weather of the model itself less than 1 %.

    above : whether layers above the highest level change with those below: for a start from other weather.

    Returns
    -------
    A state with an empty budget.

    Raises
    ------
    FieldError : another grid, nothing that the model carries, or values that are missing.
    """
    fields = _fields(atmosphere, analysis)
    levels, dynamics = fields.pop("level"), background["dynamics"]
    for sweep in range(sweeps):
        found = _towards(atmosphere, dynamics, fields, levels, above)
        step = 1.8 if sweep % 2 else 1.0  # over-relaxation in turn with plain steps
        dynamics = jax.tree.map(lambda old, new, step=step: old + step * (new - old), dynamics, found)
    return {"dynamics": dynamics, "budget": atmosphere.empty_budget()}


def _towards(atmosphere: Atmosphere, dynamics, fields: Mapping[str, np.ndarray], levels: np.ndarray, above: bool):
    """One correction of all columns, cut at the truncation."""
    own = dict(zip(("u", "v", "t", "q", "sp"), _nodal(atmosphere)(dynamics), strict=True))
    own = {name: np.asarray(x, np.float64) for name, x in own.items()}
    log_pressure = dynamics.log_surface_pressure
    if "sp" in fields:
        ratio = np.log(fields["sp"] / own["sp"]).astype(np.float32)
        log_pressure = log_pressure + _cut(atmosphere, jnp.asarray(ratio[None]))
    nodal = np.asarray(atmosphere.coords.horizontal.to_nodal(log_pressure), np.float64)[0]
    pressure = np.exp(nodal) * atmosphere.pressure_unit
    rows = _interpolation(atmosphere, pressure, levels)
    lowest = lowest_layer(rows)
    change = {name: jnp.zeros(atmosphere.coords.nodal_shape) for name in LEVELLED}
    for name, low in LEVELLED.items():
        given = [(rows, fields[name])] if name in fields else []
        given += [(lowest, fields[low][None])] if low in fields else []
        if given:
            operator, values = (np.concatenate(parts) for parts in zip(*given, strict=True))
            wanted = _smallest(atmosphere, operator, values - np.einsum("jixy,ixy->jxy", operator, own[name]))
            wanted = wanted if above else np.where(unseen(operator), 0.0, wanted)
            wanted = np.maximum(own[name] + wanted, 0.0) - own[name] if name == "q" else wanted
            change[name] = jnp.asarray(wanted, jnp.float32)
    return changed(atmosphere, dynamics, change, log_pressure)


def changed(atmosphere: Atmosphere, dynamics, change: Mapping, log_pressure):
    """The dynamics with another surface pressure, and changes (layers, longitude, latitude) of u and v in m s-1, t in K
    and q, all cut at the truncation."""
    wind = (change[name] / atmosphere.speed_unit for name in ("u", "v"))
    vorticity, divergence = spherical_harmonic.uv_nodal_to_vor_div_modal(atmosphere.coords.horizontal, *wind)
    temperature, humidity = (_cut(atmosphere, change[name]) for name in ("t", "q"))
    return dynamics.replace(
        vorticity=dynamics.vorticity + vorticity,
        divergence=dynamics.divergence + divergence,
        temperature_variation=dynamics.temperature_variation + temperature,
        log_surface_pressure=log_pressure,
        tracers={"q": dynamics.tracers["q"] + humidity},
    )


def _cut(atmosphere: Atmosphere, field):
    """The spectrum of a field, cut at the truncation."""
    grid = atmosphere.coords.horizontal
    return grid.clip_wavenumbers(grid.to_modal(field))


def lowest_layer(rows: np.ndarray) -> np.ndarray:
    """(1, layers, longitude, latitude) the operator of the lowest layer, beside those of levels."""
    lowest = np.zeros((1, *rows.shape[1:]))
    lowest[:, -1] = 1.0
    return lowest


def updated(
    atmosphere: Atmosphere, before: Mapping, background: Mapping, analysed: Mapping, window: float = 6.0
) -> dict:  # fmt: skip
    """The state half a window after an analysis, by incremental analysis update, centred on the time of the analysis.

    Parameters
    ----------
    before : the state half a window before the analysis, on the way to the background.
    background, analysed : at the time of the analysis, see :func:`insert`.
    window : hours over which the change is added.
    """
    steps = round(window * HOUR / atmosphere.resolution.dt)
    change = jax.tree.map(jnp.subtract, analysed["dynamics"], background["dynamics"])
    return _update(atmosphere)({**before, "budget": atmosphere.empty_budget()}, change, jnp.asarray(ramp(steps)))


def forecast_from(
    atmosphere: Atmosphere, before: Mapping, background: Mapping, analysed: Mapping, hours: int, window: float = 6.0
) -> tuple[dict, dict]:
    """Forecast from an analysis, see :func:`updated`.

    Parameters
    ----------
    hours : length of the forecast from the time of the analysis on; at least a window.

    Returns
    -------
    The state half a window before the end of the forecast, which the next cycle starts from, and the one at the end.
    """
    if hours < window:
        raise PhysLabError(f"a forecast of {hours} h is shorter than the window of {window:g} h: shorten the window")
    state = updated(atmosphere, before, background, analysed, window)
    late = atmosphere.advance(state, hours - window) if hours > window else state
    return late, atmosphere.advance(late, window / 2)


def ramp(steps: int) -> np.ndarray:
    """(steps,) weights of the update at each step, a triangle about the middle of the window; they sum to one.

    >>> ramp(4)
    array([0.125, 0.375, 0.375, 0.125])
    """
    weights = 1.0 - np.abs(2.0 * (np.arange(steps) + 0.5) / steps - 1.0)
    return weights / weights.sum()


@cache
def _update(atmosphere: Atmosphere):
    """Steps of the model, each with its share of the change added; compiled once per model and number of steps."""
    one = atmosphere._step

    def run(state, change, weights):
        def step(i, s):
            s = one(s)
            added = jax.tree.map(lambda x, d: x + (weights[i] * d).astype(x.dtype), s["dynamics"], change)
            return {**s, "dynamics": added}

        return jax.lax.fori_loop(0, len(weights), step, state)

    return jax.jit(run)


@cache
def _nodal(atmosphere: Atmosphere):
    """Fields of the layers, compiled once per model."""
    return jax.jit(partial(diagnostics.layers, atmosphere))


def _fields(atmosphere: Atmosphere, analysis: xr.Dataset | Mapping) -> dict[str, np.ndarray]:
    """Arrays ([level,] longitude, latitude) in float64, and the levels."""
    ds = xr.Dataset(dict(analysis)) if not isinstance(analysis, xr.Dataset) else analysis
    known = [n for n in (*LEVELLED, *filter(None, LEVELLED.values()), "sp") if n in ds]
    if not known:
        raise FieldError(
            f"the analysis holds {', '.join(map(str, ds.data_vars)) or 'nothing'}: the model takes u, v, t, q on "
            "levels, u_low, v_low, t_low and sp"
        )
    for name, own in (("latitude", atmosphere.latitude), ("longitude", atmosphere.longitude)):
        came = np.asarray(ds[name], np.float64) if name in ds.coords else np.empty(0)
        if came.shape != own.shape or np.abs(came - own).max() > 1e-2:
            raise FieldError(
                f"the analysis has {came.size} values of {name}, the model {atmosphere.resolution.name} has {own.size} "
                f"from {own[0]:.2f} to {own[-1]:.2f}: pass it on the grid of the model"
            )
    out: dict[str, np.ndarray] = {"level": np.asarray(ds["level"], np.float64) if "level" in ds.coords else np.empty(0)}
    for name in known:
        spare = [d for d in ds[name].dims if d not in ("level", "longitude", "latitude")]
        da = ds[name].squeeze(spare, drop=True) if all(ds[name].sizes[d] == 1 for d in spare) else ds[name]
        wanted = ("level", "longitude", "latitude") if name in LEVELLED else ("longitude", "latitude")
        if set(da.dims) != set(wanted):
            raise FieldError(
                f"'{name}' has dims ({', '.join(map(str, da.dims))}): pass one time, ({', '.join(wanted)})"
            )
        values = da.transpose(*wanted).values.astype(np.float64)
        if not np.isfinite(values).all():
            raise FieldError(f"'{name}' of the analysis holds {np.sum(~np.isfinite(values))} missing values: fill them")
        out[name] = values
    return out


def _interpolation(atmosphere: Atmosphere, pressure: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """A: (levels, layers, longitude, latitude), linear in ln p, held constant outside, as the diagnostics do."""
    log_sigma = np.log(atmosphere.sigma)
    out = np.zeros((len(levels), len(log_sigma), *pressure.shape))
    x, y = np.indices(pressure.shape)
    for j, level in enumerate(levels):
        target = np.log(100.0 * level) - np.log(pressure)
        i = np.clip(np.searchsorted(log_sigma, target) - 1, 0, len(log_sigma) - 2)
        w = np.clip((target - log_sigma[i]) / (log_sigma[i + 1] - log_sigma[i]), 0.0, 1.0)
        out[j, i, x, y], out[j, i + 1, x, y] = 1.0 - w, w
    return out


def _smallest(atmosphere: Atmosphere, operator: np.ndarray, wanted: np.ndarray, nugget: float = NUGGET) -> np.ndarray:
    """C A^T (A C A^T + nugget)^-1 of what is wanted: (layers, longitude, latitude)."""
    spread, gram = covariances(atmosphere, operator, nugget)
    weights = np.linalg.solve(gram, wanted.transpose(1, 2, 0)[..., None])
    return (spread.swapaxes(-1, -2) @ weights)[..., 0].transpose(2, 0, 1)


def covariances(atmosphere: Atmosphere, operator: np.ndarray, nugget: float = NUGGET) -> tuple[np.ndarray, np.ndarray]:
    """A C (longitude, latitude, levels, layers) and A C A^T + nugget (longitude, latitude, levels, levels)."""
    sigma = atmosphere.sigma
    covariance = np.exp(-0.5 * ((sigma[:, None] - sigma) / LENGTH) ** 2)
    A = operator.transpose(2, 3, 0, 1)
    spread = A @ covariance
    return spread, spread @ A.swapaxes(-1, -2) + nugget * np.eye(A.shape[-2])


def unseen(operator: np.ndarray) -> np.ndarray:
    """(layers, longitude, latitude) where a layer lies above all that an operator (levels, layers, ...) looks at; a
    single level says nothing about what is above it, and none lies above."""
    return (np.cumsum((operator > 0).any(0), axis=0) == 0) & (len(operator) > 1)
