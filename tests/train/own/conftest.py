"""Small files of one's own: weather over a hill, as truth, and what may be wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from physlab.train.own import compare


def weather(days: int = 60, shape: tuple[int, int] = (16, 24), seed: int = 0, hours: int = 24) -> xr.Dataset:
    """Temperature, wind, pressure and rain (time, latitude, longitude) over a hill (orog)."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    hill = 300 * np.exp(-((y - shape[0] // 3) ** 2 + (x - shape[1] // 2) ** 2) / 12.0)
    phase = rng.uniform(0, 6.28, (days, 1, 1))
    wave = np.sin(2 * np.pi * x / 12 + 0.4 * y + phase)
    fields = {
        "t2m": (280 + 4 * wave - 0.0065 * hill * (1 + 0.3 * np.cos(phase)), "K"),
        "u10": (6 * np.cos(2 * np.pi * x / 12 + 0.4 * y + phase) + 0.01 * hill, "m s-1"),
        "sp": (1e5 - 12 * hill + 300 * wave, "Pa"),
        "tp": (np.maximum(0, 8 * (wave - 0.4)) * (1 + hill / 200), "kg m-2"),
    }
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(hours, "h"),
        "latitude": ("latitude", np.linspace(40.0, 47.5, shape[0]), {"units": "degrees_north"}),
        "longitude": ("longitude", np.linspace(-4.0, 7.5, shape[1]), {"units": "degrees_east"}),
    }
    dims = ("time", "latitude", "longitude")
    made = {n: (dims, v.astype("float32"), {"units": u}) for n, (v, u) in fields.items()}
    return xr.Dataset({**made, "orog": (dims[1:], hill.astype("float32"), {"units": "m"})}, coords)


@pytest.fixture(scope="session")
def truth() -> xr.Dataset:
    return weather()


@pytest.fixture(scope="session")
def file(truth, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("own") / "truth.nc"
    truth.to_netcdf(path)
    return str(path)


@pytest.fixture
def written(tmp_path):
    """Writes a data set, gives its path."""

    def write(ds: xr.Dataset, name: str = "file.nc") -> str:
        path = tmp_path / name
        ds.to_netcdf(path)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def quick(one_thread, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(compare, "MOST", {"latent": 4, "ensemble": 6, "single": 12})
    monkeypatch.setattr(compare, "MEMBERS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def folder(path: str | Path) -> set[str]:
    """Names in a folder."""
    return {p.name for p in Path(path).iterdir()}
