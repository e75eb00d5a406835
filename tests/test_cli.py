"""The command line says what it does, does what the library does, and ends in one line when the input is wrong."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import physlab
from physlab import cli
from physlab.benchmark import studies
from physlab.cli.benchmark import DECLARED
from physlab.data.assets import asset
from physlab.downscale import LatentDownscaler
from physlab.errors import PhysLabError


def coarse_field(**changes) -> xr.Dataset:
    """Two hours of column water on a small regular grid."""
    coordinates = {
        "time": pd.date_range("2020-01-01", periods=2, freq="h"),
        "latitude": np.linspace(40.0, 54.0, 8),
        "longitude": np.linspace(0.0, 22.0, 12),
    }
    values = np.random.default_rng(0).gamma(2.0, 8.0, size=(2, 8, 12))
    return xr.Dataset({"tcw": (list(coordinates), values, {"units": "kg m-2"})}, coordinates | changes)


def one_line(capsys: pytest.CaptureFixture, *arguments: str | Path) -> str:
    """Run a command that must fail; the single line that it prints."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert output.out == ""
    assert output.err.startswith("physlab: ") and output.err.count("\n") == 1, output.err
    return output.err


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "usage: physlab" in text
    assert command or all(name in text for name in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS.values())
def test_every_option_is_explained(command):
    explained = inspect.getdoc(command).partition("Args:")[2]
    for name in inspect.signature(command).parameters:
        assert f"{name}: " in explained, name


def test_every_benchmark_has_a_name():
    """What the command reads from the files is what they declare."""
    assert set(DECLARED) == set(studies())
    for name, study in studies().items():
        assert DECLARED[name]["title"] == study.title and DECLARED[name].get("needs", "") == study.needs


def test_list_shows_every_name(capsys):
    cli.main(["list"])
    text = capsys.readouterr().out
    for name in [*physlab.list_datasets()["name"], *physlab.list_models()["name"]]:
        assert name in text, name
    cli.main(["list", "data"])
    assert "Models" not in capsys.readouterr().out


def test_fetch_prints_where_the_file_is(capsys):
    cli.main(["fetch", "era5-uk-t2m-sample"])
    assert Path(capsys.readouterr().out.strip()).is_file()


def test_unknown_names(capsys):
    assert "era5-moisture" in one_line(capsys, "fetch", "era5-moist")
    assert "tcw-x4" in one_line(capsys, "train", "tcw-x5")
    assert "tcw-x3" in one_line(capsys, "evaluate", "tcw-x3-softmax")


def test_downscale_conserves(tmp_path, capsys):
    source, target = tmp_path / "coarse.nc", tmp_path / "fine.nc"
    coarse = coarse_field().assign_attrs(title="a field with a title", institution="ours")
    coarse.to_netcdf(source, engine="h5netcdf")
    cli.main(["downscale", str(source), "bicubic+add-x4", str(target)])
    assert str(target) in capsys.readouterr().out
    with xr.open_dataset(target) as fine:
        assert dict(fine["tcw"].sizes) == {"time": 2, "latitude": 32, "longitude": 48}
        assert fine["tcw"].attrs["units"] == "kg m-2"
        assert fine.attrs["title"].startswith("downscaled by 4") and fine.attrs["institution"] == "ours"
        grid = physlab.grid.Grid.from_dataset(fine)
        means = physlab.grid.coarsen(torch.tensor(fine["tcw"].values), 4, torch.tensor(grid.area_weights))
    np.testing.assert_allclose(means, coarse["tcw"], rtol=2e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coarse.nc", "fine.nc"]


def test_downscale_takes_other_names(tmp_path, capsys):
    coarse_field().rename(latitude="rows", tcw="tcwv").to_netcdf(tmp_path / "coarse.nc", engine="h5netcdf")
    target = tmp_path / "fine.zarr"
    command = ["downscale", str(tmp_path / "coarse.nc"), "nearest-x2", str(target)]
    assert "latitude" in one_line(capsys, *command)
    cli.main([*command, "--mapping", "rows=latitude", "tcwv=tcw"])
    assert str(target) in capsys.readouterr().out
    assert xr.open_zarr(target)["tcw"].sizes["latitude"] == 16
    assert "is no mapping" in one_line(capsys, *command, "--mapping", "rows")


@pytest.mark.slow
def test_downscale_gives_members_where_the_method_has_them(tmp_path, capsys):
    source, target, folder = tmp_path / "coarse.nc", tmp_path / "fine.nc", tmp_path / "model"
    coarse = (coarse_field() + 280).rename(tcw="t_low").assign(u_low=coarse_field().tcw.assign_attrs(units="m s-1"))
    coarse["t_low"].attrs = {"units": "K"}
    coarse.to_netcdf(source, engine="h5netcdf")
    small = {"unet": (4, 8), "vae": (4, 8), "levels": (8, 8), "features": 8}
    latitude = np.linspace(38.25, 55.75, 32)
    model = LatentDownscaler("t_low", ("t_low", "u_low"), ("land",), 4, latitude, **small)
    model.steps = 2
    model.save(folder)
    cli.main(["downscale", str(source), str(folder), str(target), "--members", "3", "--seed", "7"])
    assert "member 3" in capsys.readouterr().out
    with xr.open_dataset(target) as fine:
        assert dict(fine["t_low"].sizes) == {"member": 3, "time": 2, "latitude": 32, "longitude": 48}
        expected = model.eval().downscale(coarse, members=3, seed=7)
        np.testing.assert_allclose(fine["t_low"], expected["t_low"].transpose(*fine["t_low"].dims), rtol=1e-6)
    message = one_line(capsys, "downscale", source, "bicubic-x4", target, "--members", "3")
    assert message == "physlab: bicubic-x4 gives one field, no ensemble: leave out members\n"
    with pytest.raises(SystemExit):  # by then the progress bar has been printed
        cli.main(["downscale", str(_without(source, "u_low")), str(folder), str(target)])
    assert capsys.readouterr().err.startswith("physlab: no u_low in the coarse data")


@pytest.mark.slow
def test_train_latent_on_fields_of_yours(tmp_path, capsys):
    """Trained, scored on held-out times and resumed; the height of the ground in the file goes with the model."""
    source, folder = tmp_path / "fine.nc", tmp_path / "model"
    coordinates = {
        "time": pd.date_range("2020-01-01", periods=30, freq="6h"),
        "latitude": np.linspace(40.0, 55.5, 32),
        "longitude": np.linspace(0.0, 23.5, 48),
    }
    rng = np.random.default_rng(0)
    t = 280 + rng.standard_normal((30, 32, 48)).cumsum(1).cumsum(2) / 20
    height = ("latitude", "longitude"), rng.uniform(0, 2000, (32, 48)), {"units": "m"}
    fine = xr.Dataset({"t2m": (list(coordinates), t, {"units": "K"}), "orog": height}, coordinates)
    wind = {
        "u10": (fine.t2m * 0 + 5).assign_attrs(units="m s-1"),
        "v10": (fine.t2m * 0 - 2).assign_attrs(units="m s-1"),
    }
    fine.assign(wind).to_netcdf(source, engine="h5netcdf")
    command = ["train-latent", str(source), str(folder), "--steps", "3", "--gap", "24",
               "--drivers", "t2m", "u10", "v10", "--weight", "0.5"]  # fmt: skip
    cli.main(command)
    printed = capsys.readouterr().out
    assert "6 times that were held out" in printed and "latent diffusion" in printed
    model = physlab.load_model(folder)
    assert model.statics == ("elevation", "latitude")
    np.testing.assert_allclose(model.static[0], fine["orog"] / 1000, rtol=1e-6)
    assert model.card["training"]["fields"] == 21
    assert model.card["training"]["tuning"]["weight"] == 0.5
    before = (folder / "model.safetensors").read_bytes()
    cli.main(command)
    assert (folder / "model.safetensors").read_bytes() == before
    assert "0:00:00 loss" not in capsys.readouterr().out
    assert "another seed" in one_line(capsys, *command, "--seed", "2")
    assert "no t9 in" in one_line(capsys, *command, "--variable", "t9", "--drivers", "t9")


def _without(source: Path, name: str) -> Path:
    path = source.with_name("less.nc")
    with xr.open_dataset(source) as ds:
        ds.drop_vars(name).to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda ds: ds.isel(latitude=0, drop=True), "latitude"),
        (lambda ds: ds.where(ds.tcw != ds.tcw.max(), np.inf), "no number that a field can have"),
        (lambda ds: ds.where(ds.tcw < 0), "missing everywhere"),
    ],
)
def test_bad_input_writes_nothing(spoil, expected, tmp_path, capsys):
    source, target = tmp_path / "coarse.nc", tmp_path / "fine.nc"
    spoil(coarse_field()).to_netcdf(source, engine="h5netcdf")
    target.write_text("kept")
    assert expected.lower() in one_line(capsys, "downscale", source, "bicubic+add-x4", target).lower()
    assert target.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coarse.nc", "fine.nc"]


def test_bad_output(tmp_path, capsys):
    source = tmp_path / "coarse.nc"
    coarse_field().to_netcdf(source, engine="h5netcdf")
    assert ".nc" in one_line(capsys, "downscale", source, "nearest-x2", tmp_path / "fine.txt")
    assert "no folder" in one_line(capsys, "downscale", source, "nearest-x2", tmp_path / "new" / "fine.nc")
    assert "coarse2.nc" in one_line(capsys, "downscale", tmp_path / "coarse2.nc", "nearest-x2", tmp_path / "fine.nc")


@pytest.mark.slow
def test_evaluate_agrees_with_the_card(tmp_path, capsys):
    cli.main(["evaluate", "tcw-x4-softmax", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "tcw-x4.csv").set_index("method")
    assert list(table.index) == ["nearest", "bicubic", "bicubic+add", "softmax"]
    assert all(name in printed for name in table.index)
    expected = physlab.load_model("tcw-x4-softmax").card["scores"]["test"]
    measured = table.loc["softmax"]
    for name in ("rmse", "mae", "ssim", "spectral_divergence"):
        assert measured[name] == pytest.approx(expected[name], rel=1e-3), name
    assert measured["negative_count"] == 0
    assert measured["conservation_error_relative"] < 1e-6
    assert measured["gain"] == pytest.approx(1 - measured["rmse"] / table.loc["bicubic+add", "rmse"], abs=1e-5)


@pytest.mark.slow
def test_evaluate_all_runs_to_its_end_and_writes_tables_like_those_that_ship(tmp_path, capsys):
    """On a few fields: every checkpoint of pairs has its row, every other model is listed with its study."""
    cli.main(["evaluate", "--all", "--fields", "2", "--output", str(tmp_path)])
    printed = " ".join(capsys.readouterr().out.split())
    for name in ("tcw-x4", "era5-uk-t2m-x4"):
        shipped, made = (pd.read_csv(path) for path in (asset(f"results/{name}.csv"), tmp_path / f"{name}.csv"))
        assert list(made.columns) == list(shipped.columns)
        rows = made.set_index("method")
        assert set(shipped["method"]) <= set(rows.index)
        assert (rows.loc[shipped["method"], "seeds"].values == shipped["seeds"]).all()
    models = physlab.list_models()
    scored = models[models["kind"].isin(["network", "ensemble", "sequence"])]
    tables = {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}
    assert set(tables) == {f"{task}-x{factor}" for task, factor in zip(scored["task"], scored["factor"], strict=True)}
    assert sum(table["seeds"].sum() for table in tables.values()) == len(scored) + 3 * len(tables)
    assert all(np.isfinite(table["rmse"]).all() for table in tables.values())
    for name in models.loc[~models["kind"].isin(["network", "ensemble", "sequence", "baseline"]), "name"]:
        assert name in printed, name
    assert printed.count("physlab benchmark ") >= 4


def test_evaluate_wants_a_checkpoint(capsys):
    assert "--all" in one_line(capsys, "evaluate")
    assert "baseline" in one_line(capsys, "evaluate", "bicubic-x4")
    assert "physlab benchmark assimilation scores it" in one_line(capsys, "evaluate", "phyda-s0")
    assert "physlab benchmark continuous" in one_line(capsys, "evaluate", "nature-window-equations")
    assert "fields is 0" in one_line(capsys, "evaluate", "tcw-x8-add", "--fields", "0")


def test_benchmark_says_what_it_has(capsys):
    assert "no row 'espcm': choose among espcn" in one_line(capsys, "benchmark", "downscaling", "--only", "espcm")
    assert "choose one of paper, quick" in one_line(capsys, "benchmark", "continuous", "--preset", "full")


def test_benchmark_of_chosen_rows(tmp_path, capsys):
    """The interpolations of the shipped window: made, printed and resumed."""
    command = ["benchmark", "continuous", "--only", "trilinear", "--workers", "1", "--output", str(tmp_path)]
    cli.main(command)
    printed = capsys.readouterr().out
    assert "3 runs, 0 of them known" in printed and "over that of the best interpolation" in printed
    shipped = physlab.benchmark.read_continuous().query("data == 'x4, 3 h' and method == 'trilinear'")
    made = pd.read_csv(tmp_path / "continuous.csv").query("method == 'trilinear'")
    np.testing.assert_allclose(made["rmse_u"], shipped["rmse_u"], rtol=1e-4)
    cli.main(command)
    assert "3 runs, 3 of them known" in capsys.readouterr().out


@pytest.mark.slow
def test_train_makes_a_checkpoint(tmp_path, capsys):
    cli.main(["train", "tcw-x8", "--constraint", "mult", "--steps", "2", "--folder", str(tmp_path)])
    assert "tcw-x8-mult-s0: test RMSE" in capsys.readouterr().out
    model = physlab.load_model(tmp_path / "tcw-x8-mult-s0")
    assert (model.constraint, model.factor, model.card["settings"]["steps"]) == ("mult", 8, 2)


def test_damaged_checkpoint(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert "card.json" in one_line(capsys, "evaluate", tmp_path / "mine")


def test_missing_package_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "physlab.simulate.run", None)
    monkeypatch.setitem(cli.EXTRAS, "physlab", "simulate")
    assert "pip install 'physlab[simulate]'" in one_line(capsys, "simulate", "--days", "1")


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("PHYSLAB_TRACEBACK", "1")
    with pytest.raises((PhysLabError, FileNotFoundError)):
        cli.main(["fetch", "nothing"])


def test_simulate_has_the_defaults_of_the_library():
    run = pytest.importorskip("physlab.simulate.run", reason="needs the extra simulate", exc_type=ImportError)
    library = {field.name: field.default for field in dataclasses.fields(run.NatureRun)}
    command = {name: value.default for name, value in inspect.signature(cli.simulate).parameters.items()}
    assert {name: value for name, value in command.items() if name != "output"} == library


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "physlab", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"physlab {physlab.__version__}\n"


def test_assimilate_members_and_stations_of_yours(tmp_path, capsys):
    """Two stations on a random ensemble: near them the analysis follows, and nothing is written on bad input."""
    rng, target = np.random.default_rng(0), tmp_path / "analysis.nc"
    t = 280 + rng.standard_normal((20, 3, 5, 6))
    xr.Dataset(
        {"t2m": (("member", "time", "latitude", "longitude"), t)},
        {"time": np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]").astype("datetime64[ns]"),
         "latitude": np.linspace(40, 48, 5), "longitude": np.linspace(0, 10, 6)},
    ).to_netcdf(tmp_path / "background.nc", engine="h5netcdf")  # fmt: skip
    stations = tmp_path / "stations.csv"
    stations.write_text("lat,lon,value,error\n44,4,284,0.1\n44,4,284,0.1\n46,8,,0.1\n")
    command = ["assimilate", str(tmp_path / "background.nc"), str(stations), str(target), "--radius", "200"]
    assert "lacks variable" in one_line(capsys, *command)
    assert "time 7" in one_line(capsys, *command, "--variable", "t2m", "--time", "7")
    assert not target.exists()
    cli.main([*command, "--variable", "t2m", "--time", "2"])
    assert "letkf, 1 observations (1 missing, 1 merged)" in capsys.readouterr().out.replace("\n", " ")
    with xr.open_dataset(target) as made:
        assert made["t2m"].sizes == {"member": 20, "time": 1, "latitude": 5, "longitude": 6}
        assert made["t2m"].dims[0] == "time"  # CDO takes nothing else
        assert float(made["t2m"][0, :, 2, 2].mean()) == pytest.approx(284, abs=0.2)
        np.testing.assert_allclose(made["t2m"][0, :, 4, 5], t[:, 2, 4, 5], rtol=1e-6)
