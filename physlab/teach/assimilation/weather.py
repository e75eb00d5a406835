"""The chapter on data assimilation, its weather: day-old forecasts of the laboratory atmosphere meet a few columns.

Fields of `nature-states` between 20 and 75 degrees north. Background errors are learnt from the training states: their
size, how they are alike over distance, and an ensemble of them. Settings were chosen on the validation states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
import torch
import xarray as xr

import physlab
from physlab.assimilate import FieldAssimilator, OptimalInterpolation, gaspari_cohn, sphere_distance
from physlab.assimilate.localisation import grid_points
from physlab.constants import EARTH_RADIUS
from physlab.data.observe import Interpolation, observe
from physlab.equations import geostrophic
from physlab.fields import to_tensor
from physlab.grid import Grid

FIELDS, LEVELS, BAND = ("z", "t", "u", "v", "q"), (500, 850), (20.0, 75.0)


ATLANTIC, STATION = (250.0, 355.0), {"latitude": 50.0, "longitude": 325.0}


RADIUS = 7e5  # m; lowest RMSE on the validation states for optimal interpolation and for past errors


FAR = 1.4e6  # m; the same for departures from climate


NOISE = 0.5  # observation error, in standard deviations of the forecast error


@dataclass(frozen=True, eq=False)
class Weather:
    """Truth and forecast valid at the same times, (time, level, latitude, longitude) each."""

    truth: xr.Dataset
    forecast: xr.Dataset

    @classmethod
    def load(cls) -> Weather:
        """The shipped states."""
        ds = physlab.open_dataset("nature-states").sel(latitude=slice(*BAND), level=list(LEVELS))
        made = {f"{v}_fc": v for v in FIELDS}
        return cls(ds[list(FIELDS)].load(), ds[list(made)].rename(made).load())

    def __getitem__(self, split: str | int) -> Weather:
        """One split; or, of an index, one time."""
        which = np.flatnonzero(self.truth["split"] == split) if isinstance(split, str) else split
        return Weather(*(ds.isel(time=which).drop_vars("split", errors="ignore") for ds in (self.truth, self.forecast)))

    def crop(self, west: float, east: float) -> Weather:
        """Between two longitudes."""
        return Weather(*(ds.sel(longitude=slice(west, east)) for ds in (self.truth, self.forecast)))

    @property
    def errors(self) -> xr.Dataset:
        """Truth minus forecast: what an analysis would have to add."""
        return self.truth - self.forecast

    @cached_property
    def weights(self) -> xr.DataArray:
        """Areas of the rows."""
        return xr.DataArray(Grid.from_dataset(self.truth).cell_area, dims=("latitude", "longitude"))

    def rms(self, ds: xr.Dataset) -> xr.Dataset:
        """Root of the area-weighted mean square over the map, of each field and time."""
        return xr.ufuncs.sqrt((ds**2).weighted(self.weights).mean(("latitude", "longitude")))

    @cached_property
    def sizes(self) -> xr.Dataset:
        """Standard deviation of the errors, (level,) of each variable; the mean error, hardly known, is left in."""
        return xr.ufuncs.sqrt((self.rms(self.errors) ** 2).mean("time"))

    def size(self, name: str, level: int = 500) -> float:
        """Of one field."""
        return float(self.sizes[name].sel(level=level))

    @cached_property
    def past(self) -> xr.Dataset:
        """Errors as members, mean removed, each used at three longitudes a third of the circle apart."""
        anomalies = self.errors - self.errors.mean("time")
        third = anomalies.sizes["longitude"] // 3
        turned = [anomalies.roll(longitude=k * third, roll_coords=False) for k in range(3)]
        return xr.concat(turned, "time").rename(time="member").drop_vars("member", errors="ignore")


def stations(now: Weather, sizes: xr.Dataset, share: float = 0.02, noise: float = NOISE, seed: int = 0,
             variables: Sequence[str] | None = None, told: float | None = None) -> xr.Dataset:  # fmt: skip
    """A table of random columns of the truth.

    Parameters
    ----------
    sizes : standard deviations of the forecast errors, of each variable and level.
    noise : standard deviation of the observation errors in these units.
    told : what the analysis is told instead.
    """
    exact = observe(now.truth, share, 1.0, seed=seed, noise=False, variables=variables)
    pairs = zip(exact["variable"].values, exact["level"].values, strict=True)
    unit = np.array([float(sizes[str(v)].sel(level=p)) for v, p in pairs])
    value = exact["value"].values + noise * unit * np.random.default_rng(seed).standard_normal(len(unit))
    return exact.assign(value=("observation", value), error=("observation", unit * (told or noise)))


def with_past_errors(now: Weather, known: Weather, table: xr.Dataset, radius: float = RADIUS) -> xr.Dataset:
    """The analysis (mean of the members) of a forecast whose errors are like those of the known states."""
    method = FieldAssimilator("letkf", radius=radius).with_checks(sigmas=0)  # drawn stations have no gross errors
    return method.analyse(now.forecast + known.past, table).mean("member")


class HeightOnly:
    """Optimal interpolation of the geopotential at 500 hPa alone, with one correlation for all places.

    Parameters
    ----------
    std : of the background errors, m2 s-2.
    radius : of the Gaspari-Cohn function, m.
    """

    def __init__(self, like: Weather, std: float, radius: float = RADIUS) -> None:
        grid = Grid.from_dataset(like.truth)
        self.places = grid_points(grid.latitude, grid.longitude)
        self.method = OptimalInterpolation(std**2 * gaspari_cohn(sphere_distance(self.places, self.places), radius))

    def analyse(self, background: xr.DataArray, table: xr.Dataset) -> xr.DataArray:
        """(latitude, longitude) -> the same, corrected by those of the observations that are of this field."""
        keep = (table["variable"] == "z") & (table["level"] == 500)
        table, x = table.isel(observation=keep.values), torch.from_numpy(background.values.ravel())
        see = Interpolation(
            table.assign(level=table["level"] * np.nan), background.drop_vars("level").to_dataset(name="z")
        )
        H = see(torch.eye(len(x), dtype=x.dtype)).mT
        y, error = (torch.from_numpy(table[k].values) for k in ("value", "error"))
        return background.copy(data=self.method.analyse(x, y, H, error**2).numpy().reshape(background.shape))


def z500(ds: xr.Dataset) -> xr.DataArray:
    """Geopotential at 500 hPa."""
    return ds["z"].sel(level=500)


# ---- what the errors look like --------------------------------------------------------------------------------------


def alike(known: Weather, edges: np.ndarray | None = None) -> pd.DataFrame:
    """Correlation of the errors of geopotential and of eastward wind with distance (km): mean over pairs and times."""
    edges = np.arange(0, 4001, 250) if edges is None else edges
    grid = Grid.from_dataset(known.truth)
    place = grid_points(grid.latitude, grid.longitude)
    rng, found = np.random.default_rng(0), {}
    area = known.weights.values.ravel()
    some = torch.from_numpy(np.sort(rng.choice(area.size, 700, replace=False, p=area / area.sum())))
    distance = (sphere_distance(place[some], place[some]) / 1e3).numpy()
    off = ~np.eye(len(some), dtype=bool)
    bins = [off & (distance >= a) & (distance < b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    for name in ("z", "u"):
        e = known.errors[name].sel(level=500)
        e = e / np.sqrt((e**2).mean(("time", "longitude")))  # errors are larger in the storm tracks
        x = e.transpose("time", "latitude", "longitude").values.reshape(len(e["time"]), -1)[:, some.numpy()]
        found[name] = [(x.T @ x / len(x))[pairs].mean() for pairs in bins]
    return pd.DataFrame(found, index=pd.Index([distance[pairs].mean() for pairs in bins], name="km"))


def balance(ds: xr.Dataset) -> float:
    """Correlation between a wind (500 hPa) and the geostrophic wind of its geopotential, both components together."""
    inner = ds.sel(level=500)
    z = torch.from_numpy(inner["z"].transpose(..., "latitude", "longitude").values)
    made = geostrophic.wind(z, Grid.from_dataset(inner), min_latitude=25.0)
    real = [torch.from_numpy(inner[v].transpose(..., "latitude", "longitude").values) for v in ("u", "v")]
    wind, slope = torch.stack(real)[..., 1:-1, 1:-1].flatten(), torch.stack(made)[..., 1:-1, 1:-1].flatten()
    fine = torch.isfinite(slope)
    return float(torch.corrcoef(torch.stack([wind[fine], slope[fine]]))[0, 1])


def one_station(known: Weather, radius: float) -> tuple[xr.Dataset, xr.Dataset]:
    """Increments by one height over the Atlantic that lies a standard deviation above the forecast.

    Returns
    -------
    By optimal interpolation (geopotential alone), and by the ensemble of past errors.
    """
    small = Weather(known.truth, known.forecast).crop(*ATLANTIC)
    zero = 0.0 * small.forecast.isel(time=0, drop=True)
    std = known.size("z")
    spot = zero.sel(STATION, method="nearest")
    table = xr.Dataset({
        "variable": ("observation", np.array(["z"])), "level": ("observation", [500.0]),
        "latitude": ("observation", [float(spot.latitude)]), "longitude": ("observation", [float(spot.longitude)]),
        "value": ("observation", [std]), "error": ("observation", [NOISE * std]),
    })  # fmt: skip
    simple = zero.copy(deep=True)
    simple["z"].loc[{"level": 500}] = HeightOnly(small, std, radius).analyse(z500(zero), table).values
    members = zero + known.past.sel(longitude=slice(*ATLANTIC))
    method = FieldAssimilator("letkf", radius=radius).with_checks(sigmas=0)
    return simple, method.analyse(members, table).mean("member") - members.mean("member")


# ---- the analyses ---------------------------------------------------------------------------------------------------


def compare(
    known: Weather, test: Weather, share: float = 0.02, noise: float = NOISE
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All ways to use the stations, at every test time with stations of its own.

    Returns
    -------
    RMSE of the geopotential at 500 hPa, (time, method); ratio of RMSE after to before by past errors, (time, field).
    """
    climate = z500(known.truth).mean("time")
    count = known.truth.sizes["time"]
    depart = float((known.rms((z500(known.truth) - climate).to_dataset(name="z"))["z"] ** 2).mean()) ** 0.5
    simple = HeightOnly(known, known.size("z"))
    wide = HeightOnly(known, depart * (count / (count - 1)) ** 0.5, FAR)
    rows, ratios = [], []
    for k in range(test.truth.sizes["time"]):
        now = test[k]
        table = stations(now, known.sizes, share, noise, seed=k)
        heights = table.isel(observation=(table["variable"] == "z").values)
        full = with_past_errors(now, known, table)
        z = z500(now.forecast)
        made = {
            "climate": climate, "climate and stations": wide.analyse(climate, table), "forecast": z,
            "optimal interpolation": simple.analyse(z, table),
            "past errors, heights only": z500(with_past_errors(now, known, heights)),
            "past errors, all variables": z500(full),
        }  # fmt: skip
        true = z500(now.truth)
        rows.append({name: float(known.rms((y - true).to_dataset(name="z"))["z"]) for name, y in made.items()})
        after, before = known.rms(full - now.truth), known.rms(now.errors)
        ratios.append(
            {f"{v}{p}": float(after[v].sel(level=p) / before[v].sel(level=p)) for v in FIELDS for p in LEVELS}
        )
    return pd.DataFrame(rows), pd.DataFrame(ratios)


def by_share(known: Weather, test: Weather, shares: Sequence[float] = (0.005, 0.02, 0.05, 0.1)) -> pd.DataFrame:
    """RMSE of z500 over that of the forecast, by share of columns, by noise and by method; mean over the times."""
    cases = {"noisy": (NOISE, None), "exact": (0.05, None), "exact, taken for noisy": (0.05, NOISE)}
    simple, rows = HeightOnly(known, known.size("z")), []
    for (label, (noise, told)), share, k in product(cases.items(), shares, range(test.truth.sizes["time"])):
        now = test[k]
        table, true = stations(now, known.sizes, share, noise, seed=k, told=told), z500(now.truth)
        made = {"past errors": z500(with_past_errors(now, known, table))}
        if told is None:
            made["optimal interpolation"] = simple.analyse(z500(now.forecast), table)
        before = _rms(known, z500(now.forecast) - true)
        for name, y in made.items():
            ratio = _rms(known, y - true) / before
            rows.append({"share": share, "stations": label, "method": name, "ratio": ratio})
    return pd.DataFrame(rows).groupby(["method", "stations", "share"], as_index=False)["ratio"].mean()


def _rms(known: Weather, y: xr.DataArray) -> float:
    return float(known.rms(y.drop_vars("time", errors="ignore").to_dataset(name="z"))["z"])


def innovation_ratio(now: Weather, known: Weather, table: xr.Dataset) -> float:
    """Mean square of the innovations over what past errors and the stated observation errors let expect."""
    see, pairs = Interpolation(table, now.forecast), zip(table["variable"].values, table["level"].values, strict=True)
    unit = torch.tensor([float(known.sizes[str(v)].sel(level=p)) for v, p in pairs], dtype=torch.float64)
    state = to_tensor(now.forecast, dtype=torch.float64).flatten()
    value, error = (torch.from_numpy(table[k].values) for k in ("value", "error"))
    return float(((value - see(state)) / unit).square().mean() / (1 + (error / unit).square()).mean())


def reach(columns: int, radius: float = RADIUS) -> float:
    """Share of the band that lies nearer to one of so many columns than half the radius, if none overlap."""
    south, north = np.deg2rad(BAND)
    return float(
        columns * np.pi * (0.5 * radius) ** 2 / (2 * np.pi * EARTH_RADIUS**2 * (np.sin(north) - np.sin(south)))
    )
