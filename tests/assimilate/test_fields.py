"""Assimilation of Datasets: against the Kalman filter at one point, on real ensembles, on a real storm."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.assimilate.fields import FieldAssimilator, compare
from physlab.data.observe import checked, observe, table
from physlab.errors import FieldError, PhysLabError


def ensemble(members: int = 40, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    lat, lon = np.linspace(40, 50, 6), np.linspace(0, 12, 7)
    t = 280 + rng.standard_normal((members, 1, 1, 6, 7))
    return xr.Dataset(
        {"t": (("member", "time", "level", "latitude", "longitude"), t, {"units": "K"})},
        {"time": [np.datetime64("2020-01-01", "ns")], "level": [850.0], "latitude": lat, "longitude": lon},
    )


def one_station(value=283.0, error=0.5):
    return table(["t"], [850.0], [44.0], [4.0], [value], [error])


@pytest.mark.parametrize("method", ["letkf", "etkf", "enkf"])
def test_at_the_station_the_mean_is_kalmans(method):
    background = ensemble(400 if method == "enkf" else 40)
    options = {"radius": 5e5} if method == "letkf" else {}
    made = FieldAssimilator(method, **options).analyse(background, one_station())
    prior = background["t"][:, 0, 0, 2, 2]
    b = float(prior.var(ddof=1))
    gain = b / (b + 0.25)
    expected = float(prior.mean()) + gain * (283.0 - float(prior.mean()))
    analysis = made["t"][:, 0, 0, 2, 2]
    loose = 0.1 if method == "enkf" else 1e-6
    assert float(analysis.mean()) == pytest.approx(expected, abs=loose)
    assert float(analysis.var(ddof=1)) == pytest.approx((1 - gain) * b, rel=0.2 if method == "enkf" else 1e-6)
    assert made["t"].dims == background["t"].dims and made["t"].attrs == {"units": "K"}
    assert made.attrs["analysis"].startswith(f"{method}, 1 observations")


def test_localisation_leaves_what_is_far_and_no_observation_changes_nothing():
    background = ensemble()
    made = FieldAssimilator("letkf", radius=1e5).analyse(background, one_station())
    np.testing.assert_allclose(made["t"][..., 5, 6], background["t"][..., 5, 6], rtol=1e-12)
    missing = one_station(value=np.nan)
    same = FieldAssimilator("letkf").analyse(background, missing)
    np.testing.assert_array_equal(same["t"], background["t"])
    assert "0 observations (1 missing" in same.attrs["analysis"]


def test_optimal_interpolation_against_the_formula():
    state = ensemble().isel(member=0, drop=True)
    made = FieldAssimilator("oi", radius=4e5, error={"t": 2.0}).analyse(state, one_station())
    before = float(state["t"][0, 0, 2, 2])
    assert float(made["t"][0, 0, 2, 2]) == pytest.approx(before + 4 / 4.25 * (283 - before))
    with pytest.raises(PhysLabError, match="background error of t"):
        FieldAssimilator("oi").analyse(state, one_station())


def test_backgrounds_that_do_not_fit():
    background = ensemble()
    with pytest.raises(FieldError, match="needs an ensemble"):
        FieldAssimilator("letkf").analyse(background.isel(member=0, drop=True), one_station())
    with pytest.raises(FieldError, match="oi takes one state"):
        FieldAssimilator("oi", error={"t": 1.0}).analyse(background, one_station())
    with pytest.raises(FieldError, match="2 times"):
        FieldAssimilator().analyse(xr.concat([background, background], "time"), one_station())
    with pytest.raises(PhysLabError, match="letkf, etkf, enkf, oi"):
        FieldAssimilator("4dvar")
    with pytest.raises(PhysLabError, match=r"radius of method 'letkf' is 0\.0: pass above 0"):
        FieldAssimilator(radius=0.0)
    with pytest.raises(PhysLabError, match="no option 'radius': it allows inflation"):
        FieldAssimilator("etkf", radius=1e6)
    with pytest.raises(PhysLabError, match="it corrects the 40"):
        FieldAssimilator("letkf").analyse(background, one_station(), members=3)


def test_a_file_names_the_options_that_counted():
    background = ensemble()
    made = FieldAssimilator("etkf", inflation=1.1).analyse(background, one_station())
    assert made.attrs["inflation"] == 1.1 and "radius_m" not in made.attrs
    assert FieldAssimilator("letkf", radius=5e5).analyse(background, one_station()).attrs["radius_m"] == 5e5


@pytest.mark.slow
@pytest.mark.real_data("era5-ensemble")
def test_a_member_of_the_real_ensemble_is_found_better_than_by_the_others_mean():
    """ERA5's ten members, one withheld as truth: a tenth of its columns improves all four fields, if observations reach
    no further than the members' errors are alike; reaching too far makes them worse."""
    ds = physlab.open_dataset("era5-ensemble").isel(time=1).load()
    truth, background = ds.isel(member=0, drop=True), ds.isel(member=slice(1, None))
    observations = observe(truth, 0.1, error={"z": 5.0, "t": 0.1}, seed=1)
    made = {r: FieldAssimilator("letkf", radius=r).analyse(background, observations) for r in (3e5, 1.2e6)}
    rmse = compare(truth, background=background, near=made[3e5], far=made[1.2e6])
    for name, before in rmse["background"].items():
        assert rmse["near"][name] < 0.98 * before, name
        assert rmse["far"][name] > before, name
    assert float(made[3e5]["t"].std("member").mean()) < float(background["t"].std("member").mean())


@pytest.mark.real_data("storm1996")
def test_a_real_storm_from_twelve_hours_before_and_few_stations():
    """The blizzard of January 1996: pressure and temperature of twelve hours before, corrected at 5 % of the points."""
    ds = physlab.open_dataset("storm1996")[["msl", "t"]].load().isel(latitude=slice(7, None), longitude=slice(7, 29))
    truth, background = ds.isel(time=30), ds.isel(time=28)
    assert not truth["msl"].isnull().any()
    observations = observe(truth, 0.05, error={"msl": 50.0, "t": 0.5}, seed=0)
    method = FieldAssimilator("oi", radius=1.2e6, error={"msl": 500.0, "t": 4.0})
    rmse = compare(truth, background=background, analysis=method.analyse(background, observations))
    for name in ("msl", "t"):
        assert rmse["analysis"][name] < 0.7 * rmse["background"][name], rmse
    assert checked(observations, background).attrs == {"missing": 0, "merged": 0}
