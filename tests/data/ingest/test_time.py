"""When a field holds: forecasts, calendars, unusual units and orders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import physlab
from physlab.data import account
from physlab.errors import FieldError
from tests.data.ingest.made import COUNTINGS, LATITUDE, dataset, message, truth, write

LONGITUDE = COUNTINGS["from 0"]


def times(ds: xr.Dataset) -> list[str]:
    return [str(t)[:13].replace(" ", "T") for t in np.atleast_1d(ds["time"].values)]


def grib(path, starts, steps, edition=2, **keys):
    """2t of each start and step; the value is the hour at which it holds."""
    parts = []
    for start in starts:
        for step in steps:
            hour = (np.datetime64(start) - np.datetime64("2024-01-01T00")) / np.timedelta64(1, "h") + step
            field = np.full((LATITUDE.size, LONGITUDE.size), 200.0 + hour)
            given = {"shortName": "2t", "step": step, **keys}
            parts.append(message(field, LATITUDE, LONGITUDE, edition, np.datetime64(start), **given))
    path.write_bytes(b"".join(parts))
    return path


# --- GRIB -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("edition", [1, 2])
def test_a_forecast_holds_at_its_valid_time(edition, tmp_path) -> None:
    ds = physlab.open_dataset(grib(tmp_path / "f.grib", ["2024-01-01T00"], [27], edition))
    assert times(ds) == ["2024-01-02T03"] and float(ds["t2m"].mean()) == pytest.approx(227)
    assert "forecast, started 2024-01-01T00:00, lead time 27 h" in account(ds)


@pytest.mark.parametrize("edition", [1, 2])
def test_steps_of_one_start_follow_one_another(edition, tmp_path) -> None:
    ds = physlab.open_dataset(grib(tmp_path / "f.grib", ["2024-01-01T12"], [0, 6, 12, 18], edition))
    assert times(ds) == ["2024-01-01T12", "2024-01-01T18", "2024-01-02T00", "2024-01-02T06"]
    np.testing.assert_allclose(ds["t2m"].mean(("latitude", "longitude")), [212, 218, 224, 230])


def test_starts_of_one_step_and_starts_whose_steps_do_not_overlap(tmp_path) -> None:
    ds = physlab.open_dataset(grib(tmp_path / "a.grib", ["2024-01-01T00", "2024-01-01T12"], [24]))
    assert times(ds) == ["2024-01-02T00", "2024-01-02T12"]
    ds = physlab.open_dataset(grib(tmp_path / "b.grib", ["2024-01-01T00", "2024-01-01T06"], [1, 3, 5]))
    assert times(ds) == [f"2024-01-01T{h:02d}" for h in (1, 3, 5, 7, 9, 11)]
    np.testing.assert_allclose(ds["t2m"].mean(("latitude", "longitude")), [201, 203, 205, 207, 209, 211])


def test_overlapping_forecasts_are_chosen_in_words(tmp_path) -> None:
    path = grib(tmp_path / "f.grib", ["2024-01-01T00", "2024-01-01T06"], [0, 6, 12])
    with pytest.raises(
        FieldError, match=r"2 forecasts of 3 lead times.* hold at the same times.*::step=12h.*::base="
    ) as error:
        physlab.open_dataset(path)
    assert "\n" not in str(error.value)
    ds = physlab.open_dataset(f"{path}::step=12h")
    assert times(ds) == ["2024-01-01T12", "2024-01-01T18"]
    ds = physlab.open_dataset(f"{path}::base=2024-01-01T06")
    assert times(ds) == ["2024-01-01T06", "2024-01-01T12", "2024-01-01T18"]
    np.testing.assert_allclose(ds["t2m"].mean(("latitude", "longitude")), [206, 212, 218])
    for wrong, words in (
        ("step=5h", "has no step=5h: it has 0h, 6h, 12h"),
        ("base=2023", "no base=2023"),
        ("step=x", "no lead time"),
    ):
        with pytest.raises(FieldError, match=words):
            physlab.open_dataset(f"{path}::{wrong}")


# --- NetCDF -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("base", "lead"),
    [
        ("forecast_reference_time", "forecast_period"),
        ("init_time", "lead_time"),
        ("time", "prediction_timedelta"),
        ("time", "step"),
    ],
)
@pytest.mark.parametrize("span", ["hours", "timedelta"])
def test_start_and_lead_time_in_netcdf(base, lead, span, tmp_path) -> None:
    field = truth(3, LONGITUDE)[None]
    leads = np.array([0, 6, 12])
    coords = {"latitude": LATITUDE, "longitude": LONGITUDE, base: [np.datetime64("2024-02-28T18", "ns")]}
    spans = (lead, leads, {"units": "hours"}) if span == "hours" else leads * np.timedelta64(3600 * 10**9, "ns")
    ds = xr.Dataset({"t2m": ((base, lead, "latitude", "longitude"), field, {"units": "K"})}, {**coords, lead: spans})
    ds.to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert times(found) == ["2024-02-28T18", "2024-02-29T00", "2024-02-29T06"]
    np.testing.assert_allclose(found["t2m"], field[0])


def test_valid_time_beside_the_start_and_the_lead_time(tmp_path) -> None:
    """CF: the dimension is the valid time; the start is a scalar, the lead time an auxiliary coordinate."""
    ds = dataset().assign_coords(
        forecast_reference_time=(
            (),
            np.datetime64("2001-02-27T00", "ns"),
            {"standard_name": "forecast_reference_time"},
        ),
        forecast_period=("time", [12.0, 18.0, 24.0], {"standard_name": "forecast_period", "units": "hours"}),
    )
    ds["time"].attrs["standard_name"] = "time"
    ds.to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert times(found) == ["2001-02-27T12", "2001-02-27T18", "2001-02-28T00"] and set(found.coords) == set(found.dims)


def test_a_lead_time_without_units_is_refused(tmp_path) -> None:
    ds = (
        dataset()
        .rename(time="lead_time")
        .assign_coords(lead_time=[0, 6, 12], init_time=np.datetime64("2024-01-01", "ns"))
    )
    ds.to_netcdf(tmp_path / "f.nc")
    with pytest.raises(FieldError, match=r"lead time 'lead_time' has units ''.*::lead_time=0|give it units"):
        physlab.open_dataset(tmp_path / "f.nc")


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "julian", "all_leap"])
def test_dates_that_only_a_calendar_has(calendar, tmp_path) -> None:
    start = {
        "360_day": "2001-02-29T12",
        "noleap": "2004-02-28T12",
        "julian": "1900-02-29T12",
        "all_leap": "2001-02-29T12",
    }[calendar]
    ds = dataset().assign_coords(time=xr.date_range(start, periods=3, freq="12h", calendar=calendar, use_cftime=True))
    ds.to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert found["time"].dt.calendar == calendar and times(found) == [
        str(t)[:13].replace(" ", "T") for t in ds["time"].values
    ]


@pytest.mark.parametrize(
    ("units", "values", "expected"),
    [
        ("months since 1990-01-01", [0, 1, 2], ["1990-01-01T00", "1990-02-01T00", "1990-03-01T00"]),
        ("months since 1960-01-01", [0.5, 1.5, 13], ["1960-01-16T12", "1960-02-15T12", "1961-02-01T00"]),
        ("years since 2000-02-29", [0, 1, 4], ["2000-02-29T00", "2001-02-28T00", "2004-02-29T00"]),
        (
            "day as %Y%m%d.%f",
            [20240101.25, 20240229.5, 20241231.75],
            ["2024-01-01T06", "2024-02-29T12", "2024-12-31T18"],
        ),
        ("", [20240101, 20240102, 20240229], ["2024-01-01T00", "2024-01-02T00", "2024-02-29T00"]),
        ("", [2024010106, 2024010112, 2024022900], ["2024-01-01T06", "2024-01-01T12", "2024-02-29T00"]),
        ("seconds since 1970-01-01", [0, 3600, 86400], ["1970-01-01T00", "1970-01-01T01", "1970-01-02T00"]),
        ("hours since 1900-01-01 00:00:0.0", [0, 1, 30], ["1900-01-01T00", "1900-01-01T01", "1900-01-02T06"]),
    ],
)
def test_units_of_time(units, values, expected, tmp_path) -> None:
    attrs = {"units": units} if units else {}
    dataset().assign_coords(time=("time", np.array(values, dtype=float), attrs)).to_netcdf(tmp_path / "f.nc")
    assert times(physlab.open_dataset(tmp_path / "f.nc")) == expected


def test_units_that_are_no_time_are_refused(tmp_path) -> None:
    dataset().assign_coords(time=("time", [0.0, 1, 2], {"units": "fortnights since yesterday"})).to_netcdf(
        tmp_path / "f.nc"
    )
    with pytest.raises(FieldError, match=r"f\.nc.*'fortnights since yesterday'.*hours since 2001-01-01"):
        physlab.open_dataset(tmp_path / "f.nc")


def test_times_are_sorted_and_said_and_repeated_ones_taken_once_or_refused(tmp_path) -> None:
    ds = dataset(times=4)
    ds.isel(time=[2, 0, 3, 1]).to_netcdf(tmp_path / "a.nc")
    found = physlab.open_dataset(tmp_path / "a.nc")
    np.testing.assert_array_equal(found["t2m"], ds["t2m"])
    assert "times sorted" in account(found)
    ds.isel(time=[0, 1, 1, 2]).to_netcdf(tmp_path / "b.nc")
    found = physlab.open_dataset(tmp_path / "b.nc")
    assert found.sizes["time"] == 3 and "1 times that stand twice" in account(found)
    twice = ds.copy(deep=True)
    twice["time"] = ds["time"].values[[0, 1, 1, 2]]
    twice.to_netcdf(tmp_path / "c.nc")
    with pytest.raises(FieldError, match=r"c\.nc.*time 2001-02-27T18:00 stands twice with different values"):
        physlab.open_dataset(tmp_path / "c.nc")
    assert physlab.open_dataset(f"{tmp_path / 'c.nc'}::time=0:2").sizes["time"] == 2


def test_times_as_text_and_one_time_without_a_dimension(tmp_path) -> None:
    texts = np.array([b"2001-02-27_12:00:00", b"2001-02-27_18:00:00", b"2001-02-28_00:00:00"])
    dataset().drop_vars("time").rename(time="Time").assign(Times=("Time", texts)).to_netcdf(tmp_path / "wrf.nc")
    assert times(physlab.open_dataset(tmp_path / "wrf.nc")) == ["2001-02-27T12", "2001-02-27T18", "2001-02-28T00"]
    dataset().isel(time=1).to_netcdf(tmp_path / "one.nc")
    found = physlab.open_dataset(tmp_path / "one.nc")
    assert found["time"].ndim == 0 and times(found) == ["2001-02-27T18"]


def test_no_times_at_all_are_refused(tmp_path) -> None:
    dataset().isel(time=slice(0)).to_netcdf(tmp_path / "f.nc")
    with pytest.raises(FieldError, match=r"f\.nc.*time.*length 0"):
        physlab.open_dataset(tmp_path / "f.nc")


def test_bounds_of_times_are_dates_too(tmp_path) -> None:
    ds = dataset()
    ds["time"].attrs["bounds"] = "time_bounds"
    ends = np.stack([ds["time"].values - np.timedelta64(6, "h"), ds["time"].values], 1)
    ds.assign(time_bounds=(("time", "nv"), ends)).to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    np.testing.assert_array_equal(found["time_bnds"], ends)
    assert list(found.data_vars) == ["t2m"]


# --- ERA5T ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("labels", [[1, 5], ["0001", "0005"], ["0005", "0001"]])
def test_preliminary_and_final_versions_are_put_together(labels, tmp_path) -> None:
    ds = dataset(times=4)
    final, early = ds["t2m"].copy(deep=True), ds["t2m"].copy(deep=True)
    final[2:], early[:2] = np.nan, np.nan
    parts = {"0001": final, "0005": early}
    stacked = [parts[f"{int(label):04d}"] for label in labels]
    xr.concat(stacked, xr.DataArray(labels, dims="expver", name="expver")).to_dataset(name="t2m").to_netcdf(
        tmp_path / "f.nc"
    )
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert found["t2m"].dims == ("time", "latitude", "longitude")
    np.testing.assert_allclose(found["t2m"], ds["t2m"])
    assert "expver" in account(found) and "ERA5T" in account(found)


def test_new_names_of_the_climate_data_store(tmp_path) -> None:
    ds = dataset().rename(time="valid_time").assign_coords(number=0, expver=("valid_time", ["0001", "0001", "0005"]))
    ds.to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert set(found.coords) == {"time", "latitude", "longitude"} and "0005" in account(found)
    assert pd.DatetimeIndex(found["time"]).equals(pd.DatetimeIndex(dataset()["time"]))


def test_members_of_an_ensemble_keep_their_numbers(tmp_path) -> None:
    for name in ("number", "realization", "ensemble"):
        ds = dataset().expand_dims({name: [3, 5]})
        folder = tmp_path / name
        folder.mkdir()
        found = physlab.open_dataset(write(ds, folder, "netcdf4"))
        assert found["member"].values.tolist() == [3, 5] and found["t2m"].dims[0] == "member"
    keys = {"shortName": "2t", "productDefinitionTemplateNumber": 1, "numberOfForecastsInEnsemble": 3}
    parts = [message(truth(1)[0] + n, LATITUDE, LONGITUDE, 2, **keys, number=n) for n in (1, 2)]
    (tmp_path / "e.grib").write_bytes(b"".join(parts))
    found = physlab.open_dataset(tmp_path / "e.grib")
    assert found["member"].values.tolist() == [1, 2]
    np.testing.assert_allclose(found["t2m"].isel(member=1).squeeze(), truth(1)[0] + 2, atol=1e-3)
