"""The public Zarr stores: names, order, units, laziness, on small local stores of the same layout; errors offline."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from physlab.data import cloud, open_dataset
from physlab.data.catalog import CATALOG
from physlab.errors import DownloadError

LEVELS = np.array([500, 850, 1000])


def write_store(
    path: Path, dims: tuple[str, ...], extra: dict | None = None, hours: int = 4, start="1959-01-01"
) -> xr.Dataset:
    """A Zarr store with one chunk per time, long names, and the variables of the real stores."""
    rng = np.random.default_rng(0)
    coords = {
        "time": np.datetime64(start, "ns") + 6 * np.arange(hours).astype("timedelta64[h]"),
        "level": LEVELS,
        "latitude": np.linspace(-90, 90, 9) if dims[-1] == "latitude" else np.linspace(90, -90, 9),
        "longitude": np.arange(0, 360, 30.0),
    }
    size = {name: len(value) for name, value in coords.items()}
    names = {
        "2m_temperature": "K", "total_column_water_vapour": "kg m**-2", "total_precipitation_6hr": "m",
        "evaporation": "m", "geopotential": "m**2 s**-2", "temperature": "K", "land_sea_mask": "(0 - 1)",
        "snow_depth": "m", "geopotential_at_surface": "m**2 s**-2",
    }  # fmt: skip
    data = {}
    for name, units in names.items():
        own = ("time", "level", *dims) if name in ("geopotential", "temperature") else ("time", *dims)
        own = dims if name in ("land_sea_mask", "geopotential_at_surface") else own
        values = rng.standard_normal([size[d] for d in own]).astype("float32")
        data[name] = (own, values, {"units": units, "long_name": name.replace("_", " ").capitalize()})
    ds = xr.Dataset(data, coords, attrs=extra or {})
    chunks = {n: {"chunks": tuple(1 if d == "time" else size[d] for d in v[0])} for n, v in data.items()}
    ds.to_zarr(path, encoding=chunks, zarr_format=2, consolidated=True)
    return ds


@pytest.mark.parametrize("dims", [("longitude", "latitude"), ("latitude", "longitude")])
def test_names_order_and_units(tmp_path, dims):
    raw = write_store(tmp_path / "store.zarr", dims)
    ds = cloud.open_store(str(tmp_path / "store.zarr"))
    assert sorted(ds.data_vars) == ["e", "land", "orog", "t", "t2m", "tcwv", "tp_6h", "z"]
    assert ds["z"].dims == ("time", "level", "latitude", "longitude")
    assert ds["t2m"].dims == ("time", "latitude", "longitude")
    np.testing.assert_array_equal(ds["z"], raw["geopotential"].transpose(*ds["z"].dims))
    np.testing.assert_allclose(
        ds["tp_6h"], 1000 * raw["total_precipitation_6hr"].transpose(*ds["tp_6h"].dims), rtol=1e-6
    )
    np.testing.assert_allclose(ds["e"], -1000 * raw["evaporation"].transpose(*ds["e"].dims), rtol=1e-6)
    height = raw["geopotential_at_surface"].transpose(*ds["orog"].dims) / 9.80665
    np.testing.assert_allclose(ds["orog"], height, rtol=1e-6)
    assert ds["orog"].attrs["units"] == "m"
    assert ds["e"].attrs["units"] == ds["tp_6h"].attrs["units"] == ds["tcwv"].attrs["units"] == "kg m-2"
    assert ds["t2m"].attrs["standard_name"] == "air_temperature"
    assert ds["level"].attrs["units"] == "hPa"
    one = ds["z"].sel(time="1959-01-01T06", level=850)
    assert one.dims == ("latitude", "longitude")


def test_only_the_chosen_time_is_read(tmp_path):
    """All chunks but those of the second time are spoiled: whoever touches them fails."""
    path = tmp_path / "store.zarr"
    raw = write_store(path, ("longitude", "latitude"))
    for name in ("geopotential", "total_precipitation_6hr"):
        for chunk in (path / name).iterdir():
            if not chunk.name.startswith((".", "1.")):
                chunk.write_bytes(b"spoiled")
    ds = cloud.open_store(str(path)).isel(time=1)
    np.testing.assert_array_equal(ds["z"], raw["geopotential"][1].transpose("level", "latitude", "longitude"))
    assert float(ds["tp_6h"].max()) == pytest.approx(1000 * float(raw["total_precipitation_6hr"][1].max()))
    with pytest.raises(Exception):  # noqa: B017  (the codec's own error: proof that the other chunks are spoiled)
        cloud.open_store(str(path)).isel(time=0)["z"].load()


def test_reserved_hours_are_cut_off(tmp_path):
    valid = {"valid_time_start": "1940-01-01", "valid_time_stop": "1940-01-01"}
    write_store(tmp_path / "store.zarr", ("latitude", "longitude"), valid, hours=8, start="1939-12-31")
    assert (
        cloud.open_store(str(tmp_path / "store.zarr"))["time"].values.astype("datetime64[D]").tolist()
        == [np.datetime64("1940-01-01").item()] * 4
    )


def test_own_names(tmp_path):
    write_store(tmp_path / "store.zarr", ("latitude", "longitude"))
    assert "theta" in cloud.open_store(str(tmp_path / "store.zarr"), {"t": "theta"})


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.kind == "cloud"])
def test_without_gcsfs(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(DownloadError, match=r"pip install 'physlab\[cloud\]'") as caught:
        open_dataset(name)
    assert "\n" not in str(caught.value)


def test_offline(monkeypatch):
    import requests

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, "gcsfs", sys.modules["sys"])
    monkeypatch.setattr(requests, "head", refuse)
    with pytest.raises(DownloadError, match="connect to the network and try again") as caught:
        open_dataset("arco-era5")
    assert "\n" not in str(caught.value)
