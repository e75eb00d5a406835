"""The door between xarray and tensors: names, round trips, normalisation, and errors that are one line each."""

import numpy as np
import pytest
import torch
import xarray as xr

from physlab import fields
from physlab.errors import FieldError
from physlab.fields import Scaling, check_divisible, check_finite, crop_to_multiple, standardise, to_dataset, to_tensor
from physlab.grid import Grid

LAT, LON = np.linspace(58.0, 50.0, 8), np.arange(-10.0, 2.0, 1.0)
TIME = np.array(["2019-03-01T00", "2019-03-01T01", "2019-03-01T02"], dtype="datetime64[ns]")


@pytest.fixture
def ds() -> xr.Dataset:
    rng = np.random.default_rng(0)
    coords = {"time": TIME, "level": [850, 500], "latitude": LAT, "longitude": LON}
    return xr.Dataset(
        {
            "t": (("time", "level", "latitude", "longitude"), rng.normal(270, 5, (3, 2, 8, 12))),
            "tcw": (("time", "latitude", "longitude"), rng.gamma(2, 5, (3, 8, 12)), {"units": "kg m-2"}),
        },
        coords,
    )


def message(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 400, text
    return text


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "attrs"),
    [
        (("latitude", "longitude"), ({}, {})),
        (("LAT", "Lon"), ({}, {})),
        (("a", "b"), ({"standard_name": "latitude"}, {"standard_name": "longitude"})),
        (("a", "b"), ({"units": "degrees_north"}, {"units": "degrees_east"})),
        (("a", "b"), ({"units": "degreeN"}, {"units": "degree_E"})),
        (("a", "b"), ({"axis": "Y"}, {"axis": "X"})),
    ],
)
def test_coordinates_are_found_by_name_or_attribute(names, attrs):
    da = xr.DataArray(
        np.zeros((8, 12)), coords={names[0]: (names[0], LAT, attrs[0]), names[1]: (names[1], LON, attrs[1])}, dims=names
    )
    assert (fields.latitude_name(da), fields.longitude_name(da)) == names
    out = standardise(da)
    assert out.dims == ("latitude", "longitude") and np.array_equal(out.latitude, LAT)
    assert out.latitude.attrs["standard_name"] == "latitude" and out.longitude.attrs["units"] == "degrees_east"


def test_netcdf_without_latitude(tmp_path):
    path = tmp_path / "field.nc"
    xr.Dataset({"t": (("y", "x"), np.zeros((4, 4)))}).to_netcdf(path)
    with xr.open_dataset(path) as raw, pytest.raises(FieldError) as error:
        standardise(raw)
    text = message(error)
    assert "no latitude coordinate" in text and "(y, x)" in text and "mapping={'y': 'latitude'}" in text


def test_a_dimension_without_values_is_not_a_coordinate():
    raw = xr.Dataset({"t": (("row", "column"), np.zeros((4, 4)))})
    with pytest.raises(FieldError) as error:
        standardise(raw)
    assert "mapping={'row': 'latitude'}" in message(error)
    with pytest.raises(FieldError) as error:
        standardise(raw, mapping={"row": "latitude"})
    assert "assign_coords(latitude=" in message(error)


def test_curvilinear_grid_is_refused():
    two = np.zeros((4, 5))
    raw = xr.Dataset({"t": (("y", "x"), two)}, {"lat": (("y", "x"), two), "lon": (("y", "x"), two)})
    with pytest.raises(FieldError) as error:
        to_tensor(raw, "t")
    assert "curvilinear" in message(error) and "interpolate" in message(error)


def test_mapping_renames_dimensions_coordinates_and_variables():
    raw = xr.Dataset({"TCWV": (("y", "x"), np.ones((8, 12)))}, {"y": LAT, "x": LON})
    out = standardise(raw, mapping={"y": "latitude", "x": "longitude", "TCWV": "tcw"})
    assert to_tensor(out, "tcw").shape == (1, 1, 8, 12)
    with pytest.raises(FieldError) as error:
        standardise(raw, mapping={"yy": "latitude"})
    assert "yy" in message(error) and "TCWV" in message(error)


def test_a_coordinate_beside_its_dimension_becomes_the_dimension():
    raw = xr.Dataset({"t": (("y", "x"), np.ones((8, 12)))}, {"lat": ("y", LAT), "lon": ("x", LON)})
    assert standardise(raw)["t"].dims == ("latitude", "longitude")


def test_time_is_decoded_levels_become_hpa_members_are_found():
    raw = xr.Dataset(
        {"t": (("number", "valid_time", "plev", "lat", "lon"), np.ones((2, 3, 2, 8, 12)))},
        {
            "number": [0, 1],
            "valid_time": ("valid_time", [0, 1, 2], {"units": "hours since 2019-03-01"}),
            "plev": ("plev", [85000.0, 50000.0], {"units": "Pa", "standard_name": "air_pressure"}),
            "lat": LAT,
            "lon": LON,
        },
    )
    out = standardise(raw)
    assert out["t"].dims == ("member", "time", "level", "latitude", "longitude")
    assert np.array_equal(out.time.values, TIME) and list(out.level.values) == [850, 500] and out.level.units == "hPa"
    assert to_tensor(raw, "t").shape == (2, 3, 2, 8, 12)


def test_order_as_stored_is_kept(ds):
    assert np.array_equal(standardise(ds).latitude, LAT)  # north to south, as in ERA5
    assert torch.equal(to_tensor(ds, "tcw")[1, 0], torch.tensor(ds.tcw.values[1], dtype=torch.float32))


# --- tensors ----------------------------------------------------------------------------------------------------------


def test_round_trip(ds):
    x = to_tensor(ds, ["tcw", "t"], dtype=torch.float64)
    assert x.shape == (3, 3, 8, 12)
    assert torch.equal(x[:, 0], torch.tensor(ds.tcw.values)) and torch.equal(x[:, 1:], torch.tensor(ds.t.values))
    back = to_dataset(x, ds, ["tcw", "t"])
    xr.testing.assert_equal(back[["t", "tcw"]], ds)
    assert back.tcw.attrs["units"] == "kg m-2" and back.t.attrs["standard_name"] == "air_temperature"


def test_dims_may_be_stored_in_any_order(ds):
    turned = ds.transpose("longitude", "level", "time", "latitude")
    assert torch.equal(to_tensor(turned, ["tcw", "t"]), to_tensor(ds, ["tcw", "t"]))


def test_a_downscaled_tensor_takes_its_own_grid_and_members(ds):
    fine = Grid(np.linspace(58.25, 49.75, 16), np.arange(-10.25, 1.75, 0.5))
    out = to_dataset(torch.ones(5, 3, 1, 16, 24), ds, "tcw", grid=fine)
    assert dict(out.sizes) == {"member": 5, "time": 3, "latitude": 16, "longitude": 24}
    assert np.array_equal(out.latitude, fine.latitude) and out.tcw.dtype == np.float32
    with pytest.raises(FieldError) as error:
        to_dataset(torch.ones(3, 1, 16, 24), ds, "tcw")
    assert "grid=" in message(error)


def test_a_single_time_gets_a_time_axis(ds):
    x = to_tensor(ds.tcw.isel(time=1))
    assert x.shape == (1, 1, 8, 12)
    assert to_dataset(x, ds.isel(time=1), "tcw").time.values[0] == TIME[1]


def test_half_precision_and_gradients_leave_through_the_door(ds):
    x = to_tensor(ds, "tcw", dtype=torch.bfloat16).requires_grad_()
    assert to_dataset(x, ds, "tcw").tcw.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda ds: to_tensor(ds, "rain"), ("rain", "tcw")),
        (lambda ds: to_tensor(ds.expand_dims(month=2), "tcw"), ("month", "isel")),
        (lambda ds: to_tensor(xr.Dataset(coords=ds.coords)), ("no variable",)),
        (lambda ds: to_dataset(torch.ones(3, 2, 8, 12), ds, "tcw"), ("2 channels", "1")),
        (lambda ds: to_dataset(torch.ones(2, 1, 8, 12), ds, "tcw"), ("2 times", "3")),
        (lambda ds: to_dataset(torch.ones(8, 12), ds, "tcw"), ("(8, 12)",)),
    ],
)
def test_errors_say_what_came_and_what_to_do(ds, call, words):
    with pytest.raises(FieldError) as error:
        call(ds)
    text = message(error)
    assert all(word in text for word in words), text


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_counted_and_placed(ds, bad):
    ds.tcw[1, 2, 3:5] = bad
    for call in (lambda: check_finite(ds.tcw), lambda: to_tensor(ds, "tcw")):
        with pytest.raises(FieldError) as error:
            call()
        text = message(error)
        assert (
            "2 NaN or infinite values of 288" in text
            and "time=1, latitude=2, longitude=3" in text
            and "interpolate_na" in text
        )


def test_indivisible_grid_names_the_largest_crop_and_the_call(ds):
    check_divisible((3, 1, 8, 12), 4)
    with pytest.raises(FieldError) as error:
        check_divisible((33, 49), 4)
    text = message(error)
    assert "33 x 49" in text and "32 x 48" in text and "crop_to_multiple(ds, 4)" in text
    assert crop_to_multiple(ds, 5).tcw.shape == (3, 5, 10)
    with pytest.raises(FieldError) as error:
        crop_to_multiple(ds, 9)
    assert "smaller than factor 9" in message(error)


# --- normalisation ----------------------------------------------------------------------------------------------------


def test_scaling_of_a_non_negative_field_has_no_offset():
    x = torch.rand(5, 2, 4, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([70.0, 2.0])[:, None, None]
    scaling = Scaling.fit(x, non_negative=True)
    assert scaling.offset == (0.0, 0.0) and scaling.scale == pytest.approx(x.amax((0, 2, 3)).tolist())
    y = scaling.apply(x)
    assert y.min() >= 0 and y.max() == 1 and torch.allclose(scaling.invert(y), x)
    assert scaling.apply(torch.zeros_like(x)).abs().max() == 0
    assert Scaling.fit(x, non_negative=True, reduce="std").scale == pytest.approx(
        x.std((0, 2, 3), correction=0).tolist()
    )


def test_scaling_of_a_temperature_centres_each_channel():
    x = 280 + 5 * torch.randn(50, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scaling = Scaling.fit(x, non_negative=False)
    y = scaling.apply(x)
    assert y.mean((0, 2, 3)).abs().max() < 1e-12 and torch.allclose(
        y.std((0, 2, 3), correction=0), torch.ones(2, dtype=torch.float64)
    )
    assert Scaling.from_dict(scaling.to_dict()) == scaling


def test_scaling_survives_constant_channels_and_refuses_nonsense():
    assert Scaling.fit(torch.zeros(2, 1, 4, 4), non_negative=True).scale == (1.0,)
    with pytest.raises(FieldError) as error:
        Scaling((0.0,), (0.0,))
    message(error)
    with pytest.raises(FieldError) as error:
        Scaling((0.0, 0.0), (1.0, 1.0)).apply(torch.zeros(1, 3, 4, 4))
    assert "3" in message(error)


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "engine", "shape"),
    [
        ("era5-uk-t2m/era5-2mt-2019-03-uk.grib", "cfgrib", (744, 1, 33, 49)),
        ("era5-ensemble/era5-levels-members.grib", "cfgrib", (10, 4, 4, 61, 120)),
        ("era5-upper-air/met-accf-pl.nc", None, (3, 63, 45, 133)),
        ("era5-moisture/ERA5_2020-01-01_tcw.nc", None, (24, 1, 41, 41)),
    ],
)
def test_real_files_cross_the_door(real_data, file, engine, shape):
    options = {"engine": "cfgrib", "backend_kwargs": {"indexpath": ""}} if engine else {}
    with xr.open_dataset(real_data / file, **options) as raw:
        out = standardise(raw)
        x = to_tensor(out)
        assert x.shape == shape and out.latitude.values[0] > out.latitude.values[-1]
        back = to_dataset(x, out, list(out.data_vars))
        for name in out.data_vars:
            assert np.allclose(back[name].transpose(*out[name].dims), out[name], rtol=1e-6, atol=0)


@pytest.mark.real_data
def test_a_real_lambert_grid_is_refused_in_one_line(real_data):
    path = real_data / "nam-snapshot/nam.t00z.awp21100.tm00.grib2"
    options = {
        "engine": "cfgrib",
        "backend_kwargs": {"indexpath": "", "filter_by_keys": {"typeOfLevel": "isobaricInhPa", "shortName": "t"}},
    }
    with xr.open_dataset(path, **options) as raw, pytest.raises(FieldError) as error:
        standardise(raw)
    assert "curvilinear" in message(error)
