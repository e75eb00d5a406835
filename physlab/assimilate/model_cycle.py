r"""Methods that live with the model: 4D-Var and an ensemble filter, in cycles of analysis and forecast.

    physlab cycle truth-21 cycle-4d --method 4d-var
    physlab cycle truth-21 cycle-en --method letkf --members 20

Both see the same columns with the same errors as any other method of that cycle (the draw depends on the seed and the
number of the cycle alone), in units of the background error that a checkpoint of 3D-Var holds, and leave the same
files. What they change enters the model as in any other cycle, spread over hours (:func:`physlab.simulate.insert.
updated`); the states that are carried stand half of that window behind the last analysis.

4D-Var moves the start of the window so that the trajectory from there passes the columns at its end, and knows that
the model errs on the way (weak constraint: Tremolet 2006, Q. J. R. Meteorol. Soc. 132, 2483-2504, here with the error
of the whole window at its end, where all is observed). With v and w control variables of 3D-Var's covariance U U^T, F
the model and its diagnostics (:class:`physlab.simulate.window.Window`) and G its tangent,

.. math:: J(v, w) = \tfrac12 |v|^2 + \tfrac12 |w|^2 + \tfrac1{2 r^2} |M (y - F(s U v) - q U w)|^2 ,

minimised by the incremental method (Courtier et al. 1994, Q. J. R. Meteorol. Soc. 120, 1367-1387) with one outer loop
and conjugate gradients, which begin where a 3D-Var at the end of the window ends; s is the size of the errors at the
start and q that of the model's, in units of those of a background. The background's covariance follows the flow as
:math:`s^2 G U U^T G^T + q^2 U U^T`. Without the second part a cycle goes wrong within days: the external gravity waves
of the largest scales turn wind into mass and back within a window, and a balanced B at its start explains one phase of
them only, so that the other is never corrected. At T42, on one core, twelve hours of the model take 1.3 s, its tangent
3.6 s and its adjoint 5.2 s (after some minutes of compilation).

The ensemble filter is the LETKF (Hunt et al. 2007, Physica D 230, 112-126) with members that the model carries from
analysis to analysis. Observations of a column share their distance, so that their products are summed before points
weigh them; the weights of a point mix the members' layers, not levels. Spread is relaxed towards that of the
background (Whitaker and Hamill 2012, Mon. Weather Rev. 140, 3078-3089, eq. 2). Members of one model know nothing of its
errors: draws of 3D-Var's covariance are added to each before it is analysed (Mitchell and Houtekamer 2000, Mon. Weather
Rev. 128, 416-433), without which they soon agree with each other and no longer listen. What few members cannot explain
goes on to 3D-Var, whose increment moves them all (hybrid gain: Penny 2014, Mon. Weather Rev. 142, 2139-2149).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate.ahead import NO_FORECASTS, Ahead, look_ahead
from physlab.assimilate.etkf import transform
from physlab.assimilate.fields import channels_to_dataset
from physlab.assimilate.global3d import GlobalVar3D
from physlab.assimilate.global_cycle import PIECE, SWEEPS, GlobalCycle, claimed, open_truth
from physlab.assimilate.localisation import gaspari_cohn, grid_points, sphere_distance
from physlab.assimilate.minimise import conjugate_gradient
from physlab.assimilate.statespace import Columns, observe_columns
from physlab.data.writer import write_dataset
from physlab.errors import Cancelled, PhysLabError
from physlab.registry import Cancel, Progress

METHODS = ("4d-var", "letkf")
Step = tuple[list, dict[str, xr.Dataset], Tensor]
"""States, what is kept of them, and where was observed."""


@dataclasses.dataclass(frozen=True)
class Var4DSettings:
    """Settings of 4D-Var.

    Attributes
    ----------
    size : s.  model_error : q, 0 for a model that is trusted.
    iterations, tolerance : of the inner loop.  floor : least error of an observation, in background errors.
    """

    size: float = 0.6
    model_error: float = 0.6
    iterations: int = 20
    tolerance: float = 0.1
    floor: float = 0.1

    def __post_init__(self) -> None:
        if not self.size > 0 or self.model_error < 0 or not self.floor > 0:
            raise PhysLabError(
                f"size {self.size:g}, model_error {self.model_error:g}, floor {self.floor:g}: pass sizes in background "
                "errors, above 0 but for an error of the model that is trusted"
            )


@dataclasses.dataclass(frozen=True)
class LETKFSettings:
    """Settings of the ensemble filter.

    Attributes
    ----------
    members : N.  radius : m, of the localisation (zero from twice this on).
    relaxation : of the spread towards the background's, 0 to 1.  inflation : of the spread before the analysis.
    floor : least error of an observation, in background errors; above that of 3D-Var, which hears all of them again.
    size : of the first members' distances from their centre, in background errors.
    additive : of the draws that are added to the members of each background, in background errors.
    static : share of 3D-Var's increment for what the members leave of the innovations, 0 to 1.
    """

    members: int = 20
    radius: float = 1.2e6
    relaxation: float = 0.7
    inflation: float = 1.03
    floor: float = 0.4
    size: float = 1.0
    additive: float = 0.6
    static: float = 1.0

    def __post_init__(self) -> None:
        if self.members < 3:
            raise PhysLabError(f"members is {self.members}: a filter needs at least 3")
        if not 0 <= self.relaxation <= 1 or self.inflation < 1:
            raise PhysLabError(
                f"relaxation {self.relaxation:g} and inflation {self.inflation:g}: pass 0 to 1, and 1 or more"
            )
        if self.additive < 0 or not 0 <= self.static <= 1:
            raise PhysLabError(
                f"additive {self.additive:g} and static {self.static:g}: pass the size of what is added, or 0, and a "
                "share from 0 to 1"
            )


def minimise_window(
    window: Any, B: Any, innovation: Tensor, mask: Tensor, r: float, settings: Var4DSettings
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The increment at the start of a window and the error of the model at its end, (C, H, W), in units of the
    window's error.

    Parameters
    ----------
    window : with `tangent` and `adjoint` about zero.
    B : with `root` and `transpose`.
    innovation, mask : (C, H, W), what is seen at the end beyond the trajectory of the background, and where.
    r : error of the observations.
    """
    zero, shape = np.zeros(window.shape), innovation.shape

    def parts(x: Tensor) -> tuple[Tensor, Tensor]:
        v, w = x.chunk(2)
        return settings.size * B.root(v).reshape(shape), settings.model_error * B.root(w).reshape(shape)

    def forward(x: Tensor) -> Tensor:
        start, end = parts(x)
        return (torch.from_numpy(np.array(window.tangent(zero, start.numpy()))).double() + end) * mask / r

    def back(d: Tensor) -> Tensor:
        end = d * mask / r
        start = torch.from_numpy(np.array(window.adjoint(zero, end.numpy()))).double()
        sized = ((settings.size, start), (settings.model_error, end))
        return torch.cat([size * B.transpose(x.flatten()) for size, x in sized])

    x = first_guess(B, innovation, mask, r, settings)
    given = innovation.double() * mask / r
    right = back(given - parts(x)[1] * mask / r) - x  # nothing has moved the start yet: no tangent is asked for
    step, _ = conjugate_gradient(lambda x: x + back(forward(x)), right, settings.iterations, settings.tolerance)
    return parts(x + step)


def first_guess(B: Any, innovation: Tensor, mask: Tensor, r: float, settings: Var4DSettings) -> Tensor:
    """Control variables of a 3D-Var at the end of the window, which costs no run of the model: B as large as both parts
    together, and all of its increment as an error of the model. Zero for a model that is trusted."""
    s, q = settings.size, settings.model_error
    if not q:
        return torch.zeros(2 * B.controls, dtype=torch.float64)
    size = (s**2 + q**2) ** 0.5

    def product(w: Tensor) -> Tensor:
        seen = size * B.root(w).reshape(innovation.shape) * mask / r
        return w + size * B.transpose((seen * mask / r).flatten())

    right = size * B.transpose((innovation.double() * mask / r**2).flatten())
    w, _ = conjugate_gradient(product, right, 150, 0.01)
    return torch.cat([torch.zeros_like(w), size / q * w])


def weigh_members(seen: Tensor, columns: Columns, points: Tensor, settings: LETKFSettings, chunk: int = 1024) -> Tensor:
    """Weights (points, N, N) of the LETKF: analysis members = mean + weights @ anomalies at each point.

    Parameters
    ----------
    seen : (N, C, H, W) members in units of the background error, their mean being zero where it is compared: `columns`
        hold the innovation of the mean.
    columns : one time, see :class:`~physlab.assimilate.statespace.Columns`.
    points : (H W, 2).
    """
    N = len(seen)
    at = columns.mask[0, 0].flatten() > 0
    if not bool(at.any()):
        return torch.eye(N, dtype=torch.float64).expand(len(points), N, N)
    r = float(columns.noise.clamp(min=settings.floor))
    Z = settings.inflation * seen.double().flatten(2)[:, :, at] / r  # (N, C, columns)
    d = columns.innovation[0].double().flatten(1)[:, at] / r
    pairs = torch.einsum("ick,jck->kij", Z, Z).flatten(1)
    shifts = torch.einsum("ick,ck->ki", Z, d)
    made = []
    for part in points.split(chunk):
        taper = gaspari_cohn(sphere_distance(part, points[at]), settings.radius)
        made.append(transform((taper @ pairs).unflatten(-1, (N, N)), (taper @ shifts)[..., None]))
    return torch.cat(made)


def mix(anomalies: Tensor, weights: Tensor, settings: LETKFSettings) -> tuple[Tensor, Tensor]:
    """How the mean moves (C, points), and the members about it (N, C, points), their spread relaxed.

    Parameters
    ----------
    anomalies : (N, C, points) of mean zero.
    weights : (points, N, N), see :func:`weigh_members`.
    """
    moved = settings.inflation * torch.einsum("pij,jcp->icp", weights, anomalies)
    centre = moved.mean(0)
    away = moved - centre
    before, after = (x.square().sum(0).div(len(x) - 1).sqrt() for x in (anomalies, away))
    return centre, away * (1 + settings.relaxation * (before - after) / after.clamp(min=1e-12))


class LayerEnsemble:
    """Members of the model as nodal fields of the layers, and back."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fields(self, state: Any) -> dict[str, np.ndarray]:
        """u, v, t, q of the layers and the logarithm of the surface pressure, (layers, latitude, longitude)."""
        from physlab.simulate.insert import _nodal

        u, v, t, q, sp = (np.asarray(x, np.float64) for x in _nodal(self.model)(state["dynamics"]))
        made = {"u": u, "v": v, "t": t, "q": q, "p": np.log(sp)[None]}
        return {name: x.swapaxes(-1, -2) for name, x in made.items()}

    def moved(self, state: Any, change: dict[str, np.ndarray]) -> dict:
        """A state plus changes of these fields."""
        import jax.numpy as jnp
        from dinosaur import spherical_harmonic

        grid, s = self.model.coords.horizontal, state["dynamics"]
        x = {name: jnp.asarray(c.swapaxes(-1, -2), s.vorticity.dtype) for name, c in change.items()}
        wind = (x[name] / self.model.speed_unit for name in ("u", "v"))
        vorticity, divergence = spherical_harmonic.uv_nodal_to_vor_div_modal(grid, *wind)
        t, q, p = (grid.clip_wavenumbers(grid.to_modal(x[name])) for name in ("t", "q", "p"))
        dynamics = s.replace(
            vorticity=s.vorticity + vorticity, divergence=s.divergence + divergence,
            temperature_variation=s.temperature_variation + t, log_surface_pressure=s.log_surface_pressure + p,
            tracers={"q": s.tracers["q"] + q},
        )  # fmt: skip
        return {"dynamics": dynamics, "budget": self.model.empty_budget()}

    def analyse(self, states: list, weights: Tensor, settings: LETKFSettings) -> list:
        """States mixed by the weights of each point, their spread relaxed."""
        fields = [self.fields(s) for s in states]
        N = len(states)
        new: list[dict[str, np.ndarray]] = [{} for _ in states]
        for name in fields[0]:
            x = torch.from_numpy(np.stack([f[name] for f in fields]))
            mean = x.mean(0)
            centre, away = mix((x - mean).flatten(2), weights, settings)
            made = mean + (centre + away).unflatten(-1, x.shape[2:])
            for k in range(N):
                new[k][name] = (made[k] - x[k]).numpy()
        return [self.moved(s, c) for s, c in zip(states, new, strict=True)]


def run_model_cycle(
    cycle: GlobalCycle, truth: str | Path, output: str | Path, method: str, prior: GlobalVar3D,
    settings: Var4DSettings | LETKFSettings | None = None, preset: str = "t42",
    progress: Progress | None = None, cancel: Cancel | None = None, name: str = "3d-var", ahead: Ahead = NO_FORECASTS,
) -> Path:  # fmt: skip
    """Make or continue a cycle of 4D-Var or the LETKF.

    Parameters
    ----------
    truth, output : as for :func:`~physlab.assimilate.global_cycle.run_cycle`.
    method : "4d-var" or "letkf".
    prior : 3D-Var whose units, covariance and channels are taken.
    settings : of the method; None for its defaults.
    name : of the prior, for the configuration.
    ahead : forecasts that are made from the analyses and kept.

    Returns
    -------
    The folder; the LETKF leaves `spread-*.nc` beside forecasts and analyses, the standard deviation of both's members.

    Raises
    ------
    PhysLabError : another method, or see `run_cycle`.
    """
    if method not in METHODS:
        raise PhysLabError(f"method {method!r}: a cycle with the model's own methods is one of {', '.join(METHODS)}")
    chosen = settings or (Var4DSettings() if method == "4d-var" else LETKFSettings())
    known = f"{method} {dataclasses.asdict(chosen)}" + ("" if name == "3d-var" else f" {name}")
    with claimed(cycle, output, truth, known) as folder:
        return _ModelCycle(cycle, open_truth(truth), folder, prior, chosen, preset).run(progress, cancel, ahead)


class _ModelCycle:
    """One cycle: where it stands, and what a step is."""

    def __init__(self, cycle: GlobalCycle, truth: xr.Dataset, output: Path, prior: GlobalVar3D, settings, preset: str):
        from physlab.simulate import diagnostics, nature

        self.cycle, self.truth, self.output, self.prior, self.settings = cycle, truth, output, prior, settings
        self.model, self.space, self.B = nature.atmosphere(preset), prior.space, prior.covariance
        self.show = diagnostics.of(self.model)
        self.error = self.space.error.flatten().double().numpy()
        self.points = grid_points(self.space.latitude, self.space.longitude)
        start = truth["time"].values[0] + np.timedelta64(24 * cycle.first, "h")
        self.total = cycle.days * 24 // cycle.every
        self.times = start + np.arange(self.total + 1) * np.timedelta64(cycle.every, "h")
        if self.times[-1] > truth["time"].values[-1]:
            raise PhysLabError(
                f"the truth ends at {truth['time'].values[-1]}, the cycle at {self.times[-1]}: make it longer, or pass "
                "fewer days"
            )
        self.members = settings.members if isinstance(settings, LETKFSettings) else 1

    def dataset(self, state) -> xr.Dataset:
        """What a state of the model shows."""
        return self.show.dataset([self.show.state(state)], [self.times[0]]).isel(time=0, drop=True)

    def tensor(self, ds: xr.Dataset) -> Tensor:
        """(1, C, H, W), SI units."""
        return self.space.tensor(ds.expand_dims("time"))

    def window(self, state, hours: float):
        """The model as a function of increments."""
        from physlab.simulate.window import Window

        return Window(self.model, state, hours, self.space.channels, self.error)

    def first(self) -> list:
        """States half a window behind the start: the truth in another atmosphere, members around it by draws of B."""
        from physlab.simulate.insert import insert

        other = self.model.advance(self.model.rest(self.cycle.seed + 1), 24 * 10)
        centre = insert(self.model, other, self.truth.sel(time=self.times[0]), above=True)
        states = [centre]
        if self.members > 1:
            window = self.window(centre, 0)
            states = [window.inserted(e) for e in self.drawn(self.settings.size, self.cycle.seed)]
        return [self.model.advance(s, self.cycle.window / 2) for s in states]

    def drawn(self, size: float, seed: int) -> list[np.ndarray]:
        """Increments (C, H, W) of all members, of mean zero, by draws of B of a size in background errors."""
        noise = torch.randn(self.members, self.B.controls, generator=torch.Generator().manual_seed(seed))
        made = size * torch.stack([self.B.root(v).reshape(self.space.shape) for v in noise])
        return [e.numpy() for e in made - made.mean(0)]

    def columns(self, number: int, background: Tensor, truth: Tensor) -> Columns:
        """The same as in any cycle of this configuration."""
        draw = torch.Generator().manual_seed(1_000_003 * (self.cycle.seed + 1) + number)
        low, high = self.cycle.share
        share = low + (high - low) * torch.rand(1, generator=draw)
        return observe_columns((truth - background) / self.space.error, share, self.cycle.noise, self.space.area, draw)

    def step(self, number: int, states: list) -> Step:
        """States half a window behind the next analysis, what is kept of it, and where was observed."""
        from physlab.simulate.insert import updated

        every, half = self.cycle.every, self.cycle.window / 2
        late = [self.model.advance(s, every - 2 * half) if every > 2 * half else s for s in states]
        before = [self.model.advance(s, half) for s in late]
        truth = self.tensor(self.truth.sel(time=self.times[number + 1]))
        analyse = self.letkf if self.members > 1 else self.var4d
        after, parts, mask = analyse(number, states, before, truth)
        new = [updated(self.model, *each, self.cycle.window) for each in zip(late, before, after, strict=True)]
        return new, parts, mask

    def var4d(self, number: int, states: list, before: list, truth: Tensor) -> Step:
        """The analysed state."""
        hours, shown = self.cycle.every - self.cycle.window / 2, self.dataset(before[0])
        columns = self.columns(number, self.tensor(shown), truth)
        mask = columns.mask[0].expand(self.space.shape).double()
        r = float(columns.noise.clamp(min=self.settings.floor))
        window = self.window(states[0], hours)
        start, end = minimise_window(window, self.B, columns.innovation[0], mask, r, self.settings)
        moved = self.model.advance(window.inserted(start.numpy()), hours)
        analysis, state = self.shifted(self.dataset(moved), end, moved)
        return [state], {"forecasts": shown, "analyses": analysis}, columns.mask[0, 0]

    def letkf(self, number: int, states: list, before: list, truth: Tensor) -> Step:
        """The analysed members."""
        import jax

        members = before
        if self.settings.additive:
            more_spread = self.drawn(self.settings.additive, 7_368_787 * (self.cycle.seed + 1) + number)
            members = [self.window(s, 0).inserted(e) for s, e in zip(before, more_spread, strict=True)]
        shown = [self.dataset(s) for s in members]
        background = mean_of(shown)
        columns = self.columns(number, self.tensor(background), truth)
        seen = torch.cat([self.tensor(ds) for ds in shown])
        weights = weigh_members((seen - seen.mean(0)) / self.space.error, columns, self.points, self.settings)
        after = LayerEnsemble(self.model).analyse(members, weights, self.settings)
        found = [self.dataset(s) for s in after]
        analysis = mean_of(found)
        spread = xr.concat([spread_of(shown), spread_of(found)], "when").assign_coords(when=["forecast", "analysis"])
        if self.settings.static:
            known = (self.tensor(analysis) - self.tensor(background)) / self.space.error
            left = Columns((columns.innovation - known) * columns.mask, columns.mask, columns.noise)
            standard = self.space.standardise(self.tensor(background))
            e = self.settings.static * self.prior.increments(standard, left)[0, 0]
            centre = {**after[0], "dynamics": jax.tree.map(lambda *x: sum(x) / len(x), *(s["dynamics"] for s in after))}
            analysis, moved = self.shifted(analysis, e, centre)
            change = jax.tree.map(lambda new, old: new - old, moved["dynamics"], centre["dynamics"])
            after = [{**s, "dynamics": jax.tree.map(lambda x, d: x + d, s["dynamics"], change)} for s in after]
        return after, {"forecasts": background, "analyses": analysis, "spread": spread}, columns.mask[0, 0]

    def shifted(self, shown: xr.Dataset, e: Tensor, state: Any) -> tuple[xr.Dataset, Any]:
        """What a state shows and the state itself, both moved by an increment (C, H, W) in background errors."""
        from physlab.simulate.insert import insert

        moved = self.prior.bounded(self.tensor(shown) + (e * self.space.error).float())[0]
        analysis = channels_to_dataset(moved, shown[list(self.space.variables)].sel(level=list(self.space.levels)))
        return analysis, insert(self.model, state, analysis, SWEEPS)

    def run(self, progress: Progress | None, cancel: Cancel | None, ahead: Ahead) -> Path:
        """All steps that are not there yet."""
        from physlab.simulate.run import _load, _save

        restart, done, states = self.output / "restart.npz", 0, []
        if restart.exists():
            for k in range(self.members):
                one, told = _load(self.output / _named(k), lambda _: self.model.rest(0))
                states.append(one)
                done = told["cycle"]
            ahead.check(self.output, done)
        else:
            states = self.first()
        kept: dict[str, list[xr.Dataset]] = {}
        first = done
        while done < self.total:
            if cancel is not None and cancel():
                raise Cancelled(f"the cycle was stopped after {first} of {self.total} analyses, which are kept")
            states, parts, mask = self.step(done, states)
            where = xr.DataArray(mask.numpy().astype(np.int8), dims=("latitude", "longitude"),
                                 attrs={"long_name": "column was observed", "units": "1"})  # fmt: skip
            parts["forecasts"] = parts["forecasts"].assign(observed=where)
            if ahead.due(done):
                parts["ahead"] = look_ahead(self.model, self.dataset, states, self.cycle.window / 2, ahead.days)
            for name, ds in parts.items():
                if not all(bool(np.isfinite(da).all()) for da in ds.data_vars.values()):
                    raise PhysLabError(
                        f"the cycle became unstable at analysis {done}: pass smaller errors or a shorter cycle"
                    )
                kept.setdefault(name, []).append(ds.expand_dims(time=[self.times[done + 1]]))
            done += 1
            if progress is not None:
                progress(done, self.total)
            if done % PIECE == 0 or done == self.total:
                for name, some in kept.items():
                    if some:
                        write_dataset(xr.concat(some, "time"), self.output / f"{name}-{first:05d}.nc")
                    some.clear()
                for k in reversed(range(self.members)):  # the first one last: with it the restart is there
                    _save(self.output / _named(k), states[k], {"cycle": done})
                first = done
        return self.output


def _named(member: int) -> str:
    """File of a member in the restart."""
    return "restart.npz" if member == 0 else f"restart-{member:02d}.npz"


def mean_of(members: list[xr.Dataset]) -> xr.Dataset:
    """Mean of members."""
    return sum(members[1:], members[0]) / len(members)


def spread_of(members: list[xr.Dataset]) -> xr.Dataset:
    """Standard deviation of members, in their units."""
    both = xr.concat(members, "member")
    made = both.std("member", ddof=1)
    return made.assign({n: da.assign_attrs(units=both[n].attrs.get("units", "")) for n, da in made.data_vars.items()})
