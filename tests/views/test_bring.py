"""Files of strangers: what is taken, and that each thing that may not come is refused in one sentence."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from physlab.train.own.request import Request
from physlab.train.own.run import train_own
from physlab.views import bring
from physlab.views.bring import plain_name, receive
from physlab.views.workspace import Workspace
from tests.views.test_workspace import hill

STATIONS = "station,lat,lon,variable,value,error\nA,50.1,-3.2,t2m,281.5,1\nB,52.0,-1.0,t2m,280.1,1\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A field, and a method that was trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    hill().to_netcdf(folder / "hill.nc")
    train_own("linear", Request(str(folder / "hill.nc"), ("t2m",), gap=24.0), folder / "ridge", constraint="none")
    return folder


@pytest.fixture
def came(tmp_path):
    """came({name: bytes, file or folder}, ...) -> what becomes of them; folders are packed first."""
    session = tmp_path / "session"
    session.mkdir()

    def come(files: dict):
        waiting = []
        for at, (name, content) in enumerate(files.items()):
            path = tmp_path / f"part-{at}"
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content.is_dir():
                made = Path(shutil.make_archive(str(path), "zip", content.parent, content.name))
                made.rename(path)
            else:
                shutil.copy(content, path)
            waiting.append((str(path), name))
        found = receive(waiting, session, "my-0")
        assert not list(tmp_path.glob("part-*"))  # whatever became of them
        return found

    come.session = session
    return come


def packed(files: dict[str, bytes], tmp_path, **more) -> Path:
    """An archive of these files; `more` are attributes of the entry of the last."""
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in more.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def test_fields_a_method_and_stations_come_with_an_account(trained, came):
    first = came({"../../etc/ridge x.zip": trained / "ridge"})
    assert not first.found.models and "trained on 'hill.nc', which is not here" in first.problems[0]
    found = came({"hill.nc": trained / "hill.nc", "places.csv": STATIONS.encode()})
    assert not found.problems and found.stations == ((50.1, -3.2), (52.0, -1.0))
    assert "PhysLab read hill.nc" in found.said[0] and "2 places" in found.said[1]
    assert list(found.found.data) == ["my-0-hill-t2m", "my-0-hill-tp"]
    (ridge,) = found.found.models.values()
    assert ridge.folder.parent == came.session and found.found.data[ridge.data].exact[4].gap == 24.0
    assert found.found.data[ridge.data].pairs(4).fine["test"].shape[-2:] == (24, 32)
    assert Workspace.of(json.loads(json.dumps(found.found.plain()))) == Workspace(found.found.data, found.found.models)


def test_the_data_of_a_card_are_those_that_came_with_it_and_no_others(trained, came, tmp_path):
    secret = tmp_path / "secret.nc"
    shutil.copy(trained / "hill.nc", secret)
    shutil.copytree(trained / "ridge", tmp_path / "ridge")
    for truth in (str(secret), "nature-twin", "https://example.org/x.nc", "..", "../secret.nc", "part-0", 7):
        card = json.loads((trained / "ridge" / "card.json").read_text())
        card["data"]["request"]["truth"] = truth
        (tmp_path / "ridge" / "card.json").write_text(json.dumps(card))
        (tmp_path / "ridge" / "manifest.json").unlink(missing_ok=True)
        found = came({"ridge.zip": tmp_path / "ridge"})
        assert not found.found.models and not found.found.data and len(found.problems) == 1
        assert str(tmp_path) not in found.problems[0]


def test_archives_are_measured_before_anything_is_unpacked(came, tmp_path, monkeypatch):
    refused = {
        "a path that leaves": ({"../card.json": b"{}"}, {}),
        "a path that": ({"/etc/card.json": b"{}"}, {}),
        "which is a link": ({"x/card.json": b"/etc/passwd"}, {"external_attr": (stat.S_IFLNK | 0o777) << 16}),
        "can run code": ({"x/card.json": b"{}", "x/model.pt": b"\x80"}, {}),
        "no trained method": ({"notes.md": b"mine"}, {}),
        "no part of a Zarr store": ({"s/zarr.json": b"{}", "s/run.sh.txt": b"x"}, {}),
        "packed by 'pickle'": (
            {"s/.zgroup": b'{"zarr_format": 2}', "s/a/.zarray": b'{"filters": [{"id": "pickle"}], "zarr_format": 2}'},
            {},
        ),
    }
    for words, (files, more) in refused.items():
        found = came({"packed.zip": packed(files, tmp_path, **more)})
        assert len(found.problems) == 1 and words in found.problems[0], (words, found.problems)
        assert not [p for p in came.session.rglob("*") if p.is_file()]
    monkeypatch.setattr(bring, "WHOLE", 1 << 20)
    bomb = packed({"x/card.json": b"{}", "x/model.safetensors": bytes(2 << 20)}, tmp_path)
    assert bomb.stat().st_size < 10_000
    assert "unpacks to 2 MB" in came({"bomb.zip": bomb}).problems[0]
    monkeypatch.setattr(bring, "MEMBERS", 3)
    assert "more than 3 files" in came({"a.zip": packed({f"{n}.nc": b"" for n in range(4)}, tmp_path)}).problems[0]


def test_files_that_point_elsewhere_or_are_too_large_are_refused(trained, came, tmp_path, monkeypatch):
    path = tmp_path / "points.nc"
    shutil.copy(trained / "hill.nc", path)
    with h5py.File(path, "a") as file:
        file["other"] = h5py.ExternalLink("/etc/hosts", "/")
    assert "points to another file at 'other'" in came({"points.nc": path}).problems[0]
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (4,), "u1", external=[("/etc/hostname", 0, 4)])
    assert "keeps the values of 'x' elsewhere" in came({"points.nc": path}).problems[0]
    for name, content, words in (
        ("model.pt", b"\x80\x04", "none of what can be brought"),
        ("x.nc", b"CDF nothing", "cannot read 'x.nc'"),
        ("x.csv", b"a,b\n1,2\n", "x.csv"),
    ):
        (problem,) = came({name: content}).problems
        assert words in problem and "\n" not in problem and str(tmp_path) not in problem
    still = hill().isel(time=0, drop=True)
    still.to_netcdf(tmp_path / "still.nc")
    assert "no variable of time" in came({"still.nc": tmp_path / "still.nc"}).problems[0]
    monkeypatch.setattr(bring, "WHOLE", 60_000)
    assert "MB" in came({"hill.nc": trained / "hill.nc"}).problems[0]
    assert not [p for p in came.session.rglob("*") if p.is_file()]
    monkeypatch.setattr(bring, "FILES", 0)
    assert "one too many" in came({"a.nc": b"CDF"}).problems[0]


def test_a_zarr_store_comes_packed(came, tmp_path):
    ds = hill().drop_vars(["tp", "orog"])
    ds.to_zarr(tmp_path / "hill.zarr", zarr_format=2)
    found = came({"hill.zarr.zip": tmp_path / "hill.zarr"})
    assert not found.problems and [d.title for d in found.found.data.values()] == ["t2m · hill"]
    assert np.isfinite(xr.open_zarr(came.session / "hill.zarr")["t2m"].values).all()


def test_names_are_made_plain():
    made = {
        "../../a b/c\\d é.nc": "d.nc", ".bashrc": "bashrc", "..": "file", "card.safetensors": "card.safetensors",
        "a" * 300 + ".nc": "a" * 80 + ".nc", "x" * 90: "x" * 80,
    }  # fmt: skip
    assert {name: plain_name(name) for name in made} == made
