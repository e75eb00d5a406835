"""Files that kill or hang the process that reads them end in one line."""

from __future__ import annotations

import os
import signal
import time

import pytest
import xarray as xr

from physlab.data import guard
from physlab.errors import FieldError


def test_a_reader_that_dies_or_hangs_is_an_error_of_the_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.nc"
    path.write_bytes(b"x")
    with pytest.raises(FieldError, match=r"x\.nc': the library that reads it died of SIGKILL; the file is damaged"):
        guard.survive(lambda: os.kill(os.getpid(), signal.SIGKILL), path)
    monkeypatch.setattr(guard, "SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(FieldError, match="did not end within 0 s"):
        guard.survive(lambda: time.sleep(30), path)
    assert time.monotonic() - start < 10
    with pytest.raises(ZeroDivisionError):  # an ordinary error comes back as it is
        guard.survive(lambda: 1 / 0, path)
    assert guard.survive(lambda: 42, path) == 42


def test_a_healthy_file_is_opened_and_a_damaged_one_refused(tmp_path) -> None:
    ds = xr.Dataset({"t2m": (("latitude", "longitude"), [[280.0, 281.0], [282.0, 283.0]], {"units": "K"})},
                    {"latitude": ("latitude", [40.0, 41.0], {"units": "degrees_north"}),
                     "longitude": ("longitude", [0.0, 1.0], {"units": "degrees_east"})})  # fmt: skip
    ds.to_netcdf(tmp_path / "x.nc")
    xr.testing.assert_equal(guard.open_checked(tmp_path / "x.nc")["t2m"].drop_attrs(), ds["t2m"].drop_attrs())
    (tmp_path / "x.nc").write_bytes((tmp_path / "x.nc").read_bytes()[:500])
    with pytest.raises(FieldError, match="cannot read"):
        guard.open_checked(tmp_path / "x.nc")
    with pytest.raises(FileNotFoundError):
        guard.open_checked(tmp_path / "nowhere.nc")
