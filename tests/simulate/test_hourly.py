"""The hourly sample: triplets with the coarse budget of the same place and hour, rain that adds up."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data.differences import open_shipped
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.simulate import hourly
from physlab.simulate.pack import STEPS

HOURS = 60


def write_run(folder, start: str, seed: int) -> xr.Dataset:
    time = np.datetime64(start, "ns") + np.arange(HOURS) * np.timedelta64(1, "h")
    rng = np.random.default_rng(seed)
    coords = {"time": time, "latitude": np.linspace(-89, 89, 128), "longitude": np.arange(256) * 360 / 256}
    sizes = {"tcw": 40.0, "ivt_u": 100.0, "ivt_v": 100.0, "e": 0.2, "tp": 1.0, "sp": 1e5}
    dims = ("time", "latitude", "longitude")
    fields = {
        name: (dims, rng.uniform(0, size, (HOURS, 128, 256)).astype(np.float32), dict(VARIABLES.get(name, {})))
        for name, size in sizes.items()
    }
    ds = xr.Dataset(fields, coords)
    folder.mkdir()
    ds.to_netcdf(folder / "surface-00000.nc")
    return ds


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    parent = tmp_path_factory.mktemp("hourly")
    runs = [write_run(parent / f"run{i}", f"200{i}-01-01", i) for i in (1, 2)]
    paths = hourly.pack_hourly(
        [parent / "run1", parent / "run2"], parent / "out", sequences={"train": 4, "val": 2, "test": 2}
    )
    return runs, {path.stem: open_shipped(path) for path in paths}


def test_triplets_are_hourly_and_true(packed):
    runs, made = packed
    sample = made["nature-sequences"]
    assert (np.diff(sample.time.values, axis=1) == np.timedelta64(1, "h")).all()
    for i in range(sample.sizes["sequence"]):
        run = runs[0 if sample.split.values[i] == "train" else 1]
        columns = (round(float(sample.longitude0[i]) / 360 * 256) + np.arange(128)) % 256
        truth = run.tcw.sel(time=sample.time.values[i]).values[..., columns]
        assert np.abs(sample.tcw[i].values - truth).max() <= STEPS["tcw"] / 2 + 1e-5


def test_budget_is_the_area_mean_of_the_same_blocks(packed):
    runs, made = packed
    sample = made["nature-sequences"]
    i = int(np.flatnonzero(sample.split.values == "train")[0])
    columns = (round(float(sample.longitude0[i]) / 360 * 256) + np.arange(128)) % 256
    flux = runs[0].ivt_u.sel(time=sample.time.values[i]).values[..., columns]
    area = Grid(runs[0].latitude.values, runs[0].longitude.values).area_weights[:4, :1]
    first = (flux[:, :4, :4] * area).sum((1, 2)) / (area.sum() * 4)
    np.testing.assert_allclose(sample.ivt_u_x4[i, :, 0, 0], first, atol=STEPS["ivt_u"])
    assert np.isnan(sample.ivt_u_x4.values[sample.split.values != "train"]).all()


def test_rain_adds_up(packed):
    runs, made = packed
    rain = made["nature-rain"]
    train = rain.isel(time=rain.split.values == "train")
    direct = runs[0].tp.sel(hourly.STORM_TRACK).values.sum(0)
    np.testing.assert_allclose(train.tp.sum("time").values, direct, atol=0.01)


def test_needs_two_hourly_runs(tmp_path):
    with pytest.raises(PhysLabError, match="1 runs given"):
        hourly.pack_hourly([tmp_path], tmp_path)
    with pytest.raises(PhysLabError, match="no nature run"):
        hourly.pack_hourly([tmp_path, tmp_path], tmp_path)
