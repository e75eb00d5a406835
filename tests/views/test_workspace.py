"""Fields and trained methods of one's own in the explorer: what is found, and that its numbers are the library's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from physlab.cli.explore import CLUSTER, DEVICE, explore
from physlab.errors import FieldError, PhysLabError
from physlab.train.own.request import Request
from physlab.train.own.run import train_own
from physlab.views.bring import SWITCH
from physlab.views.workspace import VARIABLE, read


def hill(days: int = 40) -> xr.Dataset:
    """Temperature and rain over a hill."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.arange(24), np.arange(32), indexing="ij")
    wave = np.sin(x / 3 + y / 4 + rng.uniform(0, 6.28, (days, 1, 1)))
    dims = ("time", "latitude", "longitude")
    fields = {
        "t2m": (dims, (280 + 5 * wave - 0.02 * y).astype("float32"), {"units": "K"}),
        "tp": (dims, np.maximum(0, wave).astype("float32"), {"units": "kg m-2"}),
        "orog": (dims[1:], (10.0 * y).astype("float32"), {"units": "m"}),
    }
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(24, "h"),
        "latitude": ("latitude", np.linspace(40, 46, 24), {"units": "degrees_north"}),
        "longitude": ("longitude", np.linspace(-4, 4, 32), {"units": "degrees_east"}),
    }
    return xr.Dataset(fields, coords)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A folder with a field, a method trained on it, one trained on it with a predictor, and what is neither."""
    folder = tmp_path_factory.mktemp("mine")
    file = folder / "hill.nc"
    hill().to_netcdf(file)
    plain = Request(str(file), ("t2m",), gap=24.0)
    train_own("linear", plain, folder / "ridge", constraint="none")
    told = Request(str(file), ("t2m",), predictors=("tp",), gap=24.0)
    train_own("linear", told, folder / "told", constraint="none")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_fields_and_methods_are_found_and_put_together(mine) -> None:
    found = read([mine])
    assert not found.problems
    assert [d.title for d in found.data.values()] == ["t2m · hill", "t2m · hill, with tp", "tp · hill"]
    ridge, told = found.models["own-ridge"], found.models["own-told"]
    assert (ridge.factor, ridge.constraint, ridge.data) == (4, "none", "own-hill-t2m")
    assert found.data[told.data].request(4).predictors == ("tp",) and found.data[told.data].request(2).factor == 2
    ridge_pairs = found.data[ridge.data].pairs(4)
    assert ridge_pairs.data_hash == json.loads((ridge.folder / "card.json").read_text())["own"]["data"]
    with pytest.raises(FieldError, match="there is no"):
        read([mine / "nothing.nc"])


def test_what_cannot_be_shown_is_said(mine, tmp_path) -> None:
    with pytest.raises(FieldError, match="holds no trained method and no field"):
        read([tmp_path])
    hill().isel(time=0, drop=True).to_netcdf(tmp_path / "still.nc")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text("{}")
    said = " ".join(read([tmp_path]).problems)
    assert "no variable of time" in said and "was not made by physlab train" in said


def test_a_moved_folder_finds_its_data_beside_it(mine, tmp_path) -> None:
    import shutil

    shutil.copytree(mine / "ridge", tmp_path / "ridge")
    card = json.loads((tmp_path / "ridge" / "card.json").read_text())
    card["data"]["request"]["truth"] = "/gone/hill.nc"
    (tmp_path / "ridge" / "card.json").write_text(json.dumps(card))
    shutil.copy(mine / "hill.nc", tmp_path)
    found = read([tmp_path / "ridge"])
    assert next(iter(found.data.values())).template.truth == str(tmp_path / "hill.nc")


@pytest.mark.parametrize(
    "given, takes",
    [({}, "on"), ({"upload": "off"}, "off"), ({"host": "a.org"}, "off"), ({"host": "a.org", "upload": "on"}, "on")],
)
def test_pages_take_files_where_only_this_machine_may_connect(monkeypatch, given, takes) -> None:
    ran = {}
    monkeypatch.delenv(DEVICE, raising=False)
    monkeypatch.delenv(CLUSTER, raising=False)
    monkeypatch.setattr("os.execve", lambda _, command, environment: ran.update(command=command, **environment))
    explore(**given)
    assert ran[SWITCH] == takes and ran["command"][ran["command"].index("--address") + 1] == "localhost"
    assert ran[DEVICE] == "cpu"
    explore(device="auto", **given)
    assert ran[DEVICE] in ("cpu", "cuda:0", "mps")
    with pytest.raises(PhysLabError, match="unknown device 'abacus': choose cpu"):
        explore(device="abacus")
    with pytest.raises(PhysLabError, match="'here' is no cluster: write tcp://HOST:8786"):
        explore(cluster="here")
    assert ran[CLUSTER] == ""
    with pytest.raises(PhysLabError, match="--host"):
        explore(listen="0.0.0.0")
    explore(listen="0.0.0.0", host="a.org")
    assert "0.0.0.0" in ran["command"] and ran["command"].count("--allow-websocket-origin") == 1


SCRIPT = """
import io, json
import numpy as np, xarray as xr
from apps.state import Choice, parse_query, to_query
from apps.store import Store
store, said = Store(), []
for network, data, constraint in (("own-ridge", "own-hill-t2m", "none"), ("own-told", "own-hill-t2m-with-tp", "add")):
    mode = "trained" if constraint == "none" else "applied"
    choice = Choice(data, 1, 4, "network", mode, constraint, network=network)
    assert parse_query(to_query(choice))[0] == choice
    panel = store.panel(choice)
    assert panel.choice == choice.scene() and not panel.note, panel.note
    kept = xr.load_dataset(io.BytesIO(store.netcdf(panel)), engine="h5netcdf")
    assert np.array_equal(kept["result"], panel.maps["result"]) and kept["input"].sizes["latitude_coarse"] == 6
    assert kept["truth"].attrs["units"] == "K" and kept["latitude"][0] < kept["latitude"][-1]
    said.append([panel.scores["this"], store.test_scores(panel.choice)["this"]["rmse"], store.code(panel.choice)])
print(json.dumps(said))
"""


@pytest.mark.slow
def test_the_explorer_shows_them_with_the_numbers_of_the_library(mine, repository) -> None:
    environment = {**os.environ, VARIABLE: str(mine), "PYTHONPATH": str(repository)}

    def run(program: str) -> str:
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for scores, test, code in json.loads(run(SCRIPT)):
        printed = {name: float(value) for name, value in (line.split() for line in run(code).splitlines())}
        assert printed["rmse"] == pytest.approx(scores["rmse"], rel=1e-6)
        assert test > 0 and scores["conservation_error"] >= 0
