"""Every writer, failing or killed at every call of the file system: the old or the new is whole, and nothing else."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import dask
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from physlab.data import sources
from physlab.data.cfout import layout
from physlab.data.registry import FILES, RemoteFile
from physlab.data.writer import write_dataset, write_table
from physlab.errors import StoreError
from physlab.nn.stored import Stored
from physlab.store import files as store
from physlab.store import recover
from physlab.train.loop import read_state, write_state

from .faults import DONE, FAILED, MODES, attempt, copied, each_death

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@dataclass(frozen=True)
class Writer:
    """What writes, what it writes, and how a version is read again."""

    name: str
    write: Callable[[Path, int], object]  # version 0 or 1
    read: Callable[[Path], int]  # the version that is there, whole

    @property
    def is_folder(self) -> bool:
        return self.name in ("x.zarr", "blocks.zarr", "model")

    def __str__(self) -> str:
        return self.name


def dataset(version: int) -> xr.Dataset:
    return xr.Dataset({"t": (("y", "x"), np.full((3, 4), 270.0 + version, "float32"))}, attrs={"version": version})


def read_dataset(path: Path) -> int:
    if path.suffix == ".nc":  # a tenth of the time that xarray takes, thousands of times
        with h5py.File(path) as file:
            version, values = int(np.ravel(file.attrs["version"])[0]), file["t"][:]
    else:
        with xr.open_dataset(path, engine="zarr") as ds:
            version, values = int(ds.attrs["version"]), ds["t"].values
    assert values.size and (values == 270.0 + version).all()
    return version


class Toy(Stored):
    """A model of one number."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(size))

    def describe(self) -> dict:
        return {"size": len(self.weight)}

    @classmethod
    def build(cls, card, tensors):
        return cls(card["size"])


def write_model(path: Path, version: int) -> None:
    model = Toy()
    model.weight.data.fill_(version)
    model.card = {"version": version}
    model.save(path)


def read_model(path: Path) -> int:
    model = Toy.load(path)
    assert (model.weight == model.card["version"]).all()
    return model.card["version"]


def read_saved(path: Path) -> int:
    return read_state(path, {"run": 1})["step"]


def read_table(path: Path) -> int:
    table = pd.read_csv(path)
    assert len(table) == 3
    return int(table["version"].iloc[0])


def onnx_model(path: Path, version: int) -> None:
    from physlab.compact import export

    graph = bytes([version]) * 1000  # it is made before anything is written
    with mock.patch.object(export, "onnx_bytes", lambda model, shape=None: graph):
        export.export_onnx(None, path)


def read_bytes(path: Path) -> int:
    content = path.read_bytes()
    assert len(content) == 1000 and len(set(content)) == 1
    return content[0]


def write_in_blocks(path: Path, version: int) -> None:
    """As :func:`write_dataset` writes what does not fit into memory."""
    lazy = dataset(version).isel(y=[0, 0, 1]).expand_dims(time=2).chunk(time=1)
    small, chunk = mock.patch.object(layout, "SMALL", 0), mock.patch.object(layout, "CHUNK", 48)
    with small, chunk, dask.config.set(scheduler="synchronous"):  # no threads, which a fork would lack
        write_dataset(lazy, path)


WRITERS = [
    Writer("blocks.nc", write_in_blocks, read_dataset),
    Writer("blocks.zarr", write_in_blocks, read_dataset),
    Writer("x.nc", lambda path, version: write_dataset(dataset(version), path), read_dataset),
    Writer("x.zarr", lambda path, version: write_dataset(dataset(version), path), read_dataset),
    Writer("model", write_model, read_model),
    Writer("state.pt", lambda path, v: write_state(path, {"fingerprint": {"run": 1}, "step": v}), read_saved),
    Writer("table.csv", lambda path, v: write_table(pd.DataFrame({"version": [v] * 3}), path), read_table),
    Writer("model.onnx", onnx_model, read_bytes),
]


def contents(folder: Path, of: Callable[[bytes], object]) -> dict[str, object]:
    """What is in a folder, and below it; None for a folder."""
    return {str(p.relative_to(folder)): of(p.read_bytes()) if p.is_file() else None for p in folder.rglob("*")}


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def each_fault(write: Callable[[], object], below: Path, mode: str, last: int = 0) -> Iterator[tuple[int, int]]:
    """(call, how it ended) for every call, or the last ones; a full disk stays full, an error comes once."""
    if mode == "SIGKILL":
        yield from ((at, -signal.SIGKILL) for at in each_death(write, below, last))
        return
    at = 1
    if last:
        _, count = attempt(write, below, 0, mode)
        at = max(1, count - last)
    while True:
        code, count = attempt(write, below, at, mode, again=mode == "ENOSPC")
        assert at < 500
        if code == DONE and count < at:
            return
        yield at, code
        at += 1


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, where there is one: these tests wait for the disk thousands of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


CASES = [(writer, start, mode, "exchange") for writer in WRITERS for start in ("nothing", "old") for mode in MODES]
CASES += [(writer, "old", mode, "no exchange") for writer in WRITERS for mode in MODES if writer.is_folder]
# what is written in blocks makes many calls: it is killed and meets a full disk over an old version, no more
CASES = [c for c in CASES if not c[0].name.startswith("blocks") or (c[1] == "old" and c[2] != "EIO")]


@pytest.mark.slow
@pytest.mark.parametrize(("writer", "start", "mode", "system"), CASES)
def test_the_old_or_the_new_is_whole(writer, start, mode, system, place, tmp_path, monkeypatch) -> None:
    path, write = place / writer.name, functools.partial(writer.write, place / writer.name)
    last = 0
    write(0)  # here and not in a fork, which would import what it needs each time anew
    if system == "no exchange":
        monkeypatch.setattr(store, "exchange", lambda *names: False)
        last = 20  # the calls before are those that have failed above
    kept = tmp_path / writer.name
    copy = shutil.copytree if path.is_dir() else shutil.copy2
    copy(path, kept)

    def reset() -> None:
        remove(path)
        if start == "old":
            copy(kept, path)

    reset()
    (place / "foreign.txt").write_text("mine")
    alone, both, ends = ["foreign.txt"], sorted(["foreign.txt", writer.name]), []
    for at, code in each_fault(functools.partial(write, 1), place, mode, last):
        ends.append(code)
        assert code in (DONE, FAILED, -signal.SIGKILL), (at, code)
        if start == "old" and system == "exchange":
            assert writer.read(path) in (0, 1), at  # before anybody has set anything right
        recover(path)  # as every reader and every writer does
        if start == "nothing" and not path.exists():
            assert listing(place) == alone, at
        else:
            assert writer.read(path) in (0, 1) and listing(place) == both, at
        write(1)
        assert writer.read(path) == 1 and listing(place) == both, at
        assert (place / "foreign.txt").read_text() == "mine"
        reset()
    assert len(ends) >= 10 and (-signal.SIGKILL if mode == "SIGKILL" else FAILED) in ends
    if path.suffix == ".nc":
        write(1)
        assert xr.load_dataset(path).attrs["version"] == 1


def test_faults_are_the_same_here_and_in_a_fork(place) -> None:
    """What is raised in this process ends as it does in one of its own, at every call."""
    for writer in (WRITERS[5], WRITERS[6]):
        write = functools.partial(writer.write, place / writer.name, 1)
        write()
        alone, total = attempt(write, place, 0, "EIO", fork=True)
        assert alone == DONE and attempt(write, place, 0, "EIO") == (DONE, total) and total > 4
        for at in range(1, total + 1):
            for again in (False, True):
                here, there = (attempt(write, place, at, "ENOSPC", again, fork) for fork in (False, True))
                assert here == there, (writer, at)


@pytest.mark.slow
def test_what_is_noted_before_a_call_is_what_a_death_at_it_leaves(place) -> None:
    for writer in WRITERS[4:7]:  # those whose names and order are no matter of chance
        path, write = place / writer.name, functools.partial(writer.write, place / writer.name, 1)
        of = len if writer.is_folder else bytes  # safetensors puts its words in any order
        writer.write(path, 0)
        noted = {}
        for at in each_death(write, place):
            noted[at] = contents(place, of)
            for left in place.iterdir():
                remove(left)
            writer.write(path, 0)
        chosen = list(noted) if len(noted) < 30 else list(noted)[::7]
        for at in chosen:
            assert attempt(write, place, at, "SIGKILL") == (-signal.SIGKILL, 0)
            assert contents(place, of) == noted[at], (writer, at)
            for left in place.iterdir():
                remove(left)
            writer.write(path, 0)
        assert len({str(noted[at]) for at in chosen}) > 3
        remove(path)


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_with_foreign_files_is_refused_and_left_alone(mode, place) -> None:
    for writer in WRITERS:
        path = place / writer.name
        writer.write(path, 0)
        if writer.is_folder:
            (path / "notes.txt").write_text("mine")
            with pytest.raises(StoreError, match=r"notes\.txt"):
                writer.write(path, 1)
            assert (path / "notes.txt").read_text() == "mine" and writer.read(path) == 0


@pytest.mark.parametrize("mode", ["SIGKILL", "ENOSPC"])
def test_a_download(mode, place, monkeypatch) -> None:
    content = bytes(range(256)) * 80

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content[start:])

        def log_message(self, *_args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("PHYSLAB_MIRROR", f"http://127.0.0.1:{httpd.server_address[1]}")
    monkeypatch.delenv("PHYSLAB_DATA", raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: place / "cache")
    file = RemoteFile("x.nc", "x.nc", hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(FILES, "toy", (file,))
    folder = place / "cache" / "toy"
    fetch = functools.partial(sources.fetch_files, "toy", False)
    fetch()
    shutil.rmtree(place / "cache")
    faults = 0
    for at, code in each_fault(fetch, place, mode):
        faults += 1
        assert code in (DONE, FAILED, -signal.SIGKILL), (at, code)
        if (folder / "x.nc").exists():
            assert (folder / "x.nc").read_bytes() == content
        assert fetch() == [folder / "x.nc"] and (folder / "x.nc").read_bytes() == content
        assert listing(folder) == ["x.nc"] and listing(place) == ["cache"], at
        shutil.rmtree(place / "cache")
    httpd.shutdown()
    assert faults >= 8


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["SIGKILL", "ENOSPC"])
def test_a_simulation(mode, place, monkeypatch) -> None:
    """The whole of a run, with a model that counts hours: after a fault it goes on to the same files."""
    pytest.importorskip("dinosaur", reason="needs the extra physlab[simulate]")
    from physlab.simulate import run as simulation

    class Clock:
        """A model whose state is the hour."""

        resolution = type("Resolution", (), {"name": "t21"})

        def rest(self, seed: int) -> dict:
            return {"hour": np.zeros(1), "budget": {}}

        def advance(self, state: dict, hours: int) -> dict:
            return {"hour": state["hour"] + hours, "budget": {}}

        def regrid(self, state: dict, _other) -> dict:
            return state

        def empty_budget(self) -> dict:
            return {}

        def fix_mass(self, state: dict, _pressure: float):
            return state, 0.0

        def mean(self, x) -> float:
            return float(np.mean(x))

        def surface(self, state: dict) -> dict:
            return dict.fromkeys(("tcw", "sp", "t_low", "u_low", "v_low"), state["hour"])

        def state(self, state: dict) -> dict:
            return {"t": state["hour"], "tcw": state["hour"]}

        def dataset(self, frames: list, times: list) -> xr.Dataset:
            return xr.Dataset({"t": ("time", [float(f["tcw"][0]) for f in frames], {"times": len(times)})})

    def models(self, run) -> None:
        self.run, self.start = run, np.datetime64("2001-01-01T00", "ns")
        self.truth = self.forecast = self.view = self.forecast_view = Clock()

    monkeypatch.setattr(simulation._Models, "__init__", models)
    monkeypatch.setattr(simulation, "jnp", np)  # a fork must not use the threads of JAX
    settings = simulation.NatureRun("t21", days=1, spinup_t42=5, spinup=0, hourly=(0, 0), piece=1, forecasts=False)
    run = functools.partial(simulation.simulate, settings, place / "run", progress=False)
    run()
    names = ["restart.npz", "run.json", "states-00000.nc", "surface-00000.nc"]
    wanted = {name: xr.load_dataset(place / "run" / name) for name in names[2:]}
    shutil.rmtree(place / "run")
    faults = 0
    for at, code in each_fault(run, place, mode):
        faults += 1
        assert code in (DONE, FAILED, -signal.SIGKILL), (at, code)
        run()
        assert listing(place) == ["run"] and listing(place / "run") == names, at
        for name, ds in wanted.items():
            xr.testing.assert_identical(xr.load_dataset(place / "run" / name), ds)
        shutil.rmtree(place / "run")
    assert faults >= 50


def test_a_folder_is_copied_while_another_thread_of_the_writer_renames(tmp_path) -> None:
    below, over = tmp_path / "below", threading.Event()
    below.mkdir()
    for k in range(200):
        (below / f"{k}.a").write_text("x")

    def rename() -> None:
        while not over.is_set():
            for k in range(100, 120):
                (below / f"{k}.a").rename(below / f"{k}.b")
                (below / f"{k}.b").rename(below / f"{k}.a")
            time.sleep(0.002)

    thread = threading.Thread(target=rename)
    thread.start()
    try:
        for k in range(5):
            copied(below, tmp_path / str(k), tries=2000)
            assert {path.stem for path in (tmp_path / str(k)).iterdir()} >= {str(n) for n in range(100)}
    finally:
        over.set()
        thread.join()
    with pytest.raises(OSError):
        copied(tmp_path / "not there", tmp_path / "copy", tries=2)
