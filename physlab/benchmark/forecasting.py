"""The benchmark of forecasts: three networks, trained on data, then fine-tuned with and without learned equations.

    physlab simulate --output run-6 --seed 6 --days 1 --no-forecasts --hourly 0 0      # likewise for seed 7
    python -m physlab.simulate.regional bands run-6 30
    python -m physlab.simulate.regional bands run-7 16
    physlab benchmark forecasting --data bands --output benchmark

Training is one nature run, 33 x 256 points of a circle of latitudes every hour of 30 days; validation (4 days) and test
(the last 7 days) are another that shares no weather with it. A network gets four frames of a window of 33 x 33 points,
two hours apart, and forecasts twelve, up to a day ahead. It does not know what flows in over the borders.

Fine-tuning starts from the same trained network three times: with the data alone (the control: more of the same), with
the equations, and, for the U-Net, with a third of their weight and with the published penalty (a signed mean). The
gain of the equations is that over the control, not over the start.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.benchmark.study import Context, Run, Study, presets
from physlab.benchmark.table import By
from physlab.errors import PhysLabError
from physlab.nn import count_parameters
from physlab.phydl.finetune import ForecastSettings, GridResidual, Windows, finetune
from physlab.phydl.forecast import LEADS, Forecaster
from physlab.train.checkpoint import origin
from physlab.train.tables import over_seeds

VARIABLES = ("u", "v", "t", "z", "q", "tcw")
TRAINING, HELD_OUT = "nature-band-6.nc", "nature-band-7.nc"
SPLITS = {"val": (0, 4), "test": (9, 16)}  # days of the held-out run
SCORED = (6, 12, 18, 24)  # hours ahead
WIDTH, APART, EVERY = 33, 36, 3  # columns of a window, between windows, hours between forecasts
NETWORKS = ("unet", "convlstm", "afno")
SEEDS = (0, 1, 2)
BASE = ForecastSettings(steps=900)
MORE = ForecastSettings(steps=250, rate=1e-3)
STAGES: dict[str, dict] = {  # name -> changes of MORE
    "data": {},
    "equations": {"physics": 0.01},
    "equations, lighter": {"physics": 0.003},
    "signed mean": {"physics": 0.01, "signed": True, "force": "none"},
}
SOME = {"equations, lighter": ("unet",), "signed mean": ("unet",)}  # stages of these networks only
COLUMNS = ("model", "training", "seed", "lead", *(f"rmse_{v}" for v in VARIABLES), *(f"acc_{v}" for v in VARIABLES),
           "residual", "parameters", "train_s")  # fmt: skip


@functools.lru_cache(maxsize=2)
def band(folder: str, name: str) -> xr.Dataset:
    """A file of hours, in memory.

    Raises
    ------
    PhysLabError : it is not there.
    """
    path = Path(folder) / name
    if not path.exists():
        seed, days = name[len("nature-band-") : -3], 30 if name == TRAINING else SPLITS["test"][1]
        raise PhysLabError(
            f"no {path}: make it by `physlab simulate --output run-{seed} --seed {seed} --days 1 --no-forecasts "
            f"--hourly 0 0` and `python -m physlab.simulate.regional {folder} run-{seed} {days}`"
        )
    with xr.open_dataset(path) as ds:
        return ds.load()


@functools.lru_cache(maxsize=1)
def law(folder: str) -> GridResidual:
    """The equations, learned from the training run."""
    return GridResidual.learn(band(folder, TRAINING), VARIABLES, hours=LEADS[1] - LEADS[0])


@dataclass(frozen=True)
class Case:
    """What a forecast is scored on: (N, ...) histories and futures, the climatology of each place, first longitudes."""

    given: torch.Tensor
    asked: torch.Tensor
    climate: torch.Tensor
    first: list[float]
    windows: Windows


def make_case(folder: str, model: Forecaster, split: str) -> Case:
    """All windows of a split."""
    days = SPLITS[split]
    windows = Windows(band(folder, HELD_OUT).isel(time=slice(24 * days[0], 24 * days[1] + 1)), model)
    columns = list(range(0, windows.values.shape[-1] - APART + 1, APART))
    pairs = [(hour, column) for hour in windows.starts[::EVERY] for column in columns]
    given, asked = windows.take([hour for hour, _ in pairs], [column for _, column in pairs], WIDTH)
    mean = torch.from_numpy(np.stack([band(folder, TRAINING)[v].mean("time").values for v in VARIABLES]))
    climate = torch.stack([mean.roll(-column, -1)[..., :WIDTH] for _, column in pairs])[:, None].float()
    return Case(given, asked, climate, [float(windows.longitude[column]) for _, column in pairs], windows)


def score(case: Case, made: torch.Tensor, equations: GridResidual) -> list[dict]:
    """One dict for each lead of :data:`SCORED`: RMSE, anomaly correlation and the relative residual up to that lead.

    Rows weigh by their area. The anomaly correlation is over all points and forecasts, with the time mean of the
    training run at each place as climatology. The residual is the root mean square of (R - Q) / sigma over all
    equations.
    """
    grid = case.windows.grid(WIDTH)
    w = torch.from_numpy(np.cos(np.deg2rad(grid.latitude)))[:, None]
    force, spread = equations.at(case.first, WIDTH)
    now, rows = case.given[:, -1:], []
    rest = torch.cat([(equations(torch.cat([n, m], 1), grid, 3600.0 * LEADS[0]) - f) / s for n, m, f, s in
                      zip(*(x.split(64) for x in (now, made, force, spread)), strict=True)])  # fmt: skip
    for lead in SCORED:
        at = LEADS.index(lead)
        row = {"lead": lead, "residual": float(rest[:, : at + 1].double().square().mean().sqrt())}
        for v, name in enumerate(VARIABLES):
            f, y, c = (x[:, v].double() for x in (made[:, at], case.asked[:, at], case.climate[:, 0]))
            row[f"rmse_{name}"] = float((w * (f - y).square()).mean().div(w.mean()).sqrt())
            a, b = f - c, y - c
            norm = (w * a * a).mean() * (w * b * b).mean()
            row[f"acc_{name}"] = float((w * a * b).mean() / norm.sqrt()) if norm > 0 else float("nan")
        rows.append(row)
    return rows


@torch.no_grad()
def predict(model: Forecaster, case: Case) -> torch.Tensor:
    return torch.cat([model(part) for part in case.given.split(64)])


def one(run: Run, context: Context) -> list[dict]:
    """All stages of a network, or the references (no seed), scored; finished checkpoints are taken as they are."""
    folder, output = context.data, Path(context.output)
    equations, train = law(folder), band(folder, TRAINING)
    model = Forecaster.of("unet" if run.seed is None else run.model, train, VARIABLES, seed=run.seed or 0)
    case = make_case(folder, model, context.split)
    if run.seed is None:
        now = case.given[:, -1:].expand_as(case.asked)
        made = {"persistence": now, "climatology": case.climate.expand_as(case.asked), "truth": case.asked}
        return [{"model": name, "training": "", "seed": None, **row}
                for name, x in made.items() for row in score(case, x, equations)]  # fmt: skip
    windows, rows = Windows(train, model), []
    stages = ["base", *(s for s in STAGES if run.model in SOME.get(s, NETWORKS))]
    for stage in stages:
        path = output / f"forecast-{run.model}-{stage.replace(', ', '-').replace(' ', '-')}-s{run.seed}"
        if path.exists():
            model = Forecaster.load(path)
        else:
            if stage == "base":
                settings = BASE
            else:
                model = Forecaster.load(output / f"forecast-{run.model}-base-s{run.seed}")
                settings = MORE
            settings = ForecastSettings(**{**asdict(settings), **STAGES.get(stage, {}), **context.changes})
            seed = run.seed + (0 if stage == "base" else 1000)
            report = finetune(model.to(context.device), windows, settings, equations, seed)
            model.card |= {"stage": stage, "seed": run.seed, "train_s": report.wall_time_s,
                           **origin(model.std.device)}  # fmt: skip
            model.to("cpu").save(path)
        cost = {"parameters": count_parameters(model.network), "train_s": model.card["train_s"]}
        rows += [{"model": run.model, "training": stage, "seed": run.seed, **row, **cost}
                 for row in score(case, predict(model, case), equations)]  # fmt: skip
    return rows


def plan() -> list[Run]:
    """The references, all in a run called persistence, then network by network, seed by seed."""
    return [Run("persistence", None), *(Run(model, seed) for seed in SEEDS for model in NETWORKS)]


def check(runs: list[Run], context: Context) -> None:
    """Both files are there and readable."""
    for name in (TRAINING, HELD_OUT):
        band(context.data, name)
    band.cache_clear()


def forecasting_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Gain of each fine-tuning over the control, seed by seed.

    Returns
    -------
    DataFrame: model, training, lead, variable ("all" is the mean over variables), seeds, gain (mean over seeds of
    1 - RMSE / RMSE of the control with the same seed), spread (sample standard deviation), residual (mean) and that of
    the control.
    """
    rows = []
    control = runs[runs["training"] == "data"].set_index(["model", "seed", "lead"])
    for (model, stage, lead), part in runs[runs["training"] != ""].groupby(["model", "training", "lead"], sort=False):
        part = part.set_index(["model", "seed", "lead"])
        both = part.index.intersection(control.index)
        if stage == "data" or not len(both):
            continue
        gains = {v: 1 - part.loc[both, f"rmse_{v}"] / control.loc[both, f"rmse_{v}"] for v in VARIABLES}
        gains["all"] = sum(gains.values()) / len(VARIABLES)
        found = over_seeds(pd.DataFrame(gains), list(gains))
        rows += [{
            "model": model, "training": stage, "lead": lead, "variable": v, "seeds": len(both), "gain": found[v],
            "spread": found[f"{v}_spread"], "residual": part.loc[both, "residual"].mean(),
            "residual_control": control.loc[both, "residual"].mean(),
        } for v in gains]  # fmt: skip
    return pd.DataFrame(rows)


def tell(rows: pd.DataFrame) -> str:
    """The last lead."""
    last = rows[rows["lead"] == SCORED[-1]]
    return f"RMSE of u at {SCORED[-1]} h " + ", ".join(f"{x:.2f}" for x in last["rmse_u"]) + " m/s"


def display(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Mean over variables."""
    table = forecasting_summary(runs)
    table = table[(table["variable"] == "all") & (table["training"] != "base")]
    spread = [f" ± {s:.2%}" if s == s else "" for s in table["spread"]]
    table = table.assign(gain=[f"{g:+.2%}{s}" for g, s in zip(table["gain"], spread, strict=True)])
    names = ["model", "training", "lead", "seeds", "gain", "residual", "residual_control"]
    yield "Gain in RMSE of fine-tuning over the control", table[names]


#: The table has one line per run, stage and lead: training (base and those of STAGES), lead (h), rmse_u ... in SI
#: units, acc_u ..., residual (root mean square, relative; the truth has about 1.2), parameters, train_s.
STUDY = Study(
    name="forecasting",
    title="networks that forecast a day, fine-tuned by equations",
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    check=check,
    order=(
        By("model", ("truth", "persistence", "climatology", *NETWORKS)),
        By("training", ("", "base", *STAGES)),
        By("seed"),
        By("lead"),
    ),
    summarise=forecasting_summary,
    display=display,
    tell=tell,
    reference=lambda run: run.seed is None,
    fill={"training": ""},
    data="bands",
    needs="folder of the hours of two nature runs on a circle of latitudes",
    scores=("forecast",),
)
benchmark_forecasting, read_forecasting = STUDY.launch, STUDY.read


def ship(output: str | Path, folder: str | Path) -> list[Path]:
    """Copy the U-Nets of seed 0 that the book shows, with and without equations, their weights rounded to float16."""
    table, paths = read_forecasting(Path(output) / STUDY.file), []
    for stage in ("data", "equations"):
        name = f"forecast-unet-{stage}-s0"
        model = Forecaster.load(Path(output) / name)
        rows = table[(table["model"] == "unet") & (table["training"] == stage) & (table["seed"] == 0)]
        scores = {f"rmse_{v}_{row['lead']}h": row[f"rmse_{v}"] for _, row in rows.iterrows() for v in VARIABLES}
        model.card |= {"task": "nature-band", "weights": "float16", "scores": scores}
        paths.append(model.save(Path(folder) / name, half=True))
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m physlab.benchmark.forecasting BENCHMARK FOLDER")
    for path in ship(*sys.argv[1:]):
        print(path)
