"""The states that ship for assimilation: truth and forecast of the same time, packed within the background's errors."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.cf import VARIABLES
from physlab.simulate import twin

LEVELS = (500, 850)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """30 days of random humidity and temperature with forecasts that are 1 K too warm."""
    folder, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    shape, dims = (30, 2, 8, 16), ("time", "level", "latitude", "longitude")
    time = np.datetime64("2001-01-01", "ns") + np.arange(30) * np.timedelta64(1, "D")
    at = {"time": time, "level": list(LEVELS), "latitude": np.linspace(-80, 80, 8), "longitude": np.arange(16) * 22.5}
    fields = {"q": rng.uniform(0, 0.02, shape), "t": rng.uniform(200, 300, shape)}
    states = xr.Dataset({k: (dims, x.astype(np.float32), VARIABLES[k]) for k, x in fields.items()}, at)
    states.to_netcdf(folder / "states-00000.nc")
    states.assign(t=(states["t"] + 1).assign_attrs(VARIABLES["t"])).to_netcdf(folder / "forecasts-00000.nc")
    return folder, states


def test_truth_and_forecast_within_half_a_step(run, tmp_path):
    folder, states = run
    path = twin.pack(folder, tmp_path / "new", days=(10, 21), times=3)
    made = xr.open_dataset(path)
    assert list(made.time.values) == list(states.time.values[[10, 15, 20]])
    truth = states.sel(time=made.time)
    assert float(abs(made["t"] - truth["t"]).max()) <= twin.STEPS["t"] / 2 + 1e-4
    assert float(abs(made["t_fc"] - made["t"] - 1).max()) <= twin.STEPS["t"] + 1e-4
    for level in LEVELS:
        apart = abs(made["q"] - truth["q"]).sel(level=level).max()
        assert float(apart) <= (twin.HUMIDITY[level] + twin.STEPS["q"]) / 2 + 1e-9
    assert made["q_fc"].attrs["units"] == "kg kg-1" and float(made["q"].min()) >= 0


def test_what_ships_has_errors_far_above_its_steps():
    ds = physlab.open_dataset("nature-twin")
    assert ds.sizes == {"time": twin.TIMES, "level": 7, "latitude": 64, "longitude": 128}
    for name in twin.STEPS:
        dims = ("time", "latitude", "longitude")
        error = np.sqrt(((ds[f"{name}_fc"] - ds[name]) ** 2).mean(dims)).values
        steps = [twin.HUMIDITY[int(p)] for p in ds.level] if name == "q" else twin.STEPS[name]
        assert (np.asarray(steps) / np.sqrt(12) < 0.06 * error).all(), name
