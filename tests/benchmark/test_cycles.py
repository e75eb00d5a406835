"""The benchmark of lives: its scores follow the formulas, its differences are paired, and it says what it lacks."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytest.importorskip("dinosaur")

from physlab import load_model
from physlab.assimilate import Learned
from physlab.benchmark import cycles
from physlab.benchmark.cycled import ENTRIES
from physlab.benchmark.study import Context
from physlab.data.writer import write_dataset
from physlab.errors import PhysLabError


@pytest.fixture(scope="module")
def space():
    return load_model(cycles.PRIOR).space


class Nothing8(Learned):
    """Leaves every background as it is."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return 0 * columns.innovation[:, None]


def weather(space, times, seed: int) -> xr.Dataset:
    """Fields at two levels on the laboratory's grid."""
    dice = np.random.default_rng(seed)
    shape = (len(times), 2, *space.shape[1:])
    coords = {"time": times, "level": [500.0, 850.0], "latitude": space.latitude, "longitude": space.longitude}
    dims = ("time", "level", "latitude", "longitude")
    sizes = {"z": (100.0, "m2 s-2"), "t": (2.0, "K"), "u": (5.0, "m s-1"), "v": (5.0, "m s-1")}
    return xr.Dataset(
        {n: (dims, (s * dice.standard_normal(shape)).astype("float32"), {"units": u}) for n, (s, u) in sizes.items()},
        coords,
    )


def test_rows_are_the_errors_of_backgrounds_analyses_and_forecasts(space, tmp_path, monkeypatch):
    times = np.datetime64("2022-01-01", "ns") + np.arange(6) * np.timedelta64(12, "h")
    truth = weather(space, times, 0)
    for name in ("run", "cycle"):
        (tmp_path / name).mkdir()
    write_dataset(truth, tmp_path / "run" / "states-00000.nc")
    now = truth.isel(time=[1, 2])
    write_dataset(
        now + xr.Dataset({"z": 30.0, "t": 1.0, "u": 3.0, "v": -4.0}), tmp_path / "cycle" / "forecasts-00000.nc"
    )
    write_dataset(now + xr.Dataset({"z": 10.0, "t": 0.5, "u": 0.0, "v": 0.0}), tmp_path / "cycle" / "analyses-00000.nc")
    later = (truth.isel(time=[3, 4]) + xr.Dataset({"z": -50.0, "t": 2.0, "u": 0.0, "v": 1.0})).assign_coords(
        time=now["time"]
    )
    write_dataset(later.expand_dims(lead=[24.0]), tmp_path / "cycle" / "ahead-00000.nc")
    wide = (0 * now + 7.0).expand_dims(when=["forecast", "analysis"])
    write_dataset(wide, tmp_path / "cycle" / "spread-00000.nc")
    monkeypatch.setattr(cycles, "lived", lambda run, context: tmp_path / "cycle")
    rows = pd.DataFrame(cycles.one(cycles.Life("3D-Var", None), Context(data=str(tmp_path / "run"))))
    assert set(cycles.COLUMNS) == set(rows)
    found = rows.groupby("kind")[["rmse_z500", "rmse_t850", "rmse_wind850", "lead"]].mean()
    wanted = {"background": (30, 1, 5, 12), "analysis": (10, 0.5, 0, 0), "forecast": (50, 2, 1, 24)}
    for kind, numbers in wanted.items():
        assert np.allclose(found.loc[kind], numbers, rtol=1e-3, atol=1e-3), kind
    assert rows["day"].tolist() == [0.5, 1.0] * 3
    assert np.allclose(rows[rows["kind"] != "forecast"]["spread_z500"], 7.0)
    # correlation of anomalies from the mean of the truth, by numpy
    area = np.cos(np.deg2rad(space.latitude))[:, None] * np.ones(space.shape[1:])
    mean = truth["z"].sel(level=500.0).mean("time").values
    x = now["z"].sel(level=500.0).values[0] - mean
    y = x + 30.0
    acc = (area * x * y).mean() / np.sqrt((area * x * x).mean() * (area * y * y).mean())
    assert rows["acc_z500"].iloc[0] == pytest.approx(acc, abs=1e-4)


def table() -> pd.DataFrame:
    """Two methods over 20 days: the second is 10 % better on the same days, whatever the day."""
    dice, rows = np.random.default_rng(0), []
    for day in np.arange(1.0, 21.0):
        base = 60 + 10 * dice.standard_normal()
        for name, share in (("3D-Var", 1.0), ("LETKF", 0.9)):
            scores = {"rmse_z500": share * base, "acc_z500": 0.9, "rmse_t850": 1.0, "rmse_wind850": 2.0,
                      "spread_z500": np.nan}  # fmt: skip
            rows.append(
                {"model": name, "seed": np.nan, "draw": 0, "kind": "analysis", "lead": 0.0, "day": day, **scores}
            )
    return pd.DataFrame(rows)


def test_differences_are_paired_and_the_first_days_left_out():
    runs = table()
    found = cycles.against(runs, "analysis", 0.0)
    assert found.loc["LETKF", "difference"] == pytest.approx(-10.0)
    assert found.loc["LETKF", "high"] - found.loc["LETKF", "low"] < 0.1  # days differ by more than the methods
    assert found["starts"].unique().tolist() == [15]
    mean = cycles.means(runs).set_index("model")
    late = runs[(runs["day"] > cycles.SPIN_UP) & (runs["model"] == "3D-Var")]["rmse_z500"]
    assert mean.loc["3D-Var", "value"] == pytest.approx(late.mean())
    assert mean.loc["3D-Var", "low"] < late.mean() < mean.loc["3D-Var", "high"]
    ((title, shown),) = cycles.display(runs)
    assert "z500" in title and shown["model"].tolist() == ["3D-Var", "LETKF"]
    with pytest.raises(PhysLabError, match="no row 'OI'"):
        cycles.against(runs, "analysis", 0.0, reference="OI")


def test_what_is_not_trained_is_said(tmp_path):
    with pytest.raises(PhysLabError, match=r"is not trained: .* --task cycled"):
        cycles.lived(cycles.Life("Adas + outer step", 0), Context(data=str(tmp_path), output=str(tmp_path)))
    assert [run.model for run in cycles.STUDY.plan("quick")] == list(cycles.NAMES)


def test_weather_that_a_network_knows_is_refused(space, tmp_path):
    method = Nothing8(space)
    method.card = {"truths": [8]}
    method.save(tmp_path / "adas-outer-step-s0")
    for seed, words in ((8, "trained on the weather of"), (9, "holds no states")):
        truth = tmp_path / f"truth-{seed}"
        truth.mkdir()
        (truth / "run.json").write_text(json.dumps({"seed": seed}))
        with pytest.raises(PhysLabError, match=words):
            cycles.lived(cycles.Life("Adas + outer step", 0), Context(data=str(truth), output=str(tmp_path)))


def test_what_is_to_be_trained_first_is_a_row_of_the_other_task():
    assert set(cycles.LEARNED) <= set(ENTRIES)
