"""The benchmark of stations: its scores, its intervals, a run at a small size, and what the shipped table says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from physlab.benchmark import stations
from physlab.benchmark.stations import (
    COUNTS,
    KRIGING,
    MEASURED,
    NOTHING,
    SEEDS,
    STUDY,
    Run,
    gaussian_crps,
    read_stations_study,
    stations_summary,
)
from physlab.errors import PhysLabError
from physlab.score import crps
from physlab.score.paired import gains
from physlab.teach import latent


def test_scores_are_those_of_their_definitions():
    rng = torch.Generator().manual_seed(0)
    members = torch.randn(4, 400, 3, generator=rng, dtype=torch.float64)
    truth = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    made = float(crps(members, truth, dim=1))
    assert float(gaussian_crps(-truth, torch.ones(1).double())) == pytest.approx(made, abs=0.05)
    days = np.repeat(np.arange("2020-01-01", "2020-01-31", dtype="datetime64[D]"), 4)
    b = np.random.default_rng(0).exponential(1.0, len(days))
    found, low, high = gains(np.stack([0.25 * b, b], 1), days)
    assert found == pytest.approx(0.5) and low == pytest.approx(0.5) and high == pytest.approx(0.5)
    found, low, high = gains(np.stack([np.random.default_rng(1).exponential(1.0, len(days)), b], 1), days)
    assert low < 0 < high and low < found < high


def test_a_run_and_the_data_that_it_wants(tmp_path, monkeypatch):
    """Errors that share a pattern: stations help, and the block means stay."""
    rng, shape = np.random.default_rng(0), (16, 24)
    pattern = rng.standard_normal(shape)

    def days(first: str, count: int) -> xr.Dataset:
        values = 280 + rng.standard_normal((count, 1, 1)) * pattern + 0.1 * rng.standard_normal((count, *shape))
        times = np.datetime64(first, "ns") + 12 * np.arange(count) * np.timedelta64(1, "h")
        coords = {"time": times, "latitude": np.linspace(58, 54.25, 16), "longitude": 0.25 * np.arange(24)}
        return xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)

    given = (days("2020-01-01", 12), days("2020-02-01", 8))
    monkeypatch.setattr(stations, "truths", lambda data, folder: given)
    path = STUDY.launch(tmp_path, tmp_path, 1, [Run("era5-uk-t2m", "bicubic+add", 0)], say=lambda _: None)
    table = STUDY.read(path).set_index(["way", "stations"])
    assert table.loc[(MEASURED, 20), "gain_low"] > 0.3 > table.loc[(KRIGING, 20), "gain"]
    assert table.loc[(MEASURED, 50), "conservation"] < 1e-3 < table.loc[(KRIGING, 50), "conservation"] or (
        table.loc[(KRIGING, 50), "gain"] == 0
    )
    monkeypatch.undo()
    with pytest.raises(PhysLabError, match="physlab simulate --output"):
        stations.truths("terrain", str(tmp_path))


def test_the_shipped_table():
    runs = read_stations_study()
    assert set(runs["seed"]) == set(SEEDS) and set(runs["stations"]) == {0, *COUNTS}
    uk = stations_summary(runs).set_index(["data", "way", "stations"]).loc["era5-uk-t2m"]
    measured, kriging = (uk.loc[(way, 20)] for way in (MEASURED, KRIGING))
    assert (measured["gain_low"] > 0).all() and (measured["over_kriging_low"] > 0).all()
    assert (measured["rmse"].to_numpy() < kriging["rmse"].to_numpy()).all()
    assert measured["spread_skill"].between(0.7, 1.4).all()
    kept = runs[(runs["way"] == MEASURED)]["conservation"]
    assert kept.max() < 1e-3 < runs[runs["way"] == KRIGING]["conservation"].max()
    assert isinstance(latent.draw_stations(runs), Figure)
    said = latent.stations_words(runs)
    first = runs[(runs["way"] == NOTHING) & (runs["data"] == "era5-uk-t2m")].iloc[0]["method"]
    assert str(first) in said and "beyond its interval" in said
    assert isinstance(STUDY.shown(runs), object) and len(pd.concat([t for _, t in STUDY.shown(runs)])) > 20
