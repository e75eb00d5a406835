"""Samples out of a source: whole fields, or patches without a gap, in blocks of time, or of space where time is "
"short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from physlab.data.splits import split_by_time
from physlab.errors import FieldError
from physlab.grid import coarsen
from physlab.registry import watched
from physlab.train.own.request import Request
from physlab.train.own.source import Source

SPLITS = ("train", "val", "test")
GAP = 48.0
"""Hours between the blocks where none are asked for."""
LARGE = 200 * 200
"""Fine cells from which on a field is cut into patches."""
EDGES = (128, 96, 64, 48, 32, 24, 16)
"""Of patches, the first that suits."""
TIMES = 240
"""Of a block that patches are taken from, at most."""
ENOUGH = 12
"""Patches of a block without which there is nothing to train or score."""


@dataclass
class Cut:
    """What was cut, by split.

    Attributes
    ----------
    fine, coarse : (S, T or V, H, W) and (S, T or V + P, h, w).
    time : (S,).  corner : (S, 2) first row and column.
    by : "time" or "space".  gap : hours.  edge : of the patches, 0 for whole fields.
    """

    fine: dict[str, np.ndarray]
    coarse: dict[str, np.ndarray]
    time: dict[str, np.ndarray]
    corner: dict[str, np.ndarray]
    by: str
    gap: float
    edge: int
    rule: str
    notes: list[str] = field(default_factory=list)


def blocks_of(source: Source, request: Request) -> tuple[dict[str, np.ndarray] | None, float, str]:
    """Indices of the times of each split; None where the times are too few or too near, and the sentence that says why.

    Raises
    ------
    FieldError : too short for a gap that was asked for.
    """
    gap = GAP if request.gap is None else request.gap
    shares: dict[str, float | tuple] = {
        "train": 1.0 - 2 * request.held_out,
        "val": request.held_out,
        "test": request.held_out,
    }
    hours = float((source.time[-1] - source.time[0]) / np.timedelta64(1, "s")) / 3600.0
    try:
        found = split_by_time(source.time, shares, gap)
        if min(len(at) for at in found.values()) >= max(2, request.frames):
            return found, gap, ""
        reason = "a block would hold one time"
    except FieldError:
        reason = f"three blocks and two gaps of {gap:g} h do not fit"
    said = f"{len(source.time)} times over {hours:.3g} h: {reason}"
    if request.gap is not None and request.patch == 0:
        raise FieldError(f"{said}; pass a longer period, a smaller gap (--gap), or patches (--patch) to split by space")
    return None, 0.0, said


def cut(source: Source, request: Request, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Cut:
    """The samples of a request.

    Raises
    ------
    FieldError : missing values everywhere, too few samples for a split.
    """
    blocks, gap, why = blocks_of(source, request)
    shape = source.grid.shape
    first = source.fine_at(slice(0, 1))[0]
    gaps = not np.isfinite(first).all()
    small = blocks is not None and not gaps and not source.on_map and np.prod(shape) <= LARGE
    whole = request.patch == 0 or (request.patch is None and small)
    if whole and blocks is None:
        raise FieldError(f"{why}; whole fields can be split by time alone: pass a longer period, or --patch")
    if whole:
        assert blocks is not None
        made = whole_fields(source, request, blocks, gap, progress)
        if made is not None:
            return made
        if request.patch == 0:
            raise FieldError("every time has missing values: pass --patch, or a region that has none")
    edge = request.patch or edge_of(source, request, blocks is None)
    return patches(source, request, blocks, gap, edge, seed, why, progress)


def whole_fields(
    source: Source, request: Request, blocks: dict[str, np.ndarray], gap: float,
    progress: Callable[[int, int], None] | None,
) -> Cut | None:  # fmt: skip
    """Each time is a sample; those with missing values are left out, up to a fifth of them; None for more."""
    total = len(source.time)
    size = 4.0 * total * np.prod(source.grid.shape) * len(source.variables)
    if size > 6e9:
        raise FieldError(
            f"{total} whole fields are {size / 1e9:.0f} GB: pass --patch, --region or --period, or stream them"
        )
    fine, coarse, good = [], [], []
    step = max(1, int(2e7 / float(np.prod(source.grid.shape))))
    for start in range(0, total, step):
        at = slice(start, min(start + step, total))
        y = source.fine_at(at)
        x = source.coarse_at(at, y)
        fine.append(y)
        coarse.append(x)
        good.append(np.isfinite(y).all((1, 2, 3)) & np.isfinite(x).all((1, 2, 3)))
        if progress is not None:
            progress(at.stop, total)
    y, x, known = np.concatenate(fine), np.concatenate(coarse), np.concatenate(good)
    if not np.isfinite(y).any():
        raise FieldError(f"{', '.join(source.variables)} of {request.truth} has no value at all: every cell is missing")
    if known.mean() < 0.8:
        return None
    notes = [] if known.all() else [f"{(~known).sum()} of {total} times with missing values were left out."]
    windows = {name: runs(at, source.time, request.frames, known) for name, at in blocks.items()}
    for name, found in windows.items():
        if len(found) < 2:
            raise FieldError(
                f"the {name} block has {len(found)} samples of {request.frames} frames without gaps: pass more times"
            )
    one = request.frames == 1
    return Cut(
        {k: y[w[:, 0]] if one else y[w][:, :, 0] for k, w in windows.items()},
        {k: x[w[:, 0]] if one else x[w][:, :, 0] for k, w in windows.items()},
        {k: source.time[w[:, 0]] for k, w in windows.items()},
        {k: np.zeros((len(w), 2), int) for k, w in windows.items()},
        "time", gap, 0, f"blocks of time with gaps of {gap:g} h", notes,
    )  # fmt: skip


def runs(at: np.ndarray, time: np.ndarray, frames: int, known: np.ndarray) -> np.ndarray:
    """(S, frames) indices of successive times at the usual step, all of them in the block and known."""
    at = at[known[at]]
    if frames == 1:
        return at[:, None]
    if len(time) < 2:
        return np.zeros((0, frames), int)
    usual = np.median(np.diff(time).astype("int64"))
    inside = np.zeros(len(time), bool)
    inside[at] = True
    starts = [
        i for i in at
        if i + frames <= len(time) and inside[i : i + frames].all()
        and (np.abs(np.diff(time[i : i + frames]).astype("int64") - usual) < 0.01 * usual).all()
    ]  # fmt: skip
    return np.array([np.arange(i, i + frames) for i in starts], int).reshape(-1, frames)


def edge_of(source: Source, request: Request, by_space: bool) -> int:
    """The largest edge of patches of which a field has enough without gaps."""
    n, (height, width) = request.factor, source.grid.shape
    y = source.fine_at(slice(0, 1))[0]
    best = 0
    for wanted in EDGES:
        edge = wanted // n * n
        if edge < 4 * n or edge > height or edge * (5 if by_space else 1) > width:
            continue
        count = len(corners(np.isfinite(y).all(0), edge))
        best = best or (edge if count else 0)
        if count >= ENOUGH:
            return edge
    if not best:
        room = f"{height} x {width} cells, {int(np.isfinite(y).all(0).sum())} of them known"
        raise FieldError(f"no patch of {4 * n} or more cells a side fits without gaps, and three blocks apart: "
                         f"{room}; pass "
                         "another region or a smaller factor")  # fmt: skip
    return best


def corners(known: np.ndarray, edge: int) -> np.ndarray:
    """(P, 2) first rows and columns of the patches of a regular tiling in which everything is known."""
    rows, columns = known.shape[0] // edge, known.shape[1] // edge
    tiles = known[: rows * edge, : columns * edge].reshape(rows, edge, columns, edge).all((1, 3))
    return np.argwhere(tiles) * edge


def patches(
    source: Source, request: Request, blocks: dict[str, np.ndarray] | None, gap: float, edge: int, seed: int, why: str,
    progress: Callable[[int, int], None] | None,
) -> Cut:  # fmt: skip
    """Patches without gaps, evenly over the times of each block and at random over the field; constant ones (no rain)
    are left out, since there is nothing to refine in them."""
    n, frames = request.factor, request.frames
    if edge > min(source.grid.shape):
        raise FieldError(
            f"patch is {edge}: the field has {source.grid.shape[0]} x {source.grid.shape[1]} cells, pass less"
        )
    rng = np.random.default_rng(seed)
    share = {"train": 1.0 - 2 * request.held_out, "val": request.held_out, "test": request.held_out}
    everything = np.arange(len(source.time))
    known = np.ones(len(source.time), bool)
    of_split = {k: runs(blocks[k] if blocks else everything, source.time, frames, known) for k in SPLITS}
    columns = None if blocks else slabs(source, share, edge)
    kept: dict[str, list] = {k: [] for k in SPLITS}
    weights = source.row_weights
    flat = missing = 0
    plan = list(visits(of_split, share, request.most, blocks is None))
    for times, takers in watched(plan, progress):
        y = source.fine_at(slice(times[0], times[-1] + 1))
        complete, x = np.isfinite(y).all((0, 1)), None
        if source.given or source.predictors:
            x = source.coarse_at(slice(times[0], times[-1] + 1), y)
            complete &= np.repeat(np.repeat(np.isfinite(x).all((0, 1)), n, 0), n, 1)
        found = corners(complete, edge)
        missing += (y.shape[-2] // edge) * (y.shape[-1] // edge) - len(found)
        for name, count in takers.items():
            inside = found if columns is None else found[
                (found[:, 1] >= columns[name][0]) & (found[:, 1] + edge <= columns[name][1])
            ]  # fmt: skip
            taken = 0
            for r, c in inside[rng.permutation(len(inside))]:
                if taken >= count:
                    break
                part = y[:, :, r : r + edge, c : c + edge]
                if np.ptp(part[:, 0]) == 0:
                    flat += 1
                    continue
                if x is None:
                    small = coarsen(part.astype(np.float64), n, weights[r : r + edge]).astype(np.float32)
                else:
                    small = x[:, :, r // n : (r + edge) // n, c // n : (c + edge) // n]
                pick = (part[0], small[0]) if frames == 1 else (part[:, 0], small[:, 0])
                pick = (pick[0].copy(), pick[1].copy())  # views would keep the whole field
                kept[name].append((*pick, source.time[times[0]], (r, c)))
                taken += 1
    few = [k for k in SPLITS if len(kept[k]) < 2]
    if few:
        raise FieldError(
            f"{len(kept[few[0]])} patches of {edge} x {edge} without gaps and not constant for {few[0]}: pass a "
            f"smaller "
            "--patch, another region or more times"
        )
    notes = [f"Patches of {edge} x {edge} cells: {', '.join(f'{len(kept[k])} {k}' for k in SPLITS)}."]
    if missing:
        notes.append(f"{missing} tiles with missing values were left out.")
    if flat:
        notes.append(f"{flat} patches in which nothing varies (no rain, say) were passed over.")
    rule = f"patches in blocks of time with gaps of {gap:g} h"
    if columns is not None:
        rule = f"blocks of space, {edge} columns apart"
        where = ", ".join(f"{a} to {b} {k}" for k, (a, b) in columns.items())
        notes.append(f"{why}: split by space instead, columns {where}.")
    return Cut(
        {k: np.stack([p[0] for p in v]) for k, v in kept.items()},
        {k: np.stack([p[1] for p in v]) for k, v in kept.items()},
        {k: np.array([p[2] for p in v]) for k, v in kept.items()},
        {k: np.array([p[3] for p in v]) for k, v in kept.items()},
        "time" if blocks else "space", gap if blocks else 0.0, edge, rule, notes,
    )  # fmt: skip


def slabs(source: Source, share: dict[str, float], edge: int) -> dict[str, tuple[int, int]]:
    """First and last column (exclusive) of the three blocks of space, a patch apart, each with its share of the patches
    that there is something to learn from.

    Raises
    ------
    FieldError : fewer than five patches side by side.
    """
    across = source.grid.shape[1] // edge
    if across < 5:
        raise FieldError(f"{source.grid.shape[1]} columns hold no three blocks of patches of {edge}, a patch "
                         f"apart: pass a "
                         "smaller --patch, or more times for a split by time")  # fmt: skip
    worth = np.full(across, 1e-3)
    for k in np.unique(np.linspace(0, len(source.time) - 1, 4).round().astype(int)):
        y = source.fine_at(slice(k, k + 1))[0, 0]
        for r, c in corners(np.isfinite(y), edge):
            worth[c // edge] += float(np.ptp(y[r : r + edge, c : c + edge])) > 0
    reached = np.cumsum(worth) / worth.sum()
    first = int(np.clip(np.searchsorted(reached, share["train"]) + 1, 1, across - 4))
    second = int(np.clip(np.searchsorted(reached, share["train"] + share["val"]) + 1, first + 2, across - 2))
    ends = ((0, first), (first + 1, second), (second + 1, across))
    return {k: (a * edge, b * edge) for k, (a, b) in zip(SPLITS, ends, strict=True)}


def visits(
    windows: dict[str, np.ndarray], share: dict[str, float], most: int, together: bool
) -> Iterator[tuple[np.ndarray, dict[str, int]]]:
    """Times to be read, and how many patches each split takes of them."""
    if together:  # by space: all splits from each time
        chosen = thinned(windows["train"])
        for times in chosen:
            yield times, {k: max(1, -(-int(share[k] * most) // len(chosen))) for k in SPLITS}
        return
    for k in SPLITS:
        chosen = thinned(windows[k])
        for times in chosen:
            yield times, {k: max(1, -(-int(share[k] * most) // len(chosen)))}


def thinned(windows: np.ndarray) -> np.ndarray:
    """At most `TIMES` windows, evenly."""
    if len(windows) <= TIMES:
        return windows
    return windows[np.linspace(0, len(windows) - 1, TIMES).round().astype(int)]
