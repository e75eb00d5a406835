r"""A window of the laboratory atmosphere as a function that can be differentiated: an increment at its start, in the
fields of an analysis, and what the model shows at its end.

.. math:: F(e) = H(M(x_0 + L e)) , \qquad F'(e)\, \delta e , \qquad F'(e)^T \hat y ,

with the model M over some hours, the diagnostics H (u, v, t, q, z on levels; sp, tcw and the lowest layer), and the
linear insertion L of an increment on pressure levels: the first sweep of :mod:`~physlab.simulate.insert` at the
pressures of the background. Tangent and adjoint are JAX's, through dinosaur; steps are recomputed on the way back
(checkpoints), so that memory stays that of the states. Arrays are (channel, latitude, longitude), in units of `error`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from physlab.errors import PhysLabError
from physlab.simulate import diagnostics
from physlab.simulate.insert import LEVELLED, _cut, _interpolation, changed, covariances, lowest_layer, unseen
from physlab.simulate.nature import HOUR, Atmosphere

Channels = tuple[tuple[str, float | None], ...]


class Window:
    """The function and its derivatives.

    Parameters
    ----------
    atmosphere : the model;  state : at the start of the window.
    hours : from there to the end; 0 for the diagnostics alone.
    channels : (variable, level in hPa or NaN); the levels those of :data:`physlab.simulate.diagnostics.LEVELS` or some.
    error : (C,) unit of each channel.

    Raises
    ------
    PhysLabError : a channel that the diagnostics do not have, or a number of hours that is no whole number of steps.
    """

    def __init__(
        self, atmosphere: Atmosphere, state: Mapping, hours: float, channels: Sequence[tuple[str, float]],
        error: np.ndarray,
    ) -> None:  # fmt: skip
        self.atmosphere, self.start, self.channels = atmosphere, dict(state), tuple(channels)
        steps = hours * HOUR / atmosphere.resolution.dt
        if abs(steps - round(steps)) > 1e-6 or hours < 0:
            raise PhysLabError(
                f"a window of {hours:g} h: pass a whole number of steps of {atmosphere.resolution.dt:g} s"
            )
        known = {"u", "v", "t", "q", "z", "sp", "tcw", "t_low", "u_low", "v_low"}
        wrong = [name for name, _ in self.channels if name not in known]
        if wrong:
            raise PhysLabError(f"the model shows no {wrong[0]}: channels are of {', '.join(sorted(known))}")
        dtype = state["dynamics"].vorticity.dtype
        units = jnp.asarray(np.asarray(error, np.float64).reshape(-1, 1, 1), dtype)
        gains = {name: jnp.asarray(g, dtype) for name, g in self._gains().items()}
        known_by = tuple((name, None if np.isnan(p) else float(p)) for name, p in self.channels)  # NaN equals nothing
        pieces = _compiled(atmosphere, known_by, round(steps))
        self._predict = partial(pieces[0], self.start, gains, units)
        self._tangent = partial(pieces[1], self.start, gains, units)
        self._adjoint = partial(pieces[2], self.start, gains, units)
        self._insert = partial(pieces[3], self.start, gains, units)
        self.shape = (len(self.channels), len(atmosphere.latitude), len(atmosphere.longitude))
        self.dtype = dtype

    def _gains(self) -> dict[str, np.ndarray]:
        """What the linear insertion needs: gain (layer, channel of the variable, longitude, latitude) of each of u, v,
        t, q, and the surface pressure (longitude, latitude)."""
        a = self.atmosphere
        *_, sp = diagnostics.layers(a, self.start["dynamics"])
        pressure = np.asarray(sp, np.float64)
        made = {"pressure": pressure}
        for name, low in LEVELLED.items():
            levels = np.array([p for n, p in self.channels if n == name])
            A = _interpolation(a, pressure, levels) if len(levels) else np.zeros((0, len(a.sigma), *pressure.shape))
            if any(n == low for n, _ in self.channels):
                A = np.concatenate([A, lowest_layer(A)])
            if len(A):
                spread, gram = covariances(a, A)
                gain = np.linalg.solve(gram, spread).transpose(3, 2, 0, 1)
                made[name] = np.where(unseen(A)[:, None], 0.0, gain)
        return made

    def predict(self, e: np.ndarray) -> np.ndarray:
        """F(e), (C, H, W)."""
        return np.asarray(self._predict(self._in(e)))

    def tangent(self, e: np.ndarray, de: np.ndarray) -> np.ndarray:
        """F'(e) de, (C, H, W)."""
        return np.asarray(self._tangent(self._in(e), self._in(de)))

    def adjoint(self, e: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """F'(e)^T dy, (C, H, W)."""
        return np.asarray(self._adjoint(self._in(e), self._in(dy)))

    def inserted(self, e: np.ndarray) -> dict:
        """The state of the model at the start with an increment, its humidity not negative."""
        return {"dynamics": self._insert(self._in(e)), "budget": self.atmosphere.empty_budget()}

    def _in(self, x: np.ndarray) -> jax.Array:
        if tuple(np.shape(x)) != self.shape:
            raise PhysLabError(f"an increment of shape {np.shape(x)}: pass {self.shape}, channel, latitude, longitude")
        return jnp.asarray(np.asarray(x), self.dtype)


@cache
def _compiled(atmosphere: Atmosphere, channels: Channels, steps: int):
    """Predict, tangent, adjoint and insertion; compiled once for a model, a layout and a length."""
    one = jax.checkpoint(atmosphere._step)
    levels = tuple(int(p) for p in sorted({p for _, p in channels if p is not None}))

    def rows(name: str) -> list[int]:
        upper = [k for k, (n, _) in enumerate(channels) if n == name]
        return upper + [k for k, (n, _) in enumerate(channels) if n == LEVELLED.get(name) and n]

    def insert(start, gains, error, e):
        e = (e * error).swapaxes(-1, -2)  # longitude, latitude
        s = start["dynamics"]
        zero = jnp.zeros(atmosphere.coords.nodal_shape, e.dtype)
        change = {name: jnp.einsum("ljxy,jxy->lxy", gains[name], e[jnp.array(rows(name))]) if name in gains else zero
                  for name in LEVELLED}  # fmt: skip
        log_pressure = s.log_surface_pressure
        if rows("sp"):
            ratio = e[rows("sp")[0]][None] / gains["pressure"]
            log_pressure = log_pressure + _cut(atmosphere, ratio)
        return changed(atmosphere, s, change, log_pressure)

    def show(state, error):
        fields = diagnostics.surface_fields(atmosphere, state)
        if levels:
            fields |= diagnostics.level_fields(atmosphere, state, levels)
        at = {float(p): k for k, p in enumerate(levels)}
        made = [fields[n] if p is None else fields[n][at[p]] for n, p in channels]
        return jnp.stack(made).swapaxes(-1, -2) / error

    def predict(start, gains, error, e):
        state = {**start, "dynamics": insert(start, gains, error, e)}
        if steps:
            state, _ = jax.lax.scan(lambda s, _: (one(s), None), state, None, length=steps)
        return show(state, error)

    def tangent(start, gains, error, e, de):
        return jax.jvp(lambda x: predict(start, gains, error, x), (e,), (de,))[1]

    def adjoint(start, gains, error, e, dy):
        return jax.vjp(lambda x: predict(start, gains, error, x), e)[1](dy)[0]

    return tuple(jax.jit(f) for f in (predict, tangent, adjoint, insert))
