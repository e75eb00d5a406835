"""Files that are not what they are called, that are damaged, packed, empty, or many."""

from __future__ import annotations

import gzip
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
import xarray as xr

import physlab
from physlab import cli
from physlab.data import account
from physlab.data.guard import open_checked
from physlab.errors import FieldError
from tests.data.ingest.made import COUNTINGS, LATITUDE, dataset, message, truth, write


@pytest.fixture
def whole(tmp_path):
    """A sound file of each format, by format."""
    made = {}
    for form in ("netcdf3", "netcdf4", "grib1", "grib2"):
        (tmp_path / form).mkdir()
        made[form] = write(dataset(), tmp_path / form, form)
    return made


def refused(path) -> str:
    with pytest.raises(FieldError) as error:
        physlab.open_dataset(path)
    text = str(error.value)
    assert "\n" not in text and str(path).split("::")[0] in text, text
    return text


def test_what_a_file_is_instead_is_said_with_the_way_out(whole, tmp_path) -> None:
    content = whole["netcdf4"].read_bytes()
    with zipfile.ZipFile(tmp_path / "a.nc", "w") as archive:
        archive.writestr("data_stream-oper.nc", content)
    assert "ZIP archive of data_stream-oper.nc: unpack it first, with unzip" in refused(tmp_path / "a.nc")
    (tmp_path / "b.nc").write_bytes(gzip.compress(content))
    assert "packed with gzip: unpack it first, with gunzip" in refused(tmp_path / "b.nc")
    with tarfile.open(tmp_path / "c.nc", "w") as archive:
        archive.add(whole["netcdf4"], "x.nc")
    assert "tar archive" in refused(tmp_path / "c.nc")
    (tmp_path / "d.nc").write_text("<!DOCTYPE html><html><body>Sign in</body></html>\n")
    assert "web page ('Sign in')" in refused(tmp_path / "d.nc")
    (tmp_path / "e.nc").write_bytes(b"")
    assert "empty, 0 bytes" in refused(tmp_path / "e.nc")
    (tmp_path / "f.nc").write_text("lat,lon,value\n1,2,3\n")
    assert "it is text ('lat,lon,value" in refused(tmp_path / "f.nc")
    (tmp_path / "g.nc").write_bytes(bytes(range(256)) * 20)
    assert "cannot read" in refused(tmp_path / "g.nc")
    (tmp_path / "h").mkdir()
    assert "holds no NetCDF file" in refused(tmp_path / "h")
    with pytest.raises(FileNotFoundError, match="check the path"):
        physlab.open_dataset(tmp_path / "i.nc")
    ds = dataset()
    ds.to_zarr(tmp_path / "z.zarr", zarr_format=2)
    assert "is one array of a Zarr store" in refused(tmp_path / "z.zarr" / "t2m")


@pytest.mark.parametrize("form", ["netcdf3", "netcdf4", "grib1", "grib2"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_files_that_are_cut_off_are_refused(form, share, whole) -> None:
    content = whole[form].read_bytes()
    whole[form].write_bytes(content[: int(share * len(content))])
    assert "get it again, whole" in refused(whole[form])


def test_groups_are_named_and_chosen(tmp_path) -> None:
    dataset().to_netcdf(tmp_path / "g.nc", group="Grid")
    assert f"{tmp_path / 'g.nc'}::group=Grid" in refused(tmp_path / "g.nc")
    np.testing.assert_allclose(physlab.open_dataset(f"{tmp_path / 'g.nc'}::group=Grid")["t2m"], truth())
    assert "is there a group 'no'" in refused(f"{tmp_path / 'g.nc'}::group=no")
    dataset().to_zarr(tmp_path / "g.zarr", group="a", zarr_format=2)
    assert "::group=a" in refused(tmp_path / "g.zarr")
    np.testing.assert_allclose(physlab.open_dataset(f"{tmp_path / 'g.zarr'}::group=a")["t2m"], truth())
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["values"] = np.zeros((4, 5))
    assert "no latitude" in refused(tmp_path / "plain.h5")


def test_parts_are_chosen_by_key(tmp_path) -> None:
    path = tmp_path / "f.nc"
    ds = dataset(times=8).assign(u10=(dataset(times=8)["t2m"] * 0 + 3).assign_attrs(units="m s-1"))
    ds.to_netcdf(path)
    assert physlab.open_dataset(f"{path}::time=2001-02-28").sizes["time"] == 4
    assert physlab.open_dataset(f"{path}::time=2:5").sizes["time"] == 3
    assert list(physlab.open_dataset(f"{path}::variable=u10").data_vars) == ["u10"]
    assert "chosen variable=t2m+u10" in account(physlab.open_dataset(f"{path}::variable=t2m+u10,time=0:1"))
    for wrong, words in (
        ("level=500", "nothing to choose by level"),
        ("variable=x", "has no x: it has t2m, u10"),
        ("time=1999", "no time"),
    ):
        with pytest.raises(FieldError, match=words):
            physlab.open_dataset(f"{path}::{wrong}")
    cli.main(["downscale", f"{path}::time=0:1,variable=t2m", "nearest-x2", str(tmp_path / "out.nc")])
    assert xr.open_dataset(tmp_path / "out.nc")["t2m"].shape == (1, 16, 20)


# --- folders ----------------------------------------------------------------------------------------------------------
def test_months_that_overlap_are_put_together_once(tmp_path) -> None:
    ds = dataset(times=6)
    ds.isel(time=slice(0, 4)).to_netcdf(tmp_path / "b.nc")
    ds.isel(time=slice(3, 6)).assign_coords(latitude=LATITUDE + 1e-7).to_netcdf(tmp_path / "a.nc")
    found = physlab.open_dataset(tmp_path)
    np.testing.assert_allclose(found["t2m"], truth(6))
    assert "1 times that stand twice" in account(found) and "moved by at most 1e-07" in account(found)
    (ds.isel(time=[3]) + 1).assign_attrs(ds.attrs).map(lambda da: da.assign_attrs(units="K")).to_netcdf(
        tmp_path / "c.nc"
    )
    assert "time 2001-02-28T06:00 stands twice with different values" in refused(tmp_path)


def test_variables_of_several_files_and_one_time_each(tmp_path) -> None:
    ds = dataset(times=3)
    for number in range(3):
        ds.isel(time=number).to_netcdf(tmp_path / f"t_{number}.nc")
        wind = (ds["t2m"].isel(time=number) * 0 + 2).assign_attrs(units="m s-1")
        wind.to_dataset(name="u10").to_netcdf(tmp_path / f"u_{number}.nc")
    (tmp_path / "README.txt").write_text("notes")
    found = physlab.open_dataset(tmp_path)
    assert set(found.data_vars) == {"t2m", "u10"} and found["u10"].shape == (3, 8, 10)
    np.testing.assert_allclose(found["t2m"], truth())


def test_a_folder_of_grib_and_one_that_does_not_fit(tmp_path) -> None:
    for number, hour in enumerate(("00", "06", "12")):
        one = message(truth(3)[number], LATITUDE, COUNTINGS["from 0"], 2, shortName="2t", date=f"2024-01-01T{hour}")
        (tmp_path / f"{hour}.grib2").write_bytes(one)
    found = physlab.open_dataset(tmp_path)
    np.testing.assert_allclose(found["t2m"], truth(3), atol=1e-3)
    other = message(truth(1)[0], LATITUDE + 1, COUNTINGS["from 0"], 2, shortName="2t", date="2024-01-01T18")
    (tmp_path / "18.grib2").write_bytes(other)
    text = refused(tmp_path)
    assert "latitude of '18.grib2' has 8 values from 59, that of '00.grib2' 8 from 58" in text


# --- commands ---------------------------------------------------------------------------------------------------------
def test_commands_tell_the_account_once_and_a_refusal_is_one_line(tmp_path, capsys) -> None:
    path, out = tmp_path / "f.nc", tmp_path / "out.nc"
    ds = dataset()
    ds["t2m"] = (ds["t2m"] - 273.15).assign_attrs(units="degC")
    ds.to_netcdf(path)
    cli.main(["downscale", str(path), "nearest-x2", str(out)])
    told = capsys.readouterr().err
    assert told.count("PhysLab read f.nc: t2m is air_temperature in K") == 1 and "changed: t2m from degC to K" in told
    assert account(xr.open_dataset(out)).startswith("PhysLab read f.nc")
    ds["t2m"].attrs["units"] = "m"
    ds.to_netcdf(path)
    with pytest.raises(SystemExit):
        cli.main(["downscale", str(path), "nearest-x2", str(out)])
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "has units 'm'" in told


def test_a_zip_store_is_opened_by_the_commands_too(tmp_path) -> None:
    path = write(dataset(), tmp_path, "zarr.zip")
    np.testing.assert_allclose(open_checked(path)["t2m"], truth())
