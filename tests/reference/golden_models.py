"""What every shipped method makes of small shipped inputs, as a few numbers for each field of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
import xarray as xr

import physlab
from physlab.data.observe import table
from physlab.grid import Grid, coarsen

SAMPLES = 12  # values of a field that are kept
MEMBERS, SEED = 2, 3


def summary(ds: xr.Dataset) -> dict[str, dict]:
    """Shape, a few values, mean, standard deviation and extremes of each field; of the coordinates their ends."""
    found = {}
    for name in sorted(map(str, ds.data_vars)):
        x = np.asarray(ds[name].values, dtype=float)
        at = np.random.default_rng(SEED).integers(0, x.size, SAMPLES)
        found[name] = {
            "dims": list(map(str, ds[name].dims)), "shape": list(x.shape), "values": x.ravel()[at].tolist(),
            "mean": float(x.mean()), "std": float(x.std()), "min": float(x.min()), "max": float(x.max()),
            "units": str(ds[name].attrs.get("units", "")),
        }  # fmt: skip
    for name in ("latitude", "longitude"):
        x = np.asarray(ds[name].values, dtype=float)
        found[f"coordinate {name}"] = {"shape": list(x.shape), "values": [float(x[0]), float(x[-1])]}
    return found


# --- inputs, made from the shipped files without any loader of the library -----------------------------------------


def on_grid(name: str, x: np.ndarray, grid: Grid, time: np.ndarray, units: str) -> xr.Dataset:
    """Fields (time, latitude, longitude) as a Dataset."""
    coords = {
        "time": time,
        "latitude": ("latitude", grid.latitude, {"units": "degrees_north"}),
        "longitude": ("longitude", grid.longitude, {"units": "degrees_east"}),
    }
    return xr.Dataset({name: (("time", "latitude", "longitude"), x, {"units": units})}, coords)


def block_means(ds: xr.Dataset, factor: int) -> xr.Dataset:
    """The coarse fields of fine ones: area-weighted means of the blocks."""
    grid = Grid(ds["latitude"].values, ds["longitude"].values)
    weights = torch.from_numpy(grid.area_weights[:, :1].copy()).double()
    parts = [
        on_grid(
            str(name),
            coarsen(torch.from_numpy(da.values.astype(float)), factor, weights).float().numpy(),
            grid.coarsen(factor),
            ds["time"].values,
            da.attrs["units"],
        )
        for name, da in ds.data_vars.items()
    ]
    return xr.merge(parts)


@cache
def water(sequence: bool = False) -> xr.Dataset:
    """Fine column water: the first test patch, or three hours of one."""
    with physlab.open_dataset(f"nature-{'sequences' if sequence else 'tcw'}") as ds:
        at = int(np.flatnonzero(ds["split"].values == "test")[0])
        one = ds.isel({"sequence" if sequence else "sample": at}).load()
    x, time = (np.atleast_1d(v) for v in (one["tcw"].values, one["time"].values))
    grid = Grid(one["latitude"].values, float(one["longitude0"]) + 1.40625 * np.arange(128))
    return on_grid("tcw", x.reshape(-1, 128, 128), grid, time, "kg m-2")


@cache
def sample(name: str) -> xr.Dataset:
    """A shipped file."""
    with xr.open_dataset(physlab.data.assets.asset(f"data/{name}.nc")) as ds:
        return ds.load()


@cache
def twin() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Truth, background and whole observed columns at 40 grid points, with errors of a tenth of the differences."""
    ds = sample("nature-twin").isel(time=0, drop=True)
    truth = ds[[v for v in ds.data_vars if not str(v).endswith("_fc")]]
    background = xr.Dataset({v: ds[f"{v}_fc"].assign_attrs(ds[v].attrs) for v in truth.data_vars}, attrs=ds.attrs)
    rng = np.random.default_rng(SEED)
    rows, columns = rng.integers(4, 60, 40), rng.integers(0, 128, 40)
    parts = []
    for name, da in truth.data_vars.items():
        for level in da["level"].values if "level" in da.dims else [np.nan]:
            pair = [f[name].sel(level=level) if "level" in da.dims else f[name] for f in (truth, background)]
            value, error = pair[0].values[rows, columns], 0.1 * float(np.std(pair[0].values - pair[1].values))
            parts += [(str(name), level, ds["latitude"].values[i], ds["longitude"].values[j], y, error)
                      for i, j, y in zip(rows, columns, value, strict=True)]  # fmt: skip
    return truth, background, table(*zip(*parts, strict=True))


# --- outputs --------------------------------------------------------------------------------------------------------


def network(name: str, model, **options) -> xr.Dataset:
    """A downscaling method that takes one coarse field, or successive ones."""
    if name.startswith("era5"):
        ds = sample("era5-uk-t2m-sample")
        fine = ds[["t2m"]].isel(time=np.flatnonzero(ds["split"].values == "test")[:2]).drop_vars("split")
    elif name.startswith(("tcw-t1", "tcw-t2")):
        fine = water(sequence=True).isel(time=slice(None, None, 2 if name.startswith("tcw-t2") else 1))
    else:
        fine = water()
    return model.downscale(block_means(fine, model.factor), **options)


def generator(name: str, model) -> xr.Dataset:
    """Two members of a network that takes noise."""
    return network(name, model, members=MEMBERS, seed=SEED)


def continuous(name: str, model) -> xr.Dataset:
    """A continuous field at places and a time between those that it was fitted to."""
    ds = sample("nature-window")
    start, end = ds["time"].values[[100, 101]]
    north, east = ds["latitude"].values, ds["longitude"].values
    grid = Grid(np.linspace(north[4], north[20], 17), np.linspace(east[3], east[27], 25))
    return model.downscale(to=grid, time=np.array([start + (end - start) // 4]))


def forecast(name: str, model) -> xr.Dataset:
    """The next day, from seven hours."""
    return model.forecast(sample("nature-window").isel(time=slice(60, 67))).drop_vars("lead", errors="ignore")


def analysis(name: str, model) -> xr.Dataset:
    """An analysis, of two members where there are any."""
    _, background, observations = twin()
    members = MEMBERS if getattr(model, "ensemble", False) else 1
    return model.analyse(background, observations, members=members, seed=SEED)


def latent(name: str, model) -> xr.Dataset:
    """Two members of fine temperature over terrain."""
    return model.downscale(block_means(sample("nature-terrain").isel(time=[0]), 4), members=MEMBERS, seed=SEED)


KINDS: dict[str, Callable] = {
    "network": network, "ensemble": generator, "sequence": network, "baseline": network, "continuous": continuous,
    "forecast": forecast, "assimilation": analysis, "latent diffusion": latent,
}  # fmt: skip


def classical() -> Iterator[tuple[str, xr.Dataset]]:
    """Methods without weights: statistical ones fitted to a week of temperature, assimilation of an ensemble."""
    from physlab.assimilate.fields import FieldAssimilator
    from physlab.data.patches import make_pairs
    from physlab.downscale import STATISTICAL, make_statistical

    t2m = sample("era5-uk-t2m-sample")["t2m"].isel(latitude=slice(0, 16), longitude=slice(0, 16))
    t2m = t2m.drop_vars("split")
    day = np.datetime_as_string(t2m["time"].values[[0, 71, 96, 119]], "h")
    data = make_pairs(t2m, 4, {"train": tuple(day[:2]), "test": tuple(day[2:])}, gap=6.0)
    coarse = block_means(t2m.to_dataset().isel(time=[200]), 4)
    for name in STATISTICAL:
        yield f"statistical {name}", make_statistical(name, data).fit(data).downscale(coarse)
    ds = sample("nature-states").isel(latitude=slice(16, 48, 2), longitude=slice(0, 64, 4), level=[1, 3])
    ensemble = ds[["t_low", "t"]].isel(time=slice(0, 12)).rename(time="member").drop_vars(["member", "split"])
    truth = ds[["t_low", "t"]].isel(time=20, drop=True)
    observations = physlab.data.observe.observe(truth, share=0.1, error=0.5, seed=SEED)
    for method in ("letkf", "etkf", "enkf", "oi"):
        options = {"error": {"t_low": 3.0, "t": 2.0}} if method == "oi" else {}
        background = ensemble.mean("member", keep_attrs=True) if method == "oi" else ensemble
        yield f"classical {method}", FieldAssimilator(method, **options).analyse(background, observations)


def outputs(kinds: dict[str, str]) -> Iterator[tuple[str, dict]]:
    """Name -> summary, for names of the list of models with their kinds.

    Parameters
    ----------
    kinds : name -> a key of :data:`KINDS`.
    """
    for name, kind in kinds.items():
        yield name, summary(KINDS[kind](name, physlab.load_model(name, device="cpu")))
