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

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from physlab.errors import PhysLabError
from physlab.nn.share import Draws, mean, processes, rows
from physlab.phydl.continuous import ContinuousField
from physlab.phydl.force import FreeForce
from physlab.phydl.identify import Normal, normal_equations
from physlab.train.batches import Drawn
from physlab.train.loop import Report, optimise
from physlab.train.objective import Objective, adamw
from physlab.train.settings import Steps

Field = TypeVar("Field", bound=ContinuousField)

FitReport = Report


@dataclass(frozen=True)
class FitSettings(Steps):
    """The numbers that decide a fit, beside those of :class:`~physlab.train.settings.Steps`.

    Attributes
    ----------
    batch : data points of a step (all of them if there are fewer).
    collocation : points of each step at which the equations are asked.
    physics : mu, 0 for none;  warm_up : share of the steps before the equations are asked.
    solve_every, solve_points : how often coefficients and force are solved for, and at how many points.
    free : the published latent force, for comparison.
    """

    steps: int = 3000
    batch: int = 2048
    rate: float = 4e-3
    warm_up: float = 0.25
    decay: float = 0.0
    precision: str = "fp32"  # second derivatives
    validate_every: int = 100
    collocation: int = 512
    physics: float = 0.01
    solve_every: int = 100
    solve_points: int = 8192
    free: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.collocation, self.solve_every, self.solve_points) < 1 or not self.physics >= 0:
            raise PhysLabError("collocation, solve_every and solve_points must be at least 1, and physics >= 0")


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
) -> Report:
    """Fit `model` in place to (N, 3) points with (N, V) values, NaN where a variable was not observed.

    Parameters
    ----------
    state, stop_after : see :func:`physlab.train.loop.optimise`.
    watch : called with step and averaged model now and then.

    Raises
    ------
    PhysLabError : no data, a state of other settings, or a loss that is not a number.
    """
    objective = Points(model, points, values, settings, seed)
    seen = None if watch is None else lambda step, network: watch(step, model.with_network(network))
    return optimise(objective, state, progress, stop_after, seen)


class Points(Objective):
    """Data at points, and the equations at others."""

    advice = " or the weight of the physics"
    warm_up = 0.02
    settings: FitSettings

    def __init__(
        self, model: ContinuousField, points: Tensor, values: Tensor, settings: FitSettings, seed: int
    ) -> None:
        points, values = points.float(), values.float()
        self.known = torch.isfinite(values)
        if not bool(self.known.any(0).all()):
            raise PhysLabError("a variable has no value at all: leave it out, or pass data for it")
        at, total = model.std.device, float(values.nan_to_num().double().sum())
        points, values, self.known = points.to(at), values.to(at), self.known.to(at)
        y = torch.where(self.known, (values - model.base(points)) / model.std, torch.zeros_like(values))
        self.y, self.z = y, model.domain.scaled(points)
        self.field, self.seed, self.asked = model, seed, False
        self.equations = model.equations if settings.physics else ()
        self.free = _Free(self.equations, seed).to(at) if settings.free and self.equations else None
        batches = Drawn(min(settings.batch, len(points)), seed, self.draw)
        super().__init__(model.network, settings, batches, model.name)
        self.fingerprint = {"settings": asdict(settings), "seed": seed, "points": len(points),
                            "sum": total,
                            "equations": [list(e.names) for e in self.equations]}  # fmt: skip

    def draw(self, generator: Draws, mine: slice) -> tuple[Tensor | slice, slice, Tensor]:
        """Rows of a batch, those of this process among them, and its points for the equations."""
        batch: Tensor | slice = slice(None)
        if self.settings.batch < len(self.z):
            batch = torch.randint(len(self.z), (self.settings.batch,), generator=generator)
        asked = self.field.domain.sample(self.settings.collocation, generator)
        return batch, mine, asked[rows(len(asked))].to(self.z)

    def optimisers(self) -> list[torch.optim.Optimizer]:
        learned = [p for module in (self.model, *self.modules().values()) for p in module.parameters()]
        return [adamw(learned, self.rate, self.settings.clip, self.settings.decay, (0.9, 0.99))]

    def modules(self) -> dict[str, nn.Module]:
        return {} if self.free is None else {"free": self.free}

    def weight(self, rank: int, world: int) -> float:
        return 1.0  # the parts know their share themselves: there are two kinds of points

    def begin(self, step: int) -> None:
        settings, first = self.settings, round(self.settings.warm_up * self.settings.steps)
        self.asked = bool(self.equations) and step >= first
        if self.asked and ((step - first) % settings.solve_every == 0 or not self.field.solution):
            solve(self.field, settings.solve_points, self.seed + 1)

    def losses(self, batch: Tensor | slice, mine: slice, at: Tensor, _: torch.Generator) -> Iterator[Tensor]:
        world, known, y, z = processes()[1], self.known[batch], self.y[batch], self.z[batch]
        error = ((self.model(z[mine]) - y[mine]) * known[mine]).square()
        data = world * (error.sum(0) / known.sum(0).clamp_min(1)).mean()
        loss, physics = data, data.new_zeros(())
        if self.asked:
            residual = self.free(self.field, at) if self.free is not None else relative_residuals(self.field, at)
            physics = residual.square().mean() * (len(at) * world / self.settings.collocation)
            loss = data + self.settings.physics * physics
        self.terms = {"data": data, "physics": physics}
        yield loss

    def entry(self, means: Mapping[str, float]) -> dict[str, float]:
        return {name: math.sqrt(value) if value >= 0 else value for name, value in means.items()}

    def note(self, entry: Mapping[str, float]) -> str:
        return f"misfit {entry['data']:.3f}, residual {entry['physics']:.2f}"

    def extra(self) -> dict:
        solution = {k: tuple(map(torch.tensor, v)) for k, v in self.field.solution.items()}
        return {"solution": solution, "tendency": self.field.tendency, "scales": self.free.scales if self.free else {}}

    def resume(self, extra: Mapping) -> None:
        self.field.solution = {k: (v[0].numpy(), v[1].numpy()) for k, v in extra["solution"].items()}
        self.field.tendency = extra["tendency"]
        if self.free is not None:
            self.free.scales = extra["scales"]

    def finish(self) -> None:
        """Coefficients and force of the averaged field."""
        if self.free is not None:
            self.field.solution = {e.variable: (self.free.coefficients(e).numpy(), torch.zeros(0).numpy())
                                   for e in self.equations}  # fmt: skip
        elif self.equations:
            solve(self.field, self.settings.solve_points, self.seed + 1)


def solve(model: ContinuousField, count: int, seed: int) -> dict[str, Normal]:
    """Coefficients, force and scale of each equation from the field as it is, at `count` random points."""
    points = model.domain.sample(count, torch.Generator().manual_seed(seed)).to(model.std.device)
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
        """(N, E) relative residuals."""
        state = model.state(points)
        force = self.force(model.domain.scaled(points))
        parts = []
        for at, equation in enumerate(self.equations):
            columns, left = equation.columns(state), equation.tendency(state)
            if equation.variable not in self.scales:
                scale = mean(columns.detach().square(), (0,)).sqrt().clamp_min(1e-30)
                self.scales[equation.variable] = scale, float(mean(left.detach().square(), (0,)).sqrt())
            scale, tendency = self.scales[equation.variable]
            parts.append(left / tendency - (columns / scale.to(columns)) @ self.relative[at] - force[:, at])
        return torch.stack(parts, dim=1)

    def coefficients(self, equation) -> Tensor:
        """(terms,) in SI units."""
        at = [e.variable for e in self.equations].index(equation.variable)
        scale, tendency = self.scales[equation.variable]
        return (self.relative[at].cpu() * tendency / scale.cpu()).detach().double()
