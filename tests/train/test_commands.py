"""Every trained kind has a command: it trains, keeps, refuses what is there, and what it made is loaded by name."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch.distributed.run import get_args_parser

import physlab
from physlab import cli
from physlab.assimilate import PhyDA, VAEVar
from physlab.phydl import Forecaster, PhyDL


def one_line(capsys, *command: str | Path) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in command])
    said = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and said[-1].startswith("physlab: ") and len(said) == 1, said
    return said[0]


def waves(hours: int, columns: int, step: int = 1) -> xr.Dataset:
    """Hours of a wave that the wind carries around a circle of latitude."""
    time = np.datetime64("2006-01-02T00", "ns") + np.arange(hours) * np.timedelta64(step, "h")
    latitude, longitude = np.linspace(30.0, 50.0, 12), np.arange(columns) * 360.0 / columns
    t, lat, lon = np.meshgrid(step * np.arange(hours), *map(np.deg2rad, (latitude, longitude)), indexing="ij")
    phase = 4 * lon - 0.1 * t
    units = {"u": "m s-1", "v": "m s-1", "t": "K"}
    fields = {"u": 15 + 4 * np.sin(phase) * np.cos(3 * lat), "v": 6 * np.cos(phase),
              "t": 290 - 40 * np.sin(lat) ** 2 + 3 * np.sin(phase)}  # fmt: skip
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({k: (dims, v.astype(np.float32), {"units": units[k]}) for k, v in fields.items()},
                      {"time": time, "latitude": latitude, "longitude": longitude})  # fmt: skip


def test_assimilation(twin, tmp_path, capsys) -> None:
    run, vae, phyda = twin.write(tmp_path / "run-8", times=6), tmp_path / "vae", tmp_path / "phyda"
    quick = ["--runs", run, "--steps", "2", "--batch", "2", "--device", "cpu"]
    cli.main([str(word) for word in ("train-assimilation", "vaevar", vae, *quick)])
    assert "trained on 6 pairs, 2 steps" in capsys.readouterr().out
    assert isinstance(physlab.load_model(vae), VAEVar)
    assert "train vaevar first" in one_line(capsys, "train-assimilation", "phyda", phyda, *quick)
    assert "has no autoencoder" in one_line(capsys, "train-assimilation", "adas", phyda, *quick, "--autoencoder", vae)
    assert "phyda" in one_line(capsys, "train-assimilation", "phida", phyda, *quick)
    cli.main([str(word) for word in ("train-assimilation", "phyda", phyda, *quick, "--autoencoder", vae)])
    capsys.readouterr()
    method = physlab.load_model(phyda, "cpu")
    assert isinstance(method, PhyDA) and method.card["seed"] == 0 and method.card["history"]
    own = physlab.load_model(vae).vae.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in method.vae.state_dict().items()
               if key not in ("shift", "scale")), "the autoencoder stays as it was trained"  # fmt: skip
    assert "is there already" in one_line(capsys, "train-assimilation", "vaevar", vae, *quick)


def test_what_is_estimated_needs_no_training(twin, tmp_path, capsys) -> None:
    run = twin.write(tmp_path / "run-8", times=6)
    cli.main(["train-assimilation", "static letkf", str(tmp_path / "var"), "--runs", str(run)])
    assert "estimated" in capsys.readouterr().out
    whole = physlab.load_model(tmp_path / "var")
    assert type(whole).__name__ == "StaticLETKF"
    cli.main(["train-assimilation", "static letkf", str(tmp_path / "late"), "--runs", str(run), "--days", "1.5", "9"])
    assert 2 <= physlab.load_model(tmp_path / "late").card["samples"] < whole.card["samples"] == 6


def test_forecast(tmp_path, capsys) -> None:
    source, base, tuned = tmp_path / "hours.nc", tmp_path / "base", tmp_path / "tuned"
    ds = waves(40, 24)
    ds.to_netcdf(source, engine="h5netcdf")
    quick = ["--steps", "2", "--batch", "2", "--width", "16", "--device", "cpu"]
    cli.main(["train-forecast", str(source), str(base), "--variables", "u", "v", "t", "--network", "afno", *quick])
    assert "2 steps" in capsys.readouterr().out
    model = physlab.load_model(base)
    assert isinstance(model, Forecaster) and model.forecast(ds.isel(time=slice(0, 7))).sizes["time"] == 12
    assert "no z, q, tcw" in one_line(capsys, "train-forecast", source, tuned, *quick)
    cli.main(["train-forecast", str(source), str(tuned), "--trained", str(base), "--physics", "0.01", *quick])
    known = physlab.load_model(tuned).card["training"]
    assert [entry["physics"] for entry in known] == [0.0, 0.01]
    assert "is there already" in one_line(capsys, "train-forecast", source, tuned, *quick)


def test_continuous_field(tmp_path, capsys) -> None:
    source, folder = tmp_path / "window.nc", tmp_path / "field"
    ds = waves(7, 40, 3).isel(longitude=slice(0, 12))
    ds.to_netcdf(source, engine="h5netcdf")
    cli.main(["train-field", str(source), str(folder), "--steps", "10", "--force", "2", "2", "2", "--device", "cpu"])
    assert "10 steps" in capsys.readouterr().out
    field = physlab.load_model(folder)
    assert isinstance(field, PhyDL) and set(field.solution) == {"t"} | {e.variable for e in field.equations}
    made = field.downscale(ds)
    assert dict(made.sizes) == dict(ds.sizes) and bool(np.isfinite(made["t"]).all())
    assert "is there already" in one_line(capsys, "train-field", source, folder)


def test_torchrun_is_for_trainings(monkeypatch, capsys) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "start it without torchrun" in one_line(capsys, "evaluate", "tcw-x4-softmax-s0")


@pytest.mark.parametrize("command", ["train", "train-latent", "train-assimilation", "train-forecast", "train-field",
                                     "downscale", "assimilate", "evaluate", "benchmark"])  # fmt: skip
def test_a_device_that_is_not_there_is_one_line(command: str, tmp_path, capsys, twin) -> None:
    """Of every command that computes, before anything is read or trained."""
    words = {
        "train": ["tcw-x4"], "train-latent": ["nature-window", tmp_path / "x"],
        "train-assimilation": ["adas", tmp_path / "x", "--runs", tmp_path], "train-forecast": ["nature-window", "x"],
        "train-field": ["nature-window", tmp_path / "x"], "downscale": ["nature-window", "bicubic-x2", "x.nc"],
        "assimilate": ["nature-window", "x.csv", "x.nc"], "evaluate": ["tcw-x4-softmax-s0"],
        "benchmark": ["downscaling", "--output", tmp_path],
    }[command]  # fmt: skip
    assert "device cuda:77 is asked for" in one_line(capsys, command, *words, "--device", "cuda:77")
    assert not (tmp_path / "x").exists() and not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("verb", [verb for verb in cli.COMMANDS if verb.startswith("train")])
def test_no_option_of_a_training_is_taken_for_one_of_torchrun(verb: str) -> None:
    """torchrun reads abbreviations of its own options even behind the name of the program."""
    for name in inspect.signature(cli.COMMANDS[verb]).parameters:
        command = ["--standalone", "-m", "physlab", verb, f"--{name.replace('_', '-')}", "x"]
        assert get_args_parser().parse_args(command).training_script_args == command[3:]
