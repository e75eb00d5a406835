"""What observations have to pass before they change a state: time, units, heights, quantities, the background check."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab.assimilate.fields import FieldAssimilator
from physlab.data import read_stations
from physlab.data.screening import Checks, derive, heights, screen, time_of
from physlab.data.stations import table
from physlab.errors import FieldError, PhysLabError

LAT, LON = 60 - 0.5 * np.arange(9), -4 + 0.5 * np.arange(13)
NOON = np.datetime64("2024-01-01T12:00", "ns")


def members(**fields: float) -> xr.Dataset:
    """Twenty members of surface fields of given means, each with a spread of one member of noise in 100."""
    rng = np.random.default_rng(3)
    made = {}
    for name, mean in (fields or {"t2m": 283.0}).items():
        scale = {"t2m": 1.0, "d2m": 1.0, "sp": 100.0, "msl": 100.0, "q2m": 5e-4}.get(name, 1.0)
        units = {"t2m": "K", "d2m": "K", "sp": "Pa", "msl": "Pa", "q2m": "kg kg-1", "tcw": "kg m-2"}.get(name, "m s-1")
        noise = scale * rng.standard_normal((20, 1, LAT.size, LON.size))
        made[name] = (("member", "time", "latitude", "longitude"), mean + noise, {"units": units})
    return xr.Dataset(made, {"time": [NOON], "latitude": LAT, "longitude": LON})


def stations(tmp_path, text: str, **options) -> xr.Dataset:
    path = tmp_path / "st.csv"
    path.write_text(text)
    return read_stations(path, **options)


def at(ds: xr.Dataset, name: str = "t2m", latitude: float = 58.0, longitude: float = 0.0) -> np.ndarray:
    return ds[name].sel(latitude=latitude, longitude=longitude).values.ravel()


def expected(background: xr.Dataset, value: float, error: float, name: str = "t2m") -> float:
    """The mean of Kalman's analysis at a station on the grid point (58 N, 0 E)."""
    prior = at(background, name)
    b = prior.var(ddof=1)
    return prior.mean() + b / (b + error**2) * (value - prior.mean())


def analysed(background: xr.Dataset, observations: xr.Dataset, **rules) -> xr.Dataset:
    return FieldAssimilator("letkf", radius=3e5).with_checks(**rules).analyse(background, observations)


# --- units ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("head", "value"), [("value", 283.9), ("value [degC]", 10.75), ("value [degF]", 51.35), ("value [K]", 283.9)]
)
def test_the_analysis_is_kalmans_in_any_unit(tmp_path, head, value):
    background = members()
    error = 0.5 * (1.8 if "F" in head else 1.0)
    made = analysed(background, stations(tmp_path, f"lat,lon,{head},error,variable\n58,0,{value},{error},t2m\n"))
    assert at(made).mean() == pytest.approx(expected(background, 283.9, 0.5), abs=1e-6)
    assert made.attrs["analysis"] == "letkf, 1 observations (0 missing, 0 merged)"


def test_a_background_in_degrees_celsius_takes_kelvins(tmp_path):
    background = members()
    cold = (background - 273.15).assign(t2m=lambda ds: ds["t2m"].assign_attrs(units="degC"))
    warm = analysed(background, stations(tmp_path, "lat,lon,value [K],error,variable\n58,0,283.9,1,t2m\n"))
    made = analysed(cold, stations(tmp_path, "lat,lon,value [K],error,variable\n58,0,283.9,1,t2m\n"))
    np.testing.assert_allclose(made["t2m"] + 273.15, warm["t2m"], rtol=1e-12)
    plain = analysed(cold, stations(tmp_path, "lat,lon,value,error,variable\n58,0,10.75,1,t2m\n"))
    np.testing.assert_allclose(plain["t2m"], made["t2m"], rtol=1e-12)


@pytest.mark.parametrize(
    ("variable", "mean", "value", "unit"),
    [
        ("t2m", 283.0, 10.2, "degC"),
        ("t2m", 283.0, 50.0, "degF"),
        ("sp", 1.0e5, 1001.0, "hPa"),
        ("q2m", 7e-3, 7.1, "g kg-1"),
    ],
)
def test_values_without_a_unit_that_cannot_be_the_backgrounds_are_refused(tmp_path, variable, mean, value, unit):
    observations = stations(tmp_path, f"lat,lon,value,error,variable\n58,0,{value},1,{variable}\n")
    with pytest.raises(FieldError, match=rf"{variable} {value:g} \(line 2, 58 N 0 E\).*may be in {unit}: write units"):
        analysed(members(**{variable: mean}), observations)


def test_a_height_in_metres_without_a_unit_is_found_by_the_background_check():
    rng = np.random.default_rng(0)
    z = 54000 + 100 * rng.standard_normal((20, 1, 1, LAT.size, LON.size))
    background = xr.Dataset(
        {"z": (("member", "time", "level", "latitude", "longitude"), z, {"units": "m2 s-2"})},
        {"time": [NOON], "level": [500.0], "latitude": LAT, "longitude": LON},
    )
    with pytest.raises(FieldError, match=r"z 5510 .*cannot be in m2 s-2.*may be in m: write units"):
        analysed(background, table(["z"], [500], [58], [0], [5510.0], [5.0]))
    metres = table(["z"], [500], [58], [0], [5510.0], [5.0], units=["gpm"])
    made = analysed(background, metres)
    assert at(made, "z").mean() == pytest.approx(expected(background, 5510 * 9.80665, 5 * 9.80665, "z"))


def test_units_of_something_else_are_refused():
    with pytest.raises(FieldError, match=r"t2m is in 'Pa'.*'K'"):
        analysed(members(), table(["t2m"], [np.nan], [58], [0], [283.0], [1.0], units=["Pa"]))


# --- values that cannot be --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [1e308, -1e308, 1e30, 1e6, -5.0])
@pytest.mark.parametrize("sigmas", [5.0, 0.0])
def test_absurd_values_change_nothing(value, sigmas):
    """Among others they are left out, whether or not the background check is on; alone they are refused."""
    background = members()
    both = table(["t2m"] * 3, [np.nan] * 3, [58, 57, 57], [0, 1, 0], [283.9, value, 283.0], [0.5, 1, 1])
    made = analysed(background, both, sigmas=sigmas)
    without = analysed(background, both.isel(observation=[0, 2]), sigmas=sigmas)
    np.testing.assert_array_equal(made["t2m"], without["t2m"])
    assert "value that cannot be (57 N 1 E" in made.attrs["observations_account"]
    with pytest.raises(FieldError, match=r"cannot be in K|none of 1"):
        analysed(background, both.isel(observation=[1]), sigmas=sigmas)


def test_an_unknown_quantity_of_1e308_is_never_an_analysis():
    rng = np.random.default_rng(0)
    background = (
        members()
        .rename(t2m="pm10")
        .assign(
            pm10=lambda ds: (
                ds["pm10"].copy(data=10 + rng.standard_normal(ds["pm10"].shape)).assign_attrs(units="ug m-3")
            )
        )
    )
    observations = table(["pm10"] * 2, [np.nan] * 2, [58, 57], [0, 1], [11.0, 1e308], [1.0, 1.0])
    assert np.isfinite(analysed(background, observations)["pm10"]).all()
    with pytest.raises(PhysLabError, match="not finite"):
        analysed(background, observations, sigmas=0)


@pytest.mark.parametrize("error", [0.0, -1.0, np.nan])
def test_errors_that_are_none_are_refused(tmp_path, error):
    with pytest.raises(PhysLabError, match=r"1 observations have an error that is not above 0 \(the first .*line 2"):
        analysed(members(), stations(tmp_path, f"lat,lon,value,error,variable\n58,0,283,{error},t2m\n"))


def test_the_background_check_rejects_counts_and_names():
    background = members()
    b = at(background).std(ddof=1)
    mean = at(background).mean()
    for far, kept in ((4.9, 1), (5.1, 0)):
        value = mean + far * np.hypot(b, 0.5)
        made = analysed(
            background, table(["t2m"] * 3, [np.nan] * 3, [58, 57, 59], [0, 1, 1], [value, 283, 283], [0.5] * 3)
        )
        assert made.attrs["analysis"].startswith(f"letkf, {2 + kept} observations")
        assert ("1 rejected" in made.attrs["observations_account"]) == (not kept)
    assert "58 N 0 E: t2m" in made.attrs["observations_account"]
    alone = table(["t2m"], [np.nan], [58], [0], [mean + 20.0], [0.5])
    with pytest.raises(FieldError, match=r"none of 1 observations.*--check 0"):
        analysed(background, alone)
    assert at(analysed(background, alone, sigmas=0)).mean() == pytest.approx(expected(background, mean + 20, 0.5))


def test_optimal_interpolation_checks_against_the_error_that_it_is_given():
    state = members().isel(member=0, drop=True)
    mean = float(at(state)[0])
    observations = table(["t2m"] * 2, [np.nan] * 2, [58, 57], [0, 1], [mean + 12, 283.0], [1.0, 1.0])
    made = [FieldAssimilator("oi", error={"t2m": b}).analyse(state, observations).attrs["analysis"] for b in (1.0, 3.0)]
    assert made[0].startswith("oi, 1 obs") and made[1].startswith("oi, 2 obs")
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(PhysLabError, match="background error of t2m is"):
            FieldAssimilator("oi", error={"t2m": wrong}).analyse(state, observations)


# --- time -------------------------------------------------------------------------------------------------------------
def day(tmp_path) -> xr.Dataset:
    rows = "".join(f"2024-01-01T{h:02d}:00Z,58,0,{283 + 0.1 * h},0.5,t2m\n" for h in range(24))
    return stations(tmp_path, "time,lat,lon,value,error,variable\n" + rows)


def test_of_a_day_the_hour_of_the_background_counts_with_its_own_error(tmp_path):
    background = members()
    made = analysed(background, day(tmp_path))
    assert at(made).mean() == pytest.approx(expected(background, 284.2, 0.5))
    account = made.attrs["observations_account"]
    assert "21 further than 1.5 h" in account and "2 not the nearest in time" in account
    wide = analysed(background, day(tmp_path), window=np.inf)
    np.testing.assert_array_equal(wide["t2m"], made["t2m"])
    three = analysed(background, day(tmp_path), every=True)
    assert three.attrs["analysis"].startswith("letkf, 3 observations")
    assert at(three).mean() == pytest.approx(expected(background, 284.2, 0.5 / 3**0.5))


def test_another_day_changes_nothing(tmp_path):
    late = stations(tmp_path, "time,lat,lon,value,error,variable\n2019-07-25T15:00Z,58,0,283.4,1,t2m\n")
    with pytest.raises(
        FieldError, match=r"none of 1.*further than 1.5 h from the background's 2024-01-01T12:00Z \(line 2 at"
    ):
        analysed(members(), late)
    with pytest.raises(FieldError, match=r"none of 1.*and the observations|none of 1"):
        analysed(members(), late, window=6.0)
    zone = "time,lat,lon,value,error,variable\n2024-01-01T17:30+05:30,58,0,283.4,1,t2m\n"
    assert analysed(members(), stations(tmp_path, zone)).attrs["analysis"].startswith("letkf, 1 obs")


def test_a_background_without_a_time(tmp_path):
    background = members().isel(time=0, drop=True)
    with pytest.raises(
        FieldError, match="the background has no time and the observations reach from 2024-01-01T00:00Z"
    ):
        analysed(background, day(tmp_path))
    some = day(tmp_path).isel(observation=slice(11, 14))
    made = analysed(background, some)
    assert "the background has no time" in made.attrs["observations_account"]
    assert at(made).mean() == pytest.approx(expected(background, 284.2, 0.5))
    assert time_of(background) is None and time_of(members()) == NOON


def test_a_calendar_in_which_nothing_was_observed(tmp_path):
    import cftime

    odd = members().assign_coords(time=[cftime.Datetime360Day(2024, 1, 30)])
    with pytest.raises(FieldError, match="360_day"):
        analysed(odd, day(tmp_path))
    same = members().assign_coords(time=[cftime.DatetimeGregorian(2024, 1, 1, 12)])
    assert time_of(same) == NOON


def test_reports_that_came_twice_count_once(tmp_path):
    row = "2024-01-01T12:00Z,A,58,0,283.9,0.5,t2m\n"
    made = analysed(members(), stations(tmp_path, "time,station,lat,lon,value,error,variable\n" + 3 * row))
    assert at(made).mean() == pytest.approx(expected(members(), 283.9, 0.5))
    assert made.attrs["analysis"] == "letkf, 1 observations (0 missing, 2 merged)"


# --- places and levels ------------------------------------------------------------------------------------------------
def test_outside_is_counted_and_swapped_is_said(tmp_path):
    text = "lat,lon,value,error,variable\n58,360,283.9,0.5,t2m\n70,0,270,1,t2m\n58,30,270,1,t2m\n"
    made = analysed(members(), stations(tmp_path, text))
    assert at(made).mean() == pytest.approx(expected(members(), 283.9, 0.5))
    assert "2 outside the grid (56 to 60 N, -4 to 2 E) (line 3: 70 N 0 E" in made.attrs["observations_account"]
    with pytest.raises(FieldError, match="seem to be swapped"):
        analysed(members(), stations(tmp_path, "lat,lon,value,error,variable\n0,58,283.9,1,t2m\n"))


def test_what_the_background_lacks_is_counted(tmp_path):
    text = "lat,lon,value,error,variable,level\n58,0,283.9,0.5,2t,\n58,0,5,1,pm10,\n58,0,283,1,t2m,500\n"
    made = analysed(members(), stations(tmp_path, text))
    assert made.attrs["analysis"].startswith("letkf, 1 obs")
    account = made.attrs["observations_account"]
    assert "observations of pm10, which the background lacks (line 3)" in account
    assert "observations of t2m at 500 hPa (the state has t2m without levels) (line 4)" in account
    with pytest.raises(FieldError, match=r"tcw at 500 hPa .the state has tcw without levels"):
        analysed(members(tcw=20.0), table(["tcw"], [500.0], [58], [0], [20.0], [1.0]))


# --- wind and humidity ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("direction", "u", "v"), [(270, 5, 0), (0, 0, -5), (90, -5, 0), (180, 0, 5), (225, 3.5355, 3.5355)]
)
def test_wind_comes_from_where_it_blows(tmp_path, direction, u, v):
    background = members(u10=u, v10=v)
    text = f"lat,lon,time,drct,wspd [m/s]\n58,0,2024-01-01T12:00Z,{direction},5\n"
    made = analysed(background, stations(tmp_path, text, error={"wind_speed": 0.5, "wind_direction": 6.0}))
    account = made.attrs["observations_account"]
    assert "1 winds turned from speed and direction into u and v" in account
    text = stations(tmp_path, text, error={"wind_speed": 0.5, "wind_direction": 6.0})
    found = screen(text, background.isel(member=0, time=0), NOON)[0].to_dataframe().set_index("variable")
    along, across, theta = 0.5, 5 * np.deg2rad(6.0), np.deg2rad(direction)
    assert found.loc["u10", "value"] == pytest.approx(u, abs=1e-4)
    assert found.loc["v10", "value"] == pytest.approx(v, abs=1e-4)
    assert found.loc["u10", "error"] == pytest.approx(np.hypot(np.sin(theta) * along, np.cos(theta) * across))
    assert found.loc["v10", "error"] == pytest.approx(np.hypot(np.cos(theta) * along, np.sin(theta) * across))
    assert at(made, "u10").mean() == pytest.approx(u, abs=0.3)


def test_calm_is_no_wind_and_a_speed_alone_is_none(tmp_path):
    background = members(u10=0.0, v10=0.0)
    made = analysed(background, stations(tmp_path, "lat,lon,drct,sknt\n58,0,0,0\n57,1,M,4\n", error=1.0))
    assert made.attrs["analysis"].startswith("letkf, 2 obs")
    assert abs(at(made, "u10").mean()) < abs(at(background, "u10").mean())
    assert "1 wind speeds without a direction" in made.attrs["observations_account"]


def test_humidity_agrees_with_metpy(tmp_path):
    calc, units = pytest.importorskip("metpy.calc"), pytest.importorskip("metpy.units").units
    for td, p in ((263.15, 7e4), (278.15, 1.0e5), (297.0, 1.01e5)):
        theirs = calc.specific_humidity_from_dewpoint(p * units.Pa, td * units.K).m_as("kg/kg")
        ours = derive.specific_humidity(derive.vapour_pressure(np.array(td)), np.array(p))
        assert float(ours) == pytest.approx(theirs, rel=2e-3 if td > 273 else 5e-3)
        assert float(derive.dewpoint(derive.vapour_pressure(np.array(td)))) == pytest.approx(td, abs=1e-9)
    q = float(derive.specific_humidity(derive.vapour_pressure(np.array(278.15)), np.array(1e5)))
    background = members(q2m=q, sp=1e5)
    background["sp"][:] = 1e5 + 0 * background["sp"]
    text = "lat,lon,td [degC],variable_free\n58,0,5.0,x\n"
    made = analysed(background, stations(tmp_path, text, error={"td": 1.0}))
    step = float(derive.specific_humidity(derive.vapour_pressure(np.array([278.05, 278.25])), np.array(1e5)) @ [-5, 5])
    assert at(made, "q2m").mean() == pytest.approx(expected(background, q, step, "q2m"), rel=1e-5)
    moist = stations(tmp_path, "lat,lon,rh [%],t2m [degC]\n58,0,60,11\n", error={"rh": 0.05, "t2m": 1.0})
    both = analysed(members(d2m=276.0, t2m=284.0), moist)
    theirs = calc.dewpoint_from_relative_humidity(284.15 * units.K, 0.6).m_as("K")
    assert theirs == pytest.approx(float(derive.dewpoint(0.6 * derive.vapour_pressure(np.array(284.15)))), abs=0.05)
    assert both.attrs["analysis"].startswith("letkf, 2 obs")


# --- heights ----------------------------------------------------------------------------------------------------------
def hills(height: float, units: str = "m") -> xr.DataArray:
    return xr.DataArray(
        np.full((LAT.size, LON.size), height), {"latitude": LAT, "longitude": LON}, name="orog", attrs={"units": units}
    )


def test_temperature_and_pressure_are_brought_to_the_models_ground(tmp_path):
    background = members(t2m=280.0, sp=9.0e4)
    head = "lat,lon,alt,value,error,variable,units\n"
    warm = stations(tmp_path, head + "58,0,600,7.0,0.5,t2m,degC\n57,1,1900,3,1,t2m,degC\n")
    heavy = stations(tmp_path, head + "58,0,600,945,1,sp,hPa\n")
    hilly = background.assign(orog=hills(1000.0))
    pressed = analysed(hilly, heavy)
    scale = 287.0597 * 281.0 / 9.80665  # m, within a few K of any temperature here
    value = 94500 * np.exp(-400 / scale)
    assert at(pressed, "sp").mean() == pytest.approx(expected(background, value, 100, "sp"), abs=15)
    made = analysed(hilly, warm)
    assert at(made).mean() == pytest.approx(expected(background, 280.15 - 2.6, 0.5))
    account = made.attrs["observations_account"]
    assert "1 further than 500 m above or below the background's surface (line 3: 1900 m, surface 1000 m)" in account
    np.testing.assert_array_equal(made["orog"], hills(1000.0))
    geopotential = analysed(background, warm, orography=hills(1000.0 * 9.80665, "m2 s-2"))
    np.testing.assert_allclose(geopotential["t2m"], made["t2m"], rtol=1e-12)
    untouched = analysed(background, warm, sigmas=0)
    assert "heights of the stations are not used" in untouched.attrs["observations_account"]


@pytest.mark.parametrize("unit", ["Pa", "hPa"])
def test_pressures_at_sea_level_and_at_stations_are_not_confused(tmp_path, unit):
    """Called by the wrong name they are refused, or left out beside right ones; by the right name they are turned."""
    share = {"Pa": 1, "hPa": 100}[unit]
    head = f"lat,lon,alt,value,error,variable,units\n58,0,950,{{}},{100 / share},{{}},{unit}\n"
    background = members(t2m=280.0, sp=9.0e4)
    sea = float(heights.to_height(np.array(9.0e4), np.array(1000.0), np.array(0.0), np.array(280.0), 6.5e-3))
    reduced = stations(tmp_path, head.format(sea / share, "sp"))
    for ds in (background, background.assign(orog=hills(1000.0))):
        with pytest.raises(FieldError, match=r"said to be measured at the station, .* looks reduced to sea level"):
            analysed(ds, reduced)
    both = head.format(sea / share, "sp") + f"57,1,950,{90500 / share},{100 / share},sp,{unit}\n"
    said = analysed(background.assign(orog=hills(1000.0)), stations(tmp_path, both)).attrs["observations_account"]
    assert "1 of pressures that look reduced to sea level" in said
    low = members(t2m=280.0, msl=1.0e5)
    with pytest.raises(FieldError, match=r"said to be reduced to sea level, .* looks measured at the station"):
        analysed(low, stations(tmp_path, head.format(8.9e4 / share, "msl")))
    with pytest.raises(FieldError, match="whose height nobody says"):
        analysed(background, stations(tmp_path, head.format(sea / share, "msl")))
    hilly = background.assign(orog=hills(400.0))
    turned = analysed(hilly, stations(tmp_path, head.format(94500 / share, "msl")))
    value = float(heights.to_height(np.array(94500.0), np.array(0.0), np.array(400.0), np.array(282.6), 6.5e-3))
    assert at(turned, "sp").mean() == pytest.approx(expected(hilly, value, 100, "sp"), abs=15)
    station = analysed(low, stations(tmp_path, head.format(89500 / share, "sp")))
    value = float(heights.to_height(np.array(89500.0), np.array(950.0), np.array(0.0), np.array(280.0), 6.5e-3))
    assert at(station, "msl").mean() == pytest.approx(expected(low, value, 100, "msl"), abs=60)
    assert "1 pressures at stations (up to 950 m) reduced to sea level" in station.attrs["observations_account"]
    with pytest.raises(FieldError, match="stations without a height"):
        analysed(low, stations(tmp_path, f"lat,lon,value,error,variable,units\n58,0,{9e4 / share},1,sp,{unit}\n"))


def test_pressure_follows_the_standard_atmosphere():
    """ICAO: 1013.25 hPa and 288.15 K at sea level, 898.746 hPa at 1 km."""
    up = heights.to_height(np.array(101325.0), np.array(0.0), np.array(1000.0), np.array(288.15), 6.5e-3)
    assert float(up) == pytest.approx(89874.6, rel=2e-4)
    down = heights.to_height(up, np.array(1000.0), np.array(0.0), np.array(281.65), 6.5e-3)
    assert float(down) == pytest.approx(101325.0, rel=1e-9)
    still, nearly = (float(heights.to_height(1e5, 0.0, 100.0, 280.0, lapse)) for lapse in (1e-9, 1e-5))
    assert still == pytest.approx(nearly, rel=1e-5)


def test_orographies_that_are_none():
    far = hills(5.0).assign_coords(latitude=LAT + 1)
    observations = table(["t2m"], [np.nan], [58], [0], [283.0], [1.0], elevation=[5.0])
    with pytest.raises(FieldError, match=r"on the grid of the background|pass it on the grid"):
        analysed(members(), observations, orography=far)
    with pytest.raises(FieldError, match="pass heights in m"):
        analysed(members(), observations, orography=hills(2e4))
    for wrong in ({"window": -1}, {"sigmas": -1}, {"height": -1}, {"lapse": np.nan}):
        with pytest.raises(PhysLabError, match="of the checks"):
            Checks(**wrong)


# --- what comes out ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["i2", "u1", "i4", "f4", "f8"])
def test_an_integer_background_is_not_cut(dtype):
    background = members(t2m=200.0 if dtype == "u1" else 283.0).round().astype(dtype)
    background["t2m"].attrs = {"units": "K", "valid_range": [0, 10], "long_name": "air"}
    wanted = expected(background.astype(float), float(background["t2m"].mean()) + 1.37, 0.5)
    made = analysed(background, table(["t2m"], [np.nan], [58], [0], [float(background["t2m"].mean()) + 1.37], [0.5]))
    assert made["t2m"].dtype.kind == "f" and at(made).mean() == pytest.approx(wanted, abs=1e-4)
    assert made["t2m"].attrs == {"units": "K", "long_name": "air"}


def test_attributes_tell_what_was_done(tmp_path):
    background = members().assign_attrs(history="made by hand", title="ours")
    made = analysed(background, stations(tmp_path, "lat,lon,value,error,variable\n58,0,283.9,0.5,t2m\n"))
    assert made.attrs["title"] == "ours" and made.attrs["history"].startswith("made by hand\nanalysis by letkf, 1")
    assert made.attrs["observations"] == "st.csv" and made.attrs["background_time"] == "2024-01-01T12:00Z"
    assert made.attrs["background_check"] == "5 standard deviations" and made.attrs["radius_m"] == 3e5


def test_screening_leaves_a_table_of_a_twin_experiment_as_it_is():
    from physlab.data.observe import observe

    state = members().isel(member=0, time=0, drop=True)
    drawn = observe(state, 0.3, error=0.5, seed=1)
    found, account = screen(drawn, state)
    for name in drawn:
        np.testing.assert_array_equal(found[name], drawn[name])
    assert account.text() == ""


def test_a_station_with_dew_point_and_relative_humidity_has_measured_one(tmp_path):
    text = "lat,lon,td [degC],rh [%],t2m [degC]\n58,0,3,60,10\n57,1,M,60,10\n"
    background = members(d2m=276.0, t2m=283.0)
    made = analysed(background, stations(tmp_path, text, error={"td": 1.0, "rh": 0.05, "t2m": 1.0}))
    assert made.attrs["analysis"] == "letkf, 4 observations (0 missing, 0 merged)"
    assert "1 relative humidities beside a dew point" in made.attrs["observations_account"]


def test_units_of_what_the_background_lacks_do_not_matter(tmp_path):
    text = "lat,lon,value,error,variable\n58,0,283.9,0.5,t2m\n58,0,1012,1,msl\n"
    made = analysed(members(), stations(tmp_path, text))
    assert made.attrs["analysis"].startswith("letkf, 1 obs")
