"""What a learned analysis is worth: beside the background, the control without observations, and classical methods.

The numbers are errors over those of the background: the mean square over channels and places, in units of the
background error, so that the background has 1 and a perfect analysis 0. The control is the same method that is shown
no observation: what it gains is knowledge of the background's errors, and only the rest is what observations gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from physlab.assimilate.columns import ColumnOI
from physlab.assimilate.global3d import GlobalVar3D
from physlab.assimilate.learned import Learned
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.assimilate.static import StaticLETKF
from physlab.errors import PhysLabError
from physlab.registry import watched
from physlab.train.assimilation import Pairs

SHARES = (0.005, 0.02, 0.1)
MOST = 24
RADII = (250e3, 500e3, 1000e3, 2000e3)
NOISE = 0.3
MEMBERS = 8


@dataclass(frozen=True)
class Row:
    """A method: share of observed points -> error over that of the background, and per channel the RMSE in its unit."""

    name: str
    kind: str
    scores: dict[float, float]
    rmse: dict[str, float] = field(default_factory=dict)


def oi(space: StateSpace, columns: Columns, radius: float) -> Tensor:
    """(B, C, H, W) increments of univariate optimal interpolation, radius in m.

    Errors of the background are correlated in space by a Gaspari-Cohn function and between channels not at all; all
    channels are seen at the same places, so that one system serves them all.
    """
    method = ColumnOI(space, radius, floor=1e-2)
    return method.increments(columns.innovation.double(), columns)[:, 0].float()


def error_of(space: StateSpace, made: Tensor, increment: Tensor) -> tuple[float, Tensor]:
    """Error over that of the background, and (C,) mean squares."""
    area = space.area
    left = ((made - increment).square() * area).mean((0, 2, 3))
    before = (increment.square() * area).mean((0, 2, 3))
    return float(left.mean() / before.mean()), left


def seen(pairs: Pairs, share: float, noise: float = NOISE, seed: int = 0) -> tuple[Tensor, Tensor, Columns]:
    """Background, increment and columns of at most :data:`MOST` pairs; the same stations whatever the method."""
    at = torch.linspace(0, len(pairs) - 1, min(MOST, len(pairs))).round().long()
    background, increment = pairs.take(at)
    generator = torch.Generator().manual_seed(1000 + seed)
    return background, increment, observe_columns(increment, share, noise, pairs.space.area, generator)


def without(columns: Columns) -> Columns:
    """Nothing observed."""
    return Columns(torch.zeros_like(columns.innovation), torch.zeros_like(columns.mask), columns.noise)


@torch.no_grad()
def mean_of(method: Learned, background: Tensor, columns: Columns) -> Tensor:
    """(B, C, H, W) the analysis, or the mean of its members."""
    made = []
    for k in range(0, len(background), 4):
        generator = torch.Generator().manual_seed(k)
        part = slice(k, k + 4)
        # those that are estimated give their mean for one member
        members = MEMBERS if method.ensemble and not isinstance(method, StaticLETKF | GlobalVar3D) else 1
        made.append(method.increments(background[part], columns[part], members, generator).mean(1))
    return torch.cat(made)


def held_out(pairs: Pairs) -> Callable[[Learned], float]:
    """The score by which the weights are chosen: the loss on validation pairs with stations that never change."""
    background, increment, columns = seen(pairs, 0.02)
    count = min(8, len(background))

    def score(method: Learned) -> float:
        device = method.area.device
        some = Columns(*(x[:count].to(device) for x in (columns.innovation, columns.mask, columns.noise)))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            return float(method.loss(background[:count].to(device), increment[:count].to(device), some, generator))

    return score


def rows_of(
    method: Learned,
    name: str,
    train: Pairs,
    val: Pairs,
    test: Pairs,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Row], list[str]]:
    """The method, its control, the background and the classical methods on the test pairs; and what was left out.

    The radius of optimal interpolation is chosen on the validation pairs.
    """
    space, said = test.space, []
    background, increment, columns = seen(val, SHARES[1])
    radius = min(RADII, key=lambda r: error_of(space, oi(space, columns, r), increment)[0])
    classical: list[tuple[str, Learned]] = []
    truncation = min(42, space.shape[1] * 2 // 3 - 1, space.shape[2] // 2 - 1)
    competitors: tuple[tuple[str, Any, dict[str, int]], ...] = (
        ("LETKF, static members", StaticLETKF, {}),
        ("3D-Var", GlobalVar3D, {"truncation": truncation}),
    )
    for label, kind, options in competitors:
        try:
            if kind is GlobalVar3D and not space.closed:
                raise PhysLabError("it knows the whole globe only")
            classical.append((label, kind.from_increments(train.increment.float(), space, **options)))
        except PhysLabError as error:
            said.append(f"{label} is not compared: {error}")
    todo = [("background", None), ("without observations", method), ("optimal interpolation", None), *classical,
            (name, method)]  # fmt: skip
    kinds = {name: "trained", "without observations": "control"}
    scores: dict[str, dict[float, float]] = {label: {} for label, _ in todo}
    squares: dict[str, Tensor] = {}
    for share in watched(SHARES, progress):
        background, increment, columns = seen(test, share)
        for label, model in todo:
            if label == "background":
                made = torch.zeros_like(increment)
            elif label == "optimal interpolation":
                made = oi(space, columns, radius)
            else:
                assert model is not None
                made = mean_of(model, background, without(columns) if "without" in label else columns)
            scores[label][share], left = error_of(space, made, increment)
            if share == SHARES[1]:
                squares[label] = left
    units = space.error.flatten()
    rows = []
    for label, _ in todo:
        rmse = {n: float(u) * math.sqrt(float(s)) for n, u, s in zip(space.names, units, squares[label], strict=True)}
        shown = f"{label} ({radius / 1e3:.0f} km)" if label == "optimal interpolation" else label
        rows.append(Row(shown, kinds.get(label, "baseline"), scores[label], rmse))
    return rows, said


def verdicts(rows: Sequence[Row]) -> list[str]:
    """What came out, in two sentences."""
    mine = next(r for r in rows if r.kind == "trained")
    control = next(r for r in rows if r.kind == "control")
    best = min((r for r in rows if r.kind == "baseline"), key=lambda r: r.scores[SHARES[1]])
    share = SHARES[1]
    gain = control.scores[share] - mine.scores[share]
    first = (f"With {share:.0%} of the points observed {mine.name} leaves {mine.scores[share]:.3f} of the mean square "
             f"error of the background, the control without observations {control.scores[share]:.3f}: observations "
             f"{'gave' if gain >= 0 else 'took'} {abs(gain):.3f}.")  # fmt: skip
    if mine.scores[share] > 1:
        first += " The background itself is better."
    better = mine.scores[share] < best.scores[share]
    return [first, f"The best of the others is {best.name} with {best.scores[share]:.3f}: {mine.name} is "
            f"{'better' if better else 'not better'}."]  # fmt: skip
