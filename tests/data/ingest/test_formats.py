"""The same numbers whatever format, calendar, counting of longitudes, type and chunks they come in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.data import account
from tests.data.ingest.made import COUNTINGS, FORMATS, LATITUDE, dataset, truth, write

CALENDARS = ("standard", "noleap", "360_day", "julian")
TYPES = {"float32": {"dtype": "float32"}, "float64": {"dtype": "float64"},
         "packed": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}}  # fmt: skip


def variants(form: str):
    """(calendar, counting, type, chunk along time): each value of each with each of the first two."""
    if form.startswith("grib"):
        yield from (("standard", counting, "float32", None) for counting in COUNTINGS if counting != "single precision")
        return
    for calendar, counting in itertools.product(CALENDARS, COUNTINGS):
        if form == "zarr.zip" and calendar != "standard":
            continue
        number = CALENDARS.index(calendar) + list(COUNTINGS).index(counting)
        yield calendar, counting, list(TYPES)[number % 3], (None, 1, 2)[number // 3 % 3]


@pytest.mark.parametrize("form", FORMATS)
def test_numbers_places_and_times_are_right_in_every_format(form, tmp_path) -> None:
    for number, (calendar, counting, kind, chunk) in enumerate(variants(form)):
        longitude = COUNTINGS[counting]
        ds, folder = dataset(calendar, longitude), tmp_path / str(number)
        folder.mkdir()
        encoding = dict(TYPES[kind])
        if chunk and form == "netcdf4":
            encoding["chunksizes"] = (chunk, 4, 5)
        elif chunk and form.startswith("zarr"):
            encoding["chunks"] = (chunk, 8, 10)
        path = write(ds, folder, form, {"t2m": encoding})
        found, words = physlab.open_dataset(path), f"{calendar}, {counting}, {kind}, {chunk}"
        assert found["t2m"].dims == ("time", "latitude", "longitude"), words
        np.testing.assert_allclose(found["longitude"].values % 360, longitude % 360, atol=2e-5, err_msg=words)
        steps = np.diff(found["longitude"].values)
        assert (steps > 0).all() or (steps < 0).all(), words
        np.testing.assert_array_equal(found["latitude"], LATITUDE, words)
        tolerance = 0.006 if kind == "packed" else 2e-5
        np.testing.assert_allclose(found["t2m"], truth(3, longitude), rtol=0, atol=tolerance, err_msg=words)
        assert [str(t)[:13] for t in found["time"].values] == [str(t)[:13] for t in ds["time"].values], words
        assert found["time"].dt.calendar == {"standard": "proleptic_gregorian"}.get(calendar, calendar), words
        assert found["t2m"].attrs["units"] == "K" and found["t2m"].attrs["standard_name"] == "air_temperature", words
        assert found["t2m"].encoding == {} and found.encoding["format"] == {"zarr.zip": "zarr2"}.get(
            form, form.rstrip("12") if "grib" in form else form
        ), words
        assert account(found).startswith("PhysLab read file."), words


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
