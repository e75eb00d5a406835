"""Pairs of truth and background out of the files of a nature run."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab.data.pairs import open_pairs
from physlab.errors import PhysLabError


@pytest.fixture(scope="module")
def run(twin, tmp_path_factory):
    return twin.write(tmp_path_factory.mktemp("runs") / "run-8", times=12, pieces=3)


def test_pairs_are_of_the_same_times(run, twin) -> None:
    truth, background = open_pairs(run)
    expected = [ds.isel(time=slice(4, None)) for ds in twin.pairs(16)]  # forecasts begin a day after the states
    assert truth.sizes["time"] == background.sizes["time"] == 12
    for found, known in zip((truth, background), expected, strict=True):
        xr.testing.assert_allclose(found.load(), known)


def test_days_are_counted_from_the_first_state(run) -> None:
    truth, background = open_pairs(run, (1, 2))
    start = np.datetime64("2001-01-01T00", "ns")
    assert list((truth.time.values - start) / np.timedelta64(1, "h")) == [24, 30, 36, 42]
    assert np.array_equal(truth.time, background.time)
    every = open_pairs(run, (1, 100), every=5)[0].time.values
    assert list((every - start) / np.timedelta64(1, "h")) == [24, 54, 84]


def test_a_gap_in_either_is_left_out(run, tmp_path) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "states-00001.nc").unlink()
    truth, background = open_pairs(tmp_path)
    assert np.array_equal(truth.time, background.time) and 0 < truth.sizes["time"] < 12


def test_runs_without_pairs_say_what_to_do(run, tmp_path) -> None:
    with pytest.raises(PhysLabError, match=r"physlab simulate --output .*nothing.* --forecast-every 6"):
        open_pairs(tmp_path / "nothing")
    (tmp_path / "states-00000.nc").write_bytes((run / "states-00000.nc").read_bytes())
    with pytest.raises(PhysLabError, match="holds no pairs"):
        open_pairs(tmp_path)
    with pytest.raises(PhysLabError, match=r"no pair in the days \(50, 60\): make a longer run"):
        open_pairs(run, (50, 60))
