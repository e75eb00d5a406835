"""The benchmark of ensembles: a small plan on made-up runs, resumed; baselines, scores, the table and its summary."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from physlab.benchmark import ensemble as bench
from physlab.benchmark.ensemble import COLUMNS, Run, benchmark_ensemble, ensemble_summary, plan, read_ensemble
from physlab.cf import VARIABLES
from physlab.data.catalog import open_dataset
from physlab.downscale import LatentDownscaler
from physlab.errors import PhysLabError
from physlab.grid import Grid, coarsen
from physlab.score.detail import SCORES, detail_scores
from physlab.score.spectra import spectral_slope
from physlab.simulate.terrain import pack
from physlab.train.latent import LatentSettings
from physlab.train.steps import Steps

QUICK = LatentSettings(*(Steps(2, 2, 1e-3) for _ in range(4)))
STRONG = 1000.0  # a weight that two steps of a fresh network feel, where gradients are bf16 too
TINY = (("unet", (4, 8)), ("vae", (4, 8)), ("levels", (8, 8)), ("features", 8))
RUNS = [Run("nature-x4", "bicubic"), Run("nature-x4", bench.DIFFUSION, seed=0),
        Run("nature-x4", bench.TUNED, "none", 0.0, 0), Run("nature-x4", bench.TUNED, "balance", STRONG, 0)]  # fmt: skip


def write_run(folder, days: int, seed: int) -> None:
    """Fronts that drift over a hill, 32 x 64 points, six-hourly."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    latitude, longitude = np.linspace(-87, 87, 32), np.arange(64) * 5.625
    times = np.datetime64(f"20{seed:02d}-01-01", "ns") + np.arange(4 * days) * np.timedelta64(6, "h")
    lat, lon = np.deg2rad(latitude)[None, :, None], np.deg2rad(longitude)[None, None, :]
    phase = rng.uniform(0, 6.28, (len(times), 1, 1))
    t = 288 - 30 * np.sin(lat) ** 2 + 6 * np.tanh(4 * np.sin(3 * lon + phase)) * np.cos(lat)
    wind = {"u_low": 10 * np.cos(lat) + 0 * t, "v_low": 4 * np.sin(2 * lon + phase) * np.cos(lat) + 0 * t}
    fields = {n: (("time", "latitude", "longitude"), x.astype(np.float32), VARIABLES[n])
              for n, x in {"t_low": t, **wind}.items()}  # fmt: skip
    xr.Dataset(fields, {"time": times, "latitude": latitude, "longitude": longitude}).to_netcdf(
        folder / "surface-00000.nc"
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("terrain")
    write_run(folder / "run-10", 3, 10)
    write_run(folder / "run-11", 21, 11)  # the test split is from day 18 on
    return str(folder)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(bench.TASKS, "nature-x4", replace(bench.TASKS["nature-x4"], arguments=TINY, settings=QUICK))
    monkeypatch.setattr(bench, "MEMBERS", 2)
    monkeypatch.setattr(bench, "TRUNCATION", 30)
    bench.fields_of.cache_clear()
    bench.balance_cached.cache_clear()


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmark")


@pytest.mark.slow
def test_small_plan_is_run_and_resumed(data, output):
    said: list[str] = []
    path = benchmark_ensemble(data, output, 1, RUNS, said.append)
    table = read_ensemble(path)
    assert list(table.columns) == list(COLUMNS)
    assert set(table["model"]) == {*bench.BASELINES, bench.REGRESSION, bench.DIFFUSION, bench.CONSTRAINED, bench.TUNED}
    assert len(table) == 3 + 3 + 2
    assert np.isfinite(table[[n for n in SCORES if n != "spread_skill"]].astype(float)).all(axis=None)
    one = table.set_index("model")
    assert one.loc["bicubic", "states"] == 2
    assert one.loc[bench.CONSTRAINED, "conservation"] < 1e-4 < one.loc[bench.DIFFUSION, "conservation"]
    assert one.loc[bench.REGRESSION, "crps"] == pytest.approx(one.loc[bench.REGRESSION, "mae"])
    assert one.loc[bench.DIFFUSION, "parameters"] > one.loc[bench.REGRESSION, "parameters"]
    again: list[str] = []
    benchmark_ensemble(data, output, 1, RUNS, again.append)
    assert again == [f"4 runs, 4 of them known from {path}"]


@pytest.mark.slow
def test_models_are_kept_and_their_members_packed(data, output, monkeypatch):
    folder = bench.checkpoint(output, RUNS[1])
    assert LatentDownscaler.load(folder).card["task"] == "nature-x4"
    monkeypatch.setattr(bench, "PACKED", (0.0, STRONG))
    assets = output / "assets"
    pack(f"{data}/run-11", assets / "data", days=(18, 21))
    bench.pack_members(data, output, assets / "data", members=2)
    monkeypatch.setenv("PHYSLAB_ASSETS", str(assets))
    packed = open_dataset("nature-terrain-members")
    assert packed["t_low"].dims == ("weight", "member", "latitude", "longitude")
    assert packed["t_low"].shape == (2, 2, 32, 64)
    truth = bench.fields_of("nature-x4", "test", data)
    assert packed["time"].values == truth.time[0]
    model = LatentDownscaler.load(bench.checkpoint(output, RUNS[3]))
    drawn, _ = bench.draw(model, truth.take(slice(0, 1)), 2)
    np.testing.assert_allclose(packed["t_low"].sel(weight=STRONG), drawn[0], atol=0.0055)


@pytest.mark.slow
def test_ship_writes_what_the_package_holds(data, output, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PACKED", (0.0, STRONG))
    monkeypatch.setattr(bench, "pack", functools.partial(pack, days=(18, 21)))
    bench.ship(data, output, tmp_path)
    model = LatentDownscaler.load(tmp_path / "ensembles" / bench.SHIPPED)
    whole = LatentDownscaler.load(bench.checkpoint(output, RUNS[1]))
    assert model.card["weights"] == "float16"
    fields = bench.fields_of("nature-x4", "test", data).take(slice(0, 1))
    a, b = (bench.draw(m, fields, 2)[0] for m in (model, whole))
    assert 0 < float((a - b).abs().max()) < 0.1
    assert {p.name for p in (tmp_path / "data").iterdir()} == {"nature-terrain.nc", "nature-terrain-members.nc"}
    assert len(read_ensemble(tmp_path / "results" / bench.STUDY.file)) == 8


@pytest.mark.slow
def test_a_tuned_model_differs_from_its_control_and_its_base(output):
    states = [LatentDownscaler.load(bench.checkpoint(output, run)).state_dict() for run in RUNS[1:]]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        changed = {k.split(".")[0] for k in states[a] if not torch.equal(states[a][k], states[b][k])}
        assert changed == {"denoiser"}


@pytest.mark.slow
def test_failures_are_told_and_cost_their_own_run(data, tmp_path):
    said: list[str] = []
    wrong = [Run("nature-x4", "bicubic"), Run("nature-x4", bench.TUNED, "no-such-law", 1.0, 0)]
    with pytest.raises(PhysLabError, match=r"1 of 3 runs failed .*no-such-law"):
        benchmark_ensemble(data, tmp_path, 1, wrong, said.append)
    assert len(read_ensemble(tmp_path / bench.STUDY.file)) == 3


def test_missing_runs_say_how_to_make_them(tmp_path):
    with pytest.raises(PhysLabError, match=r"physlab simulate --output .*run-11 --seed 11 --days 36"):
        benchmark_ensemble(tmp_path, tmp_path, 1, RUNS)


def test_plan_has_three_seeds_of_every_learned_model_and_a_control():
    runs = plan()
    tuned = [r for r in runs if r.model == bench.TUNED and r.data == "nature-x4"]
    assert len(runs) == len(set(runs))
    for seed in bench.SEEDS:
        weights = {(r.kind, r.weight) for r in tuned if r.seed == seed}
        assert ("none", 0.0) in weights
        assert sum(kind == "balance" for kind, _ in weights) == 5
        assert any(kind == "flux-ratio" for kind, _ in weights)
    assert {r.data for r in runs} == set(bench.TASKS)


def test_lapse_rate_baseline_is_exact_where_terrain_alone_makes_the_detail(data):
    """Sea-level temperature that is the same everywhere: the lapse rate explains all, bicubic does not."""
    fields = bench.fields_of("nature-x4", "test", data)
    truth = (290.0 - 6.5e-3 * fields.height).expand(1, 1, -1, -1)
    coarse = coarsen(truth.double(), 4, fields.area.double()).float()
    made = replace(fields, fine=truth, coarse=coarse)
    upsample = bench.interpolated(fields).upsample
    right = bench.with_lapse_rate(made, upsample, 6.5e-3)
    assert float((right - truth[0]).abs().max()) < 2e-3
    assert float((upsample(coarse)[0] - truth[0]).abs().max()) > 0.5


def test_quantile_mapping_has_the_distribution_of_the_truth_where_it_was_learned(data, monkeypatch):
    monkeypatch.setitem(bench.DAYS, "val", (0, 1000))
    train = bench.fields_of("nature-x4", "train", data)
    made = bench.baseline("quantile mapping", "nature-x4", data, "train")
    row = 10
    for level in (0.1, 0.5, 0.9):
        mapped, truth = (np.quantile(x[:, 0, row].numpy(), level) for x in (made, train.truth))
        assert mapped == pytest.approx(truth, abs=0.3)


def test_scores_of_the_truth_itself_are_perfect(data):
    fields = bench.fields_of("nature-x4", "test", data)
    balance = bench.balance_cached("nature-x4", data)
    wind = tuple(w[0] for w in fields.wind)
    row = detail_scores(fields.truth[0], fields.truth[0, 0], fields.coarse[0, 0], fields.grid, 4, balance, wind)
    assert tuple(row) == SCORES
    assert [row[n] for n in ("rmse", "mae", "bias", "crps")] == [0.0] * 4
    assert row["residual"] == pytest.approx(1.0)
    assert row["specdiv"] == pytest.approx(0.0, abs=1e-9)
    assert row["slope"] == pytest.approx(row["slope_truth"])
    assert row["conservation"] < 1e-4
    assert np.isnan(row["spread_skill"])
    shifted = detail_scores(fields.truth[0] + 1.0, fields.truth[0, 0], fields.coarse[0, 0], fields.grid, 4)
    assert shifted["bias"] == pytest.approx(1.0, abs=1e-4)
    assert shifted["conservation"] == pytest.approx(1.0, abs=1e-4)
    assert np.isnan(shifted["residual"])


def test_scores_of_a_reliable_ensemble():
    """Members and truth from one distribution: spread equals skill, CRPS is that of the normal distribution."""
    generator = torch.Generator().manual_seed(3)
    grid = Grid(np.linspace(40, 71, 32), np.linspace(0, 63, 64))
    members, truth = torch.randn(16, 32, 64, generator=generator), torch.randn(32, 64, generator=generator)
    row = detail_scores(members, truth, coarsen(truth, 4), grid, 4)
    assert row["spread_skill"] == pytest.approx(1.0, abs=0.05)
    assert row["crps"] == pytest.approx(np.sqrt(1 / np.pi), abs=0.03)


def test_slope_of_a_power_law():
    rng = np.random.default_rng(0)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(128) * 128, np.fft.fftfreq(128) * 128, indexing="ij"))
    k[0, 0] = 1
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((40, 128, 128))) * k**-2.0).real  # E(k) ~ k^(-4+1)
    slopes = spectral_slope(torch.from_numpy(field), 8, 50)
    assert slopes.shape == (40,)
    assert float(slopes.mean()) == pytest.approx(-3.0, abs=0.05)
    with pytest.raises(PhysLabError, match="a slope needs three"):
        spectral_slope(torch.from_numpy(field), 8, 9)


def test_summary_has_spread_over_seeds_and_refuses_other_data(tmp_path):
    rows = [{**dict.fromkeys(COLUMNS, 1.0), "data": "nature-x4", "model": "U-Net", "kind": "none", "weight": 0.0,
             "seed": seed, "rmse": 1.0 + seed} for seed in (0, 1, 2)]  # fmt: skip
    table = ensemble_summary(pd.DataFrame(rows))
    assert table.loc[0, "seeds"] == 3
    assert table.loc[0, "rmse"] == 2.0
    assert table.loc[0, "rmse_spread"] == 1.0
    with pytest.raises(PhysLabError, match="no run with data nature-x2: the table has data nature-x4"):
        ensemble_summary(pd.DataFrame(rows), "nature-x2")
    with pytest.raises(PhysLabError, match="lacks the columns"):
        read_ensemble(_csv_without(rows, tmp_path))


def _csv_without(rows, folder):
    path = folder / "table.csv"
    pd.DataFrame(rows).drop(columns="crps").to_csv(path, index=False)
    return path


def test_terrain_is_packed_from_the_test_block(data, tmp_path):
    path = pack(f"{data}/run-11", tmp_path, days=(18, 21), times=3)
    packed = xr.open_dataset(path)
    source = xr.open_dataset(f"{data}/run-11/surface-00000.nc").sel(time=packed.time)
    assert packed.sizes["time"] == 3
    assert packed.time.values[0] == np.datetime64("2011-01-19")
    assert float(abs(packed.t_low - source.t_low).max()) < 0.0026
    assert float(abs(packed.u_low - source.u_low).max()) < 0.11
    with pytest.raises(PhysLabError, match="run longer"):
        pack(f"{data}/run-11", tmp_path, days=(18, 21), times=30)
    with pytest.raises(PhysLabError, match="holds no nature run"):
        pack(tmp_path / "nothing", tmp_path)
