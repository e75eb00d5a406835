"""Heights of every kind: pressure is `level` in hPa, and nothing else is called so."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.data import account
from physlab.errors import FieldError
from tests.data.ingest.made import COUNTINGS, LATITUDE, message, truth

LONGITUDE = COUNTINGS["from 0"]


def levels(folder, name: str, values, attrs: dict, data_name: str = "t") -> xr.Dataset:
    """A file with one field on levels, opened."""
    stack = truth(len(values), LONGITUDE)
    ds = xr.Dataset({data_name: ((name, "lat", "lon"), stack, {"units": "K"})},
                    {name: (name, values, attrs), "lat": ("lat", LATITUDE), "lon": ("lon", LONGITUDE)})  # fmt: skip
    ds.to_netcdf(folder / "file.nc")
    return physlab.open_dataset(folder / "file.nc")


@pytest.mark.parametrize(
    ("name", "values", "attrs"),
    [
        ("plev", [85000.0, 50000.0, 25000.0], {"units": "Pa", "standard_name": "air_pressure", "positive": "down"}),
        ("level", [850, 500, 250], {"units": "millibars"}),
        ("lev", [850.0, 500.0, 250.0], {"units": "hPa", "standard_name": "air_pressure"}),
        (
            "pressure_level",
            [850.0, 500.0, 250.0],
            {"units": "hPa", "positive": "down", "stored_direction": "decreasing"},
        ),
        ("isobaricInhPa", [850.0, 500.0, 250.0], {"units": "hPa"}),
        ("p", [85.0, 50.0, 25.0], {"units": "kPa", "standard_name": "air_pressure"}),
        ("level", [850, 500, 250], {}),
        ("plev", [85000.0, 50000.0, 25000.0], {}),
        ("lev", [85000.0, 50000.0, 25000.0], {}),
        ("pfull", [850.0, 500.0, 250.0], {"units": "mb", "axis": "Z"}),
    ],
)
def test_pressure_in_any_unit_and_name_is_level_in_hpa(name, values, attrs, tmp_path) -> None:
    ds = levels(tmp_path, name, values, attrs)
    assert ds["t"].dims == ("level", "latitude", "longitude") and ds["level"].attrs["units"] == "hPa"
    assert ds["level"].values.tolist() == [850, 500, 250]
    np.testing.assert_allclose(ds["t"].sel(level=500), truth(3, LONGITUDE)[1])
    assert "level is pressure, 850 to 250 hPa" in account(ds)
    assert attrs.get("units") or "taken as pressure" in account(ds)


@pytest.mark.parametrize(
    ("name", "values", "standard_name", "attrs", "called"),
    [
        ("lev", [5.0, 15.0, 30.0], "depth", {"units": "m", "positive": "down", "axis": "Z"}, "depth"),
        ("level", [5.0, 15.0, 30.0], "height", {"units": "m", "positive": "up"}, "height"),
        ("lev", [20.0, 80.0, 200.0], "atmosphere_hybrid_height_coordinate", {"units": "m"}, "model_level"),
        ("lev", [0.99, 0.5, 0.1], "atmosphere_sigma_coordinate", {"units": "1", "positive": "down"}, "model_level"),
        ("lev", [992.0, 500.0], "atmosphere_hybrid_sigma_pressure_coordinate", {"units": "hPa"}, "model_level"),
        ("lev", [992.0, 500.0], "", {"units": "level", "long_name": "hybrid level (1000*(A+B))"}, "model_level"),
        ("level", [1, 2, 3], "", {}, "model_level"),
        ("level", [135, 136, 137], "", {"long_name": "model level number"}, "model_level"),
        ("depth", [5.0, 15.0, 30.0], "", {"units": "m", "positive": "down"}, "depth"),
        ("height", [2.0, 10.0, 100.0], "", {"units": "m"}, "height"),
        ("theta", [300.0, 320.0], "air_potential_temperature", {"units": "K", "axis": "Z"}, "theta"),
        ("soil_layer", [1, 2, 3], "", {}, "soil_layer"),
    ],
)  # fmt: skip
def test_depths_heights_and_model_levels_are_never_pressure(
    name, values, standard_name, attrs, called, tmp_path
) -> None:
    attrs = {**attrs, **({"standard_name": standard_name} if standard_name else {})}
    ds = levels(tmp_path, name, values, attrs)
    assert "level" not in ds.coords and called in ds["t"].dims, ds["t"].dims
    assert ds[called].values.tolist() == values and ds[called].attrs.get("units") == attrs.get("units")
    assert "air_pressure" not in str(ds[called].attrs) and "is pressure" not in account(ds)
    assert called == "soil_layer" or "not pressure" in account(ds)
    # a second pass, as methods make it, does not either
    assert "level" not in physlab.fields.standardise(ds).dims


def test_pressure_that_cannot_be_is_refused(tmp_path) -> None:
    with pytest.raises(
        FieldError, match=r"file\.nc': pressure 'plev' reaches from 85000 to 25000 hPa, .*no pressure on Earth"
    ):
        levels(tmp_path, "plev", [85000.0, 50000.0, 25000.0], {"units": "hPa"})


def test_a_dimension_of_length_one_goes_and_is_said(tmp_path) -> None:
    ds = levels(tmp_path, "height", [2.0], {"units": "m"}, "t2m")
    assert (
        ds["t2m"].dims == ("latitude", "longitude")
        and float(ds["height"]) == 2
        and "height of length one" in account(ds)
    )


@pytest.mark.parametrize("edition", [1, 2])
def test_levels_of_grib(edition, tmp_path) -> None:
    stack = truth(3, LONGITUDE)
    parts = [
        message(f, LATITUDE, LONGITUDE, edition, shortName="t", level=level)
        for f, level in zip(stack, (850, 500, 250), strict=True)
    ]
    (tmp_path / "p.grib").write_bytes(b"".join(parts))
    ds = physlab.open_dataset(tmp_path / "p.grib")
    np.testing.assert_allclose(ds["t"].sel(level=500), stack[1], atol=1e-3)
    assert float(physlab.open_dataset(f"{tmp_path / 'p.grib'}::level=250")["t"].mean()) == pytest.approx(
        stack[2].mean(), abs=1e-3
    )
    parts.append(message(stack[0], LATITUDE, LONGITUDE, edition, shortName="2t"))
    parts.append(message(stack[0] * 0 + 3, LATITUDE, LONGITUDE, edition, shortName="10u"))
    parts.append(message(stack[0] * 0 + 1e5, LATITUDE, LONGITUDE, edition, shortName="sp"))
    (tmp_path / "m.grib").write_bytes(b"".join(parts))
    ds = physlab.open_dataset(tmp_path / "m.grib")
    assert set(ds.data_vars) == {"t", "t2m", "u10", "sp"} and ds["t2m"].dims == ("latitude", "longitude")
    np.testing.assert_allclose(ds["t"].sel(level=850), stack[0], atol=1e-3)
    assert edition == 1 or "kinds of levels together" in account(ds)
    assert list(physlab.open_dataset(f"{tmp_path / 'm.grib'}::shortName=2t").data_vars) == ["t2m"]


def test_parts_of_grib_that_do_not_fit_are_named_with_the_way_to_them(tmp_path) -> None:
    parts = [message(truth(1)[0], LATITUDE, LONGITUDE, 2, shortName="2t", date="2024-01-01T00"),
             message(truth(1)[0], LATITUDE, LONGITUDE, 2, shortName="2t", date="2024-01-01T06"),
             message(truth(1)[0] * 0 + 9e4, LATITUDE, LONGITUDE, 2, shortName="sp", date="2024-01-02T00")]  # fmt: skip
    (tmp_path / "m.grib").write_bytes(b"".join(parts))
    ds = physlab.open_dataset(tmp_path / "m.grib")
    assert list(ds.data_vars) == ["t2m"] and ds.sizes["time"] == 2
    assert "left out sp, whose times, levels or grids differ: choose them with" in account(
        ds
    ) and "shortName=sp" in account(ds)
    assert list(physlab.open_dataset(f"{tmp_path / 'm.grib'}::shortName=sp").data_vars) == ["sp"]


def test_accumulations_of_grib_say_so(tmp_path) -> None:
    rain = truth(1)[0] * 0 + 0.004  # m
    keys = {"shortName": "tp", "productDefinitionTemplateNumber": 8, "stepType": "accum", "stepRange": "0-6"}
    (tmp_path / "r.grib").write_bytes(message(rain, LATITUDE, LONGITUDE, 2, **keys))
    ds = physlab.open_dataset(tmp_path / "r.grib")
    assert ds["tp"].attrs["units"] == "kg m-2" and ds["tp"].attrs["cell_methods"] == "time: sum"
    np.testing.assert_allclose(ds["tp"], 4.0, rtol=1e-4)
    assert str(ds["time"].values)[:13] == "2024-01-01T06" and "hour before" not in str(ds["tp"].attrs)
