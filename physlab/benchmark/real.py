"""The benchmark of data assimilation on real weather: two small sets of analyses, with the same controls and intervals.

    physlab benchmark assimilation --task real --output benchmark

`era5-ensemble`: the ten members of ERA5's own ensemble of data assimilations over two days. One member is withheld as
the truth, the mean of the nine others is the background, and they are the members of a filter. Times before are for
training, the last for the test. What one member has and the others have not cannot be seen in their mean.

`storm1996`: the blizzard of January 1996 over North America. The background is the analysis of twelve hours before,
so that its errors are the weather of half a day; two pieces of the record are for training, the third for the test.

Both are small: twenty pairs train a network, and the intervals say how much the test can tell. Observed are whole
columns at random points with an error of a quarter of the background's. Errors are in units of those of a background of
the training block, means over channels by area.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate import Adas, ColumnOI, Corrector, Learned, StaticLETKF
from physlab.assimilate.model_cycle import LETKFSettings
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.benchmark.flow import LETKFInWeather, mark
from physlab.benchmark.study import Context, Study, presets
from physlab.benchmark.table import By
from physlab.data.catalog import open_dataset
from physlab.data.readers import STORM_USABLE
from physlab.score.ensemble import crps, spread_skill
from physlab.score.paired import block_bootstrap
from physlab.train.assimilation import AssimilationSettings, Pairs, train_assimilator, untrained, validation_loss

SHARES, NOISE = (0.1, 0.02), 0.25
SEEDS = (0, 1, 2)
STEPS = 120
MEMBERS = 8
LATE = 2  # steps of six hours between truth and background of the storm
SCORES = ("mse", "crps", "spread_skill", "stations")
COLUMNS = ("data", "model", "seed", "share", "observed", "case", "block", *SCORES, "members", "s")


@dataclass(frozen=True)
class Run:
    """A row: of a data set, a method and a seed, None where nothing is random."""

    data: str
    model: str
    seed: int | None

    def __str__(self) -> str:
        return f"{self.data}, {self.model}" + ("" if self.seed is None else f", seed {self.seed}")


@dataclass(frozen=True, eq=False)
class Part:
    """Pairs of a split.

    Attributes
    ----------
    pairs : truth and background of N cases.
    blocks : (N,) which of them are alike, for the bootstrap.
    members : (N, M, C, H, W) of each background in units of its error, about their mean; None where there are none.
    """

    pairs: Pairs
    blocks: list[str]
    members: Tensor | None = None


# --- the data ---------------------------------------------------------------------------------------------------------
def _part(truth: list[xr.Dataset], background: list[xr.Dataset], space: StateSpace | None) -> Pairs:
    """Pairs of states without time, in the units of a space, or of their own."""
    x, b = (xr.concat([ds.assign_coords(time=np.datetime64(k, "D")) for k, ds in enumerate(some)], "time")
            for some in (truth, background))  # fmt: skip
    space = space or StateSpace.of(x, b, tuple(map(str, x.data_vars)))
    after, before = space.tensor(x), space.tensor(b)
    return Pairs(space, space.standardise(before).half(), ((after - before) / space.error).half())


def _ensemble() -> dict[str, Part]:
    ds = open_dataset("era5-ensemble")
    ds = ds.isel(latitude=slice(0, ds.sizes["latitude"] // 2 * 2)).load()  # networks take points in squares of two
    made: dict[str, Part] = {}
    space = None
    for split, times in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        cases = [(k, ds.isel(time=t).drop_vars("time")) for t in times for k in range(ds.sizes["member"])]
        others = [one.drop_isel(member=k) for k, one in cases]
        truth = [one.isel(member=k).drop_vars("member") for k, one in cases]
        pairs = _part(truth, [one.mean("member") for one in others], space)
        space = pairs.space
        members = [torch.cat([space.tensor(one.isel(member=[m]).squeeze("member", drop=True).expand_dims("time"))
                              for m in range(one.sizes["member"])]) for one in others]  # fmt: skip
        about = torch.stack([(x - x.mean(0)) / space.error for x in members])
        made[split] = Part(pairs, [f"member {k}" for k, _ in cases], about)
    return made


def _storm() -> dict[str, Part]:
    names = ["msl", "t", "u", "v", "u500", "v500"]
    ds = open_dataset("storm1996")[names].isel(latitude=slice(7, None), longitude=slice(7, 29)).load()
    first, second, third = ([*range(a + LATE, b + 1)] for a, b in STORM_USABLE)
    quarter = len(third) // 4
    made: dict[str, Part] = {}
    space = None
    for split, steps in (("train", first + second), ("val", third[:quarter]), ("test", third[quarter + LATE :])):
        truth = [ds.isel(time=k).drop_vars(["time", "usable"], errors="ignore") for k in steps]
        background = [ds.isel(time=k - LATE).drop_vars(["time", "usable"], errors="ignore") for k in steps]
        pairs = _part(truth, background, space)
        space = pairs.space
        made[split] = Part(pairs, [f"day {(k - steps[0]) // 4}" for k in steps])
    return made


DATA: dict[str, Callable[[], dict[str, Part]]] = {"era5-ensemble": _ensemble, "storm1996": _storm}


@functools.lru_cache(maxsize=2)
def parts_of(data: str) -> dict[str, Part]:
    """Training, validation and test of a data set."""
    return DATA[data]()


# --- the methods ------------------------------------------------------------------------------------------------------
class Members(LETKFInWeather):
    """The LETKF with the members that came with the backgrounds, and optimal interpolation for what they leave.

    Parameters
    ----------
    first : that interpolation.
    parts : whose members are known.
    """

    def __init__(self, first: ColumnOI, parts: Iterable[Part], settings: LETKFSettings) -> None:
        super().__init__(first, {}, settings)
        self.known: dict[bytes, Tensor] = {}
        for part in parts:
            assert part.members is not None
            marks = [mark(background) for background in part.pairs.background.float()]
            self.known |= dict(zip(marks, part.members, strict=True))
        self.weather = dict.fromkeys(self.known, (Path(), np.datetime64("NaT")))

    def anomalies(self, key: bytes) -> Tensor:
        return self.known[key]


METHODS: dict[str, tuple[dict, ...]] = {
    "background": ({},),
    "background corrector": ({},),
    "OI": tuple({"radius": r} for r in (3e5, 6e5, 9e5, 1.3e6)),
    "LETKF": tuple({"radius": r, "floor": f} for r in (5e5, 8e5, 1.2e6) for f in (0.25, 0.5)),
    "LETKF, forecast members": tuple({"radius": r, "static": s} for r in (4e5, 7e5) for s in (0.0, 1.0)),
    "Adas": ({},),
}
"""Arguments of which validation chooses."""
LEARNED = {"background corrector": Corrector, "Adas": Adas}


def make(run: Run, context: Context) -> Learned | LETKFInWeather | None:
    """The method of a run, trained or estimated now, its arguments chosen on validation."""
    parts = parts_of(run.data)
    train, val = parts["train"].pairs, parts["val"].pairs
    if run.model == "background":
        return None
    if run.model in LEARNED:
        method = untrained(LEARNED[run.model], train, run.seed or 0, None, context.device)
        settings = replace(AssimilationSettings(steps=STEPS, patience=1000), **context.changes)
        train_assimilator(
            method, train, settings, run.seed or 0, held_out=validation_loss(val, SHARES[0], NOISE, len(val))
        )
        return method.to("cpu").eval()
    tried = [_classical(run.model, parts, options) for options in METHODS[run.model]]
    errors = [np.mean([row["mse"] for row in score(one, parts["val"], SHARES[0], True)]) for one in tried]
    return tried[int(np.argmin(errors))]


def _classical(name: str, parts: dict[str, Part], options: dict) -> Learned | LETKFInWeather:
    train = parts["train"].pairs
    if name == "OI":
        return ColumnOI(train.space, **options)
    if name == "LETKF":
        return StaticLETKF.from_increments(train.increment.float(), train.space, bias=0.0, **options)
    settings = LETKFSettings(members=9, relaxation=0.0, floor=NOISE, additive=0.0, **options)
    first = ColumnOI(train.space, radius=options["radius"])
    return Members(first, [parts[split] for split in ("val", "test")], settings)


# --- the scores -------------------------------------------------------------------------------------------------------
@torch.no_grad()
def score(method: Learned | LETKFInWeather | None, part: Part, share: float, observed: bool) -> list[dict]:
    """Scores of each case; the stations depend on the number of the case and the share alone."""
    rows, space = [], part.pairs.space
    for k in range(len(part.pairs)):
        background, increment = part.pairs.take(slice(k, k + 1))
        draw = torch.Generator().manual_seed(1_000_003 * k + round(1e5 * share))
        columns = observe_columns(increment, share, NOISE, space.area, draw)
        seen = columns.mask.bool().expand_as(increment)
        if not observed:
            columns = Columns(torch.zeros_like(columns.innovation), torch.zeros_like(columns.mask), columns.noise)
        members = MEMBERS if method is not None and method.ensemble else 1
        begun = time.perf_counter()
        made = torch.zeros(1, *increment.shape) if method is None else method.increments(
            background, columns, members, draw)  # fmt: skip
        seconds = time.perf_counter() - begun
        error, centred = made.mean(1) - increment, members > 1 and method is not None and method.centred
        spread = spread_skill(made[0], increment[0], weights=space.area, centred=centred) if members > 1 else np.nan
        rows.append({
            "mse": float((error.square() * space.area).mean()),
            "crps": float(crps(made[0], increment[0], weights=space.area, centred=centred)),
            "spread_skill": float(spread), "stations": float(error[seen].square().mean()), "members": members,
            "s": seconds,
        })  # fmt: skip
    return rows


def one(run: Run, context: Context) -> list[dict]:
    """Every case, with observations and without any."""
    method, part, rows = make(run, context), parts_of(run.data)["test"], []
    for share in SHARES:
        for observed in (True, False) if share == SHARES[0] else (True,):
            found = score(method, part, share, observed)
            rows += [{"data": run.data, "model": run.model, "seed": run.seed, "share": share, "observed": int(observed),
                      "case": k, "block": part.blocks[k], **row} for k, row in enumerate(found)]  # fmt: skip
    return rows


# --- the summary ------------------------------------------------------------------------------------------------------
def gains(runs: pd.DataFrame, data: str, share: float = SHARES[0]) -> pd.DataFrame:
    """Per cent of the background's mean square error that each method leaves (`left`), that goes without any
    observation (`free`, main share) and the difference from optimal interpolation's, paired (`versus`); each with
    `_low` and `_high`, the interval of a bootstrap of blocks."""
    own = runs[(runs["data"] == data) & (runs["share"] == share)]
    tables = [own[own["observed"] == seen].pivot_table(index=["case", "block"], columns="model", values="mse")
              for seen in (1, 0)]  # fmt: skip
    seen, blind = tables[0], tables[1]
    names = [name for name in METHODS if name in seen and name != "background"]
    scores = [seen["background"], seen["OI"], *(seen[name] for name in names)]
    scores += [blind[name] if name in blind else seen["background"] for name in names]
    n = len(names)

    def found(mean: np.ndarray) -> np.ndarray:
        base, oi, left, free = mean[..., :1], mean[..., 1:2], mean[..., 2 : 2 + n], mean[..., 2 + n :]
        return 100 * np.concatenate([left, base - free, left - oi], -1) / base

    blocks = pd.factorize(seen.index.get_level_values("block"))[0]
    value, low, high = block_bootstrap(np.column_stack(scores), blocks, found)
    made: dict[str, np.ndarray] = {}
    for k, name in enumerate(("left", "free", "versus")):
        at = slice(k * n, (k + 1) * n)
        made |= {name: value[at], f"{name}_low": low[at], f"{name}_high": high[at]}
    return pd.DataFrame(made, index=pd.Index(names, name="model"))


def display(runs: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """What the command prints, for each data set and share."""
    for data in dict.fromkeys(runs["data"]):
        for share in SHARES:
            own = runs[(runs["data"] == data) & (runs["share"] == share)]
            if not {"background", "OI"} <= set(own["model"]):
                continue
            table, shown = gains(runs, data, share), {}
            for name in ("left", "free", "versus") if share == SHARES[0] else ("left", "versus"):
                values = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
                shown[name] = ["{:.1f} ({:.1f} to {:.1f})".format(*(round(x, 1) + 0.0 for x in v)) for v in values]
            title = (f"{data}, {100 * share:g} % of the points, {own['case'].nunique()} cases: per cent of the "
                     "background's error")  # fmt: skip
            yield title, pd.DataFrame(shown, index=table.index).reset_index()


def real_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over cases and seeds by data, model, share and observed, in the order of the table."""
    keys = ["data", "model", "share", "observed"]
    return runs.groupby(keys, sort=False)[[*SCORES]].mean().reset_index()


def plan() -> list[Run]:
    """What is estimated, then what learns, seed by seed."""
    fixed = [Run(d, m, None) for d in DATA for m in METHODS
             if m not in LEARNED and (d == "era5-ensemble" or m != "LETKF, forecast members")]  # fmt: skip
    return [*fixed, *(Run(d, m, seed) for seed in SEEDS for d in DATA for m in LEARNED)]


#: One line per case: `observed` 0 is the control without observations; `mse` and `crps` in units of the background's
#: errors, `stations` the mean square error at observed points, s (seconds, one thread, all members).
STUDY = Study(
    name="assimilation-real",
    title="classical and learned analyses of ERA5's ensemble and of a storm",
    keys=("data", "model", "seed"),
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    order=(By("data", tuple(DATA)), By("share", falling=True), By("observed", falling=True), By("model", METHODS),
           By("seed"), By("case")),
    part={"data": "era5-ensemble"},
    summarise=real_summary,
    display=display,
    tell=lambda rows: f"MSE {rows.query('observed == 1')['mse'].mean():.4f}",
    reference=lambda run: run.model in ("background", "OI"),
)  # fmt: skip
benchmark_real, read_real, write_real = STUDY.launch, STUDY.read, STUDY.write
