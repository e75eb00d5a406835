"""Files are known by their content, and large ones stay lazy."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.data import account
from tests.data.ingest.made import COUNTINGS, dataset, write


def test_names_say_nothing_content_does(tmp_path) -> None:
    """GRIB called .nc, NetCDF called .grib, no ending at all."""
    ds = dataset()
    for form, name in (("grib2", "a.nc"), ("netcdf4", "b.grib"), ("netcdf3", "c"), ("zarr3", "d.store")):
        folder = tmp_path / form
        folder.mkdir()
        path = write(ds, folder, form).rename(tmp_path / name)
        np.testing.assert_allclose(physlab.open_dataset(path)["t2m"], ds["t2m"], atol=1e-4)


def test_large_fields_are_lazy_in_whole_fields_along_the_chunks_of_the_file(tmp_path, monkeypatch) -> None:
    from physlab.data.ingest import fields

    monkeypatch.setattr(fields, "SMALL", 1000)
    monkeypatch.setattr(fields, "CHUNK", 2 * 8 * 80)
    ds = dataset(times=12)
    for form, encoding, expected in [
        ("netcdf4", {"chunksizes": (6, 4, 5)}, {1, 2, 3}),
        ("netcdf3", {}, {2}),
        ("zarr3", {"chunks": (1, 8, 10)}, {2}),
        ("grib2", {}, {1, 2, 3, 4}),
    ]:
        folder = tmp_path / form
        folder.mkdir()
        found = physlab.open_dataset(write(ds, folder, form, {"t2m": encoding}))["t2m"]
        assert found.chunks is not None and found.chunks[1:] == ((8,), (10,)), form
        assert set(found.chunks[0]) <= expected and sum(found.chunks[0]) == 12, (form, found.chunks)
        np.testing.assert_allclose(found, ds["t2m"], atol=1e-4)


def test_opening_a_large_file_reads_one_field_of_it(tmp_path, monkeypatch) -> None:
    from physlab.data.ingest import fields

    monkeypatch.setattr(fields, "SMALL", 1000)
    monkeypatch.setattr(fields, "CHUNK", 8 * 80)
    path = write(dataset(times=40), tmp_path, "zarr2", {"t2m": {"chunks": (1, 8, 10)}})
    for number in range(1, 40):
        (path / "t2m" / f"{number}.0.0").write_bytes(b"spoiled")
    found = physlab.open_dataset(path)
    assert float(found["t2m"][0].mean()) > 200
    with pytest.raises(Exception, match=r".+"):
        found["t2m"][7].load()


def test_small_zarr_keeps_its_chunks(tmp_path) -> None:
    path = write(dataset(times=6), tmp_path, "zarr3", {"t2m": {"chunks": (2, 8, 10)}})
    assert physlab.open_dataset(path)["t2m"].chunks == ((2, 2, 2), (8,), (10,))


def test_what_was_written_is_read_as_it_was(tmp_path) -> None:
    """A second pass changes nothing."""
    first = physlab.open_dataset(write(dataset("noleap", COUNTINGS["over Greenwich"]), tmp_path, "netcdf4"))
    first.to_netcdf(tmp_path / "again.nc")
    second = physlab.open_dataset(tmp_path / "again.nc")
    assert "nothing changed" in account(second)
    xr.testing.assert_identical(first.drop_attrs(deep=False), second.drop_attrs(deep=False))
    assert second.attrs["history"].count("PhysLab read") == 2
