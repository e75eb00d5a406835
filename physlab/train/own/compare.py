"""What was trained beside what needs no training: on the validation block to choose, on the test block once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physlab import score
from physlab.downscale import Interpolate
from physlab.downscale.interpolate import InTime
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.regression import MultipleRegression
from physlab.errors import PhysLabError
from physlab.registry import watched
from physlab.score import paired
from physlab.train.evaluate import predict_members, scores_of
from physlab.train.own.data import OwnData
from physlab.train.own.latent import statics_of
from physlab.train.own.methods import method_of
from physlab.train.own.statistical import made

MEMBERS = 10
MOST = {"latent": 32, "ensemble": 120, "single": 400}
"""Samples that are scored at most, evenly over the test block: members of latent diffusion take long."""
CELLS = 3e7
"""Cells of these samples together at most: fields of the globe are large."""
DRAWS = 1000


@dataclass
class Row:
    """One method on the test block.

    Attributes
    ----------
    kind : "baseline", "control" (given the same information) or "trained".
    scores : variable -> score -> number.
    error : variable -> (S,) mean square error of each sample, for paired intervals.
    shown : (M, 3, V, H, W) of the samples that the report draws.
    spectrum : variable -> (k, power).
    ranks : variable -> rank histogram, of an ensemble.
    """

    name: str
    kind: str
    seed: int | None = None
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    error: dict[str, np.ndarray] = field(default_factory=dict)
    shown: Tensor | None = None
    spectrum: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    ranks: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and seed."""
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"


def baselines(data: OwnData, number: int) -> list[Any]:
    """Nearest, bicubic, and bicubic made to agree with the coarse field in the way that suits the variable."""
    n = data.factor
    methods = [Interpolate("nearest", n), Interpolate("bicubic", n)]
    if data.consistent:
        methods += [Interpolate("bicubic", n, "mult" if data.positive[number] else "add")]
    between = data.step is not None and len(data.given) < next(iter(data.fine.values())).shape[1]
    return [InTime(m) for m in methods] if between else methods


def drawn(model: Any, data: OwnData, split: str, at: np.ndarray, members: int = MEMBERS) -> Tensor:
    """(M, S, V or T, H, W) of some samples; M is 1 for a method without members."""
    if isinstance(model, LatentDownscaler):
        static, x = statics_of(model, data, split), data.coarse[split][at]
        generator = torch.Generator().manual_seed(0)
        parts = [model.sample(part, data.weights, members, generator, static) for part in x.split(8)]
        return torch.cat(parts, 1)[:, :, None]
    picked = thinned(data, split, at)
    return predict_members(model, picked, split, members=members)


def thinned(data: OwnData, split: str, at: np.ndarray) -> OwnData:
    """The same with some samples of a split."""
    index = torch.from_numpy(at)
    ground = {k: {**v, split: v[split] if len(v[split]) == 1 else v[split][index]} for k, v in data.ground.items()}
    return replace(
        data, fine={**data.fine, split: data.fine[split][index]},
        coarse={**data.coarse, split: data.coarse[split][index]},
        longitude={**data.longitude, split: data.longitude[split][at]}, time={**data.time, split: data.time[split][at]},
        ground=ground,
    )  # fmt: skip


def evenly(count: int, most: int) -> np.ndarray:
    """At most so many of `count` positions, evenly."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def rows_of(
    data: OwnData, models: Sequence[tuple[str, int | None, Any]], split: str = "test", most: int | None = None,
    progress: Callable[[int, int], None] | None = None, held: Sequence[Control] | None = None,
) -> tuple[list[Row], np.ndarray]:  # fmt: skip
    """Every method on the same samples of a split.

    Parameters
    ----------
    models : (name, seed, method) of each run.
    most : samples at most; None for as many as the methods let hope for.
    held : the controls, if they are fitted already.

    Returns
    -------
    rows, and which samples they are of.
    """
    noisy = any(m.spec.ensemble for *_, m in models)
    slow = any(isinstance(m, LatentDownscaler) for *_, m in models)
    most = most or MOST["latent" if slow else "ensemble" if noisy else "single"]
    at = evenly(len(data.fine[split]), min(most, max(4, int(CELLS / np.prod(data.shape)))))
    picked = thinned(data, split, at)
    plan: list[tuple[Row, Callable[[], Tensor]]] = []
    several = data.step is None
    count = len(data.variables) if several else 1
    for method in baselines(data, 0):
        label = method.name.rsplit("-x", 1)[0]
        plan.append((Row(label, "baseline"), partial(_by_variable, method, picked, split, count)))
    for control in controls(data, [m for *_, m in models]) if held is None else held:
        plan.append((Row(control.label, "control"), partial(control.predict, picked, split)))
    for name, seed, model in models:
        plan.append((Row(name, "trained", seed), partial(drawn, model, picked, split, np.arange(len(at)))))
    rows = []
    for row, predict in watched(plan, progress):
        filled(row, predict(), picked, split)
        rows.append(row)
    return rows, at


def _by_variable(method: Any, data: OwnData, split: str, count: int) -> Tensor:
    """A method of any field on each variable; the constraint is that of the variable."""
    if data.step is not None:
        return predict_members(method, data, split)
    parts = []
    for number in range(count):
        own = method
        if getattr(method, "constraint", "none") in ("add", "mult"):
            own = Interpolate(method.method, method.factor, "mult" if data.positive[number] else "add")
        parts.append(predict_members(own, data.one(number), split))
    return torch.cat(parts, 2)


@dataclass
class Control:
    """A regression that was given the same information, fitted to the same training block."""

    label: str
    models: list[Any]

    def predict(self, data: OwnData, split: str) -> Tensor:
        """(1, S, V or T, H, W)."""
        if data.step is not None:
            x = data.coarse[split]
            y = torch.cat([self.models[0].predict(x[:, t], data.weights)[:, None] for t in range(x.shape[1])], 1)
            return y[None]
        parts = [predict_members(m, data.told(i), split) for i, m in enumerate(self.models)]
        return torch.cat(parts, 2)


def controls(data: OwnData, models: Sequence[Any]) -> list[Control]:
    """The linear regression, for what is not itself one."""
    if all(type(m) is MultipleRegression for m in models):
        return []
    if data.step is not None and len(data.given) != next(iter(data.fine.values())).shape[1]:
        return []
    method = method_of("linear")
    try:
        if data.step is not None:
            return [Control("linear", [made(method, single_frames(data))])]
        return [Control("linear", [made(method, data.told(i)) for i in range(len(data.variables))])]
    except (PhysLabError, np.linalg.LinAlgError, MemoryError):
        return []


def single_frames(data: OwnData) -> OwnData:
    """Sequences as single frames."""
    frames = next(iter(data.fine.values())).shape[1]
    return replace(
        data, fine={k: v.flatten(0, 1)[:, None] for k, v in data.fine.items()},
        coarse={k: data.all_coarse(k).flatten(0, 1)[:, None] for k in data.fine}, step=None, given=(0,),
        time={k: np.repeat(v, frames) for k, v in data.time.items()},
        longitude={k: np.repeat(v, frames, 0) for k, v in data.longitude.items()},
    )  # fmt: skip


def filled(row: Row, made_: Tensor, data: OwnData, split: str) -> None:
    """Scores, errors of each sample, spectra and ranks of a prediction (M, S, V or T, H, W)."""
    fine, coarse, several = data.fine[split], data.all_coarse(split), data.step is None
    names = data.variables if several else (data.variable,)
    for number, name in enumerate(names):
        at = slice(number, number + 1) if several else slice(None)
        y, truth, given = made_[:, :, at], fine[:, at], coarse[:, at]
        span = float(truth.max() - truth.min()) or 1.0
        row.scores[name] = scores_of(y, truth, given, data.factor, span, data.weights)
        square = ((y.mean(0) - truth).double().square() * data.weights).mean((1, 2, 3))
        row.error[name] = square.numpy()
        row.spectrum[name] = spectrum(y[0])
        if len(y) > 1:
            row.ranks[name] = score.rank_histogram(y, truth).numpy()
    pick = evenly(len(fine), 3)
    row.shown = made_[:2, pick].clone()


def spectrum(fields: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(k, power), the mean over fields of their spectra."""
    k, power = score.radial_spectrum(fields.reshape(-1, *fields.shape[-2:]), window="hann")
    return k.numpy(), power.mean(0).numpy()


def gain(mine: np.ndarray, other: np.ndarray, seed: int = 0, blocks: int = 20) -> tuple[float, float, float]:
    """1 - rmse / rmse of the other, with its interval of 95 % by paired resampling of blocks of samples in a row.

    Parameters
    ----------
    mine, other : (S,) mean square errors of the same samples in order of time.
    """
    whole = 1.0 - float(np.sqrt(mine.mean() / max(other.mean(), 1e-300)))
    parts = np.array_split(np.arange(len(mine)), min(blocks, len(mine)))
    if len(parts) < 4:
        return whole, float("nan"), float("nan")
    of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    _, (low,), (high,) = paired.gains(np.stack([mine, np.maximum(other, 1e-300)], 1), of, DRAWS, seed)
    return whole, float(low), float(high)
