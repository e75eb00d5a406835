r"""The terms that a learned equation may have, by name, with units.

An equation for a variable c is

.. math:: \partial_t^n c = \sum_j \xi_j\, \Theta_j(\text{state}) + Q_c ,

n = 1 or, for a wave equation, 2. A term is a function of the state (all variables with their derivatives at points)
and has a coefficient with a unit and, where a law of physics says so, an expected value. The laws themselves are those
of :mod:`physlab.equations`.

What the published code does instead (METHODS A2): winds with their mean removed, derivatives per grid index, waves in
pressure without wind, rain as a tracer. Then the coefficients have no unit and no expected value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from physlab.constants import EARTH_RADIUS
from physlab.equations import momentum, saturation
from physlab.equations.advection import transport
from physlab.errors import PhysLabError
from physlab.phydl.domain import Domain


class State:
    """All variables with their derivatives at points, SI units.

    Attributes
    ----------
    points : (N, 3), x, y, t;  domain : their box.
    value, first, second : variable -> (N,), (3, N) by x, y, t and (3, N) by xx, yy, tt, on the tangent plane.
    """

    def __init__(
        self,
        points: Tensor,
        domain: Domain,
        value: dict[str, Tensor],
        first: dict[str, Tensor],
        second: dict[str, Tensor],
    ) -> None:
        self.points, self.domain = points, domain
        self.value, self.first, self.second = value, first, second

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.value:
            raise PhysLabError(f"no variable {name!r} in this field: it has {', '.join(self.value)}")
        return self.value[name]

    def slope(self, name: str, axis: int) -> Tensor:
        """First derivative by x, y (per metre) or t (per second): axis 0, 1, 2."""
        self[name]
        return self.first[name][axis]

    def laplacian(self, name: str) -> Tensor:
        """Horizontal Laplacian, unit of the variable per square metre."""
        self[name]
        return self.second[name][0] + self.second[name][1] - self.curvature * self.first[name][1]

    @property
    def curvature(self) -> Tensor:
        """tan(latitude) / a, m-1; zero on a plane."""
        return torch.tan(self.domain.latitude(self.points)) / EARTH_RADIUS

    @property
    def coriolis(self) -> Tensor:
        return self.domain.coriolis(self.points)

    def detach(self) -> State:
        parts = ({k: v.detach() for k, v in part.items()} for part in (self.value, self.first, self.second))
        return State(self.points, self.domain, *parts)


@dataclass(frozen=True)
class Term:
    """One candidate on the right-hand side.

    Attributes
    ----------
    name : of the term, as printed;  unit : of its coefficient.
    of : State -> (N,).
    expected : coefficient that the law of physics has, or None.
    """

    name: str
    unit: str
    of: Callable[[State], Tensor]
    expected: float | None = None


def advection(c: str, u: str = "u", v: str = "v") -> Term:
    """u dc/dx + v dc/dy; the law of a conserved quantity has -1."""
    of = lambda s: -transport(s[u], s[v], s.slope(c, 0), s.slope(c, 1))  # noqa: E731
    return Term(f"{u} ∂x {c} + {v} ∂y {c}", "1", of, -1.0)


def advection_along(c: str, axis: str, wind: str) -> Term:
    """wind dc/d(axis) alone, axis "x" or "y": -1 for the wind along that axis."""
    number = "xy".index(axis)
    expected = -1.0 if wind == "uv"[number] else None
    return Term(f"{wind} ∂{axis} {c}", "1", lambda s: s[wind] * s.slope(c, number), expected)


def _momentum(s: State, z: str = "z") -> dict[str, tuple[Tensor, Tensor]]:
    slopes = (s.slope("u", 0), s.slope("u", 1), s.slope("v", 0), s.slope("v", 1))
    pressure = (s.slope(z, 0), s.slope(z, 1)) if z in s.value else (torch.zeros_like(s["u"]),) * 2
    return momentum.terms((s["u"], s["v"]), slopes, pressure, s.coriolis, s.curvature)


def coriolis(component: str) -> Term:
    """f v in the equation of u, -f u in that of v: +1."""
    at = "uv".index(component)
    return Term(("f v", "-f u")[at], "1", lambda s: _momentum(s)["coriolis"][at], 1.0)


def curvature(component: str) -> Term:
    """u v tan(lat) / a and -u u tan(lat) / a: +1."""
    at = "uv".index(component)
    return Term(("u v tan φ / a", "-u² tan φ / a")[at], "1", lambda s: _momentum(s)["curvature"][at], 1.0)


def pressure_gradient(component: str, z: str = "z") -> Term:
    """Slope of the geopotential z (m2 s-2): -1."""
    at = "uv".index(component)
    return Term(f"∂{'xy'[at]} {z}", "1", lambda s: s.slope(z, at), -1.0)


def diffusion(c: str) -> Term:
    """Laplacian: the coefficient is a diffusivity."""
    return Term(f"∇² {c}", "m² s⁻¹", lambda s: s.laplacian(c))


def wave(c: str) -> Term:
    """Laplacian in an equation of second order in time: the coefficient is a phase speed squared."""
    return Term(f"∇² {c}", "m² s⁻²", lambda s: s.laplacian(c))


def relaxation(c: str) -> Term:
    """c itself: a rate; negative is decay."""
    return Term(c, "s⁻¹", lambda s: s[c])


def convergence(c: str, u: str = "u", v: str = "v") -> Term:
    """c times the divergence of the wind: -1 in flux form."""
    of = lambda s: s[c] * (s.slope(u, 0) + s.slope(v, 1) - s.curvature * s[v])  # noqa: E731
    return Term(f"{c} ∇·({u}, {v})", "1", of, -1.0)


def flux_convergence(c: str, u: str, v: str) -> Term:
    """Divergence of a flux (u, v) of c that is itself a variable, such as the vapour flux of a column: -1."""
    of = lambda s: s.slope(u, 0) + s.slope(v, 1) - s.curvature * s[v]  # noqa: E731
    return Term(f"∇·({u}, {v})", "1", of, -1.0)


def moisture_source(q: str = "q", t: str = "t", pressure: float = 7e4, relative: float = 0.9) -> Term:
    """Vapour (kg kg-1) above the relative humidity at which it condenses, t in K, pressure in Pa: a negative rate."""
    return Term(f"({q} - {relative:g} q_s)₊", "s⁻¹", lambda s: saturation.excess(s[q], s[t], pressure, relative))


def gradient(c: str, axis: str) -> Term:
    """Slope along "x" or "y": a constant velocity."""
    return Term(f"∂{axis} {c}", "m s⁻¹", lambda s: s.slope(c, "xy".index(axis)))


def product(*names: str) -> Term:
    """Product of variables."""

    def of(s: State) -> Tensor:
        out = s[names[0]]
        for name in names[1:]:
            out = out * s[name]
        return out

    return Term(" ".join(names), f"unit / ({' · '.join(names)} s)", of)


def given(name: str, expected: float | None = 1.0) -> Term:
    """A rate that is itself in the data, such as evaporation minus precipitation."""
    return Term(name, "1", lambda s: s[name], expected)


def constant() -> Term:
    return Term("1", "unit s⁻¹", lambda s: torch.ones_like(s.points[:, 0]))


@dataclass(frozen=True)
class Equation:
    """The equation of a variable.

    Attributes
    ----------
    variable : c;  terms : of the right-hand side;  order : of the time derivative, 1 or 2.
    known : name of a term -> coefficient that is not learned.
    force : whether a latent force is allowed in it.
    """

    variable: str
    terms: tuple[Term, ...]
    order: int = 1
    known: Mapping[str, float] = field(default_factory=dict)
    force: bool = True

    def __post_init__(self) -> None:
        names = [term.name for term in self.terms]
        if self.order not in (1, 2):
            raise PhysLabError(f"order {self.order} of the time derivative: choose 1 or 2")
        if len(set(names)) < len(names):
            raise PhysLabError(f"equation of {self.variable} names a term twice: {', '.join(names)}")
        if not set(self.known) <= set(names):
            raise PhysLabError(f"known coefficients {', '.join(self.known)}: the terms are {', '.join(names)}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(term.name for term in self.terms)

    def tendency(self, state: State) -> Tensor:
        """The left-hand side, (N,)."""
        state[self.variable]
        return state.first[self.variable][2] if self.order == 1 else state.second[self.variable][2]

    def columns(self, state: State) -> Tensor:
        """(N, terms), each term at each point."""
        if not self.terms:
            return self.tendency(state)[:, None][:, :0]
        return torch.stack([term.of(state) for term in self.terms], dim=1)

    def residual(self, state: State, coefficients: Tensor, force: Tensor | None = None) -> Tensor:
        """(N,): left-hand side minus terms times `coefficients` minus the latent force (N,)."""
        out = self.tendency(state) - self.columns(state) @ coefficients
        return out if force is None else out - force


def atmosphere(variables: tuple[str, ...], pressure: float = 7e4, known: bool = True) -> tuple[Equation, ...]:
    """Equations for the variables of one pressure level that have one.

    Parameters
    ----------
    variables : those of the field; u and v need z; t, q, pv and tcw are carried by u and v, tcw rather
        by its own flux if that is there.
    pressure : Pa.
    known : whether the coefficients of rotation and pressure gradient are taken as known (1 and -1).
    """
    found: list[Equation] = []
    for at, component in enumerate("uv"):
        if {"u", "v", "z"} <= set(variables):
            terms = (advection(component), coriolis(component), pressure_gradient(component), curvature(component))
            given = {terms[1].name: 1.0, terms[2].name: -1.0, terms[3].name: 1.0} if known else {terms[3].name: 1.0}
            found.append(Equation("uv"[at], terms, known=given))
    if {"tcw", "ivt_u", "ivt_v"} <= set(variables):
        found.append(Equation("tcw", (flux_convergence("tcw", "ivt_u", "ivt_v"),)))
    for c in ("t", "q", "tcw", "pv"):
        if {c, "u", "v"} <= set(variables) and c not in [e.variable for e in found]:
            source = (moisture_source(pressure=pressure),) if c == "q" and "t" in variables else ()
            found.append(Equation(c, (advection(c), *source)))
    return tuple(found)


def candidates(c: str, wind: tuple[str, str] = ("u", "v")) -> tuple[Term, ...]:
    """A library for sparse identification of a scalar: each wind along each axis, slopes, diffusion, decay, c squared,
    the divergence and a constant."""
    u, v = wind
    return (
        *(advection_along(c, axis, w) for axis in "xy" for w in wind),
        gradient(c, "x"),
        gradient(c, "y"),
        diffusion(c),
        relaxation(c),
        product(c, c),
        convergence(c, u, v),
        constant(),
    )
