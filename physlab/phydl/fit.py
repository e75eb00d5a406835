r"""Fitting a continuous field to data and to equations at once.

.. math:: L = \frac1V \sum_c \Big\langle \frac{(f_c - y_c)^2}{\sigma_c^2} \Big\rangle_\mathrm{data}
            + \mu \frac1E \sum_e \Big\langle \frac{R_e^2}{S_e^2} \Big\rangle_\mathrm{collocation}

with the standard deviation of each variable in the data and the root mean square S of each tendency, so that both
parts are relative and mu needs no unit. Collocation points are drawn anew at each step, uniform in area and time.
Coefficients and the smooth force are not trained: every `solve_every` steps they are solved for, given the field (a
variable projection). `free` is the published way instead: coefficients by gradient and a force without a price.

The published loss weighs mu = 10 and takes each residual at points of the training grid or of one Latin hypercube.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from physlab.errors import PhysLabError
from physlab.phydl.continuous import ContinuousField
from physlab.phydl.force import FreeForce
from physlab.phydl.identify import Normal, normal_equations
from physlab.train.loop import read_state, schedule, write_state
from physlab.train.progress import Bar

Field = TypeVar("Field", bound=ContinuousField)


@dataclass(frozen=True)
class FitSettings:
    """The numbers that decide a fit.

    Attributes
    ----------
    steps, batch : optimiser steps and data points of each (all of them if there are fewer).
    collocation : points of each step at which the equations are asked.
    rate : peak of Adam's learning rate;  clip : gradient norm;  ema : of the averaged weights.
    physics : mu, 0 for none;  warm_up : share of the steps before the equations are asked.
    solve_every, solve_points : how often coefficients and force are solved for, and at how many points.
    free : the published latent force, for comparison.
    save_every : steps between states of an interrupted run.
    """

    steps: int = 3000
    batch: int = 2048
    collocation: int = 512
    rate: float = 4e-3
    clip: float = 1.0
    ema: float = 0.99
    physics: float = 0.01
    warm_up: float = 0.25
    solve_every: int = 100
    solve_points: int = 8192
    free: bool = False
    save_every: int = 500

    def __post_init__(self) -> None:
        counts = (self.steps, self.batch, self.collocation, self.solve_every, self.solve_points, self.save_every)
        if min(counts) < 1 or not self.physics >= 0 or not 0 <= self.warm_up < 1 or not self.rate > 0:
            raise PhysLabError("counts must be at least 1, physics >= 0, 0 <= warm_up < 1 and the rate positive")


@dataclass
class FitReport:
    """What a fit did: `history` holds dicts of step, data and physics (root mean squares, relative)."""

    steps: int = 0
    wall_time_s: float = 0.0
    history: list[dict] = field(default_factory=list)


def fit(
    model: Field,
    points: Tensor,
    values: Tensor,
    settings: FitSettings,
    seed: int = 0,
    state: str | Path | None = None,
    progress: bool = False,
    stop_after: int | None = None,
    watch: Callable[[int, Field], None] | None = None,
) -> FitReport:
    """Fit `model` in place to (N, 3) points with (N, V) values, NaN where a variable was not observed.

    Parameters
    ----------
    state : file for interrupted runs: read if it is there, removed at the end.
    stop_after : leave after this step with the state written.
    watch : called with step and averaged model now and then.

    Raises
    ------
    PhysLabError : no data, a state of other settings, or a loss that is not a number.
    """
    points, values = points.float(), values.float()
    known = torch.isfinite(values)
    if not bool(known.any(0).all()):
        raise PhysLabError("a variable has no value at all: leave it out, or pass data for it")
    y = torch.where(known, (values - model.base(points)) / model.std, torch.zeros_like(values))
    z = model.domain.scaled(points)
    network, equations = model.network, model.equations if settings.physics else ()
    average = copy.deepcopy(network).requires_grad_(False)
    learned, free = list(network.parameters()), None
    if settings.free and equations:
        free = _Free(equations, seed)
        learned += list(free.parameters())
    optimiser = torch.optim.Adam(learned, lr=settings.rate, betas=(0.9, 0.99))
    report, step, before = FitReport(), 0, 0.0
    fingerprint = {"settings": asdict(settings), "seed": seed, "points": len(points), "sum": float(y.double().sum()),
                   "equations": [list(e.names) for e in equations]}  # fmt: skip
    state = None if state is None else Path(state)
    if state is not None and state.exists():
        saved = read_state(state, fingerprint, torch.device("cpu"))
        for module, key in ((network, "network"), (average, "average"), (optimiser, "optimiser")):
            module.load_state_dict(saved[key])
        if free is not None:
            free.load_state_dict(saved["free"])
        report, step, before = FitReport(**saved["report"]), saved["step"], saved["report"]["wall_time_s"]
        model.solution = {k: (v[0].numpy(), v[1].numpy()) for k, v in saved["solution"].items()}
        model.tendency = saved["tendency"]
    start, losses, physics_from = time.perf_counter(), [], round(settings.warm_up * settings.steps)
    with Bar(model.name, settings.steps, enabled=progress) as bar:
        while step < settings.steps:
            generator = torch.Generator().manual_seed((seed << 24) + step)
            for group in optimiser.param_groups:
                group["lr"] = settings.rate * schedule(step / settings.steps, 0.02)
            asked = bool(equations) and step >= physics_from
            if asked and ((step - physics_from) % settings.solve_every == 0 or not model.solution):
                solve(model, settings.solve_points, seed + 1)
            rows = slice(None)
            if settings.batch < len(z):
                rows = torch.randint(len(z), (settings.batch,), generator=generator)
            error = ((network(z[rows]) - y[rows]) * known[rows]).square()
            data = (error.sum(0) / known[rows].sum(0).clamp_min(1)).mean()
            loss, physics = data, torch.zeros(())
            if asked:
                at = model.domain.sample(settings.collocation, generator)
                physics = free(model, at) if free is not None else relative_residuals(model, at).square().mean()
                loss = data + settings.physics * physics
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, settings.clip)
            optimiser.step()
            step += 1
            with torch.no_grad():
                decay = min(settings.ema, (1 + step) / (10 + step))
                for mean, parameter in zip(average.parameters(), network.parameters(), strict=True):
                    mean.lerp_(parameter, 1 - decay)
            losses.append((data.item(), physics.item()))
            bar.advance(step)
            leaving = stop_after is not None and step >= stop_after
            if step % 100 == 0 or step == settings.steps or leaving:
                part = [math.sqrt(sum(x) / len(losses)) for x in zip(*losses, strict=True)]
                if not all(map(math.isfinite, part)):
                    raise PhysLabError(f"the loss is not a number at step {step}: lower rate or physics")
                report.history.append({"step": step, "data": part[0], "physics": part[1]})
                bar.note(f"misfit {part[0]:.3f}, residual {part[1]:.2f}")
                losses = []
                if watch is not None:
                    watch(step, model.with_network(average))
            report.steps, report.wall_time_s = step, before + time.perf_counter() - start
            if state is not None and (step % settings.save_every == 0 or leaving) and step < settings.steps:
                content = {"network": network.state_dict(), "average": average.state_dict(), "step": step,
                           "optimiser": optimiser.state_dict(), "report": asdict(report), "fingerprint": fingerprint,
                           "free": None if free is None else free.state_dict(), "tendency": model.tendency,
                           "solution": {k: tuple(map(torch.tensor, v)) for k, v in model.solution.items()}}  # fmt: skip
                write_state(state, content)
            if leaving:
                return report
    network.load_state_dict(average.state_dict())
    if equations and free is None:
        solve(model, settings.solve_points, seed + 1)
    elif free is not None:
        model.solution = {e.variable: (free.coefficients(e).numpy(), torch.zeros(0).numpy()) for e in equations}
    if state is not None:
        state.unlink(missing_ok=True)
    return report


def solve(model: ContinuousField, count: int, seed: int) -> dict[str, Normal]:
    """Coefficients, force and scale of each equation from the field as it is, at `count` random points."""
    points = model.domain.sample(count, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        states = [model.state(part) for part in points.split(2048)]
    found = {}
    for equation in model.equations:
        normal = normal_equations(equation, states, model.force)
        found[equation.variable] = normal
        model.solution[equation.variable] = normal.solve()
        model.tendency[equation.variable] = normal.tendency
    return found


def relative_residuals(model: ContinuousField, points: Tensor) -> Tensor:
    """(N, E): residual of each equation divided by the root mean square of its tendency."""
    state, out = model.state(points), []
    basis = model.force.basis(points, model.domain)
    for equation in model.equations:
        coefficients, weights = (torch.from_numpy(x).to(points) for x in model.solution[equation.variable])
        scale = model.tendency[equation.variable]
        force = basis @ weights * scale if len(weights) else None
        out.append(equation.residual(state, coefficients, force) / scale)
    return torch.stack(out, dim=1)


class _Free(nn.Module):
    """Coefficients and force as parameters of their own (Luo et al. 2025), the force a network without a price."""

    def __init__(self, equations, seed: int) -> None:
        super().__init__()
        self.equations = equations
        self.force = FreeForce(len(equations), seed=seed + 1)
        self.relative = nn.ParameterList(torch.zeros(len(e.terms)) for e in equations)  # as published: from zero
        self.scales: dict[str, tuple[Tensor, float]] = {}

    def forward(self, model: ContinuousField, points: Tensor) -> Tensor:
        state = model.state(points)
        force = self.force(model.domain.scaled(points))
        total = torch.zeros(())
        for at, equation in enumerate(self.equations):
            columns, left = equation.columns(state), equation.tendency(state)
            if equation.variable not in self.scales:
                scale = columns.detach().square().mean(0).sqrt().clamp_min(1e-30)
                self.scales[equation.variable] = scale, float(left.detach().square().mean().sqrt())
            scale, tendency = self.scales[equation.variable]
            residual = left / tendency - (columns / scale) @ self.relative[at] - force[:, at]
            total = total + residual.square().mean() / len(self.equations)
        return total

    def coefficients(self, equation) -> Tensor:
        """(terms,) in SI units."""
        at = [e.variable for e in self.equations].index(equation.variable)
        scale, tendency = self.scales[equation.variable]
        return (self.relative[at] * tendency / scale).detach().double()
