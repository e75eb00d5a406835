"""What is written is read everywhere as it is meant: CDO, NCO, xarray and the checker of the CF conventions."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from physlab.data.cfout import attributes, layout
from physlab.data.cfout.provenance import remember
from physlab.data.writer import write_dataset
from physlab.downscale import BicubicConstrained
from physlab.errors import PhysLabError
from physlab.grid import coarsen

CHECKER = Path(sys.executable).with_name("compliance-checker")
LATITUDE, LONGITUDE = 60 - 2.5 * np.arange(6.0), -10 + 2.5 * np.arange(8.0)


def fields(**leading: object) -> xr.Dataset:
    """Temperature on a regular grid with leading dims."""
    coords = {**leading, "latitude": LATITUDE, "longitude": LONGITUDE}
    shape = [len(np.atleast_1d(np.asarray(v, dtype=object))) for v in coords.values()]
    values = np.random.default_rng(0).normal(280, 5, shape).astype("float32")
    attrs = {
        "units": "K",
        "standard_name": "air_temperature",
        "valid_range": np.array([0, 9], "int16"),
        "missing_value": -9e9,
    }
    ds = xr.Dataset({"t2m": (tuple(coords), values, attrs)}, coords, {"institution": "a test", "history": "made"})
    ds["latitude"].attrs, ds["longitude"].attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    return ds


HOURS = pd.date_range("2024-02-28T18", periods=3, freq="6h")
MAPS = {
    "rotated": {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
                "grid_north_pole_longitude": -162.0},
    "laea": {"grid_mapping_name": "lambert_azimuthal_equal_area", "latitude_of_projection_origin": 52.0,
             "longitude_of_projection_origin": 10.0, "false_easting": 4321000.0, "false_northing": 3210000.0},
    "lambert": {"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [33.0, 45.0],
                "longitude_of_central_meridian": -97.0, "latitude_of_projection_origin": 40.0},
}  # fmt: skip


def on_map(name: str) -> xr.Dataset:
    from physlab.grid import ProjectedGrid

    y, x = (np.arange(n) * 0.5 - 2 if name == "rotated" else np.arange(n) * 50e3 + 3e6 for n in (6, 8))
    grid = ProjectedGrid(y, x, mapping=MAPS[name])
    values = np.random.default_rng(0).normal(280, 5, (2, 6, 8)).astype("float32")
    coords = {**grid.coordinates(), "time": HOURS[:2]}
    return xr.Dataset({"tas": (("time", "y", "x"), values, {"units": "K", "grid_mapping": "crs"})}, coords)


CASES = {
    "times": fields(time=HOURS),
    "no time": fields(),
    "one time": fields(time=HOURS[:1]),
    "members": fields(member=[4, 7], time=HOURS),
    "named members": fields(member=["r1i1p1", "r2i1p1"], time=HOURS),
    "levels": fields(time=HOURS, level=[500.0, 850.0]),
    "height": fields(time=HOURS).assign_coords(height=((), 2.0, {"units": "m", "positive": "up", "axis": "Z"})),
    "members at a height": fields(member=[0, 1], time=HOURS).assign_coords(
        height=((), 2.0, {"units": "m", "positive": "up"})),
    "noleap": fields(time=xr.date_range("2001-02-27", periods=3, calendar="noleap", use_cftime=True)),
    "360_day": fields(time=xr.date_range("2001-02-28", periods=3, calendar="360_day", use_cftime=True)),
    "means": fields(time=HOURS).assign_coords(
        time_bnds=(("time", "bnds"), np.stack([HOURS - pd.Timedelta("6h"), HOURS], 1))),
    "rain": fields(time=pd.date_range("2024-01-01", periods=3, freq="h")).rename(t2m="tp"),
    "land": fields(time=HOURS).assign(land=(("latitude", "longitude"), np.arange(48).reshape(6, 8) % 2 == 0)),
    "flag": fields(time=HOURS).assign(soil=(("latitude", "longitude"), np.arange(48).reshape(6, 8) % 3,
                                            {"flag_values": [0, 1, 2], "flag_meanings": "sand silt clay"})),
    "gaps": fields(time=HOURS).where(lambda ds: ds.latitude > 50),
    "globe": fields(time=HOURS).assign_coords(latitude=np.linspace(-90, 90, 6), longitude=np.arange(8) * 45.0),
    **{name: on_map(name) for name in MAPS},
}  # fmt: skip
CASES["means"]["time"].attrs["bounds"] = "time_bnds"
CASES["means"]["t2m"].attrs["cell_methods"] = "time: mean"
CASES["rain"]["tp"].attrs = {"units": "kg m-2", "long_name": "precipitation of the hour before"}
CASES["rain"]["tp"].values[:] = abs(CASES["rain"]["tp"].values - 280)


def said(*command: object) -> str:
    """What a command says on standard error; it must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr.strip()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The refined fields of each case in a file."""
    folder = tmp_path_factory.mktemp("written")
    made = {}
    for name, ds in CASES.items():
        fine = remember(BicubicConstrained(2).downscale(ds), "downscaled", model="bicubic+add-x2")
        made[name] = write_dataset(fine, folder / f"{name.replace(' ', '_')}.nc")
    return made


def test_xarray_opens_them_without_a_warning(written: dict[str, Path]) -> None:
    for name, path in written.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with xr.open_dataset(path) as ds:
                assert ds.attrs["Conventions"] == "CF-1.11" and "PhysLab" in ds.attrs["history"], name
                variable = next(v for v in ds.data_vars if str(v) in ("t2m", "tp", "tas"))
                assert "valid_range" not in ds[variable].attrs, name
                values, coarse = ds[variable], CASES[name][variable]
                assert values.dims[0] == "time" or "time" not in coarse.dims
                assert np.isfinite(values).sum() == 4 * np.isfinite(coarse).sum()
                if "time" in coarse.dims:
                    assert (ds["time"].values == coarse["time"].values).all(), name
                for coordinate in ds.coords:
                    assert "_FillValue" not in ds[coordinate].encoding, (name, coordinate)


def test_cdo_opens_them_without_a_warning(written: dict[str, Path]) -> None:
    if shutil.which("cdo") is None:
        pytest.skip("needs cdo: apt-get install cdo")
    for name, path in written.items():
        warned = said("cdo", "-s", "sinfo", path)
        assert "arning" not in warned, (name, warned)
    names = subprocess.run(["cdo", "-s", "showname", str(written["members"])], capture_output=True, text=True).stdout
    assert names.split() == ["t2m"]
    grid = subprocess.run(["cdo", "-s", "sinfo", str(written["globe"])], capture_output=True, text=True).stdout
    assert "cellbounds" in grid


def test_nco_opens_them_without_a_warning(written: dict[str, Path]) -> None:
    if shutil.which("ncks") is None:
        pytest.skip("needs nco: apt-get install nco")
    for name, path in written.items():
        assert said("ncks", "-m", path) == "", name


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.8", "1.11"])
def test_the_checker_finds_no_error(written: dict[str, Path], version: str) -> None:
    if not CHECKER.is_file():
        pytest.skip("needs compliance-checker: pip install 'physlab[test]'")
    done = subprocess.run([CHECKER, "--test", f"cf:{version}", *written.values()], capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if line.strip() == "Errors"]
    assert done.stdout.count("Checker Report") == len(written) and not errors, done.stdout


def test_edges_are_those_of_the_refined_cells(written: dict[str, Path]) -> None:
    """Near the poles the edges are not half way: only with them anybody can check what is conserved."""
    with xr.open_dataset(written["globe"]) as ds:
        edges = np.sin(np.deg2rad(ds["latitude_bnds"].values))
        assert ds["latitude_bnds"].values[[0, -1], [0, 1]].tolist() == [-90, 90]
        mean = coarsen(ds["t2m"].values.astype(float), 2, np.abs(np.diff(edges, axis=1)))
        np.testing.assert_allclose(mean, CASES["globe"]["t2m"], rtol=1e-6)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_attributes_of_any_kind(suffix: str, tmp_path: Path) -> None:
    odd = {"nothing": None, "yes": True, "many": {"a": [1, {"b": None}]}, "words": ["a", "b"], "mixed": [1, "a"],
           "count": np.int64(3), "big": 2**40, "half": np.float16(0.5), "row": np.arange(3),
           "empty": [], "nan": np.nan,
           "text": "Zürich ≤ 3", "a/b": 1, "_NCProperties": "x", "when": np.datetime64("2020-01-01"),
           "flag": np.bool_(1), "c": 1j, "bytes": b"abc", "table": np.eye(2), 7: "seven"}  # fmt: skip
    ds = fields(time=HOURS).assign_attrs(odd)
    ds["t2m"].attrs |= odd
    ds["latitude"].attrs |= odd
    path = write_dataset(ds, tmp_path / f"odd{suffix}")
    with xr.open_dataset(path, engine="zarr" if suffix == ".zarr" else "h5netcdf") as back:
        for attrs in (back.attrs, back["t2m"].attrs):
            assert (
                attrs["many"] == '{"a": [1, {"b": null}]}' and attrs["yes"] == "true" and attrs["text"] == odd["text"]
            )
            assert attrs["count"] == 3 and attrs["big"] == 2**40 and attrs["half"] == 0.5 and attrs["a_b"] == 1
            assert list(attrs["row"]) == [0, 1, 2] and attrs["nothing"] == "null" and "_NCProperties" not in attrs


def test_labels_of_members_are_kept(written: dict[str, Path]) -> None:
    with xr.open_dataset(written["members"]) as ds:
        assert ds["member"].values.tolist() == [4, 7]
    with xr.open_dataset(written["named members"]) as ds:
        assert ds["member"].attrs["flag_meanings"] == "r1i1p1 r2i1p1"


def test_units_as_udunits_knows_them() -> None:
    for given, wanted in (
        ("kg m**-2", "kg m-2"),
        ("m s^-1", "m s-1"),
        ("(0 - 1)", "1"),
        ("degC", "degC"),
        ("hPa", "hPa"),
    ):
        assert attributes.tidy_units({"units": given})["units"] == wanted
    assert attributes.tidy_units({"units": "widgets"}) == {"units_of_input": "widgets"}


def test_chunks_are_neither_tiny_nor_huge() -> None:
    for shape in ((48, 2884, 5760), (48, 721, 1440), (744, 132, 196), (30000, 16, 20), (2884, 5760), (10, 5, 300, 301)):
        made = layout.plan(xr.DataArray(np.broadcast_to(np.float32(0), shape)))
        size = 4 * np.prod(made.chunks)
        assert size <= layout.CHUNK and size >= min(layout.CHUNK // 16, 4 * np.prod(shape)), (shape, made)
        assert all(s == n or s % c == 0 for s, c, n in zip(made.sizes, made.chunks, shape, strict=True))
        assert sum(1 for _ in made.blocks()) == len(made)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhysLabError, match="Zarr format 4: choose 2"):
        write_dataset(fields(), tmp_path / "x.zarr", zarr_format=4)
    with pytest.raises(PhysLabError, match=r"must end in \.nc"):
        write_dataset(fields(), tmp_path / "x.grib")


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_words_come_back_as_words(name, tmp_path) -> None:
    when = np.array(["forecast", "analysis, as it came"])
    names = xr.DataArray(["Zürich", "Oslo", ""], dims="station", attrs={"long_name": "name of the station"})
    z = xr.DataArray(np.zeros((2, 3)), dims=("when", "station"), coords={"when": when}, attrs={"units": "m2 s-2"})
    path = write_dataset(xr.Dataset({"z": z}, {"name": names}), tmp_path / name)
    opened = xr.open_zarr if name.endswith("zarr") else xr.open_dataset
    with opened(path or tmp_path / name) as found:
        assert found["when"].values.tolist() == when.tolist()
        assert found["z"].sel(when="forecast").shape == (3,)
        assert found["name"].values.tolist() == names.values.tolist()
        assert not [key for key in found["when"].attrs if "Encoding" in key]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16"])
def test_what_is_written_block_by_block_keeps_its_type(tmp_path, suffix, kind):
    values = np.arange(3 * 400 * 500).reshape(3, 400, 500) % 1000
    ds = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values.astype(kind), {"units": "K"})},
        {"time": np.datetime64("2024-01-01", "ns") + np.arange(3) * np.timedelta64(1, "h"),
         "latitude": np.linspace(60.0, 40.0, 400), "longitude": np.linspace(0.0, 25.0, 500)},
    )  # fmt: skip
    assert ds["t2m"].nbytes > layout.SMALL
    path = write_dataset(ds.chunk(time=1), tmp_path / f"out{suffix}") or tmp_path / f"out{suffix}"
    with xr.open_dataset(path, engine="zarr" if suffix == ".zarr" else None, chunks={}) as written:
        assert written["t2m"].dtype == kind and (written["t2m"].values == ds["t2m"].values).all()
