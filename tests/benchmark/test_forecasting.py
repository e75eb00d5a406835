"""The benchmark of forecasts on a small made-up pair of bands, and the table that ships."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.benchmark import benchmark_forecasting, forecasting_summary, read_forecasting
from physlab.benchmark.forecasting import (
    HELD_OUT,
    NETWORKS,
    SCORED,
    SEEDS,
    STAGES,
    TRAINING,
    VARIABLES,
    Run,
    law,
    make_case,
    score,
)
from physlab.errors import PhysLabError
from physlab.phydl import Forecaster
from physlab.phydl.forecast import LEADS
from physlab.score import pearson, rmse


@pytest.fixture(scope="module")
def bands(tmp_path_factory):
    """Waves of plausible size on 11 rows; the second file has other phases."""
    folder = tmp_path_factory.mktemp("bands")
    rng = np.random.default_rng(0)
    size = dict(zip(VARIABLES, (8.0, 8.0, 4.0, 800.0, 1e-3, 6.0), strict=True))
    mean = dict(zip(VARIABLES, (8.0, 0.0, 265.0, 28000.0, 2e-3, 10.0), strict=True))
    latitude, longitude = np.linspace(30, 45, 11), np.arange(72) * 5.0
    for name, hours in ((TRAINING, 80), (HELD_OUT, 16 * 24 + 1)):
        t, lat, lon = np.meshgrid(np.arange(hours), latitude, np.deg2rad(longitude), indexing="ij")
        data = {}
        for v in VARIABLES:
            phase = rng.uniform(0, 6, 3)
            wave = sum(np.sin(k * lon - 0.03 * k * t + 0.1 * lat + p) for k, p in zip((2, 3, 5), phase, strict=True))
            data[v] = (("time", "latitude", "longitude"), (mean[v] + size[v] * wave).astype("float32"))
        time = np.datetime64("2007-01-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")
        ds = xr.Dataset(data, {"time": time, "latitude": latitude, "longitude": longitude}, {"pressure": 7e4})
        ds.to_netcdf(folder / name, engine="h5netcdf")
    return str(folder)


def test_scores_are_those_of_the_library(bands):
    """RMSE and anomaly correlation against plain numpy, the climatology of the right place, a perfect forecast."""
    train = xr.open_dataset(f"{bands}/{TRAINING}")
    model = Forecaster.of("afno", train, VARIABLES)
    case = make_case(bands, model, "test")
    assert case.given.shape[1:] == (4, 6, 11, 33) and len(case.given) == len(case.first) == len(case.climate)
    made = case.asked + torch.randn(case.asked.shape, generator=torch.Generator().manual_seed(0))
    rows = score(case, made, law(bands))
    assert [r["lead"] for r in rows] == list(SCORED)
    w = np.cos(np.deg2rad(train.latitude.values))[:, None]
    at = LEADS.index(12)
    f, y, c = (x[:, 2].double().numpy() for x in (made[:, at], case.asked[:, at], case.climate[:, 0]))
    row = next(r for r in rows if r["lead"] == 12)
    assert row["rmse_t"] == pytest.approx(np.sqrt(np.average((f - y) ** 2, weights=np.broadcast_to(w, f.shape))))
    assert row["rmse_t"] == pytest.approx(1, abs=0.02)
    a, b, full = f - c, y - c, np.broadcast_to(w, f.shape)
    expected = (full * a * b).sum() / np.sqrt((full * a * a).sum() * (full * b * b).sum())
    assert row["acc_t"] == pytest.approx(expected)
    place = float(case.climate[0, 0, 2, 0, 0])
    lon = case.first[0]
    assert place == pytest.approx(float(train["t"].mean("time").sel(longitude=lon)[0]), rel=1e-6)
    perfect = score(case, case.asked, law(bands))
    assert perfect[0]["rmse_u"] == 0 and perfect[0]["acc_u"] == pytest.approx(1)
    assert rmse(f, f) == 0 and pearson(f, y) < 1


@pytest.mark.slow
def test_runs_resume_and_are_summed_up(bands, tmp_path):
    runs = [Run("persistence", None), Run("unet", 1)]
    said: list[str] = []
    path = benchmark_forecasting(bands, tmp_path, 2, runs, said.append, steps=2, batch=2)
    table = read_forecasting(path)
    stages = table[table["lead"] == 24].groupby("model")["training"].apply(list)
    assert stages["unet"] == ["base", *STAGES]
    assert set(table["model"]) == {"truth", "persistence", "climatology", "unet"}
    truth = table[table["model"] == "truth"]
    assert (truth["rmse_u"] == 0).all() and (truth["residual"] < table["residual"].max()).all()
    summary = forecasting_summary(table)
    assert set(summary["variable"]) == {*VARIABLES, "all"} and "data" not in set(summary["training"])
    one = summary[(summary["model"] == "unet") & (summary["training"] == "equations") & (summary["lead"] == 24)]
    picked = table[(table["model"] == "unet") & (table["lead"] == 24)].set_index("training")
    gain = 1 - picked.loc["equations", "rmse_u"] / picked.loc["data", "rmse_u"]
    assert one.set_index("variable").loc["u", "gain"] == pytest.approx(gain)
    before = path.read_bytes()
    benchmark_forecasting(bands, tmp_path, 2, runs, said.append, steps=2, batch=2)
    assert path.read_bytes() == before and "2 of them known" in said[-1]


def test_without_data_the_message_says_how_to_make_them(tmp_path):
    with pytest.raises(PhysLabError, match=r"physlab simulate --output run-6 --seed 6.*regional .* run-6 30"):
        benchmark_forecasting(tmp_path)
    (tmp_path / "t.csv").write_text("model,seed\n")
    with pytest.raises(PhysLabError, match="lacks the columns"):
        read_forecasting(tmp_path / "t.csv")


def test_shipped_table_has_all_networks_with_three_seeds_and_the_gain_that_is_claimed():
    table = read_forecasting()
    last = table[table["lead"] == 24]
    for model in NETWORKS:
        for stage in ("base", "data", "equations"):
            part = last[(last["model"] == model) & (last["training"] == stage)]
            assert sorted(part["seed"]) == list(SEEDS), (model, stage)
    persistence = last[last["model"] == "persistence"].iloc[0]
    summary = forecasting_summary(table).set_index(["model", "training", "lead", "variable"])
    before = table[table["training"] == "base"].groupby(["model", "lead"])[[f"rmse_{v}" for v in VARIABLES]].mean()
    for model in NETWORKS:
        rows = last[(last["model"] == model) & (last["training"] == "equations")]
        assert rows["rmse_u"].max() < 0.75 * persistence["rmse_u"]  # it forecasts at all
        for lead in SCORED:
            after = table[(table["model"] == model) & (table["lead"] == lead) & (table["training"] == "equations")]
            ratio = after[list(before)].mean() / before.loc[(model, lead)]
            assert ratio.mean() < 1  # fine-tuning does not raise the error
            part = summary.loc[(model, "equations", lead, "all")]
            assert part["residual"] < part["residual_control"]  # and the equations balance it
        day = summary.loc[(model, "equations", SCORED[-1], "all")]
        assert day["residual"] < 0.75 * day["residual_control"] and day["gain"] > 0
