"""The benchmark of lives: a month of cycles with each method, and what its analyses are worth as forecasts.

    physlab simulate --output truth-8 --seed 8 --days 40 --no-forecasts --hourly 0 0
    physlab benchmark assimilation --task cycles --data truth-8 --output benchmark

A table of single analyses asks what a method makes of backgrounds that another one left behind. Here each lives with
its own: the same truth, the same stations and noise, 30 days of analyses every 12 hours, and from every fourth analysis
a forecast of five days. Beside them stands the free run, which starts from the truth in the same way and is never
corrected. Rows that learn take the checkpoints of the task `cycled`, from the same output folder; the weather is
another than that of their training, and a truth that they know is refused. A cycle that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.assimilate import GlobalVar3D, Learned
from physlab.assimilate.ahead import FIELDS, LEVELS, Ahead
from physlab.assimilate.global_cycle import GlobalCycle, open_truth, run_cycle
from physlab.assimilate.model_cycle import LETKFSettings, Var4DSettings, run_model_cycle
from physlab.assimilate.statespace import StateSpace
from physlab.benchmark.assimilation import checkpoint
from physlab.benchmark.cycled import settled
from physlab.benchmark.study import Context, Study
from physlab.benchmark.table import By
from physlab.data.pieces import open_pieces, seed_of
from physlab.errors import PhysLabError
from physlab.score.paired import block_bootstrap
from physlab.zoo import load_model

PRIOR = "3d-var-cycled"  # whose units noise has, and whose covariance the classical methods take
SHARE, NOISE = (0.02, 0.1), 0.2
SPIN_UP, BLOCK = 5.0, 4.0  # days left out of means, and of a block of the bootstrap
FREE, CLASSICAL = "free run", "3D-Var"
MODEL: dict[str, LETKFSettings | Var4DSettings] = {"LETKF": LETKFSettings(), "4D-Var": Var4DSettings()}
LEARNED = tuple(
    name + " + outer step" for name in ("background corrector", "Adas", "PhyDA, skip", "PhyDA, skip, likelihood")
)
NAMES = (FREE, CLASSICAL, *MODEL, *LEARNED)
SCORES = ("rmse_z500", "acc_z500", "rmse_t850", "rmse_wind850", "spread_z500")
COLUMNS = ("model", "seed", "draw", "kind", "lead", "day", *SCORES)


@dataclass(frozen=True)
class Life:
    """A month with a method: `seed` of its training, None where nothing is random; `draw` of the observations."""

    model: str
    seed: int | None
    draw: int = 0
    days: int = 30
    ahead: int = 5

    def __str__(self) -> str:
        return f"{self.model}, {self.days} days" + ("" if self.seed is None else f", seed {self.seed}")


class Nothing:
    """In the place of a method: leaves every background as it is."""

    def __init__(self, space: StateSpace) -> None:
        self.space = space

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None) -> torch.Tensor:
        return torch.zeros_like(columns.innovation)[:, None]

    def bounded(self, states: torch.Tensor) -> torch.Tensor:
        return states


def lived(run: Life, context: Context) -> Path:
    """The folder of the cycle of a run, made or finished now."""
    name = run.model.replace(", ", "-").replace(" + ", "-").replace(" ", "-").lower()
    folder = Path(context.output) / "cycles" / f"{name}-{run.draw}"
    plan = GlobalCycle(share=SHARE, noise=NOISE, days=run.days, seed=run.draw)
    ahead = Ahead(run.ahead)
    prior = load_model(PRIOR)
    assert isinstance(prior, GlobalVar3D)
    if run.model in MODEL:
        settings = MODEL[run.model]
        return run_model_cycle(plan, context.data, folder, run.model.lower(), prior, settings, name=PRIOR, ahead=ahead)
    method: Learned = prior
    if run.model == FREE:
        method = cast(Learned, Nothing(prior.space))
    elif run.model != CLASSICAL:
        path = checkpoint(context.output, run.model.replace(" + ", " "), run.seed)
        if not path.exists():
            raise PhysLabError(
                f"{run.model} is not trained: {path} is not there; `physlab benchmark assimilation --task cycled "
                f'--only "{run.model}"` with the same output folder makes it'
            )
        method = settled(Learned.load(path))
        if seed_of(context.data) in method.card.get("truths", ()):
            raise PhysLabError(
                f"{run.model} in {path} was trained on the weather of {context.data}: pass a truth of another seed"
            )
    return run_cycle(plan, context.data, folder, method, run.model, ahead=ahead)


def scored(ds: xr.Dataset) -> xr.Dataset:
    """What is scored of states, read."""
    return ds[list(FIELDS)].sel(level=list(LEVELS)).load()


def pieces(folder: Path, kind: str) -> xr.Dataset | None:
    """What is scored of all files of a kind of a cycle; None where there are none."""
    files = sorted(folder.glob(f"{kind}-*.nc"))
    if not files:
        return None
    with open_pieces(files) as ds:
        return scored(ds)


def weights(space: StateSpace) -> np.ndarray:
    """(latitude, longitude) shares of area, of mean one."""
    return torch.broadcast_to(space.area, space.shape)[0].numpy()


def errors(ds: xr.Dataset, truth: xr.Dataset, climate: xr.DataArray, space: StateSpace) -> dict[str, float]:
    """Scores of one state.

    Parameters
    ----------
    ds, truth : (level, latitude, longitude) z (m2 s-2), t (K), u and v (m s-1) at one time.
    climate : (latitude, longitude) mean of the truth's z500, from which anomalies are counted.

    Returns
    -------
    Root mean square errors by area in these units, that of the wind as a vector, and the anomaly correlation of z500.
    """
    area = weights(space)

    def mean(x: xr.DataArray) -> float:
        return float((x.transpose("latitude", "longitude").values * area).mean())

    def miss(name: str, level: float) -> xr.DataArray:
        return ds[name].sel(level=level) - truth[name].sel(level=level)

    z, x = (one["z"].sel(level=500.0) - climate for one in (ds, truth))
    return {
        "rmse_z500": mean(miss("z", 500.0) ** 2) ** 0.5,
        "acc_z500": mean(z * x) / (mean(z * z) * mean(x * x)) ** 0.5,
        "rmse_t850": mean(miss("t", 850.0) ** 2) ** 0.5,
        "rmse_wind850": mean(miss("u", 850.0) ** 2 + miss("v", 850.0) ** 2) ** 0.5,
    }


def one(run: Life, context: Context) -> list[dict]:
    """Every background, analysis and forecast of a cycle."""
    folder = lived(run, context)
    space, rows = load_model(PRIOR).space, []
    with open_truth(context.data) as states:
        truth = scored(states)
    climate = truth["z"].sel(level=500.0).mean("time")
    start, end = truth["time"].values[[0, -1]]
    spread = pieces(folder, "spread")
    for kind, name in (("background", "forecasts"), ("analysis", "analyses"), ("forecast", "ahead")):
        found = pieces(folder, name)
        if found is None:
            continue
        for time in found["time"].values:
            state = found.sel(time=time)
            for lead in state["lead"].values if kind == "forecast" else [0.0 if kind == "analysis" else 12.0]:
                valid = time + np.timedelta64(round(lead), "h") if kind == "forecast" else time
                if valid > end:
                    continue
                now = state.sel(lead=lead) if kind == "forecast" else state
                row = {"spread_z500": float("nan"), **errors(now, truth.sel(time=valid), climate, space)}
                if spread is not None and kind != "forecast":
                    when = "forecast" if kind == "background" else "analysis"
                    wide = spread["z"].sel(time=time, level=500.0, when=when).transpose("latitude", "longitude")
                    row["spread_z500"] = float((wide.values**2 * weights(space)).mean() ** 0.5)
                day = float((time - start) / np.timedelta64(1, "D"))
                rows.append({"model": run.model, "seed": run.seed, "draw": run.draw, "kind": kind, "lead": lead,
                             "day": day, **row})  # fmt: skip
    return rows


def of_lead(runs: pd.DataFrame, kind: str, lead: float, column: str = "rmse_z500") -> pd.DataFrame:
    """(days, models) of one score past the spin-up, means over seeds and draws; the days that all models have."""
    like = runs[(runs["kind"] == kind) & (runs["lead"] == lead) & (runs["day"] > SPIN_UP)]
    table = like.pivot_table(index="day", columns="model", values=column, aggfunc="mean")
    return table[[name for name in (*NAMES, *sorted(set(table) - set(NAMES))) if name in table]].dropna()


def means(runs: pd.DataFrame, column: str = "rmse_z500") -> pd.DataFrame:
    """Means past the spin-up with their intervals, by kind, lead and model: `value`, `low`, `high`, `starts`."""
    rows = []
    for kind, lead in runs[["kind", "lead"]].drop_duplicates().itertuples(index=False):
        table = of_lead(runs, kind, lead, column)
        if len(table):
            found = block_bootstrap(table.to_numpy(), np.floor(table.index.to_numpy() / BLOCK), lambda m: m)
            rows += [{"kind": kind, "lead": lead, "model": name, "value": v, "low": low, "high": high,
                      "starts": len(table)} for name, v, low, high in zip(table, *found, strict=True)]  # fmt: skip
    return pd.DataFrame(rows)


def against(
    runs: pd.DataFrame, kind: str, lead: float, column: str = "rmse_z500", reference: str = CLASSICAL
) -> pd.DataFrame:
    """Paired differences of a score from a method's, in per cent of it: `difference`, `low`, `high`, `starts`."""
    table = of_lead(runs, kind, lead, column)
    if reference not in table:
        raise PhysLabError(f"no row {reference!r}: the table has {', '.join(table)}")
    base = [*table].index(reference)

    def parts(mean: np.ndarray) -> np.ndarray:
        return 100 * (mean / mean[..., base : base + 1] - 1)

    found = block_bootstrap(table.to_numpy(), np.floor(table.index.to_numpy() / BLOCK), parts)
    made = dict(zip(("difference", "low", "high"), found, strict=True))
    return pd.DataFrame({**made, "starts": len(table)}, index=pd.Index([*table], name="model"))


def cycles_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means past the spin-up over days, seeds and draws, by model, kind and lead, in the order of the table."""
    late = runs[runs["day"] > SPIN_UP]
    return late.groupby(["model", "kind", "lead"], sort=False)[[*SCORES]].mean().reset_index()


def display(runs: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """What the command prints: errors by lead, as a table of methods."""
    found = means(runs)
    if len(found):
        found["shown"] = [f"{r.value:.1f} ({r.low:.1f} to {r.high:.1f})" for r in found.itertuples()]
        found["when"] = [
            k if k != "forecast" else f"{lead / 24:g} d" for k, lead in zip(found["kind"], found["lead"], strict=True)
        ]
        table = found.pivot(index="model", columns="when", values="shown")
        order = [name for name in ("background", "analysis") if name in table]
        yield (
            f"root mean square error of z500, m2 s-2, past day {SPIN_UP:g}; 95 % of blocks of {BLOCK:g} days",
            table[[*order, *(name for name in table if name not in order)]].reset_index(),
        )


def plan(days: int = 30, ahead: int = 5) -> Callable[[], list[Life]]:
    """Of a length: what is estimated first, then what was trained, with its first seed."""
    return lambda: [Life(name, 0 if name in LEARNED else None, 0, days, ahead) for name in NAMES]


#: One line per background, analysis and day of a forecast: `day` of the analysis in the truth, `lead` in hours.
STUDY = Study(
    name="assimilation-cycles",
    title="a month of cycles with each method, and forecasts from its analyses",
    keys=("model", "seed", "draw"),
    columns=COLUMNS,
    plans={"paper": plan(), "quick": plan(4, 1)},
    work=one,
    order=(By("model", NAMES), By("seed"), By("draw"), By("kind", ("background", "analysis", "forecast")), By("lead"),
           By("day")),
    summarise=cycles_summary,
    display=display,
    tell=lambda rows: f"RMSE of z500 {rows[rows['kind'] == 'analysis']['rmse_z500'].mean():.1f} m2 s-2",
    reference=lambda run: run.model == CLASSICAL,
    data="truth-8",
    needs="folder of a nature run at T85, made by `physlab simulate --hourly 0 0`",
)  # fmt: skip
benchmark_cycles, read_cycles, write_cycles = STUDY.launch, STUDY.read, STUDY.write
