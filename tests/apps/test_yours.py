"""What a session brings: limits, names that no other session reads, links and scripts that reproduce it, its end."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

from apps import own as own_module
from apps import yours
from apps.calls import Calls
from apps.own import Known, Own
from apps.problems import Unavailable
from apps.state import Choice, parse_query, to_query
from physlab.train.own.request import Request
from physlab.train.own.run import train_own
from physlab.views.bring import SWITCH
from tests.apps.pages import session
from tests.views.test_laws import windy
from tests.views.test_workspace import hill


@pytest.fixture(autouse=True)
def root(tmp_path_factory, monkeypatch):
    """A folder of sessions; files are looked at in this process."""
    made = tmp_path_factory.mktemp("brought")
    monkeypatch.setenv(own_module.ROOT, str(made))
    monkeypatch.setenv(SWITCH, "on")
    monkeypatch.setattr(yours, "apart", lambda function, *arguments, seconds: function(*arguments))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A field, and a method that was trained on it, packed."""
    folder = tmp_path_factory.mktemp("trained")
    hill().to_netcdf(folder / "hill.nc")
    train_own("linear", Request(str(folder / "hill.nc"), ("t2m",), gap=24.0), folder / "ridge", constraint="none")
    shutil.make_archive(str(folder / "ridge"), "zip", folder, "ridge")
    return folder


def send(page, path: Path, name: str = "", size: int = 10_000) -> None:
    """What a browser sends."""
    content, inbox = path.read_bytes(), page.yours.inbox
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    for at, data in enumerate(parts, 1):
        inbox._handle_msg({"status": "upload_event", "name": name or path.name, "chunk": at, "data": data,
                           "total_chunks": len(parts), "mime_type": ""})  # fmt: skip


def done(page) -> str:
    page.yours.inbox._send_msg = lambda msg: None
    page.yours.inbox._handle_msg({"status": "finished"})
    return page.yours.words.object


@pytest.mark.slow
def test_a_page_shows_what_it_brought_and_link_and_script_reproduce_it(store, trained, root):
    page = session(store, "?dataset=my-hill-t2m&network=my-ridge&constraint=add&mode=applied&frame=2")
    assert "bring its file again" in page.messages.object
    send(page, trained / "hill.nc")
    assert "t2m · hill" in done(page) and "PhysLab read hill.nc" in page.yours.words.object
    send(page, trained / "ridge.zip")
    assert "ridge, × 4, none" in done(page)
    choice = page.state.choice()  # what the link of the page had asked for
    assert page.shown.choice.constraint == "add" and page.shown.choice.frame == 2 and not page.shown.note
    assert re.fullmatch(r"my-[0-9a-f]{32}-hill-t2m", choice.dataset)
    link = page.state.query()
    assert "dataset=my-hill-t2m" in link and "network=my-ridge" in link
    assert parse_query(link, page.own) == (choice, (), [])
    code = page.store.code(page.shown.choice)
    assert str(root) not in code and choice.dataset not in code
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ran = subprocess.run([sys.executable, "-c", code], cwd=trained, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    printed = {name: float(value) for name, value in map(str.split, ran.stdout.splitlines())}
    assert printed["rmse"] == pytest.approx(page.shown.scores["this"]["rmse"], rel=1e-6)
    assert "Kriging" not in page.scores.object and 'data-metric="spectral_divergence"' in page.scores.object


def test_no_other_session_sees_or_reads_it_and_it_ends_with_its_page(store, trained, root):
    page = session(store)
    send(page, trained / "hill.nc")
    done(page)
    key, folder = page.state.dataset, page.own.folder
    assert page.shown.choice.dataset == key and folder.exists()
    other = session(store)
    for link in (f"?dataset={key}", "?dataset=my-hill-t2m", f"?beside=network:{key}"):
        found, _, problems = parse_query(link, other.own)
        assert found == Choice() and len(problems) == 1
    assert key not in other._datasets().values() and key not in other.state.param.dataset.objects
    assert key not in Choice().key() and "hill" not in str(other.controls["dataset"].options)
    page._pin()
    assert "my-" not in to_query(page.state.choice()).replace("my-hill", "")  # nobody learns the inner name
    known = Known()
    assert known.look([page.state.choice()]) == [] and len(known.marks) == 1
    page.close()
    assert not folder.exists() and store.cached(Choice(key)) is None
    assert known.look([]) == [key.removesuffix("hill-t2m")] and not list((root / "known").iterdir())


@pytest.mark.slow
def test_data_with_a_wind_show_an_equation_beside_the_truth(store, tmp_path):
    windy().to_netcdf(tmp_path / "windy.nc")
    page = session(store)
    assert page._law is None and not page.shown.law  # nobody has to load what this one has no fields for
    send(page, tmp_path / "windy.nc")
    done(page)
    page.state.dataset = next(key for key in page.own.found.data if key.endswith("t2m"))
    assert page.shown.law == "Temperature over terrain" and all(cell.visible for cell in page._law.cells.values())
    relative = page.shown.scores["this"]["law_relative"]
    assert f"{relative:.2f} × truth's" in page._law.captions["law"].object and relative != 1.0
    assert 'data-metric="law_relative" data-column="nearest"' in page.scores.object
    kept = xr.load_dataset(io.BytesIO(page.store.netcdf(page.shown)), engine="h5netcdf")
    assert kept["law"].attrs["units"] == "K s-1" and kept["of_truth"].dims == kept["truth"].dims
    page.yours.clear()
    assert page.state.dataset == "tcw" and not any(cell.visible for cell in page._law.cells.values())


def test_a_worker_learns_of_it_by_the_first_call_and_forgets_it(store, trained):
    page = session(store)
    send(page, trained / "hill.nc")
    done(page)
    choice, calls = page.state.choice(), Calls()
    own_module.part(page.own.mark)  # as in another process
    panel, told = calls("panel", (choice,), lambda: False, None)
    assert panel.choice.dataset == choice.dataset and "hill.nc" in {m: v for m, _, v in told}["code"]
    page.close()
    calls("offers", ("tcw", 4), lambda: False, None)
    assert calls.store.cached(choice) is None and not calls.known.marks
    with pytest.raises((Unavailable, KeyError)):
        calls("panel", (choice.with_(frame=1),), lambda: False, None)


def test_chunks_have_limits_and_an_order(store, tmp_path, monkeypatch):
    page = session(store)
    monkeypatch.setattr(yours, "LARGEST", 25_000)
    (tmp_path / "large.nc").write_bytes(bytes(40_000))
    send(page, tmp_path / "large.nc")
    assert "large.nc is larger than" in done(page)
    message = {"status": "upload_event", "name": "x.nc", "chunk": 2, "total_chunks": 2, "data": b"x", "mime_type": ""}
    page.yours.inbox._handle_msg(message)
    assert "wrong order" in done(page)
    monkeypatch.setattr(yours, "FILES", 2)
    (tmp_path / "small.nc").write_bytes(b"x")
    for number in range(3):
        send(page, tmp_path / "small.nc", f"{number}.nc")
    assert "too many" in done(page)
    page.yours.inbox._handle_msg({**message, "chunk": 1})
    assert "data-message" not in done(page)  # half a file is no file
    for garbage in ({}, {"status": 7}, {"status": "upload_event"}, {**message, "chunk": 1, "data": 10**12}, "x", None):
        page.yours.inbox._handle_msg(garbage)
    assert "data-message" not in done(page)
    assert not [p for p in page.own.folder.iterdir() if p.is_file()]


@pytest.mark.slow
def test_refusals_are_in_the_page_and_stations_become_points(store, tmp_path, monkeypatch):
    there = store.analyses
    monkeypatch.setattr(there, "picture", lambda setup, *_: there.started(setup, "not now"))
    page = session(store)
    (tmp_path / "a.csv").write_text(
        "station,lat,lon,variable,value,error\nA,50.1,-3.2,t2m,281.5,1\nB,52,-1,t2m,280,1\n"
    )
    (tmp_path / "model.pt").write_bytes(b"\x80")
    send(page, tmp_path / "a.csv")
    send(page, tmp_path / "model.pt")
    assert "model.pt is none of what can be brought" in done(page)
    assert page.state.view == "assimilate" and len(page.state.choice().points) == 2
    page.yours.clear()
    assert "At most" in page.yours.words.object


def test_a_host_that_does_not_allow_it_has_no_button(store, monkeypatch):
    monkeypatch.setenv(SWITCH, "off")
    assert session(store).yours is None


@pytest.mark.slow
def test_a_file_that_kills_its_reader_kills_nothing_else():
    from apps.apart import apart

    with pytest.raises(Unavailable, match=r"did not survive.*SIGABRT"):
        apart(os.abort, seconds=20)
    with pytest.raises(Unavailable, match="longer than 1 s"):
        apart(time.sleep, 60, seconds=1)
    assert apart(max, 1, 2, seconds=20) == 2


def test_folders_of_servers_that_are_gone_are_removed(monkeypatch, tmp_path):
    monkeypatch.delenv(own_module.ROOT)
    monkeypatch.setattr(own_module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(own_module.atexit, "register", lambda function: None)
    for pid in (os.getpid(), 2**22 + 5):
        (tmp_path / f"{own_module.NAME}{pid}-x").mkdir()
    made = own_module.root()
    there = sorted(p.name for p in tmp_path.iterdir())
    assert there == sorted([f"{own_module.NAME}{os.getpid()}-x", made.name]) and made.stat().st_mode & 0o077 == 0
    assert Own().folder.parent == made
