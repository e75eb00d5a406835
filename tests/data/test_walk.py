"""The same numbers, places and times whatever they come in and whatever they are written to.

A walk through input format, output format, calendar, counting of longitudes, type and chunks in which each two of
their values meet.
"""

from __future__ import annotations

import functools
import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.data import account
from physlab.data.ingest import fields
from physlab.data.writer import write_dataset
from physlab.downscale import BicubicConstrained
from physlab.grid import coarsen
from tests.data.ingest.made import COUNTINGS, FORMATS, LATITUDE, dataset, truth, write

TYPES = {
    "float32": ({"dtype": "float32"}, {"bitsPerValue": 24}, 2e-5),
    "float64": ({"dtype": "float64"}, {"bitsPerValue": 32}, 2e-5),
    "packed": ({"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768},
               {"bitsPerValue": 12}, 0.006),
    "whole": ({"dtype": "int16", "_FillValue": -32768}, {"bitsPerValue": 16}, 1e-3),
}  # fmt: skip
"""How a file keeps numbers: in NetCDF and Zarr, in GRIB, and the largest error."""
FACTORS = {
    "source": FORMATS,
    "target": ("nc", "zarr2", "zarr3"),
    "calendar": ("standard", "noleap", "360_day", "julian"),
    "counting": tuple(COUNTINGS),
    "kind": tuple(TYPES),
    "chunks": ("one", "by 1", "by 2", "unlimited", "lazy"),
}


def possible(source: str, target: str, calendar: str, counting: str, kind: str, chunks: str) -> bool:
    """GRIB knows one calendar and places to a thousandth of a degree; only some formats are in chunks or grow."""
    if source.startswith("grib"):
        return calendar == "standard" and chunks in ("one", "lazy")
    if source == "netcdf3":
        return not chunks.startswith("by")
    return source == "netcdf4" or chunks != "unlimited"


def pairs(row: tuple[str, ...]) -> set[tuple]:
    """Each two values of a row, with what they are values of."""
    return set(itertools.combinations(zip(FACTORS, row, strict=True), 2))


@functools.cache
def walk() -> list[tuple[str, ...]]:
    """Rows in which every possible pair stands, the one with most new pairs of some drawn at random after the other."""
    rows = [row for row in itertools.product(*FACTORS.values()) if possible(*row)]
    left, draw, chosen = set().union(*map(pairs, rows)), random.Random(0), []
    while left:
        drawn = draw.sample(rows, 40) if len(left) > 60 else [row for row in rows if pairs(row) & left]
        chosen.append(max(drawn, key=lambda row: len(pairs(row) & left)))
        left -= pairs(chosen[-1])
    return sorted(chosen)


@pytest.mark.parametrize("form", FORMATS)
def test_numbers_places_and_times_are_the_same(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "CHUNK", 2 * 8 * 80)
    for number, row in enumerate(row for row in walk() if row[0] == form):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, target, calendar, counting, kind, chunks = row
        longitude, words = COUNTINGS[counting], ", ".join(row)
        monkeypatch.setattr(fields, "SMALL", 0 if chunks == "lazy" else 64 << 20)
        given, tolerance = made(folder, form, calendar, longitude, kind, chunks)
        values = truth(3, longitude).round() if kind == "whole" else truth(3, longitude)
        dates = dataset(calendar)["time"].values

        read = physlab.open_dataset(given)
        assert account(read).startswith("PhysLab read file."), words
        assert (read["t2m"].chunks is not None) == (chunks == "lazy" or form.startswith("zarr")), words
        assert read["t2m"].encoding == {} and read.encoding["format"] == {
            "zarr.zip": "zarr2", "grib1": "grib", "grib2": "grib"}.get(form, form), words  # fmt: skip
        same(read, values, LATITUDE, longitude, dates, tolerance, words)

        fine = BicubicConstrained(2).downscale(read)
        path = folder / f"fine.{target.rstrip('23')}"
        version = {"nc": None, "zarr2": 2, "zarr3": 3}[target]
        write_dataset(fine, path, zarr_format=version, belongs_to={"row": row} if chunks == "lazy" else None)
        if version:
            assert (path / "zarr.json").exists() == (version == 3), words
        with xr.open_dataset(path, engine="h5netcdf" if target == "nc" else "zarr") as plain:
            assert plain["t2m"].dtype == np.float32 and plain["t2m"].dims == ("time", "latitude", "longitude"), words
            assert (plain["time"].values == read["time"].values).all(), words
            areas = np.abs(np.diff(np.sin(np.deg2rad(plain["latitude_bnds"].values)), axis=1))
            mean = coarsen(plain["t2m"].values.astype(float), 2, areas)
            np.testing.assert_allclose(mean, read["t2m"].values, rtol=1e-6, err_msg=words)
        again = physlab.open_dataset(path)
        assert "nothing changed" in account(again), words
        lat, lon = (coarsen(again[name].values[None].repeat(2, 0), 2)[0] for name in ("latitude", "longitude"))
        coarse = again.isel(latitude=slice(None, None, 2), longitude=slice(None, None, 2)).assign_coords(
            latitude=lat, longitude=lon
        )
        same(coarse.assign(t2m=(coarse["t2m"].dims, mean, coarse["t2m"].attrs)), values, LATITUDE, longitude, dates,
             tolerance + 3e-4, words)  # fmt: skip


def made(folder: Path, form: str, calendar: str, longitude: np.ndarray, kind: str, chunks: str) -> tuple[Path, float]:
    """A file of the formula and its largest error."""
    ds, (encoding, bits, tolerance) = dataset(calendar, longitude), TYPES[kind]
    if kind == "whole":
        ds["t2m"] = ds["t2m"].round()
    if form.startswith("grib"):
        return write(ds, folder, form, {"t2m": bits}), tolerance
    encoding = dict(encoding)
    if chunks.startswith("by") and form == "netcdf4":
        encoding["chunksizes"] = (int(chunks[3:]), 4, 5)
    elif chunks.startswith("by"):
        encoding["chunks"] = (int(chunks[3:]), 8, 10)
    if chunks == "unlimited":
        ds.encoding["unlimited_dims"] = {"time"}
    return write(ds, folder, form, {"t2m": encoding}), tolerance


def same(ds: xr.Dataset, values, latitude, longitude, dates, tolerance: float, words: str) -> None:
    """Whether a data set is what the formula says."""
    assert ds["t2m"].dims == ("time", "latitude", "longitude"), words
    np.testing.assert_allclose(ds["longitude"].values % 360, longitude % 360, atol=2e-5, err_msg=words)
    steps = np.diff(ds["longitude"].values)
    assert (steps > 0).all() or (steps < 0).all(), words
    np.testing.assert_allclose(ds["latitude"], latitude, rtol=0, atol=1e-9, err_msg=words)
    np.testing.assert_allclose(ds["t2m"], values, rtol=0, atol=tolerance, err_msg=words)
    assert [str(t)[:13] for t in ds["time"].values] == [str(t)[:13] for t in dates], words
    calendar = getattr(dates[0], "calendar", "proleptic_gregorian")
    assert ds["time"].dt.calendar == calendar, words
    assert ds["t2m"].attrs["units"] == "K" and ds["t2m"].attrs["standard_name"] == "air_temperature", words
