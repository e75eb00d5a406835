"""Sequences and static fields through the one verb: downscale(coarse) on a time series, at a place, with members."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.downscale import CNN, GAN, Interpolate, make_downscaler
from physlab.downscale.interpolate import InTime
from physlab.downscale.recurrent import windows
from physlab.downscale.static import static_fields
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid, coarsen
from physlab.nn import ConvGRU, DeepSD, FlowConvGRU, NoiseResNet, bicubic

SIZE = {"channels": 4, "blocks": 1, "upsample": "shuffle", "skip": "bicubic", "zero_start": True}


def series(times: int, step: str = "h", periodic: bool = False) -> xr.Dataset:
    width = 16
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(1, step),
        "latitude": np.linspace(30.0, 58.0, 8),
        "longitude": np.arange(width) * (360 / width if periodic else 4.0),
    }
    values = np.random.default_rng(0).gamma(2.0, 8.0, (times, 8, width))
    return xr.Dataset({"tcw": (list(coords), values, {"units": "kg m-2"})}, coords)


def weights_of(ds: xr.Dataset) -> torch.Tensor:
    return torch.from_numpy(Grid.from_dataset(ds).area_weights[:, :1].copy())


@pytest.mark.parametrize("length", [3, 4, 5, 7])
def test_windows_cover_a_series(length: int) -> None:
    together = sorted({i for taken, put in windows(length, (3, 3)) for i in put})
    assert together == list(range(length)) and all(taken == put for taken, put in windows(length, (3, 3)))
    between = windows(length, (2, 3))
    assert sorted({i for _, put in between for i in put}) == list(range(2 * length - 1))
    assert all(put == [2 * taken[0], 2 * taken[0] + 1, 2 * taken[1]] for taken, put in between)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_series_is_refined_frame_by_frame_before_training(periodic: bool) -> None:
    """The untrained network is bicubic interpolation with its layer; around the globe too."""
    model = CNN(ConvGRU(2, **SIZE), "add", 10.0, "tcw", "toy")
    coarse = series(5, periodic=periodic)
    fine = model.downscale(coarse)
    expected = Interpolate("bicubic", 2, "add").downscale(coarse)
    np.testing.assert_allclose(fine["tcw"], expected["tcw"], atol=2e-4)
    assert fine.sizes == expected.sizes and (fine.time.values == coarse.time.values).all()


def test_the_missing_hours_lie_between_the_given_ones() -> None:
    network = FlowConvGRU(2, flow_channels=[4, 4, 4], norm=False, **SIZE)
    model = CNN(network, "add", 10.0, "tcw", "toy")
    coarse = series(4)
    fine = model.downscale(coarse)
    assert fine.sizes["time"] == 7
    assert (np.diff(fine.time.values) == np.timedelta64(30, "m")).all()
    found = torch.from_numpy(fine["tcw"].values)
    again = coarsen(found[::2], 2, weights_of(fine))
    np.testing.assert_allclose(again, coarse["tcw"], rtol=1e-6)  # the given hours conserve
    linear = 0.5 * (coarse["tcw"].values[:-1] + coarse["tcw"].values[1:])  # zero flow
    np.testing.assert_allclose(coarsen(found[1::2], 2, weights_of(fine)), linear, rtol=1e-5)


def test_linear_in_time_is_the_baseline_of_the_missing_hour() -> None:
    method, x = InTime(Interpolate("bicubic", 2)), torch.rand(3, 2, 4, 4)
    y = method.predict(x)
    torch.testing.assert_close(y[:, 0], bicubic(x[:, 0], 2))
    torch.testing.assert_close(y[:, 1], bicubic(x.mean(1), 2))
    with pytest.raises(PhysLabError, match="two frames"):
        method.predict(x[:, :1])


UNEVEN = series(6).isel(time=[0, 1, 3, 5])


@pytest.mark.parametrize(
    ("coarse", "word"), [(series(2), "at least 3 frames"), (series(1), "3 frames"), (UNEVEN, "steps")]
)
def test_a_series_that_does_not_fit_is_refused(coarse: xr.Dataset, word: str) -> None:
    with pytest.raises(FieldError, match=word):
        CNN(ConvGRU(2, **SIZE), "none", 10.0, "tcw", "toy").downscale(coarse)


def test_elevation_is_looked_up_where_the_field_lies() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DeepSD(2, channels=[4, 4], kernels=[3, 1, 3])
    model = CNN(network, "none", 10.0, "tcw", "toy")
    coarse = series(1).isel(time=0, drop=True)
    here = model.downscale(coarse)["tcw"].values
    tibet = model.downscale(coarse.assign_coords(longitude=coarse.longitude + 60))["tcw"].values
    assert np.abs(here - tibet).max() > 1e-3
    grid = Grid.from_dataset(model.downscale(coarse))
    static = static_fields(network.statics, grid.latitude, grid.longitude)
    x = torch.from_numpy(coarse["tcw"].values)
    np.testing.assert_allclose(model.predict(x, None, static), here.squeeze(), rtol=1e-5)
    assert float(static_fields(("elevation",), np.array([33.0]), np.array([88.0]))) > 4.0  # km, in Tibet
    with pytest.raises(FieldError, match="elevation"):
        model.predict(x)
    with pytest.raises(PhysLabError, match="unknown static field"):
        static_fields(("soil",), grid.latitude, grid.longitude)


def test_a_generator_gives_members() -> None:
    model = make_downscaler(NoiseResNet(2, channels=4, blocks=1, upsample="shuffle"), "mult", 10.0, "tcw", "toy")
    assert isinstance(model, GAN)
    coarse = series(2)
    fine = model.downscale(coarse, members=3, seed=1)
    assert fine["tcw"].dims[0] == "member" and fine.sizes["member"] == 3
    assert float(fine["tcw"].std("member").mean()) > 0
    xr.testing.assert_identical(model.downscale(coarse, members=3, seed=1), fine)
    for member in range(3):  # every member conserves
        again = coarsen(torch.from_numpy(fine["tcw"].values[member]), 2, weights_of(fine))
        np.testing.assert_allclose(again, coarse["tcw"], rtol=1e-5)
    with pytest.raises(PhysLabError, match="at least 1"):
        model.sample(torch.rand(1, 4, 4), members=0)


def test_what_a_generator_predicts_is_the_mean_of_ten_members() -> None:
    model = make_downscaler(NoiseResNet(2, channels=4, blocks=1, upsample="shuffle"), "mult", 10.0, "tcw", "toy")
    coarse, generator = 20 + 10 * torch.rand(2, 4, 5), torch.Generator().manual_seed(0)
    members = torch.cat([model.sample(coarse, members=1, generator=generator) for _ in range(10)])
    assert members.std(0).mean() > 1e-3
    torch.testing.assert_close(model.predict(coarse), members.mean(0))
