"""The benchmark of the climate chain: a model of the world brought to stations, scored on years it was not fitted to.

    physlab benchmark climate --output benchmark

CanESM2 (free-running, so that no day is that of the stations) and three stations in Canada, daily rain and maximum
temperature: calibrated on 1950 to 1980, scored on 1981 to 2010. What is compared are distributions, dry spells and the
dependence of rain on temperature: raw, adjusted by each method of the registry, and SDSM, which learns the stations
from a gridded analysis and is driven by the model. Intervals are those of a bootstrap over years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.benchmark.study import Context, Run, Study, presets
from physlab.benchmark.table import By
from physlab.data import open_dataset
from physlab.data.series import converted
from physlab.downscale import DQM, EQM, QDM, MBCn, WeatherGenerator
from physlab.downscale.adjusters import Adjustment
from physlab.downscale.seasons import decimal_years
from physlab.errors import PhysLabError

CALIBRATED, SCORED = slice("1950", "1980"), slice("1981", "2010")
METHODS: dict[str, type[Adjustment]] = {"EQM": EQM, "DQM": DQM, "QDM": QDM, "MBCn": MBCn}
RAW, SDSM, SEEDS = "raw", "SDSM", (0, 1, 2)
WET = 1.0  # mm: the least rain of a wet day
DRAWS, COVERED = 400, 0.95
UNITS = {"pr": "mm day-1", "tasmax": "K"}
Statistic = Callable[[np.ndarray, np.ndarray], float]


# --- scores -----------------------------------------------------------------------------------------------------------
def spell(wet: np.ndarray) -> float:
    """Mean length of dry spells in (years, days); they end with the year, and at a gap (NaN)."""
    dry = wet == 0
    begun = dry & ~np.concatenate([np.zeros_like(dry[:, :1]), dry[:, :-1]], 1)
    return float(dry.sum() / max(begun.sum(), 1))


def _wet(rain: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(rain), (rain >= WET).astype(float), np.nan)


def together(rain: np.ndarray, heat: np.ndarray) -> float:
    """Difference of the temperature of wet and dry days, K, both in their month (of 30.4 days) and place."""
    wet = _wet(rain)
    month = np.broadcast_to(np.arange(rain.shape[1]) * 12 // rain.shape[1], rain.shape)
    there = np.isfinite(wet) & np.isfinite(heat)
    gaps = []
    for m in range(12):
        at = there & (month == m)
        a, b = heat[at & (wet == 1)], heat[at & (wet == 0)]
        if len(a) and len(b):
            gaps.append(a.mean() - b.mean())
    return float(np.mean(gaps)) if gaps else float("nan")


#: Score -> variable, unit and function of rain (years, days) and temperature (years, days).
SCORES: dict[str, tuple[str, str, Statistic]] = {
    "mean": ("pr", "mm day-1", lambda r, t: float(np.nanmean(r))),
    "wet days": ("pr", "1", lambda r, t: float(np.nanmean(_wet(r)))),
    "q90 of wet days": ("pr", "mm day-1", lambda r, t: float(np.quantile(r[r >= WET], 0.9))),
    "q99 of wet days": ("pr", "mm day-1", lambda r, t: float(np.quantile(r[r >= WET], 0.99))),
    "dry spell": ("pr", "day", lambda r, t: spell(_wet(r))),
    "mean temperature": ("tasmax", "K", lambda r, t: float(np.nanmean(t))),
    "q05 of temperature": ("tasmax", "K", lambda r, t: float(np.nanquantile(t, 0.05))),
    "q95 of temperature": ("tasmax", "K", lambda r, t: float(np.nanquantile(t, 0.95))),
    "wet minus dry": ("both", "K", together),
}


def by_year(da: xr.DataArray) -> np.ndarray:
    """(time,) of 365-day years -> (years, 365)."""
    return da.values.reshape(-1, 365).astype(np.float64)


def scored(made: xr.Dataset, truth: xr.Dataset, seed: int = 0) -> list[dict]:
    """A row for each place and score: observed, value, bias with its interval.

    The bias is that of the whole period; for its interval years are drawn anew, those of the model and those of the
    stations apart, since a free-running model's year is not that of the stations.
    """
    rows = []
    rng = np.random.default_rng(seed)
    for location in truth["location"].values:
        there = truth.sel(location=location)
        gaps = {v: by_year(there[v].notnull()) > 0 for v in UNITS}
        have = [by_year(there[v]) for v in UNITS]
        got = [np.where(gaps[v], by_year(made[v].sel(location=location)), np.nan) for v in UNITS]
        count = len(have[0])
        draws = rng.integers(count, size=(DRAWS, 2, count))
        for score, (variable, units, value) in SCORES.items():
            observed, own = value(*have), value(*got)
            spread = [value(*(p[i] for p in got)) - value(*(p[j] for p in have)) for i, j in draws]
            low, high = np.nanquantile(spread, [(1 - COVERED) / 2, (1 + COVERED) / 2])
            rows.append({
                "location": str(location), "variable": variable, "score": score, "units": units, "observed": observed,
                "value": own, "bias": own - observed, "low": low, "high": high,
            })  # fmt: skip
    return rows


# --- methods ----------------------------------------------------------------------------------------------------------
def records(name: str) -> dict[str, xr.Dataset]:
    """Source -> record, rain in mm day-1.

    Raises
    ------
    PhysLabError : a data set without the model, the stations or the analysis.
    """
    ds = open_dataset(name)
    needed = {"CanESM2", "AHCCD", "NRCAN"}
    if "source" not in ds.dims or not needed <= set(ds["source"].values):
        raise PhysLabError(f"'{name}' has no sources {', '.join(sorted(needed))}: pass xclim-stations")
    ds = ds[list(UNITS)].map(lambda da: converted(da, UNITS[str(da.name)]), keep_attrs=True).load()
    return {str(source): ds.sel(source=source, drop=True).transpose("time", "location") for source in needed}


def predictors(ds: xr.Dataset, like: xr.Dataset) -> np.ndarray:
    """(T, C, 5): season, temperature and the fourth root of rain of the day, standardised as `like` is."""
    angle = 2 * np.pi * decimal_years(ds["time"])
    large = [ds["tasmax"], ds["pr"].clip(0) ** 0.25]
    base = [like["tasmax"], like["pr"].clip(0) ** 0.25]
    parts = [((x - b.mean("time")) / b.std("time")).values for x, b in zip(large, base, strict=True)]
    season = [np.broadcast_to(f(angle)[:, None], parts[0].shape) for f in (np.cos, np.sin)]
    return np.stack([*season, *parts, parts[0] * season[0]], -1)


def sdsm(record: dict[str, xr.Dataset], seed: int) -> xr.Dataset:
    """Stations by regression and a weather generator, learned from the analysis and driven by the model.

    The predictors of the model are first given the distribution of the analysis (QDM), as SDSM standardises them.
    """
    stations, analysis = (record[name].sel(time=CALIBRATED) for name in ("AHCCD", "NRCAN"))
    model = record["CanESM2"]
    driver = QDM(span=0).fit(analysis, model.sel(time=CALIBRATED)).adjust(model.sel(time=SCORED))
    x, new = predictors(analysis, analysis), predictors(driver, analysis)
    rng = np.random.default_rng(seed)
    heat = np.empty(new.shape[:2], np.float32)
    for c in range(x.shape[1]):
        y = stations["tasmax"].values[:, c].astype(float)
        there = np.isfinite(y)
        design, asked = (np.column_stack([np.ones(len(p)), p[:, c]]) for p in (x, new))
        weights, *_ = np.linalg.lstsq(design[there], y[there], rcond=None)
        rest = y[there] - design[there] @ weights
        heat[:, c] = asked @ weights + rest.std() * rng.standard_normal(len(asked))
    rain = stations["pr"].values.astype(float)
    days = np.flatnonzero(np.isfinite(rain).all(1))
    generator = WeatherGenerator(amount="gamma", threshold=0.2)
    generator.fit_series(x[days], np.maximum(rain[days], 0.0), seed=seed, follows=np.diff(days) == 1)
    drawn = generator.generate(new, 1, torch.Generator().manual_seed(seed))[0].astype(np.float32)
    dims = ("time", "location")
    return xr.Dataset({"pr": (dims, drawn), "tasmax": (dims, heat)}, driver.coords)


def make(run: Run, record: dict[str, xr.Dataset]) -> xr.Dataset:
    """The model in the scored years, by the method of a run.

    Raises
    ------
    PhysLabError : an unknown method.
    """
    model = record["CanESM2"]
    if run.model == RAW:
        return model.sel(time=SCORED)
    if run.model == SDSM:
        return sdsm(record, run.seed or 0)
    if run.model not in METHODS:
        raise PhysLabError(f"unknown method {run.model!r}: choose one of {', '.join((RAW, *METHODS, SDSM))}")
    method = METHODS[run.model]().fit(record["AHCCD"].sel(time=CALIBRATED), model.sel(time=CALIBRATED))
    return method.adjust(model.sel(time=SCORED))


def one(run: Run, context: Context) -> list[dict]:
    """Make and score."""
    record = records(context.data)
    rows = scored(make(run, record), record["AHCCD"].sel(time=SCORED))
    return [{"model": run.model, "seed": run.seed, **row} for row in rows]


def plan() -> list[Run]:
    """What has no random part worth a spread, then SDSM with its seeds."""
    return [*(Run(name, None) for name in (RAW, *METHODS)), *(Run(SDSM, seed) for seed in SEEDS)]


# --- tables -----------------------------------------------------------------------------------------------------------
def climate_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Over places and seeds, one row for each method and score.

    Returns
    -------
    DataFrame: model, score, units, bias (mean of its size), outside (share of places and seeds whose interval does not
    hold zero), of_raw (bias over that of the raw model).
    """
    table = rows.assign(size=rows["bias"].abs(), outside=(rows["low"] > 0) | (rows["high"] < 0))
    found = table.groupby(["model", "score", "units"], sort=False)[["size", "outside"]].mean().reset_index()
    found = found.rename(columns={"size": "bias"})
    raw = found[found["model"] == RAW].set_index("score")["bias"]
    return found.assign(of_raw=found["bias"] / found["score"].map(raw))


def display(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Mean size of the bias, with a star where at least half of the intervals exclude zero; then each place."""
    table = climate_summary(rows)
    table["cell"] = [f"{b:.3g}{'*' if o >= 0.5 else ''}" for b, o in zip(table["bias"], table["outside"], strict=True)]
    wide = table.pivot(index="score", columns="model", values="cell")
    order = [name for name in (RAW, *METHODS, SDSM) if name in wide]
    wide = wide.reindex([score for score in SCORES if score in wide.index])[order].reset_index()
    yield "size of the bias 1981-2010, mean of three stations; *: beyond chance at half of them or more", wide


def tell(rows: pd.DataFrame) -> str:
    """Of one run."""
    size = rows.assign(size=rows["bias"].abs()).groupby("score")["size"].mean()
    return (
        f"wet days {size['wet days']:.3f}, rain {size['mean']:.2f} mm/day, temperature {size['mean temperature']:.2f} K"
    )


#: One line per method, seed (empty where nothing is random), place and score; bias = value - observed, with the ends of
#: its 95 % interval.
STUDY = Study(
    name="climate",
    title="a climate model brought to stations, scored on other years",
    columns=("model", "seed", "location", "variable", "score", "units", "observed", "value", "bias", "low", "high"),
    plans=presets(plan),
    work=one,
    check=lambda runs, context: records(context.data),
    order=(By("model", (RAW, *METHODS, SDSM)), By("seed"), By("location"), By("score", tuple(SCORES))),
    summarise=climate_summary,
    display=display,
    tell=tell,
    reference=lambda run: run.model == RAW,
    data="xclim-stations",
    needs="a data set with the sources CanESM2, AHCCD and NRCAN",
)
read_climate = STUDY.read
