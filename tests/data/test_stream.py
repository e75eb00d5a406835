"""Reading as it is needed: the numbers are those in memory, each time comes once an epoch, the order can be resumed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.data import stream as streaming
from physlab.data.patches import make_pairs
from physlab.data.stream import FieldStream, Moments, Windows
from physlab.errors import FieldError
from physlab.fields import Scaling
from physlab.grid import check_coarsening
from physlab.train import Settings
from physlab.train.batches import Patches
from physlab.train.streamed import Streamed

BLOCKS = {"train": 0.7, "val": 0.15, "test": 0.15}


def rain(times: int = 90, shape: tuple[int, int] = (16, 24), seed: int = 0) -> xr.DataArray:
    """(time, latitude, longitude); each value tells its time: the whole part of the mean of a field is its number."""
    rng = np.random.default_rng(seed)
    values = rng.random((times, *shape)) + np.arange(times)[:, None, None]
    coords = {"time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
              "latitude": np.linspace(40, 55, shape[0]), "longitude": 1.5 * np.arange(shape[1])}  # fmt: skip
    return xr.DataArray(values.astype(np.float32), coords, ("time", "latitude", "longitude"), "tp",
                        {"units": "kg m-2"})  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same field on the disk, in chunks of seven times, in two formats."""
    folder, field = tmp_path_factory.mktemp("stream"), rain()
    field.chunk(time=7).to_dataset().to_zarr(folder / "a.zarr", zarr_format=2)
    field.to_dataset().to_netcdf(folder / "a.nc", encoding={"tp": {"chunksizes": (7, 16, 24)}})
    return folder


@pytest.fixture
def lazy(folder) -> xr.DataArray:
    return xr.open_zarr(folder / "a.zarr")["tp"]


@pytest.fixture(params=["zarr", "netcdf", "netcdf unchunked"])
def stored(request, folder) -> xr.DataArray:
    """It as each reader gives it."""
    if request.param == "zarr":
        return xr.open_zarr(folder / "a.zarr")["tp"]
    return xr.open_dataset(folder / "a.nc", chunks={} if request.param == "netcdf" else None)["tp"]


def numbers(y: torch.Tensor) -> list[int]:
    """Which times a batch holds."""
    return y[:, 0].mean((-2, -1)).floor().int().tolist()


def test_streamed_pairs_are_those_in_memory(stored) -> None:
    """Statistics, splits and pairs agree, whatever the backend; nothing but samples is in memory."""
    here = make_pairs(rain(), 4, BLOCKS, 24.0)
    there = make_pairs(stored, 4, BLOCKS, 24.0, stream=True)
    assert there.stream is not None and here.stream is None and streaming.is_lazy(stored)
    assert there.scaling.scale == pytest.approx(here.scaling.scale, rel=1e-6) and there.scaling.offset == (0.0,)
    assert there.split["blocks"] == here.split["blocks"]
    assert there.hashes["test"] == here.hashes["test"]  # of so few fields, all are held
    assert there.extent == pytest.approx(here.extent)
    fine, coarse = there.stream.pair(there.stream.starts[[5, 2]])
    assert torch.equal(fine, here.fine["train"][[5, 2]]) and torch.equal(coarse, here.coarse["train"][[5, 2]])


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_moments_of_parts_are_those_of_the_whole(offset: float) -> None:
    """Also where the deviation is small against the mean, as that of a pressure."""
    x = np.random.default_rng(1).normal(offset, [[[[1.0]], [[3.0]]]], (50, 2, 5, 6)).astype(np.float32)
    moments = Moments()
    for part in np.split(x, [1, 20, 33]):
        moments.add(part)
    found, whole = moments.result(), Scaling.fit(torch.from_numpy(x), non_negative=False)
    assert found.mean == pytest.approx(whole.offset, rel=1e-6) and found.std == pytest.approx(whole.scale, rel=1e-6)
    assert found.low == pytest.approx(x.min((0, 2, 3))) and found.high == pytest.approx(x.max((0, 2, 3)))
    assert found.count == 50 * 30


@pytest.mark.parametrize(
    ("batch", "crop", "budget"),
    [
        (6, None, 1 << 13),
        (5, 8, 1 << 14),
        (16, 8, 1 << 28),
        (64, None, 1 << 14),
        (7, 12, 1 << 13),
        (16, None, 1 << 28),
    ],
)
def test_an_epoch_has_every_time_and_each_step_can_be_asked_again(lazy, batch: int, crop, budget: int) -> None:
    data = make_pairs(lazy, 4, BLOCKS, 24.0, stream=True)
    settings = Settings(batch=batch, crop=crop, flips="")
    batches = Streamed(data.stream, settings, 3, budget=budget)
    plan = batches.plan
    seen = list(itertools.chain.from_iterable(numbers(batches.take(k)[1]) for k in range(batches.per_epoch)))
    each = plan.tiles * plan.bands
    assert len(data.stream) * each - len(seen) <= 2 * plan.size * each  # what makes no whole batch
    counts = np.bincount(seen)
    assert counts.max() == each and (crop is None or plan.tiles == 24 // crop)
    assert seen != sorted(seen)
    other = Streamed(data.stream, settings, 3, budget=budget)
    for step in (batches.per_epoch + 1, 2, 0):
        for a, b in zip(batches.take(step)[:3], other.take(step)[:3], strict=True):
            assert torch.equal(a, b)
    assert numbers(batches.take(0)[1]) != numbers(batches.take(batches.per_epoch)[1])
    assert numbers(batches.take(0)[1]) != numbers(Streamed(data.stream, settings, 4, budget=budget).take(0)[1])


@pytest.mark.parametrize("world", [2, 3])
def test_processes_have_their_share_and_read_no_other(lazy, world: int) -> None:
    data = make_pairs(lazy, 4, BLOCKS, 24.0, stream=True)
    settings, budget = Settings(batch=8, flips="xy", crop=8), 1 << 17
    whole = Streamed(data.stream, settings, 0, budget=budget)
    parts = [Streamed(data.stream, settings, 0, budget=budget) for _ in range(world)]
    assert whole.plan.lanes > 1
    for step in (0, 3, 11):
        x, y, w, _ = whole.take(step)
        taken = [part.take(step, rank, world) for rank, part in enumerate(parts)]
        assert torch.equal(torch.cat([t[0] for t in taken]), x) and torch.equal(torch.cat([t[1] for t in taken]), y)
        assert all(torch.equal(t[2], w) for t in taken)
    read = [len(part._windows.lanes) for part in parts]
    assert max(read) < whole.plan.lanes and sum(read) <= whole.plan.lanes + world - 1


@pytest.mark.parametrize("crop", [None, 8])
def test_batches_obey_the_law_and_carry_their_ground(lazy, crop) -> None:
    data = make_pairs(lazy, 4, BLOCKS, 24.0, stream=True)
    place = torch.arange(16 * 24.0).reshape(1, 16, 24)
    fields = torch.from_numpy(rain().values)
    batches = Streamed(data.stream, Settings(batch=6, crop=crop, flips=""), 0, 2.0, statics=place, budget=1 << 14)
    for step in range(6):
        x, y, w, _ = batches.take(step)
        check_coarsening(y[:, :1], x, 4, w, tolerance=1e-5)
        for number, (truth, at) in zip(numbers(2 * y), y, strict=True):
            assert torch.equal(fields[number].flatten()[at.long().flatten()], 2 * truth.flatten())
    assert torch.equal(flips_of(batches.take(0)), flips_of(batches.take(0)))


def flips_of(batch: tuple) -> torch.Tensor:
    """The random numbers that a loss would draw."""
    return torch.rand(4, generator=batch[3])


def test_frames_follow_each_other_and_channels_stand_together(lazy) -> None:
    index = np.r_[0:20, 30:50]
    weights = torch.ones(16, 24)
    frames = FieldStream([lazy], 4, index, weights, frames=3)
    assert len(frames) == 36 and 18 not in frames.starts
    _, y, _, _ = Streamed(frames, Settings(batch=4, flips="", crop=8), 0).take(0)
    assert torch.equal(torch.diff(y.mean((-2, -1)).floor(), dim=1), torch.ones(4, 2))
    two = FieldStream([lazy, lazy * 2], 4, index, weights, coarse=[lazy[:, ::4, ::4], lazy[:, 1::4, ::4]])
    x, y, _, _ = Streamed(two, Settings(batch=4, flips="", crop=8), 0).take(0)
    assert torch.equal(y[:, 1], 2 * y[:, 0]) and torch.equal(x[:, 0], y[:, 0, ::4, ::4])
    with pytest.raises(FieldError, match="3 frames of 2 fields"):
        FieldStream([lazy, lazy], 4, index, weights, frames=3)


def test_missing_values_are_found_with_their_time(tmp_path) -> None:
    field = rain()
    field[11, 3, 4] = np.nan
    field.chunk(time=7).to_dataset().to_zarr(tmp_path / "a.zarr", zarr_format=2)
    with pytest.raises(FieldError, match="first at 2001-01-03T18:00:00, row 3, column 4"):
        make_pairs(xr.open_zarr(tmp_path / "a.zarr")["tp"], 4, BLOCKS, 24.0, stream=True)


def test_what_fits_a_quarter_of_the_memory_is_loaded(stored, monkeypatch) -> None:
    assert streaming.memory() > 1 << 28
    with monkeypatch.context() as patched:
        patched.setattr("physlab.data.patches.memory", lambda: 4 * rain().size)
        assert make_pairs(stored, 4, BLOCKS, 24.0).stream is not None
        assert make_pairs(rain(), 4, BLOCKS, 24.0).stream is None  # is in memory already
    assert make_pairs(stored, 4, BLOCKS, 24.0).stream is None


def test_each_window_is_read_once_and_no_more_than_two_are_in_memory(lazy, monkeypatch) -> None:
    data = make_pairs(lazy, 4, BLOCKS, 24.0, stream=True)
    read, load = [], Windows._load
    monkeypatch.setattr(Windows, "_load", lambda self, *key: read.append(key) or load(self, *key))
    batches = Streamed(data.stream, Settings(batch=4), 0, budget=1 << 14)
    for step in range(2 * batches.per_epoch):
        batches.take(step)
        windows = batches._windows
        assert len(windows._ready) == 2
        assert all(part.result().fine.nbytes <= 1 << 14 for part in windows._ready.values())
    assert len(read) == len(set(read)) and batches.plan.steps > 1


def test_order_within_an_epoch_is_as_mixed_as_in_memory() -> None:
    """Neighbours of a batch come from all over the period, as far apart as those of a full shuffle."""
    field = rain(400).chunk(time=8)
    data = make_pairs(field, 4, BLOCKS, 24.0, stream=True)
    here = make_pairs(rain(400), 4, BLOCKS, 24.0)
    settings = Settings(batch=8, flips="")
    mixed, full = (
        np.mean([np.std(numbers(b.take(k)[1])) for k in range(30)])
        for b in (Streamed(data.stream, settings, 0, budget=1 << 17),
                  Patches(here.fine["train"], here.coarse["train"], here.weights, settings, 0))
    )  # fmt: skip
    assert mixed > 0.85 * full
