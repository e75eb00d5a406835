"""What the chapter on statistical downscaling computes: comparisons over seeds, a leaking split, the rain of a storm
track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.data.assets import asset
from physlab.data.frames import NETCDF
from physlab.data.patches import SRData, make_pairs, sr_pairs
from physlab.downscale import Analog, FieldDownscaler, Interpolate, Statistical, WeatherGenerator, make_statistical
from physlab.downscale.validation import score_against, subset
from physlab.grid import coarsen, refine

SEEDS = (0, 1, 2)


WET = 0.1  # kg m-2 in six hours


def fit_all(names: Sequence[str], data: SRData, seeds: Sequence[int] = SEEDS) -> dict[str, list[Statistical]]:
    """Each method of :data:`physlab.downscale.STATISTICAL` fitted with each seed (another nine tenths of the time)."""
    return {name: [make_statistical(name, data).fit(data, seed=seed) for seed in seeds] for name in names}


def compare(methods: Mapping[str, Sequence[FieldDownscaler]], data: SRData, split: str = "test") -> pd.DataFrame:
    """Deterministic predictions scored: one row per method, mean and `_spread` over its runs.

    Columns: method, rmse, block_error (root mean square of P y - x), detail_variance (variance inside the coarse cells,
    predicted over true) and gain (in per cent of the RMSE of bicubic+add).
    """
    rows = []
    for name, runs in methods.items():
        scores = pd.DataFrame([_scores(method, data, split) for method in runs])
        row: dict[str, object] = {"method": name, **scores.mean().to_dict()}
        row |= {f"{key}_spread": scores[key].std(ddof=1) if len(runs) > 1 else float("nan") for key in scores}
        rows.append(row)
    return pd.DataFrame(rows)


def _scores(method: FieldDownscaler, data: SRData, split: str) -> dict[str, float]:
    scores = score_against(method, data, split)
    gain = 100 * (1 - scores["rmse"] / scores["rmse_bicubic_add"])
    kept = {name: scores[name] for name in ("rmse", "block_error")}
    return {**kept, "detail_variance": abs(round(scores["detail_variance"], 9)), "gain": gain}


def leak(factor: int = 4, seed: int = 0) -> pd.DataFrame:
    """Analogs of hourly temperature maps (ERA5, British Isles, last days of March 2019), split in two ways.

    Two thirds of the hours are the library, the others are asked for: drawn at random, or the last third with a gap of
    24 hours. One row per split: method, rmse, nearest library hour in hours, rmse_bicubic_add.
    """
    data = sr_pairs("era5-uk-t2m", factor, splits=("test",))
    time = data.time["test"]
    order = np.random.default_rng(seed).permutation(len(time))
    cut = 2 * len(time) // 3
    parts = {
        "hours drawn at random": (np.sort(order[:cut]), np.sort(order[cut:])),
        "blocks with a gap": (np.arange(cut - 24), np.arange(cut, len(time))),
    }
    rows = []
    for name, (train, test) in parts.items():
        part = subset(data, "test", {"train": train, "test": test})
        scores = score_against(Analog(per="cell", window=0, nearest=1, share=1.0).fit(part), part, "test")
        hours = np.abs(time[test][:, None] - time[train]).min(1) / np.timedelta64(1, "h")
        rows.append({"split": name, "nearest library hour": float(np.median(hours)), **scores})
    return pd.DataFrame(rows).set_index("split")


def rain_pairs(factor: int = 4) -> SRData:
    """Six-hourly rain of a storm track of the laboratory atmosphere, 20 days for training and 20 for testing."""
    with xr.open_dataset(asset("data/nature-rain.nc"), engine=NETCDF) as ds:
        rain, split = ds["tp"].load(), ds["split"].values.astype(str)
    blocks = {
        name: tuple(rain["time"].values[split == name][[0, -1]].astype("datetime64[s]").astype(str))
        for name in ("train", "test")
    }
    return make_pairs(rain.drop_vars("split"), factor, blocks, gap=120.0, task="nature-rain")


def rain_table(fields: Mapping[str, Tensor], truth: Tensor, weights: Tensor) -> pd.DataFrame:
    """Climate of rain fields (S, 1, H, W): wet share in per cent, mean, 99th percentile, variance, and RMSE."""
    area = weights / weights.mean()
    rows = {}
    for name, y in {"truth": truth, **fields}.items():
        y = y.double()
        rows[name] = {
            "wet (%)": 100 * float(((y > WET) * area).mean()),
            "mean": float((y * area).mean()),
            "99th percentile": float(y.flatten().quantile(0.99)),
            "variance": float(y.var()),
            "RMSE": float(((y - truth) ** 2 * area).mean().sqrt()),
        }
    return pd.DataFrame(rows).T


def rain_members(data: SRData, split: str = "test", members: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Rain of a split by the weather generator: its expectation, one member, and the mean of the members."""
    method = WeatherGenerator(per="child").fit(data, seed=seed)
    drawn = method.sample(data.coarse[split], members=members, generator=torch.Generator().manual_seed(seed))
    return {"expectation": method.predict(data.coarse[split]), "one member": drawn[0], "mean of members": drawn.mean(0)}


def log_mean(fine: Tensor, factor: int, weights: Tensor, lift: float = WET) -> Tensor:
    """The mistake: the coarse field as the mean of logarithms, exp(P log(y + lift)) - lift."""
    return torch.exp(coarsen(torch.log(fine + lift), factor, weights)) - lift


def detail(fine: Tensor, coarse: Tensor, factor: int) -> Tensor:
    """d = y - U x."""
    return fine - refine(coarse, factor)


def interpolations(factor: int) -> dict[str, list[FieldDownscaler]]:
    """The baselines without training."""
    return {
        "nearest": [Interpolate("nearest", factor)],
        "bicubic": [Interpolate("bicubic", factor)],
        "bicubic+add": [Interpolate("bicubic", factor, "add")],
    }
