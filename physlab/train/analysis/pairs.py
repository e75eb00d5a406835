"""Pairs of truth and background from files of one's own: any regular grid, any variables and levels.

Four cases, told apart by the dimension `member`: one truth and one background; one truth and the members of an
ensemble, each of them a background; an ensemble whose member, the control say, stands for the truth; and one ensemble
for both. In the last case one member is withheld as the truth of validation and test, and the others learn from each
other: every ordered pair of them is a truth and a background.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr
from torch import Tensor

from physlab.assimilate.statespace import StateSpace
from physlab.cf import VARIABLES
from physlab.data import splits
from physlab.data.guard import open_checked
from physlab.data.ingest.account import account
from physlab.data.ingest.select import period, region
from physlab.data.stream import SHARE, memory
from physlab.errors import FieldError
from physlab.grid import Grid
from physlab.train.assimilation import Pairs

SPLITS = ("train", "val", "test")
GAPS = (48.0, 24.0, 12.0, 6.0, 0.0)
"""Hours between the blocks, the first of them that leaves enough; errors of backgrounds forget within a day or two."""
MOST = 1024
"""Pairs of the training block, and a sixteenth of it of the others."""


@dataclass(frozen=True)
class PairRequest:
    """Which data, cut how.

    Attributes
    ----------
    truth, background : files, Zarr stores or names; the same name for an ensemble that is both.
    variables : channels, with all their levels; none for all that both have.
    levels : hPa; none for all that both have.
    member : of the truth, where it has members: counted from 0; for one ensemble, the one that is withheld.
    region : south, north, west, east, degrees.  period : first and last time.
    held_out : share of the test block, and of the validation block.
    gap : hours between the blocks; None for what the period allows.
    mapping : (own name, name of the library).
    """

    truth: str
    background: str
    variables: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    member: int = 0
    region: tuple[float, float, float, float] | None = None
    period: tuple[str, str] | None = None
    held_out: float = 0.2
    gap: float | None = None
    mapping: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.background:
            raise FieldError("a method of data assimilation learns from pairs: pass the backgrounds with --background")
        if not 0 < self.held_out <= 0.4:
            raise FieldError(f"held_out is {self.held_out:g}: pass a share of the times between 0 and 0.4")


@dataclass(frozen=True, eq=False)
class OwnPairs:
    """Pairs of each block.

    Attributes
    ----------
    train, val, test : pairs in memory, all in the units of the training block.
    lines : what was understood, for people.
    split : as JSON.
    units : of each variable.
    """

    request: PairRequest
    train: Pairs
    val: Pairs
    test: Pairs
    lines: list[str]
    split: dict
    units: dict[str, str] = field(default_factory=dict)

    @property
    def space(self) -> StateSpace:
        return self.train.space


def own_pairs(request: PairRequest, even: bool = False, seed: int = 0) -> OwnPairs:
    """Read, match, split and standardise.

    Parameters
    ----------
    even : leave out a last row and column that make odd numbers, for networks that work on half of the grid.
    seed : of the choice where there are more pairs than can be used.

    Raises
    ------
    FieldError : in one line, what does not fit together: times, grids, variables, units, members, missing values.
    """
    same = request.truth == request.background
    truth, lines = _opened(request, request.truth)
    background = truth if same else _opened(request, request.background, lines)[0]
    names, levels = _fields(request, truth, background)
    truth, background = (_cut(ds, names, levels) for ds in (truth, background))
    times = np.intersect1d(truth["time"].values, background["time"].values)
    if not len(times):
        spans = [f"{str(ds['time'].values.min())[:16]} to {str(ds['time'].values.max())[:16]}" for ds in
                 (truth, background)]  # fmt: skip
        raise FieldError(f"truth ({spans[0]}) and background ({spans[1]}) have no time in common: pass the valid times")
    truth, background = (ds.sel(time=times) for ds in (truth, background))
    _same_grid(truth, background)
    if even:
        sizes = {d: truth.sizes[d] // 2 * 2 for d in ("latitude", "longitude")}
        if any(truth.sizes[d] != n for d, n in sizes.items()):
            before = f"{truth.sizes['latitude']} x {truth.sizes['longitude']}"
            after = f"{sizes['latitude']} x {sizes['longitude']}"
            lines.append(f"{before} points were cut to {after}: this method works on half of the grid.")
            truth, background = (ds.isel({d: slice(n) for d, n in sizes.items()}) for ds in (truth, background))
    which = _members(request, truth, background, same, lines)
    blocks, gap = _blocks(times, request)
    if gap == 0:
        lines.append(f"{len(times)} times leave no gap between the blocks: neighbours are alike, read the scores so.")
    size = 2 * 2 * sum(truth[n].sizes.get("level", 1) for n in names) * truth.sizes["latitude"] * truth.sizes[
        "longitude"]  # fmt: skip
    most = int(min(MOST, max(2, SHARE * memory() // (4 * size))))
    found, made, stats = {}, {}, None
    for name, at in blocks.items():
        pairs = [(t, *pair) for t in at for pair in which[name]]
        limit = most if name == "train" else max(2, most // 16)
        if len(pairs) > limit:
            chosen = np.sort(np.random.default_rng([seed, len(name)]).permutation(len(pairs))[:limit])
            lines.append(f"{limit} of the {len(pairs)} pairs of the {name} block are used.")
            pairs = [pairs[k] for k in chosen]
        t, i, j = (np.array(x) for x in zip(*pairs, strict=True))
        x, b = _taken(truth, t, i), _taken(background, t, j)
        stats = _space(x, b, names) if stats is None else stats
        made[name], found[name] = _standardised(stats, x, b), times[at]
    assert stats is not None
    split = splits.describe(found, gap, "blocks of time with gaps")
    for name in SPLITS:
        split["blocks"][name]["pairs"] = len(made[name])
    units = {n: str(truth[n].attrs.get("units", VARIABLES.get(n, {}).get("units", ""))) for n in names}
    lines.append(f"Channels: {', '.join(stats.names)}; {stats.shape[1]} x {stats.shape[2]} points; pairs: "
                 + ", ".join(f"{len(made[n])} {n}" for n in SPLITS) + ".")  # fmt: skip
    return OwnPairs(request, made["train"], made["val"], made["test"], lines, split, units)


def _opened(request: PairRequest, name: str, lines: list[str] | None = None) -> tuple[xr.Dataset, list[str]]:
    lines = [] if lines is None else lines
    ds = open_checked(name, dict(request.mapping) or None)
    lines += [account(ds)] if account(ds) else []
    if "time" not in ds.dims:
        raise FieldError(f"{name} has no times, which the blocks are made of: pass states of several times")
    if request.region is not None:
        ds = region(ds, *request.region)
    return (ds if request.period is None else period(ds, *request.period)), lines


def _fields(request: PairRequest, truth: xr.Dataset, background: xr.Dataset) -> tuple[list[str], list[float]]:
    """Variables and levels that both have, in the order of the truth."""

    def usable(ds: xr.Dataset) -> list[str]:
        known = {"time", "member", "level", "latitude", "longitude"}
        return [str(n) for n, da in ds.data_vars.items()
                if {"time", "latitude", "longitude"} <= set(da.dims) <= known and da.dtype.kind in "fiu"]  # fmt: skip

    both = [n for n in usable(truth) if n in usable(background)]
    names = list(request.variables) or both
    lacking = [n for n in names if n not in both]
    if lacking or not names:
        raise FieldError(
            f"no {', '.join(lacking) or 'variable'} in both files: the truth has {', '.join(usable(truth)) or 'none'}, "
            f"the background {', '.join(usable(background)) or 'none'} on (time, latitude, longitude)"
        )
    levels: list[float] = []
    if any("level" in truth[n].dims for n in names):
        have = [set(np.atleast_1d(ds["level"].values).astype(float)) for ds in (truth, background)]
        levels = [float(p) for p in truth["level"].values if float(p) in have[0] & have[1]]
        wanted = list(request.levels) or levels
        absent = [p for p in wanted if p not in levels]
        if absent or not wanted:
            raise FieldError(f"no level {', '.join(f'{p:g}' for p in absent)} hPa in both files: they share "
                             f"{', '.join(f'{p:g}' for p in levels) or 'none'}")  # fmt: skip
        levels = wanted
    for name in names:
        units = [str(ds[name].attrs.get("units", "")) for ds in (truth, background)]
        if all(units) and units[0] != units[1]:
            raise FieldError(f"{name} is in {units[0]} in the truth and in {units[1]} in the background: convert one")
    return names, levels


def _cut(ds: xr.Dataset, names: list[str], levels: list[float]) -> xr.Dataset:
    ds = ds[names]
    return ds.sel(level=levels) if levels else ds


def _same_grid(truth: xr.Dataset, background: xr.Dataset) -> None:
    one, two = (Grid.from_dataset(ds) for ds in (truth, background))
    if one.shape != two.shape or any(
        np.abs(a - b).max() > 1e-3 for a, b in ((one.latitude, two.latitude), (one.longitude, two.longitude))
    ):
        said = [f"{g.shape[0]} x {g.shape[1]} from {g.latitude[0]:g} N, {g.longitude[0]:g} E" for g in (one, two)]
        raise FieldError(f"truth ({said[0]}) and background ({said[1]}) are on different grids: put one on the other's")


Members = dict[str, list[tuple[int, int]]]  # split -> (member of the truth, member of the background), -1 for none


def _members(
    request: PairRequest, truth: xr.Dataset, background: xr.Dataset, same: bool, lines: list[str]
) -> Members:  # fmt: skip
    counts = [ds.sizes.get("member", 0) for ds in (truth, background)]
    k = request.member
    if counts[0] and not 0 <= k < counts[0]:
        raise FieldError(f"member {k} of the truth: it has {counts[0]}, counted from 0")
    if same:
        if counts[0] < 3:
            raise FieldError(
                f"truth and background are both {request.truth}, which has {counts[0]} members: one of at least 3 is "
                "withheld as truth; or pass another file as background"
            )
        rest = [m for m in range(counts[0]) if m != k]
        lines.append(f"One ensemble of {counts[0]}: member {k} is withheld as the truth of validation and test, the "
                     "others learn from each other.")  # fmt: skip
        judged = [(k, m) for m in rest]
        return {"train": list(itertools.permutations(rest, 2)), "val": judged, "test": judged}
    mine, theirs = (k if counts[0] else -1), range(counts[1]) if counts[1] else (-1,)
    if counts[0]:
        lines.append(f"Member {k} of the truth is used.")
    if counts[1]:
        lines.append(f"Each of the {counts[1]} members of the background is a background.")
    return {name: [(mine, m) for m in theirs] for name in SPLITS}


def _blocks(times: np.ndarray, request: PairRequest) -> tuple[dict[str, np.ndarray], float]:
    """Positions in time of each block, and the gap."""
    if len(times) < 3:
        raise FieldError(f"{len(times)} times: training, validation and test want at least one each; pass more")
    shares = {"train": 1 - 2 * request.held_out, "val": request.held_out, "test": request.held_out}
    if request.gap is not None:
        return splits.split_by_time(times, shares, request.gap), request.gap
    for gap in GAPS:
        try:
            blocks = splits.split_by_time(times, shares, gap)
        except FieldError:
            continue
        if sum(map(len, blocks.values())) >= 0.7 * len(times):
            return blocks, gap
    count = max(1, round(request.held_out * len(times)))  # too few for shares of the period
    cuts = (len(times) - 2 * count, len(times) - count)
    return dict(zip(SPLITS, np.split(np.arange(len(times)), cuts), strict=True)), 0.0


def _taken(ds: xr.Dataset, times: np.ndarray, members: np.ndarray) -> xr.Dataset:
    """The states of pairs, their dimension called time."""
    chosen = {"time": xr.DataArray(times, dims="pair")}
    if "member" in ds.dims:
        chosen["member"] = xr.DataArray(members, dims="pair")
    made = ds.isel(chosen).load().drop_vars(["time", "member"], errors="ignore").rename(pair="time")
    for name, da in made.data_vars.items():
        bad = ~np.isfinite(da.values)
        if bad.any():
            at = np.argwhere(bad)[0][da.get_axis_num("time")]
            when = str(ds["time"].values[times[at]])[:16]
            raise FieldError(
                f"{name} has missing or infinite values, the first at {when}: fill them, or choose a region and a "
                "period without"
            )
    return made.transpose("time", ...)


def _space(x: xr.Dataset, b: xr.Dataset, names: list[str]) -> StateSpace:
    space = StateSpace.of(x, b, names)
    for what, values in (("truth does not vary", space.std), ("background is the truth", space.error)):
        flat = [n for n, v in zip(space.names, values.flatten().tolist(), strict=True) if not v > 0]
        if flat:
            raise FieldError(f"the {what} in {', '.join(flat)}: there is nothing to learn; leave it out (--variable)")
    return space


def _standardised(space: StateSpace, x: xr.Dataset, b: xr.Dataset) -> Pairs:
    truth, background = space.tensor(x), space.tensor(b)
    return Pairs(space, space.standardise(background).half(), _half((truth - background) / space.error))


def _half(x: Tensor) -> Tensor:
    return x.clamp(-6e4, 6e4).half()


def name_of(path: str) -> str:
    """Of a file, without its folder."""
    return Path(path).name
