"""Equations for refined fields of one's own: which can be asked, and that their numbers are those of the law."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.equations import surface_temperature
from physlab.train.own.reading import own_data
from physlab.train.own.request import Request
from physlab.views.laws import law_for
from tests.views.test_workspace import hill


def windy() -> xr.Dataset:
    """Temperature over a hill, with a wind."""
    ds = hill()
    rng = np.random.default_rng(1)
    for name in ("u10", "v10"):
        wind = 5 + rng.normal(0, 1, (ds.sizes["time"], 1, 1)) + 0 * ds["t2m"].values
        ds[name] = (ds["t2m"].dims, wind.astype("float32"), {"units": "m s-1"})
    return ds


@pytest.fixture(scope="module")
def request_of(tmp_path_factory):
    """request_of(variable) -> a request of the windy file."""
    path = tmp_path_factory.mktemp("windy") / "windy.nc"
    windy().to_netcdf(path)
    return lambda variable, **more: Request(str(path), (variable,), gap=24.0, **more)


def test_temperature_with_wind_and_ground_has_a_law_with_the_numbers_of_the_library(request_of):
    request = request_of("t2m")
    data = own_data(request).one()
    law = law_for(data, request, "test")
    assert (law.name, law.units) == ("surface temperature", "K s-1") and law.others == {"u": "u10", "v": "v10"}
    truth = data.fine["test"][3, 0]
    same = law.balance(truth, 3)
    assert same.relative == 1.0 and torch.equal(same.residual, same.truth)
    smooth = torch.nn.functional.avg_pool2d(truth[None], 3, 1, 1)[0]
    there = windy().sel(time=data.time["test"][3])
    fields = (torch.as_tensor(there[n].values) for n in ("u10", "v10", "orog"))
    expected = surface_temperature.residual(smooth, *fields, data.grid("test", 3))
    made = law.balance(smooth, 3)
    assert made.residual.numpy() == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-9)
    assert made.relative != 1.0 and law.limit > 0


def test_no_law_is_asked_where_its_fields_are_not_there(request_of, tmp_path):
    for request in (request_of("tp"), request_of("t2m", frames=2)):
        assert law_for(own_data(request).one(), request, "test") is None
    hill().to_netcdf(tmp_path / "calm.nc")
    calm = Request(str(tmp_path / "calm.nc"), ("t2m",), gap=24.0)
    assert law_for(own_data(calm).one(), calm, "test") is None
