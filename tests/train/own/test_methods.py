"""Every family of methods from a file to a folder, and from the folder to the same fine fields as in memory."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab.equations import saturation
from physlab.errors import PhysLabError
from physlab.grid import Grid, coarsen
from physlab.train.own.data import sample
from physlab.train.own.methods import known_methods, method_of
from physlab.train.own.request import Request
from physlab.train.own.run import train_own

ALONE = {"variables": ("t2m",), "factor": 2}
CASES = {
    "linear": {},
    "ridge": {"predictors": ("sp",)},
    "quantile mapping": {},
    "bcsd": {"variables": ("tp",)},
    "linear + residuals": {"predictors": ("sp", "u10")},
    "analog": {"patch": 16},
    "qdm": {"variables": ("tp",), "patch": 16},
    "edsr": {"constraint": "mult"},
    "compact": {"variables": ("tp",), "patch": 16},
    "espcn": {"variables": ("t2m", "u10"), "predictors": ("sp",), "constraint": "add"},
    "gan": {"patch": 16},
    "srgan": {"predictors": ("sp",)},
    "convgru": {},
    "flowgru": {"variables": ("tp",)},
    "latent": {},
}
SLOW = {"latent", "gan", "srgan", "flowgru"}


def trained(name: str, file: str, out, **options):
    given = {**ALONE, "gap": 24.0, **{k: v for k, v in options.items() if k not in ("constraint", "seeds", "start")}}
    kept = {k: v for k, v in options.items() if k in ("constraint", "seeds", "start")}
    return train_own(name, Request(file, **given), out, steps=3, **kept)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in CASES])
def test_a_method_comes_back_from_its_folder_as_it_was(name, file, truth, tmp_path) -> None:
    path = file
    if name in (
        "convgru",
        "flowgru",
        "gan",
        "latent",
        "edsr",
        "compact",
        "analog",
        "qdm",
    ):  # those without static fields
        truth.drop_vars("orog").to_netcdf(tmp_path / "plain.nc")
        path = str(tmp_path / "plain.nc")
    result = trained(name, path, tmp_path / "out", **CASES[name])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "card.json", "manifest.json", "model.safetensors", "report.html", "scores.csv",
    }  # fmt: skip
    model = physlab.load_model(tmp_path / "out")
    coarse = sample(result.data, "test", 0)
    fine, again = model.downscale(coarse), result.model.downscale(coarse)
    for variable in result.own.scores:
        assert np.isfinite(fine[variable].values).all()
        assert np.array_equal(fine[variable].values, again[variable].values)
        assert fine.sizes["latitude"] == 2 * coarse.sizes["latitude"]
        scores = result.own.scores[variable]
        assert np.isfinite(scores["rmse"]) and scores["rmse"] > 0
    if result.constraint in ("mult", "add") and name != "flowgru":  # which guesses the coarse frame in the middle
        assert all(s["conservation_error_relative"] < 1e-5 for s in result.own.scores.values())
    if result.constraint == "mult":
        assert all(s["negative_count"] == 0 for s in result.own.scores.values())
    card = model.card["data"]
    assert card["variables"] == list(result.data.variables) and card["split"]["blocks"].keys() == {
        "train",
        "val",
        "test",
    }
    assert card["account"][0].startswith(("t2m (K)", "tp (kg m-2, never negative)"))
    with open(tmp_path / "out" / "scores.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"nearest", "bicubic"} <= {row["method"] for row in rows} and any(row["kind"] == "trained" for row in rows)


def test_what_it_learns_is_better_than_what_needs_no_training(file, tmp_path) -> None:
    result = trained("linear", file, tmp_path / "out", predictors=("sp",))
    whole, low, high = result.gains["t2m"]["bicubic+add"]
    assert 0.5 < low <= whole <= high < 1
    assert "better" in (tmp_path / "out" / "report.html").read_text()


def test_predictors_and_static_fields_are_what_a_network_sees(file, tmp_path) -> None:
    result = trained("espcn", file, tmp_path / "out", predictors=("sp",))
    model, data = result.model, result.data
    assert model.network.frames == (2, 1) and model.network.statics == ("elevation",)
    with torch.no_grad():
        for parameter in model.network.trunks.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    x = data.coarse["test"][:2].clone()
    before = model.predict(x, data.weights)
    x[:, 1] += 500.0
    assert (before - model.predict(x, data.weights)).abs().max() > 1e-4
    static = data.statics(["elevation"], "test")[:2]
    assert (before - model.predict(data.coarse["test"][:2], data.weights, static + 1.0)).abs().max() > 1e-4


@pytest.mark.slow
def test_several_seeds_leave_the_best_on_validation(file, tmp_path) -> None:
    result = trained("compact", file, tmp_path / "out", seeds=(0, 1))
    found = {seed: result.validation[f"{result.label}, seed {seed}"]["t2m"] for seed in (0, 1)}
    assert result.chosen == min(found, key=found.get)
    chosen = physlab.load_model(tmp_path / "out")
    other = physlab.load_model(tmp_path / f"out-s{result.chosen}")
    assert all(
        torch.equal(a, b) for a, b in zip(chosen.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert "± " in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_finished_ones_are_kept_and_others_refused(file, tmp_path) -> None:
    trained("espcn", file, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    again = trained("espcn", file, tmp_path / "out")
    assert again.trained[0].seconds == 0.0 and again.own.scores["t2m"]["rmse"] > 0
    with pytest.raises(PhysLabError, match="another constraint: choose another folder, or --overwrite"):
        trained("espcn", file, tmp_path / "out", constraint="none")
    with pytest.raises(PhysLabError, match="another data"):
        trained("espcn", file, tmp_path / "out", held_out=0.15)
    assert before  # the file was there


@pytest.mark.slow
def test_training_starts_from_a_checkpoint_of_the_same_make(file, truth, written, tmp_path) -> None:
    plain = written(truth.drop_vars("orog"))
    first = trained("espcn", plain, tmp_path / "first")
    next_ = trained("espcn", plain, tmp_path / "next", start=str(tmp_path / "first"))
    assert next_.own.scores["t2m"]["rmse"] != first.own.scores["t2m"]["rmse"]
    with pytest.raises(PhysLabError, match="start from one of it"):
        trained("srcnn", plain, tmp_path / "other", start=str(tmp_path / "first"))
    with pytest.raises(PhysLabError, match="does not fit: "):
        train_own(
            "espcn", Request(plain, ("t2m",), 4, gap=24.0), tmp_path / "x4", steps=2, start=str(tmp_path / "first")
        )


@pytest.mark.slow
def test_what_is_interrupted_goes_on_to_the_same_weights(file, truth, written, tmp_path, monkeypatch) -> None:
    from physlab.train import loop

    plain = written(truth.drop_vars("orog"))
    whole = trained("espcn", plain, tmp_path / "whole")
    advance = loop.Bar.advance

    def stop(self, step: int) -> None:
        advance(self, step)
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Bar, "advance", stop)
    with pytest.raises(KeyboardInterrupt):
        trained("espcn", plain, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(loop.Bar, "advance", advance)
    assert len(list((tmp_path / "cache").rglob("*.pt"))) == 1  # after the first step
    again = trained("espcn", plain, tmp_path / "out")
    pairs = zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not list((tmp_path / "cache").rglob("*.pt"))


@pytest.fixture(scope="module")
def on_map(tmp_path_factory):
    """Rain on a map in equal-area projection, 48 x 56 cells of 5 km, in a file."""
    y, x = 3.0e6 + 5e3 * np.arange(48), 4.1e6 + 5e3 * np.arange(56)
    rng, times = np.random.default_rng(0), 60
    noise = rng.standard_normal((times, 3, 3))
    waves = [np.cos(k * np.pi * np.arange(n) / n) for n in (48, 56) for k in (1, 3, 6)]
    smooth = np.einsum("tab,ay,bx->tyx", noise, np.stack(waves[:3]), np.stack(waves[3:]))
    values = np.maximum(smooth + 0.1 * rng.standard_normal((times, 48, 56)), 0)
    ds = xr.Dataset({"tp": (("time", "y", "x"), values.astype("float32"),
                            {"units": "kg m-2", "grid_mapping": "crs", "standard_name": "precipitation_amount"})},
                    {"time": np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(12, "h"),
                     "y": ("y", y, {"standard_name": "projection_y_coordinate", "units": "m"}),
                     "x": ("x", x, {"standard_name": "projection_x_coordinate", "units": "m"})})  # fmt: skip
    ds["crs"] = ((), 0, {"grid_mapping_name": "lambert_azimuthal_equal_area", "latitude_of_projection_origin": 52.0,
                         "longitude_of_projection_origin": 10.0, "false_easting": 4321000.0,
                         "false_northing": 3210000.0})  # fmt: skip
    path = tmp_path_factory.mktemp("map") / "map.nc"
    ds.to_netcdf(path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("linear", None),
        ("edsr", "mult"),
        pytest.param("latent", "add", marks=pytest.mark.slow),
        pytest.param("convgru", "mult", marks=pytest.mark.slow),
    ],
)
def test_a_truth_on_a_map_is_cut_in_rows_and_columns(name, constraint, on_map, tmp_path) -> None:
    result = trained(name, on_map, tmp_path / "out", variables=(), gap=24.0, constraint=constraint)
    assert "map (lambert azimuthal equal area)" in " ".join(result.data.account) and not result.data.fixed
    south, north, _, _ = result.data.place
    assert 50.0 < south < 50.5 and 52.0 < north < 52.5
    model = physlab.load_model(tmp_path / "out")
    truth = physlab.open_dataset(on_map).isel(time=slice(0, 3))
    grid = Grid.from_dataset(truth)
    small = grid.coarsen(2)
    coarse = xr.Dataset({"tp": (("time", "y", "x"), coarsen(truth["tp"].values, 2, grid.area_weights),
                                {"units": "kg m-2", "grid_mapping": "crs"})},
                        {**small.coordinates(), "time": truth["time"]})  # fmt: skip
    more = {"members": 2} if name == "latent" else {}
    fine = model.downscale(coarse, **more)
    if more:
        assert fine.sizes["member"] == 2
        fine = fine.isel(member=0)
    assert fine["tp"].dims == ("time", "y", "x") and "crs" in fine.coords and fine.sizes["y"] == 48
    if constraint:
        again = coarsen(fine["tp"].values.astype(float), 2, Grid.from_dataset(fine).area_weights)
        np.testing.assert_allclose(again, coarse["tp"], rtol=1e-4, atol=1e-5)
        assert constraint != "mult" or float(fine["tp"].min()) >= 0
        if more:  # the rows of the file may run either way
            turned = model.downscale(coarse.isel(y=slice(None, None, -1)), members=2)
            turned = turned.isel(member=0, y=slice(None, None, -1))
            np.testing.assert_allclose(turned["tp"], fine["tp"], atol=1e-5)
    else:
        error = float(np.sqrt(((fine["tp"] - truth["tp"]) ** 2).mean()))
        near = physlab.load_model("nearest-x2").downscale(coarse)
        assert error < float(np.sqrt(((near["tp"].values - truth["tp"].values) ** 2).mean()))


def test_what_a_map_cannot_be_asked_for(on_map, tmp_path) -> None:
    for name, options, said in (
        ("linear", {"patch": 0}, r"takes patches \(--patch\)"),
        ("linear", {"coarse": on_map}, "no --coarse file"),
        ("linear", {"predictors": ("sp",)}, "no --predictors"),
    ):
        with pytest.raises(PhysLabError, match=said):
            trained(name, on_map, tmp_path / "x", **{"variables": (), **options})


def test_names_that_people_use() -> None:
    assert method_of("Linear Regression").part == "linear" and method_of("quantile map").part == "eqm"
    assert method_of("EDSR").part == "EDSR" and method_of("latent diffusion").family == "latent"
    assert method_of("ConvGRU", frames=3).frames == (3, 3) and method_of("voxel flow").frames == (2, 3)
    assert method_of("gan").preset.adversarial is not None and method_of("SR-CNN").part == "ResNet"
    assert {"edsr", "srcnn", "gan", "bcsd", "analog", "random forest", "convgru", "latent"} <= set(known_methods())
    with pytest.raises(PhysLabError, match="unknown method 'edrs' for data of your own: did you mean edsr"):
        method_of("edrs")


def test_a_truth_larger_than_memory_is_read_while_it_is_learned(truth, tmp_path, monkeypatch) -> None:
    from physlab.train.own import streamed

    truth[["t2m"]].chunk(time=10).to_zarr(tmp_path / "big.zarr")
    monkeypatch.setattr(streamed, "memory", lambda: 10_000)
    result = trained("espcn", str(tmp_path / "big.zarr"), tmp_path / "out")
    assert result.data.stream is not None and "read while it is learned" in result.data.account[0]
    assert physlab.load_model(tmp_path / "out").card["data"]["split"]["streamed"] == "train"


@pytest.mark.slow
def test_the_command_trains_scores_and_tells(file, tmp_path, capsys) -> None:
    from physlab import cli

    words = ["--variable", "t2m", "--factor", "2", "--gap", "24", "--predictors", "sp"]
    cli.main(["train", "linear", file, str(tmp_path / "out"), *words])
    told = capsys.readouterr()
    assert "t2m (K) of" in told.err and "bicubic+add" in told.out and "better" in told.out
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 2 and "physlab train linear" not in page.split("To make it again")[0]
    assert "http" not in page.replace("http://www.w3.org", "")  # it needs nothing else
    for wrong, said in (
        (["train", "liner", file, str(tmp_path / "x")], "did you mean linear"),
        (["train", "linear", file], "OUT is missing"),
        (["train", "edsr", file, str(tmp_path / "x"), "--all"], "are for recipes"),
        (["train", "bcsd", file, str(tmp_path / "x"), "--variable", "t2m", "--constraint", "add", "--gap", "24"],
         "learns without a constraint layer"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            cli.main(wrong)
        assert ended.value.code == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("physlab: ") and said in line


@pytest.mark.slow
def test_coupled_variables_come_back_with_their_laws(truth, written, tmp_path) -> None:
    """Humidity and temperature of a level by the layer `column`: trained, kept, loaded, applied."""
    ds = xr.Dataset({
        "t_850": truth["t2m"], "q_850": (3e-3 + 1e-3 * truth["tp"] / 8).assign_attrs(units="kg kg-1"),
        "u_850": truth["u10"],
    })  # fmt: skip
    path = written(ds)
    names = ("q_850", "t_850", "u_850")
    result = trained("compact", path, tmp_path / "out", variables=names, patch=0, constraint="column")
    model = physlab.load_model(tmp_path / "out")
    assert model.layer.name == "column" and model.options["variables"] == list(names)
    coarse = sample(result.data, "test", 0)
    fine = model.downscale(coarse)
    top = saturation.humidity(torch.from_numpy(fine["t_850"].values), 85000.0).numpy()
    assert (fine["q_850"].values >= 0).all() and (fine["q_850"].values <= top * (1 + 1e-5)).all()
    area = torch.from_numpy(Grid.from_dataset(fine).area_weights)
    for name in names:
        kept = coarsen(torch.from_numpy(fine[name].values).double(), 2, area).numpy()
        np.testing.assert_allclose(kept, coarse[name].values, rtol=1e-5, atol=1e-4)
    with pytest.raises(PhysLabError, match="couples several variables of a network"):
        trained("compact", path, tmp_path / "one", variables=("t_850",), constraint="column")
    with pytest.raises(PhysLabError, match="it couples t_850 with q_850"):
        trained("compact", path, tmp_path / "two", variables=("t_850", "u_850"), patch=0, constraint="column")
