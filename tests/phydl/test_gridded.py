"""States of gridded data: real and simulated water budgets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab.equations import moisture
from physlab.errors import FieldError
from physlab.phydl import Equation, SmoothForce, bootstrap, gridded_state, holdout, normal_equations
from physlab.phydl.library import advection, flux_convergence, given

FLUX = flux_convergence("tcw", "ivt_u", "ivt_v")
DIMS = ("time", "latitude", "longitude")


def test_a_blob_that_drifts():
    """c(lon - a t) on the equator: u c_x = -c_t."""
    time = np.datetime64("2006-01-01", "ns") + np.arange(4) * np.timedelta64(10, "m")
    latitude, longitude = np.linspace(-5, 5, 21), np.linspace(0, 20, 61)
    t, lat, lon = np.meshgrid(np.arange(4) * 600.0, latitude, longitude, indexing="ij")
    speed = 10.0 / (6.37122e6 * np.cos(np.deg2rad(lat)))  # rad s-1 of 10 m/s
    c = np.sin(6 * (np.deg2rad(lon) - speed * t)) + 2
    ds = xr.Dataset({"c": (DIMS, c), "u": (DIMS, 0 * c + 10), "v": (DIMS, 0 * c)},
                    {"time": time, "latitude": latitude, "longitude": longitude})  # fmt: skip
    state = gridded_state(ds)
    normal = normal_equations(Equation("c", (advection("c"),)), [state], SmoothForce((0, 0, 0)))
    assert normal.solve()[0][0] == pytest.approx(-1.0, abs=2e-3)
    assert len(state.points) == 3 * 17 * 57 and float(state.points[0, 2]) == 300.0
    with pytest.raises(FieldError, match="equally spaced"):
        gridded_state(ds.isel(time=[0, 1, 3]))
    with pytest.raises(FieldError, match="too small"):
        gridded_state(ds.isel(latitude=slice(0, 8)))


@pytest.fixture(scope="module")
def nature():
    ds = physlab.open_dataset("nature-window").load()
    ds["s"] = ds["e"] - ds["tp"]
    return gridded_state(ds, ("tcw", "ivt_u", "ivt_v", "u", "v", "q"), ("s",), order=2)


@pytest.mark.slow
def test_water_of_the_nature_run_is_carried_by_its_flux(nature):
    """With evaporation and rain in the equation, and with a smooth force in their place: -1 within the interval."""
    known = normal_equations(Equation("tcw", (FLUX, given("s"))), [nature], SmoothForce((0, 0, 0)))
    low, high = bootstrap(known, 200)[0]
    assert low <= -1 <= high and high - low < 0.1
    hidden = normal_equations(Equation("tcw", (FLUX,)), [nature], SmoothForce((6, 6, 12), 1e-3))
    low, high = bootstrap(hidden, 200)[0]
    assert low <= -1 <= high and high - low < 0.2
    coefficients, weights = hidden.solve()
    force = hidden.force.basis(nature.points, nature.domain).double() @ torch.from_numpy(weights)
    assert np.corrcoef(force, nature["s"])[0, 1] > 0.6  # the force is evaporation minus precipitation
    found = holdout(hidden)
    assert found["held out"] < 0.5  # and explains what it has not seen


@pytest.mark.slow
def test_humidity_of_one_level_is_carried_by_the_wind_but_for_its_sources(nature):
    normal = normal_equations(Equation("q", (advection("q"),)), [nature], SmoothForce((6, 6, 12), 1e-3))
    assert normal.solve()[0][0] == pytest.approx(-0.95, abs=0.1)


@pytest.mark.real_data("era5-moisture")
def test_force_of_era5_is_evaporation_minus_precipitation():
    """Real ERA5, a winter day over Europe: r = 0.52 at points, 0.69 at the scales that the force can have."""
    ds = physlab.open_dataset("era5-moisture").load()
    q, u, v = (torch.from_numpy(ds[n].transpose("time", "level", ...).values.astype(float)) for n in "quv")
    flux = moisture.column_flux(q, u, v, torch.from_numpy(ds.level.values * 100.0), torch.from_numpy(ds.sp.values))
    ds = ds[["tcw"]].assign(ivt_u=(DIMS, flux[0].numpy()), ivt_v=(DIMS, flux[1].numpy()), s=ds["e"] - ds["tp"])
    state = gridded_state(ds, ("tcw", "ivt_u", "ivt_v"), ("s",), order=2)
    normal = normal_equations(Equation("tcw", (FLUX,), known={FLUX.name: -1.0}), [state], SmoothForce((4, 4, 4), 1e-3))
    _, weights = normal.solve()
    basis = normal.force.basis(state.points, state.domain).double()
    force = basis @ torch.from_numpy(weights)
    smooth = basis @ torch.linalg.lstsq(basis, state["s"][:, None]).solution[:, 0]
    assert np.corrcoef(force, state["s"])[0, 1] == pytest.approx(0.52, abs=0.05)
    assert np.corrcoef(force, smooth)[0, 1] == pytest.approx(0.69, abs=0.05)
    free = normal_equations(Equation("tcw", (FLUX,)), [state], SmoothForce((4, 4, 4), 1e-3))
    assert free.solve()[0][0] == pytest.approx(-0.93, abs=0.05)


@pytest.mark.real_data("era5-upper-air")
def test_potential_vorticity_and_humidity_of_era5_are_carried_by_the_wind():
    """pv, q and T at 250 hPa: -1 for what is nearly conserved, less for T, whose vertical advection is missing."""
    ds = physlab.open_dataset("era5-upper-air").load()
    level = ds.sel(level=250)[["u", "v", "pv", "q", "t"]].transpose(*DIMS)
    state, found = gridded_state(level), {}
    for name in ("pv", "q", "t"):
        normal = normal_equations(Equation(name, (advection(name),)), [state], SmoothForce((0, 0, 0)), (4, 3, 1))
        found[name] = normal.solve()[0][0]
    assert found["pv"] == pytest.approx(-0.9, abs=0.15) and found["q"] == pytest.approx(-0.9, abs=0.2)
    assert -1.2 < found["t"] < -0.2
