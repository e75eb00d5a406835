"""The benchmark of stations in a refined field: what 5 to 50 of them are worth at places where nothing was measured.

    physlab simulate --output terrain/run-21 --seed 21 --days 95 --hourly 0 0 --no-forecasts
    physlab benchmark stations --data terrain --output benchmark

`era5-uk-t2m` is hourly ERA5 2-m temperature over the British Isles, refined by four from its block means: days 21 to 24
of March 2019 measure the errors of a method, days 27 to 31 judge. `terrain` is the temperature of the lowest layer of
the laboratory atmosphere over Asia's mountains (20 to 76 N, 45 to 134 E), every 36 hours: days 0 to 30 of a run
measure, days 50 to 95 judge. Stations lie anywhere, with an error of 0.1 K; 200 further places judge. All rows of a
method get the same stations; seeds draw others (and take other weights, where there are some). Ways of listening:

    nothing                 the method
    mean error              the method minus its mean error in the measuring block: no station is needed for that
    kriging of residuals    simple kriging of what stations say beyond the method, of the most likely size
                            and length
    stationary, conserving  the same covariance in the null space of the block mean
    measured, conserving    covariance of the errors in the measuring block, localised as is best there, of the
                            size that stations say of each other
    members                 the covariance of the members of each time (latent diffusion)
    guide                   members drawn given the stations (latent diffusion)

Intervals are those of a bootstrap over days, of the error relative to that of the same method without stations, and
relative to kriging with the same stations.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.benchmark.study import Context, Named, Study, nature_run, presets
from physlab.benchmark.table import By
from physlab.data import open_dataset
from physlab.data.frames import UK_SPLIT
from physlab.data.observe import Interpolation, table
from physlab.data.surface import open_run
from physlab.downscale.base import Downscaler
from physlab.downscale.interpolate import BicubicConstrained
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.listening import Errors, Listening, tuned, update
from physlab.downscale.listening.covariance import Blocks
from physlab.downscale.listening.measure import blank, coarsened, fitted, network, sized
from physlab.downscale.listening.method import members_covariance
from physlab.downscale.listening.update import gain_of
from physlab.grid import Grid, coarsen
from physlab.score import crps
from physlab.score.paired import gains
from physlab.zoo import load_model

RUN = "run-21"
COUNTS = (5, 10, 20, 50)
GUIDED = (20,)  # counts at which the guide is asked, which takes long
GUIDED_STATES = 6
WITHHELD = 200
ERROR = 0.1  # K, of the stations
MEMBERS = 8
SEEDS = (0, 1, 2)
FACTOR = 4
NOTHING, MEAN, KRIGING = "nothing", "mean error", "kriging of residuals"
STATIONARY, MEASURED, OWN, GUIDE = "stationary, conserving", "measured, conserving", "members", "guide"
WAYS = (NOTHING, MEAN, KRIGING, STATIONARY, MEASURED, OWN, GUIDE)
BICUBIC, NETWORK, LATENT = "bicubic+add", "network", "latent diffusion"
DATA = {"era5-uk-t2m": (BICUBIC, NETWORK), "terrain": (BICUBIC, LATENT)}
PLACES = {"latitude": slice(20, 76), "longitude": slice(45, 135)}
SCORES = ("rmse", "spread_skill", "crps", "field_rmse", "gain", "gain_low", "gain_high", "over_kriging",
          "over_kriging_low", "over_kriging_high", "conservation")  # fmt: skip
KEYS = ("data", "method", "seed")
COLUMNS = ("data", "method", "way", "stations", "seed", *SCORES, "states", "points")


@dataclass(frozen=True)
class Run(Named):
    """A method on a data set with one draw of networks: all ways of listening, all numbers of stations."""

    data: str
    method: str
    seed: int


@functools.lru_cache(maxsize=2)
def truths(data: str, folder: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Fields that measure errors, and fields that judge.

    Raises
    ------
    PhysLabError : the run is not there.
    """
    if data == "era5-uk-t2m":
        ds = open_dataset(data)[["t2m"]].load().isel(latitude=slice(32), longitude=slice(48))
        parts = (ds.isel(time=UK_SPLIT.indices(ds["time"].values)[split]) for split in ("val", "test"))
        first, last = parts
        return first, last
    run = Path(folder) / RUN
    nature_run(run, 95, "--no-forecasts")
    ds = [open_run(run, days, 6)[["t_low", "u_low", "v_low"]].sel(PLACES).load() for days in ((0, 30), (50, 95))]
    first, last = (d.isel({k: slice(d.sizes[k] // 8 * 8) for k in ("latitude", "longitude")}) for d in ds)
    return first, last


def made_by(run: Run) -> Downscaler:
    """The method of a run."""
    if run.method == BICUBIC:
        return BicubicConstrained(FACTOR)
    if run.method == NETWORK:
        return load_model(f"era5-uk-t2m-x4-mult-s{run.seed}")
    model = load_model("nature-t-low-x4-s0")
    assert isinstance(model, LatentDownscaler)
    model.constraint = "add"
    return model


def fields_by(method, truth: xr.Dataset, name: str, seed: int) -> Tensor:
    """(T, M, n) of a method, M = 1 where it gives one."""
    members = {"members": MEMBERS, "seed": seed} if isinstance(method, LatentDownscaler) else {}
    coarse = coarsened(truth if isinstance(method, LatentDownscaler) else truth[[name]], FACTOR)
    made = method.downscale(coarse, **members)[name]
    made = made if "member" in made.dims else made.expand_dims("member")
    values = made.transpose("time", "member", "latitude", "longitude").values
    return torch.from_numpy(values.astype(np.float64)).flatten(-2)


@torch.no_grad()
def one(run: Run, context: Context) -> list[dict]:
    """All rows of a run."""
    (learn, judge), method = truths(run.data, context.data), made_by(run)
    name = str(next(iter(judge.data_vars)))
    grid = Grid.from_dataset(judge)
    blocks, like = Blocks(grid, FACTOR), blank(grid)
    truth = flat(judge, name)
    known = flat(learn, name)
    mean_of = fields_by(method, learn, name, run.seed + 100).mean(1)
    x = fields_by(method, judge, name, run.seed)
    errors = known - mean_of
    B = tuned(errors.unflatten(-1, grid.shape), grid, FACTOR, seed=run.seed)
    draw = np.random.default_rng(1000 + run.seed)
    asked = Interpolation(network(grid, WITHHELD, draw), like)
    places = network(grid, max(COUNTS), draw)
    noise = torch.from_numpy(ERROR * draw.standard_normal((len(truth), max(COUNTS))))
    low = coarsen(truth.unflatten(-1, grid.shape), FACTOR, blocks.weights)
    days = judge["time"].values.astype("datetime64[D]")
    base = {"data": run.data, "method": run.method, "seed": run.seed, "points": WITHHELD}
    centre = x.mean(1)

    def row(way: str, count: int, made: Tensor, spread: Tensor | None, at=None) -> dict:
        """`made` (T, [M,] n); `spread` (n,) or (T, n), None for that of the members."""
        at = slice(None) if at is None else at
        mid = made if made.ndim == 2 else made.mean(1)
        off = asked(mid) - asked(truth[at])
        if made.ndim == 3:
            M = made.shape[1]
            size, missed = asked(made).var(1).mul(1 + 1 / M), crps(asked(made), asked(truth[at]), dim=1)
        else:
            size = torch.full((1,), float("nan")) if spread is None else asked(spread.square())
            missed = off.abs().mean() if spread is None else gaussian_crps(off, size.clamp(min=1e-12).sqrt())
        kept = (coarsen(mid.unflatten(-1, grid.shape), FACTOR, blocks.weights) - low[at]).abs().max()
        return {**base, "way": way, "stations": count, "states": len(mid), "rmse": float(off.square().mean().sqrt()),
                "spread_skill": float((size.mean() / off.square().mean()).sqrt()), "crps": float(missed),
                "field_rmse": float((mid - truth[at]).square().mean().sqrt()), "conservation": float(kept),
                "_square": off.square().mean(1).numpy(), "_days": days[at]}  # fmt: skip

    ensemble = x.shape[1] > 1
    nothing = row(NOTHING, 0, x if ensemble else centre, None if ensemble else B.variance().sqrt())
    rows = [nothing, compared(row(MEAN, 0, centre + errors.mean(0), None), nothing, None)]
    for count in COUNTS:
        found = places.isel(observation=slice(count)).assign(error=("observation", np.full(count, ERROR)))
        see = Interpolation(found, like)
        y, R = see(truth) + noise[:, :count], torch.full((count,), ERROR, dtype=torch.float64)
        tables = [found.assign(value=("observation", v.numpy())) for v in y]
        shaped = centre.unflatten(-1, grid.shape)
        free, kept = (fitted(shaped, tables, like, blocks, conserve) for conserve in (False, True))
        kriging = row(KRIGING, count, *everywhere(centre, y, R, see, free))
        rows.append(compared(kriging, nothing, None))
        ways: list[tuple[str, Errors]] = [(STATIONARY, kept), (MEASURED, sized(B, shaped, tables, like))]
        for way, one in ways:
            rows.append(compared(row(way, count, *everywhere(centre, y, R, see, one)), nothing, kriging))
        if ensemble:
            rng = torch.Generator().manual_seed(run.seed)
            own = [update(x[t], y[t], R, see, members_covariance(x[t].unflatten(-1, grid.shape), blocks), rng)[0]
                   for t in range(len(x))]  # fmt: skip
            rows.append(compared(row(OWN, count, torch.stack(own), None), nothing, kriging))
            if count in GUIDED:
                at = np.unique(np.linspace(0, len(x) - 1, GUIDED_STATES).round().astype(int))
                stations = xr.concat([stamped(tables[t], name, judge["time"].values[t]) for t in at], "observation")
                some = Listening(method, how="guide").with_checks(sigmas=0)
                part = judge.isel(time=at)
                fine = some.downscale(coarsened(part, FACTOR), observations=stations, members=MEMBERS, seed=run.seed)
                values = fine[name].transpose("time", "member", "latitude", "longitude").values.astype(np.float64)
                guided = row(GUIDE, count, torch.from_numpy(values).flatten(-2), None, at)
                rows.append(compared(guided, picked(nothing, at), picked(kriging, at)))
    return [{k: v for k, v in made.items() if not k.startswith("_")} for made in rows]


def flat(ds: xr.Dataset, name: str) -> Tensor:
    """(T, n)."""
    values = ds[name].transpose("time", "latitude", "longitude").values
    return torch.from_numpy(values.astype(np.float64)).flatten(1)


def everywhere(x: Tensor, y: Tensor, error: Tensor, see: Interpolation, B: Errors) -> tuple[Tensor, Tensor]:
    """Fields (T, n) after the same stations at each time, and the standard deviation (n,) of their errors."""
    gain, left = gain_of(error, see, B)
    return x + (y - see(x)) @ gain.T, left


def stamped(found: xr.Dataset, name: str, time: np.datetime64) -> xr.Dataset:
    """A table of one variable and time."""
    n = found.sizes["observation"]
    return table([name] * n, [np.nan] * n, found["latitude"], found["longitude"], found["value"], found["error"],
                 time=[time] * n)  # fmt: skip


def picked(made: dict, at) -> dict:
    """A row on some states."""
    return {**made, "_square": made["_square"][at], "_days": made["_days"][at]}


def compared(made: dict, nothing: dict, kriging: dict | None) -> dict:
    """With gains in error, 1 - RMSE / RMSE, and their intervals."""
    for key, other in (("gain", nothing), ("over_kriging", kriging)):
        if other is not None:
            found = gains(np.stack([made["_square"], other["_square"]], 1), made["_days"], 1000)
            made |= {f"{key}{end}": float(x[0]) for end, x in zip(("", "_low", "_high"), found, strict=True)}
    return made


def gaussian_crps(off: Tensor, std: Tensor) -> Tensor:
    """Of N(x, std^2), by its closed form (Gneiting et al. 2005, Mon. Weather Rev. 133, 1098-1118, eq. 5)."""
    z = off / std
    density = torch.exp(-0.5 * z.square()) / (2 * torch.pi) ** 0.5
    return (std * (z * torch.erf(z / 2**0.5) + 2 * density - torch.pi**-0.5)).mean()


def plan() -> list[Run]:
    """All runs."""
    return [Run(data, method, seed) for seed in SEEDS for data, methods in DATA.items() for method in methods]


def check(runs: list[Run], context: Context) -> None:
    """The data are there."""
    for data in sorted({run.data for run in runs}):
        truths(data, context.data)


def shown(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A table for each data set and method: error by way and number of stations, means over seeds."""
    made = []
    for (data, method), part in runs.groupby(["data", "method"], sort=False):
        few = part.groupby(["way", "stations"], sort=False)[["rmse", "gain", "over_kriging", "spread_skill", "crps"]]
        made.append((f"{data}, {method}; means over seeds", few.mean().reset_index()))
    return made


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds; intervals are the means of their ends."""
    keys = ["data", "method", "way", "stations"]
    return runs.groupby(keys, sort=False)[list(SCORES)].mean().reset_index()


#: rmse (K), spread_skill, crps (K) at the withheld places; field_rmse (K) everywhere; gain = 1 - RMSE / RMSE without
#: stations, over_kriging = 1 - RMSE / RMSE of kriging, with 95 % intervals; conservation: largest change of a block
#: mean (K).
STUDY = Study(
    name="stations",
    title="stations in a refined field, against kriging of the residuals",
    keys=KEYS,
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    check=check,
    order=(By("data", DATA), By("method", (BICUBIC, NETWORK, LATENT)), By("way", WAYS), By("stations"), By("seed")),
    summarise=summary,
    display=shown,
    tell=lambda rows: f"RMSE {rows['rmse'].iloc[0]:.3f} K without stations, {rows['rmse'].min():.3f} K at best",
    data="terrain",
    needs="folder of a nature run, run-21",
)
read_stations_study, stations_summary = STUDY.read, STUDY.summary
