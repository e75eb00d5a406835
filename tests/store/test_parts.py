"""Writing that goes on where it was killed: at most one part is lost, nothing is left, nothing is mixed up."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from unittest import mock

import dask
import dask.array
import numpy as np
import pytest
import xarray as xr

from physlab.data.cfout import layout
from physlab.data.writer import write_dataset
from physlab.errors import StoreError
from physlab.store import parts_of, recover
from physlab.store.strays import KEPT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
STEPS = 6


def counted(log: Path, die_at: int = -1, offset: float = 0.0) -> xr.Dataset:
    """A lazy field whose steps are entered into a log when they are computed; the process dies at one of them."""

    def step(block_id: tuple[int, ...]) -> np.ndarray:
        with open(log, "a") as stream:
            stream.write(f"{block_id[0]}\n")
        if block_id[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((1, 8, 10), block_id[0] + offset, "float32")

    values = dask.array.map_blocks(step, chunks=((1,) * STEPS, (8,), (10,)), dtype="float32", meta=np.empty((0, 0, 0)))
    return xr.Dataset({"t": (("time", "latitude", "longitude"), values, {"units": "K"})}, {"time": np.arange(STEPS)})


def write(path: Path, ds: xr.Dataset, key: object = "one") -> None:
    small, chunk = mock.patch.object(layout, "SMALL", 0), mock.patch.object(layout, "CHUNK", 80 * 4)
    with small, chunk, dask.config.set(scheduler="synchronous"):  # no threads, which a fork would lack
        write_dataset(ds, path, belongs_to={"key": key})


def killed(path: Path, ds: xr.Dataset, key: object = "one") -> None:
    child = os.fork()
    if child == 0:
        write(path, ds, key)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def values(path: Path) -> np.ndarray:
    with xr.open_dataset(path, engine="zarr" if path.suffix == ".zarr" else "h5netcdf") as ds:
        return ds["t"].values[:, 0, 0]


def steps(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("old", [False, True])
def test_a_killed_run_goes_on_where_it_was(suffix: str, old: bool, tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / f"fine{suffix}"
    if old:
        write(path, counted(log, offset=100), "other")
        log.unlink()
    killed(path, counted(log, die_at=4))
    assert steps(log) == [0, 1, 2, 3, 4]
    if old:
        np.testing.assert_array_equal(values(path), np.arange(STEPS) + 100)
    recover(path)  # as a reader does: what is complete is kept
    write(path, counted(log))
    assert steps(log) == [0, 1, 2, 3, 4, 4, 5], "only the step in which it was killed is computed again"
    np.testing.assert_array_equal(values(path), np.arange(STEPS))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "log"])
    write(path, counted(log))
    assert steps(log)[7:] == list(range(STEPS)), "once it is complete, nothing of it is left"


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_parts_of_something_else_are_not_used(suffix: str, tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / f"fine{suffix}"
    killed(path, counted(log, die_at=3, offset=100), "other input")
    write(path, counted(log))
    np.testing.assert_array_equal(values(path), np.arange(STEPS))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "log"])


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fine.nc"

    def bad(block_id: tuple[int, ...]) -> np.ndarray:
        if block_id[0] == 2:
            raise StoreError("no")
        return np.zeros((1, 8, 10), "float32")

    lazy = dask.array.map_blocks(bad, chunks=((1,) * STEPS, (8,), (10,)), dtype="float32", meta=np.empty((0, 0, 0)))
    with pytest.raises(StoreError, match="no"):
        write(path, xr.Dataset({"t": (("time", "y", "x"), lazy)}))
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_keeps_its_parts(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), parts_of(tmp_path / "x.nc", {"key": 1}) as parts:
        parts.put("0-0", b"content")
        raise KeyboardInterrupt
    with parts_of(tmp_path / "x.nc", {"key": 1}) as parts:
        assert "0-0" in parts and parts.resumed == 1
    assert not list(tmp_path.iterdir())


def test_a_line_that_was_cut_short_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), parts_of(tmp_path / "x.nc", {"key": 1}) as parts:
        parts.put("0-0", b"content")
        with open(parts.folder / "journal", "a") as stream:
            stream.write("0-1")
        raise KeyboardInterrupt
    with parts_of(tmp_path / "x.nc", {"key": 1}) as parts:
        assert "0-0" in parts and "0-1" not in parts


def test_what_nobody_comes_back_for_is_removed(tmp_path: Path) -> None:
    """Old parts, parts without an owner, and what earlier versions left; those of a living writer stay."""
    for name in ("young.nc", "old.nc"):
        with pytest.raises(KeyboardInterrupt), parts_of(tmp_path / name, {"key": 1}) as parts:
            folder = parts.folder
            raise KeyboardInterrupt
    long_ago = time.time() - KEPT - 60
    os.utime(folder / "journal", (long_ago, long_ago))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / f".fine.{child}.part.nc").write_bytes(b"stray")
    (tmp_path / f".fine.{child}.part.zarr").mkdir()
    (tmp_path / f".fine.{os.getpid()}.part.nc").write_bytes(b"of a process that lives")
    (tmp_path / ".mine.part.nc").write_bytes(b"of somebody else")
    with parts_of(tmp_path / "now.nc", None) as parts:
        recover(tmp_path / "x.nc")
        assert parts.folder.is_dir()
    left = sorted(p.name for p in tmp_path.iterdir())
    assert [name for name in left if not name.startswith(".physlab")] == [
        f".fine.{os.getpid()}.part.nc",
        ".mine.part.nc",
    ]
    assert len(left) == 3 and not folder.exists()
