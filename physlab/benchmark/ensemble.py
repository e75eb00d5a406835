"""The benchmark of ensembles: interpolation, regression and latent diffusion, with and without a law in the loss.

    physlab simulate --output terrain/run-10 --seed 10 --days 80 --hourly 0 0 --no-forecasts
    physlab simulate --output terrain/run-11 --seed 11 --days 36 --hourly 0 0 --no-forecasts
    physlab benchmark ensemble --data terrain --output benchmark

Training is one nature run, test is another (days 18 to 36) that shares no weather with it; its first two weeks are for
choosing numbers. `era5-uk-x4` is hourly ERA5 2-m temperature over the British Isles in blocks of days of one month. The
effect of the law is that of some more steps with it against as many steps without (weight 0): a network that has
merely been trained longer is better too.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.benchmark.study import Context, Study, nature_run, presets
from physlab.benchmark.table import By
from physlab.constrain import make_constraint
from physlab.data.catalog import open_dataset
from physlab.data.frames import UK_SPLIT
from physlab.data.surface import open_run
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.quantile import map_fields, quantile_table
from physlab.downscale.terrain import TerrainFields
from physlab.equations.surface_temperature import LAPSE_RATE, reduced
from physlab.grid import coarsen
from physlab.score.detail import SCORES, detail_scores
from physlab.simulate.pack import write
from physlab.simulate.terrain import pack
from physlab.train.checkpoint import origin
from physlab.train.latent import LatentSettings, balance_of, make_latent, train_latent, tune_latent
from physlab.train.steps import Steps

TRAINING, HELD_OUT = "run-10", "run-11"
DAYS = {"train": (0, 1000), "val": (0, 15), "test": (18, 37)}
EVERY = {"train": 1, "val": 6, "test": 6}  # of the six-hourly times
DRIVERS = ("t_low", "u_low", "v_low")
TRUNCATION = 85  # of the nature run: its fields have nothing beyond
MEMBERS = 8
SEEDS = (0, 1, 2)
WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)  # the first is the control
PACKED = (0.0, 0.1, 0.3, 1.0, 3.0)  # whose members ship
FLUX_WEIGHT = 0.3
SHIPPED = "nature-t-low-x4-s0"
BASELINES = ("bicubic", "bicubic + lapse rate", "quantile mapping")
REGRESSION, DIFFUSION = "U-Net", "latent diffusion"
CONSTRAINED, TUNED = f"{DIFFUSION}, constrained", f"{DIFFUSION}, tuned"
KEYS = ("data", "model", "kind", "weight", "seed")
COLUMNS = (*KEYS, *SCORES, "members", "states", "s_per_state", "parameters", "train_s")


@dataclass(frozen=True)
class Task:
    """Where the fields come from.

    Attributes
    ----------
    factor : N.
    kinds : (penalty, weight) of the tuned models.
    arguments : of :class:`physlab.downscale.latent.LatentDownscaler`.
    bound : to the place.
    settings : of training.
    """

    factor: int
    kinds: tuple[tuple[str, float], ...] = ()
    arguments: tuple[tuple[str, object], ...] = ()
    bound: bool = False
    settings: LatentSettings = field(default_factory=LatentSettings)


ALL_WEIGHTS = (*(("balance" if w else "none", w) for w in WEIGHTS), ("flux-ratio", FLUX_WEIGHT))
SMALL = LatentSettings(
    unet=Steps(400, 16, 2e-3), vae=Steps(400, 16, 2e-3), denoiser=Steps(1200, 16, 2e-3, ema=0.995),
    tuning=Steps(150, 16, 5e-4, ema=0.98),
)  # fmt: skip
TASKS = {
    "nature-x4": Task(4, ALL_WEIGHTS),
    "nature-x8": Task(8, (("none", 0.0), ("balance", 0.3))),
    "era5-uk-x4": Task(4, (("none", 0.0), ("flux-ratio", FLUX_WEIGHT)), bound=True, settings=SMALL),
}


@dataclass(frozen=True)
class Run:
    """One process: the baselines (no seed), a base model with all that needs no further training, or a tuned one."""

    data: str
    model: str
    kind: str = "none"
    weight: float = 0.0
    seed: int | None = None

    def __str__(self) -> str:
        tail = f", {self.kind} {self.weight:g}" if self.model == TUNED else ""
        return f"{self.data}, " + ("baselines" if self.seed is None else f"{self.model}{tail}, seed {self.seed}")


@functools.lru_cache(maxsize=6)
def fields_of(data: str, split: str, folder: str) -> TerrainFields:
    """Those of a split.

    Raises
    ------
    PhysLabError : the runs are not there.
    """
    task = TASKS[data]
    if data.startswith("era5-uk"):
        ds = open_dataset("era5-uk-t2m")[["t2m"]].load()
        ds = ds.isel(time=UK_SPLIT.indices(ds["time"].values)[split])
        ds = ds if split == "train" else ds.isel(time=slice(None, None, EVERY[split]))
        return TerrainFields.of(ds, "t2m", factor=task.factor, statics=("land", "latitude"))
    name, days = (TRAINING, 80) if split == "train" else (HELD_OUT, 36)
    run = nature_run(Path(folder) / name, days, "--no-forecasts")
    ds = open_run(run, DAYS[split], EVERY[split])[list(DRIVERS)].load()
    return TerrainFields.of(ds, DRIVERS[0], DRIVERS, task.factor)


def checkpoint(output: str | Path, run: Run) -> Path:
    """Folder of a trained model; the seeds end the name."""
    tail = "" if run.model != TUNED else f"-{run.kind}-{run.weight:g}"
    return Path(output) / f"{run.data}{tail}-s{run.seed}"


def trained(run: Run, context: Context) -> LatentDownscaler:
    """The model of a run, from its folder or trained now."""
    path = checkpoint(context.output, run)
    if path.exists():
        return LatentDownscaler.load(path)
    task = TASKS[run.data]
    settings = replace(task.settings, **context.changes)
    fields, begun = fields_of(run.data, "train", context.data), time.perf_counter()
    if run.model == TUNED:
        model = trained(replace(run, model=DIFFUSION, kind="none", weight=0.0), context)
        kind = "balance" if run.kind == "none" else run.kind
        tune_latent(model.to(context.device), fields, run.weight, kind, settings, run.seed or 0)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed or 0)
            model = make_latent(fields, task.bound, **dict(task.arguments))
        train_latent(model.to(context.device), fields, settings, run.seed or 0)
    took = round(time.perf_counter() - begun, 1)
    model.card |= {"task": run.data, "seed": run.seed, "train_s": took, **origin(model.mean.device)}
    model.to("cpu").save(path)
    return model


def interpolated(fields: TerrainFields) -> LatentDownscaler:
    """An untrained model, for its interpolation."""
    return make_latent(fields)


def with_lapse_rate(fields: TerrainFields, upsample: Callable[[Tensor], Tensor], lapse_rate: float) -> Tensor:
    """(T, H, W): temperature reduced to sea level by the coarse height, interpolated, and taken up to the fine one."""
    height = coarsen(fields.height, fields.factor, fields.area)
    return reduced(upsample(reduced(fields.coarse[:, 0], height, lapse_rate)), fields.height, -lapse_rate)


def baseline(name: str, data: str, folder: str, split: str = "test") -> Tensor:
    """(T, 1, H, W) fields of a baseline, K."""
    train, held = (fields_of(data, s, folder) for s in ("train", split))
    upsample = interpolated(train).upsample
    if name == "bicubic":
        return upsample(held.coarse[:, :1])
    if name == "bicubic + lapse rate":
        rate = LAPSE_RATE if train.wind is None else balance_of(train).lapse_rate
        return with_lapse_rate(held, upsample, rate)[:, None]
    pooled = held.grid.periodic
    tables = [quantile_table(x[:, 0].double().numpy(), 101, pooled)
              for x in (upsample(train.coarse[:, :1]), train.truth)]  # fmt: skip
    made = map_fields(upsample(held.coarse[:, 0]).double().numpy(), *tables)
    return torch.from_numpy(made).float()[:, None]


def score(members: Tensor, data: str, folder: str, split: str = "test") -> dict[str, float]:
    """Mean scores over the times of (T, M, H, W)."""
    fields, train = (fields_of(data, s, folder) for s in (split, "train"))
    balance = None if train.wind is None else balance_cached(data, folder)
    largest = TRUNCATION if fields.grid.periodic else None
    rows = [
        detail_scores(
            members[k], fields.truth[k, 0], fields.coarse[k, 0], fields.grid, fields.factor, balance,
            None if fields.wind is None else (fields.wind[0][k], fields.wind[1][k]), largest,
        ) for k in range(len(fields))
    ]  # fmt: skip
    return {**pd.DataFrame(rows).mean().to_dict(), "members": members.shape[1], "states": len(fields)}


@functools.lru_cache(maxsize=3)
def balance_cached(data: str, folder: str):
    """The law of the training block."""
    return balance_of(fields_of(data, "train", folder))


@torch.no_grad()
def draw(model: LatentDownscaler, fields: TerrainFields, members: int = MEMBERS, seed: int = 0) -> tuple[Tensor, float]:
    """(T, M, H, W) members, and the seconds of one time."""
    begun, made = time.perf_counter(), []
    for k in range(len(fields)):
        generator = torch.Generator().manual_seed((seed << 16) + k)
        made.append(model.sample(fields.coarse[k : k + 1], fields.area, members, generator, fields.static)[:, 0])
    return torch.stack(made), (time.perf_counter() - begun) / len(fields)


@torch.no_grad()
def compare_on(model: LatentDownscaler, fields: TerrainFields, members: int = MEMBERS) -> pd.DataFrame:
    """Bicubic interpolation, the U-Net and the ensemble of a model on fields that it has not seen, one row each."""
    wind = fields.wind
    balance = None if wind is None else balance_of(fields)
    made = {
        "bicubic": model.upsample(fields.coarse[:, :1]), REGRESSION: model.regress(fields.coarse, fields.static),
        DIFFUSION: draw(model, fields, members)[0],
    }  # fmt: skip
    rows = {name: [detail_scores(x[k], fields.truth[k, 0], fields.coarse[k, 0], fields.grid, fields.factor, balance,
                                 None if wind is None else (wind[0][k], wind[1][k])) for k in range(len(fields))]
            for name, x in made.items()}  # fmt: skip
    return pd.DataFrame([{"model": name, **pd.DataFrame(row).mean().to_dict()} for name, row in rows.items()])


def one(run: Run, context: Context) -> list[dict]:
    """The rows of a run, trained if need be."""
    folder, split = context.data, context.split
    fields = fields_of(run.data, split, folder)
    key = {"data": run.data, "kind": run.kind, "weight": run.weight, "seed": run.seed}
    if run.seed is None:
        cost = {"parameters": 0, "train_s": float("nan"), "s_per_state": float("nan")}
        made = {n: baseline(n, run.data, folder, split) for n in BASELINES
                if "lapse" not in n or "elevation" in fields.statics}  # fmt: skip
        return [{**key, "model": n, **cost, **score(x, run.data, folder, split)} for n, x in made.items()]
    model = trained(run, context)
    cost = {"parameters": sum(p.numel() for p in model.parameters()), "train_s": model.card["train_s"]}
    members, seconds = draw(model, fields, seed=run.seed)
    rows = [{**key, "model": run.model, **cost, "s_per_state": seconds,
             **score(members, run.data, folder, split)}]  # fmt: skip
    if run.model == DIFFUSION:
        begun = time.perf_counter()
        with torch.no_grad():
            mean = model.regress(fields.coarse, fields.static)
        seconds = (time.perf_counter() - begun) / len(fields)
        count = sum(p.numel() for p in model.unet.parameters())
        rows.append({**key, "model": REGRESSION, **cost, "parameters": count, "s_per_state": seconds,
                     **score(mean, run.data, folder, split)})  # fmt: skip
        model.constraint = "add"
        model.check_constraint()
        layer = make_constraint("add", model.factor)
        tied = layer(members, fields.coarse[:, :1].expand(-1, members.shape[1], -1, -1), fields.area)
        rows.append({**key, "model": CONSTRAINED, **cost, "s_per_state": rows[0]["s_per_state"],
                     **score(tied, run.data, folder, split)})  # fmt: skip
    return rows


def pack_members(
    data: str | Path, output: str | Path, path: str | Path, members: int = 2, seed: int = 0, step: float = 0.01
) -> Path:
    """Write ``nature-terrain-members.nc``: members of the tuned models of a seed, at the first time of the test block.

    What is written is their difference from the truth in ``nature-terrain.nc``, which must be there: that is small, so
    that a hundredth of a kelvin costs as little as a tenth of the field itself. The catalogue puts them together.

    Parameters
    ----------
    data, output : of the benchmark, whose models must be there.
    path : folder for the file, and of the truth.
    members : of each weight; the noise of a member is the same for all weights.
    step : of the packed numbers, K.
    """
    fields = fields_of("nature-x4", "test", str(data)).take(slice(0, 1))
    with xr.open_dataset(Path(path) / "nature-terrain.nc") as shown:
        truth = shown["t_low"].sel(time=fields.time[0]).load()
    made = []
    for weight in PACKED:
        run = Run("nature-x4", TUNED, "balance" if weight else "none", weight, seed)
        made.append(draw(LatentDownscaler.load(checkpoint(output, run)), fields, members)[0][0])
    dims = ("weight", "member", "latitude", "longitude")
    drawn = xr.DataArray(torch.stack(made).numpy(), truth.coords, dims).assign_coords(
        weight=list(PACKED), member=range(members)
    )
    attrs = {"long_name": "member minus truth", "units": "K"}
    ds = xr.Dataset({"t_low_error": (dims, (drawn - truth).transpose(*dims).values, attrs)}, drawn.coords)
    ds.attrs = {
        "title": "Members of latent diffusion for weights of the balance in its loss", "seed": seed,
        "licence": "MIT, the PhysLab developers", "history": "physlab.benchmark.ensemble.pack_members",
    }  # fmt: skip
    path = Path(path) / "nature-terrain-members.nc"
    write(ds, path, {"t_low_error": step})
    return path


def ship(data: str | Path, output: str | Path, assets: str | Path) -> None:
    """Write what comes with the package: the base model of seed 0, rounded to float16, members, times and the table.

    Parameters
    ----------
    data, output : of the benchmark, which must have been run.  assets : folder of the assets.
    """
    assets = Path(assets)
    model = LatentDownscaler.load(checkpoint(output, Run("nature-x4", DIFFUSION, seed=0)))
    model.card |= {"weights": "float16"}
    model.save(assets / "ensembles" / SHIPPED, half=True)
    pack(Path(data) / HELD_OUT, assets / "data")
    pack_members(data, output, assets / "data")
    STUDY.write(STUDY.read(Path(output) / STUDY.file), assets / "results" / STUDY.file)


def plan(tasks: tuple[str, ...] = tuple(TASKS), seeds: tuple[int, ...] = SEEDS) -> list[Run]:
    """Baselines, base models, tuned models."""
    base = [Run(data, DIFFUSION, seed=seed) for seed in seeds for data in tasks]
    tuned = [Run(data, TUNED, kind, weight, seed)
             for seed in seeds for data in tasks for kind, weight in TASKS[data].kinds]  # fmt: skip
    return [*(Run(data, BASELINES[0]) for data in tasks), *base, *tuned]


def after(run: Run, context: Context) -> list[Run]:
    """The base model of a tuned one, if it is not there."""
    base = Run(run.data, DIFFUSION, seed=run.seed)
    return [base] if run.model == TUNED and not checkpoint(context.output, base).exists() else []


def check(runs: list[Run], context: Context) -> None:
    """The data are there."""
    for name in sorted({run.data for run in runs}):
        fields_of(name, "test", context.data)


#: The table has one line per model and seed: kind ("none", "balance" or "flux-ratio"), weight (lambda), seed (empty
#: where nothing is random), the scores of :func:`physlab.score.detail.detail_scores` (means over the test times),
#: members, states, s_per_state (one thread, all members), parameters, train_s.
STUDY = Study(
    name="ensemble",
    title="latent diffusion over terrain, with and without a law in its loss",
    keys=KEYS,
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    prepare=trained,
    after=after,
    check=check,
    order=(
        By("data", TASKS),
        By("model", (*BASELINES, REGRESSION, DIFFUSION, CONSTRAINED, TUNED)),
        By("kind"),
        By("weight"),
        By("seed"),
    ),
    part={"data": "nature-x4"},
    by=("model", "kind", "weight"),
    averaged=(*SCORES, "members", "s_per_state", "train_s", "parameters"),
    headline=("rmse", "bias", "crps", "spread_skill", "specdiv", "specdiv_top", "residual", "conservation"),
    tell=lambda rows: f"RMSE {rows['rmse'].iloc[0]:.4f} K, CRPS {rows['crps'].iloc[0]:.4f} K",
    reference=lambda run: run.seed is None,
    data="terrain",
    needs="folder of two nature runs, run-10 and run-11",
    scores=("latent diffusion",),
)
benchmark_ensemble, read_ensemble, ensemble_summary = STUDY.launch, STUDY.read, STUDY.summary


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python -m physlab.benchmark.ensemble RUNS BENCHMARK ASSETS")
    ship(*sys.argv[1:])
