"""Twin experiments with tuned settings and the score to expect: one setting of the literature, one file.

    python -m physlab.assimilate.experiments lorenz96_sakov2008

runs a file and prints its table. A score is the RMSE of the analysis after the spin-up, the median over the seeds; runs
that lost the truth are counted. All seeds run side by side, as a leading dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Protocol

import torch
from torch import Tensor

from physlab.assimilate.base import Method
from physlab.assimilate.cycle import Scores, TwinExperiment
from physlab.errors import PhysLabError

NAMES = ("lorenz63_sakov2012", "lorenz96_sakov2008", "shallow_water")


class Model(Protocol):
    """What an experiment asks of a model."""

    def start(self, *batch: int, generator: torch.Generator | None = None) -> Tensor:
        """States (*batch, n) on the attractor."""

    def trajectory(self, x: Tensor, steps: int, every: int = 1) -> Tensor:
        """Every so many states of a run, (..., steps / every, n)."""

    def __call__(self, x: Tensor, steps: int = 1) -> Tensor:
        """The state some steps later."""


@dataclass(frozen=True, eq=False)
class Climate:
    """What a model does in the long run: mean (n,), covariance (n, n), and states (..., n) it was taken from."""

    mean: Tensor
    covariance: Tensor
    states: Tensor

    @classmethod
    def of(cls, model: Model, starts: int = 64, samples: int = 50, every: int = 20, seed: int = 99) -> Climate:
        """Of a model with ``start``, from `starts` runs, each sampled every `every` steps."""
        start = model.start(starts, generator=torch.Generator().manual_seed(seed))
        path = model.trajectory(start, samples * every, every)
        states = path.flatten(0, -2)
        return cls(states.mean(0), torch.cov(states.mT), path)


@dataclass(frozen=True, eq=False)
class Experiment:
    """A method in a twin experiment.

    Attributes
    ----------
    name : of the method and its settings.
    method : the method, or how it is made from the climate.
    members : of its ensemble; None for a method without.
    expected : lowest and highest RMSE that independent codes and papers found; ours, where the source says so.
    source : where that is written.
    climatological : the method's forecast is the mean of the climate.
    window : see :class:`~physlab.assimilate.cycle.TwinExperiment`.
    """

    name: str
    method: Method | Callable[[Climate], Method]
    members: int | None
    expected: tuple[float, float]
    source: str
    climatological: bool = False
    window: int = 1


@dataclass(frozen=True, eq=False)
class Setting:
    """A twin experiment, its model, and the methods that are run in it.

    Attributes
    ----------
    model : see :class:`Model`.
    twin : the truth and how it is observed.
    errors : (state, generator) -> errors of the first background, and of its members, in the shape of the state.
    experiments : the methods.
    climate : of :meth:`Climate.of`.
    """

    model: Model
    twin: TwinExperiment
    errors: Callable[[Tensor, torch.Generator], Tensor]
    experiments: tuple[Experiment, ...]
    climate: Mapping[str, int] = field(default_factory=dict)

    def run(self, experiment: Experiment, seeds: int = 3, cycles: int | None = None, seed: int = 0) -> Scores:
        """One method, `seeds` truths side by side.

        Parameters
        ----------
        cycles : instead of those of the setting; the spin-up stays.
        seed : of all random numbers.
        """
        generator = torch.Generator().manual_seed(seed)
        twin = replace(self.twin, cycles=self.twin.cycles if cycles is None else cycles, window=experiment.window)
        method = experiment.method
        if experiment.climatological or not isinstance(method, Method):
            climate = Climate.of(self.model, **self.climate)
        if not isinstance(method, Method):
            method = method(climate)
        start = self.model.start(seeds, generator=generator)
        truth, y = twin.nature(start, generator)
        if experiment.climatological:
            twin = replace(twin, forecast=lambda x: climate.mean.expand_as(x))
        background = start + self.errors(start, generator)
        if experiment.members is not None:
            background = background[..., None, :].repeat_interleave(experiment.members, -2)
            background = background + self.errors(background, generator)
        return twin.run(method, background, truth, y, generator)


def white(std: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Errors without any correlation, of one standard deviation."""
    return lambda x, generator: std * torch.randn(x.shape, generator=generator, dtype=x.dtype)


def setting(name: str) -> Setting:
    """The setting of a file."""
    if name not in NAMES:
        raise PhysLabError(f"there is no experiment {name!r}: pass one of {', '.join(NAMES)}")
    return import_module(f"{__name__}.{name}").SETTING


def table(name: str, seeds: int = 3, cycles: int | None = None, seed: int = 0) -> Iterator[str]:
    """Lines of a table: what was expected and what came."""
    yield f"{'method':34s} {'expected':>13s} {'median':>7s} {'lowest':>7s} {'highest':>7s} {'spread':>7s} {'lost':>5s}"
    chosen = setting(name)
    for e in chosen.experiments:
        s = chosen.run(e, seeds, cycles, seed)
        numbers = (s.rmse.median(), s.rmse.min(), s.rmse.max(), s.spread.median())
        low, high = e.expected
        yield (f"{e.name:34s} {low:6.3f} {high:6.3f} " + " ".join(f"{float(v):7.3f}" for v in numbers)
               + f" {int(s.diverged.sum()):5d}")  # fmt: skip
