"""Tables of observations and the operator that compares a field with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.data.observe import Interpolation, checked, describe, fields_of, observe, read_stations, table
from physlab.errors import FieldError, PhysLabError
from physlab.fields import to_tensor


def state(descending: bool = True, whole: bool = True) -> xr.Dataset:
    """t on two levels and sp, linear in latitude and smooth around the globe."""
    lat = np.linspace(-80, 80, 17)[:: -1 if descending else 1]
    lon = np.arange(0, 360, 10.0) if whole else np.arange(200, 300, 10.0)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    sp = 1e5 + 100 * y
    t = np.stack([250 + 0.5 * y + 10 * np.cos(np.deg2rad(x)), 220 + 0.1 * y])
    return xr.Dataset(
        {"t": (("level", "latitude", "longitude"), t), "sp": (("latitude", "longitude"), sp)},
        {"level": [850.0, 500.0], "latitude": lat, "longitude": lon},
    )


def vector(ds: xr.Dataset) -> torch.Tensor:
    return to_tensor(ds, dtype=torch.float64).flatten()


@pytest.mark.parametrize("descending", [True, False])
def test_interpolation_is_exact_for_what_is_linear(descending):
    ds = state(descending)
    obs = table(["sp", "t", "t"], [np.nan, 850, 500], [13.0, -41.5, 77.0], [123.0, 355.0, -3.0], [0, 0, 0], [1, 1, 1])
    obs = checked(obs, ds)
    seen = Interpolation(obs, ds)(vector(ds))
    assert seen[0] == pytest.approx(1e5 + 1300) and seen[2] == pytest.approx(220 + 7.7)
    between = 0.5 * (10 * np.cos(np.deg2rad(350)) + 10)  # over the seam of longitudes
    assert seen[1] == pytest.approx(250 - 0.5 * 41.5 + between)


def test_operator_is_linear_batched_and_has_an_adjoint():
    ds = state()
    obs = checked(observe(ds, 0.2, error=0.1, seed=2), ds)
    H, n = Interpolation(obs, ds), vector(ds).numel()
    x = torch.randn(3, n, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, obs.sizes["observation"], dtype=torch.float64)
    seen = H(x)
    assert torch.allclose(seen[1], H(x[1]))
    (back,) = torch.autograd.grad((seen * y).sum(), x)
    assert float((back * x).sum()) == pytest.approx(float((seen * y).sum()), rel=1e-12)


def test_columns_are_drawn_by_area_without_repetition_and_have_the_error_that_they_say():
    ds = state()
    obs = observe(ds, 0.5, error={"t": 2.0, "sp": 50.0}, seed=1)
    assert obs.sizes["observation"] == 3 * round(0.5 * 17 * 36)
    places = {(a, b) for a, b in zip(obs.latitude.values, obs.longitude.values, strict=True)}
    assert len(places) == round(0.5 * 17 * 36)
    found = Interpolation(checked(obs, ds), ds)(vector(ds)).numpy()
    order = checked(obs, ds)
    off = (order["value"].values - found) / order["error"].values
    assert off.std() == pytest.approx(1, abs=0.1) and abs(off.mean()) < 0.1
    exact = observe(ds, 0.1, error=0.1, noise=False)
    order = checked(exact, ds)
    np.testing.assert_allclose(order["value"], Interpolation(order, ds)(vector(ds)), rtol=1e-12)
    few = observe(ds, 0.1, seed=5)
    polar = sum((np.abs(observe(ds, 0.1, seed=s)["latitude"]) > 60).mean() for s in range(20)) / 20
    assert polar == pytest.approx(1 - np.sin(np.deg2rad(65)) / np.sin(np.deg2rad(85)), abs=0.05)
    xr.testing.assert_identical(few, observe(ds, 0.1, seed=5))
    assert "of temperature" in describe(few)


def test_missing_values_go_and_doubles_become_their_weighted_mean():
    ds = state()
    obs = table(["sp"] * 4 + ["t"], [np.nan] * 4 + [500], [10, 10, 20, 10, 10], [30, 390, 40, 30, 30],
                [1.0, 4.0, np.nan, 1.0, 7.0], [1.0, 2.0, 1.0, 1.0, 1.0])  # fmt: skip
    found = checked(obs, ds)
    assert found.attrs == {"missing": 1, "merged": 2} and found.sizes["observation"] == 2
    assert float(found["value"][0]) == pytest.approx((1 + 4 / 4 + 1) / 2.25)
    assert float(found["error"][0]) == pytest.approx(2.25**-0.5)
    assert float(found["value"][1]) == 7.0
    none = checked(obs.isel(observation=[2]), ds)
    assert none.sizes["observation"] == 0 and describe(none) == "no observations"


def test_what_the_state_cannot_be_compared_with():
    ds, region = state(), state(whole=False)
    good = {"level": [np.nan], "latitude": [0.0], "longitude": [250.0], "value": [1.0], "error": [1.0]}

    def obs(variable="sp", **changes):
        return table([variable], **{**good, **changes})

    assert checked(obs(), region).sizes["observation"] == 1
    assert checked(obs(latitude=[89.0]), ds).sizes["observation"] == 1  # beyond the last row of a globe
    for bad in ({"longitude": [310.0]}, {"latitude": [81.0]}):
        with pytest.raises(FieldError, match="1 observations lie outside the grid"):
            checked(obs(**bad), region)
    for error in (0.0, -1.0, np.nan):
        with pytest.raises(PhysLabError, match="not above 0"):
            checked(obs(error=[error]), ds)
    with pytest.raises(FieldError, match="t at 500, 850 hPa"):
        checked(obs("t", level=[700.0]), ds)
    with pytest.raises(FieldError, match="observations of q"):
        checked(obs("q"), ds)
    with pytest.raises(FieldError, match="not finite"):
        checked(obs(latitude=[np.nan]), ds)
    with pytest.raises(FieldError, match="lack variable, level"):
        checked(xr.Dataset({"value": ("observation", [1.0])}), ds)
    with pytest.raises(PhysLabError, match="share"):
        observe(ds, 0.0)
    with pytest.raises(PhysLabError, match="error of sp"):
        observe(ds, 0.1, error={"t": 1.0})
    with pytest.raises(FieldError, match="no variable q"):
        observe(ds, 0.1, variables=["q"])
    with pytest.raises(FieldError, match="member"):
        observe(xr.concat([ds, ds], "member"), 0.1)
    assert fields_of(ds)[1] == ("t", 500.0)


def test_stations_from_files(tmp_path):
    csv = tmp_path / "stations.csv"
    csv.write_text("# buoys\nlat, lon, value, error\n10, 250, 1000, 50\n20,-110,1010,50\n")
    obs = read_stations(csv, variable="sp")
    assert list(obs["value"].values) == [1000, 1010] and set(obs["variable"].values) == {"sp"}
    obs.to_netcdf(tmp_path / "stations.nc")
    again = read_stations(tmp_path / "stations.nc")
    np.testing.assert_array_equal(again["longitude"], obs["longitude"])
    with pytest.raises(FieldError, match="lacks variable"):
        read_stations(csv)
    csv.write_text("lat,lon,value\n1,2,3\n")
    with pytest.raises(FieldError, match="lacks error"):
        read_stations(csv, "sp")
    csv.write_text("lat,lon,value,error\n1,2,warm,1\n")
    with pytest.raises(FieldError, match="are numbers"):
        read_stations(csv, "sp")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_stations(tmp_path / "none.csv")
