"""Equal information: a linear world in which the ridge must win, and every method is told the same."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab.benchmark import uk
from physlab.benchmark.study import Context
from physlab.data.patches import make_pairs


@pytest.fixture
def linear(monkeypatch):
    """Hourly maps: a coast that follows the day, waves, and a fine map whose strength is that of the waves."""
    generator = np.random.default_rng(0)
    hours = np.arange(240)
    y, x = np.meshgrid(np.arange(32), np.arange(48), indexing="ij")
    strength = np.cumsum(generator.normal(0, 0.3, (2, 240)), 1)[:, :, None, None]
    fine = generator.normal(0, 0.5, (3, 32, 48))
    means = fine[2].reshape(8, 4, 12, 4).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    fine[2] -= means  # the coarse field does not tell the hour
    day = np.sin(2 * np.pi * hours / 24)[:, None, None]
    values = (
        generator.normal(280, 0.02, (240, 32, 48))
        + strength[0] * (np.sin(x / 9) + fine[0])
        + strength[1] * (np.cos(y / 7) + fine[1])
        + day * fine[2]
    )
    coords = {"time": np.datetime64("2019-03-01", "ns") + hours * np.timedelta64(1, "h"),
              "latitude": 58 - 0.25 * np.arange(32), "longitude": 350 + 0.25 * np.arange(48)}  # fmt: skip
    field = xr.DataArray(values.astype(np.float32), coords, ("time", "latitude", "longitude"), "t2m", {"units": "K"})
    pairs = make_pairs(field, 4, {"train": 0.6, "val": 0.2, "test": 0.2}, 6.0, task="toy")
    monkeypatch.setattr(uk, "data", lambda: pairs)
    uk.ridge.cache_clear()
    yield pairs
    uk.ridge.cache_clear()


@pytest.mark.slow
def test_ridge_and_networks_are_told_the_same(linear, monkeypatch) -> None:
    monkeypatch.setattr(uk, "STEPS", 60)
    assert uk.told("val", True).shape[1] == uk.told("val", False).shape[1] + 4 == 8 * 12 + 1 + 4
    rows = {run: uk.one(run, Context())[0] for run in uk.plan() if run.seed in (None, 0)}
    rmse = {run.model: row["rmse"] for run, row in rows.items()}
    assert rmse["ridge, hour"] < 0.8 * rmse["ridge"] < 0.8 * rmse["mean detail"], "the hour is worth something here"
    assert rmse["perceptron, hour"] < rmse["mean detail"], "it learns"
    assert rmse["ridge and convolutional network"] < 1.05 * rmse["ridge, hour"], "a share chosen on validation"
    for run, row in rows.items():
        assert row["margin_low"] <= row["margin"] <= row["margin_high"] and row["blocks"] >= 4, run
    own = rows[uk.Run(uk.REFERENCE, None)]
    assert own["margin"] == own["margin_low"] == own["margin_high"] == 0
    made = uk.finished(uk.ridge(True)("test"), "test")
    again = uk.perceptron(0, uk.ridge(True))("test")
    assert made.shape[1:] == (1, 32, 48) and (again == uk.perceptron(0, uk.ridge(True))("test")).all()
