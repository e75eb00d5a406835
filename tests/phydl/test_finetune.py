"""Forecasts on a grid and their fine-tuning: a band whose equation, force and future are known."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.grid import Grid
from physlab.phydl import Equation, Forecaster, ForecastSettings, GridResidual, Windows, finetune
from physlab.phydl.forecast import HOURS, LEADS
from physlab.phydl.library import advection, advection_along

VARIABLES = ("u", "v", "c")
EQUATION = Equation("c", (advection("c"),))
RADIUS = 6.37122e6


def band(hours: int = 60, columns: int = 72, wobble: float = 0.0) -> xr.Dataset:
    """A wave that a zonal wind carries around the planet, and a force of its own at each place:
    c_t + u c_x = Q(lon, lat), solved exactly by c = wave + P with u P_x = Q. With `wobble` the wind varies in time, and
    there is no force."""
    latitude, longitude = np.linspace(30.0, 52.0, 12), np.arange(columns) * 360.0 / columns
    t, lat, lon = np.meshgrid(np.arange(hours) * 3600.0, latitude, np.deg2rad(longitude), indexing="ij")
    angular = 15.0 / (RADIUS * np.cos(np.deg2rad(40.0)))  # rad s-1: a rigid rotation, so that waves keep their shape
    rate = 2 * np.pi / 1.5e5
    turned = lon - angular * (t + wobble * np.sin(rate * t) / rate)
    u = angular * (1 + wobble * np.cos(rate * t)) * RADIUS * np.cos(np.deg2rad(lat))
    c = 3 * np.sin(4 * turned + 0.1 * lat) + np.cos(2 * turned)
    if not wobble:
        c = c + 2 * np.sin(2 * lon)  # P, stays where it is
    dims = ("time", "latitude", "longitude")
    time = np.datetime64("2001-01-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")
    return xr.Dataset({"u": (dims, u), "v": (dims, 0 * u), "c": (dims, c)},
                      {"time": time, "latitude": latitude, "longitude": longitude})  # fmt: skip


def true_force(ds: xr.Dataset) -> np.ndarray:
    lon, lat = np.deg2rad(ds.longitude.values), np.deg2rad(ds.latitude.values)[:, None]
    return ds["u"].values[0] * 4 * np.cos(2 * lon) / (RADIUS * np.cos(lat))


@pytest.fixture(scope="module")
def ds():
    return band()


@pytest.fixture(scope="module")
def law(ds):
    return GridResidual.learn(ds, VARIABLES, hours=2, equations=(EQUATION,), order=4, border=2)


def tensors(ds: xr.Dataset) -> torch.Tensor:
    return torch.from_numpy(np.stack([ds[v].values for v in VARIABLES], 1))


def test_coefficient_and_force_of_each_place_are_learned(ds, law):
    """The coefficient of advection is -1, the force is u P_x, and little is left."""
    fine = band(columns=144)
    finer = GridResidual.learn(fine, VARIABLES, hours=2, equations=(EQUATION,), order=4, border=2)
    errors = []
    for data, found in ((ds, law), (fine, finer)):
        assert found.coefficients["c"][0] == pytest.approx(-1, abs=0.02)
        force = true_force(data)[2:-2]
        errors.append(np.sqrt(np.mean((found.force[0].numpy() - force) ** 2) / np.mean(force**2)))
    assert errors[0] < 0.03
    assert float(law.spread.max()) < 0.05 * np.abs(true_force(ds)).max()


def test_residual_vanishes_with_the_order_of_the_differences():
    """R - Q of the exact solution: second order halves the step, quarters the error (space and time together)."""
    sizes, hours = [], (4, 2, 1)
    for columns, dt in zip((36, 72, 144), hours, strict=True):
        ds = band(hours=9, columns=columns)
        law = GridResidual((EQUATION,), VARIABLES, {"c": np.array([-1.0])}, ds.longitude.values, ds.latitude.values,
                           torch.zeros(1, 10, columns), torch.ones(1, 10, columns))  # fmt: skip
        x = tensors(ds.isel(time=slice(None, None, dt)))[None]
        rest = law(x, Grid(ds.latitude.values, ds.longitude.values), 3600.0 * dt)[0, :, 0]
        force = torch.from_numpy(true_force(ds)[1:-1])
        sizes.append(float((rest - force).square().mean().sqrt()))
    rates = np.log2(np.array(sizes[:-1]) / np.array(sizes[1:]))
    assert np.all(np.abs(rates - 2) < 0.25), rates


def test_a_window_has_the_residual_of_the_circle_in_its_interior(ds, law):
    """No slopes against zeros beyond a border; axes in their order; the force of the right place."""
    x = tensors(ds)[:5:2][None]
    whole = law(x, Grid(ds.latitude.values, ds.longitude.values), 7200.0)
    assert whole.shape == (1, 2, 1, 8, 72)
    start = 65  # over the seam
    at = (start + np.arange(20)) % 72
    part = law(x[..., torch.from_numpy(at)], Grid(ds.latitude.values, ds.longitude.values[:20]), 7200.0)
    assert torch.allclose(part, whole[..., torch.from_numpy(at[2:-2])], atol=1e-12)
    force, _ = law.at([float(ds.longitude[start])], 20)
    assert torch.equal(force[0, 0], law.force[..., torch.from_numpy(at[2:-2])])
    assert float((part - force).abs().max()) < 0.2 * float(part.abs().max())


def test_equations_of_a_region_know_where_it_ends(ds):
    region = ds.isel(longitude=slice(10, 50))
    law = GridResidual.learn(region, VARIABLES, equations=(EQUATION,))
    assert law.force.shape == (1, 10, 38)
    force, _ = law.at([float(ds.longitude[12])], 10)
    assert torch.equal(force[0, 0], law.force[..., 2:10])
    for lon in (0.0, 245.0):
        with pytest.raises(PhysLabError, match="from 55 E on only"):
            law.at([lon], 10)
    with pytest.raises(PhysLabError, match="at least three"):
        GridResidual.learn(ds.isel(time=slice(0, 4)), VARIABLES, equations=(EQUATION,))


@pytest.mark.slow
def test_gradient_of_the_penalty(ds, law):
    """Against finite differences, through differences in space and time."""
    x = (tensors(ds)[:3:2][None, ..., :12] + 0.3 * torch.randn(1, 2, 3, 12, 12, dtype=torch.float64)).requires_grad_()
    grid = Grid(ds.latitude.values, ds.longitude.values[:12])
    assert torch.autograd.gradcheck(lambda y: 1e6 * law(y, grid, 7200.0).square().mean(), x, eps=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def model(ds):
    return Forecaster.of("unet", ds, VARIABLES)


@pytest.mark.parametrize("kind", ["unet", "convlstm", "afno"])
def test_an_untrained_network_forecasts_persistence(ds, kind):
    model = Forecaster.of(kind, ds, VARIABLES)
    made = model.forecast(ds.isel(time=slice(0, 9)))
    assert made.sizes == {"time": len(LEADS), "latitude": 12, "longitude": 72}
    assert list(made["lead"].values) == list(LEADS)
    np.testing.assert_allclose(made["c"].values, ds["c"].values[8:9].repeat(len(LEADS), 0), atol=1e-5)
    assert made["time"].values[0] == ds["time"].values[8] + np.timedelta64(2, "h")


def test_windows_hold_the_hours_that_they_say(ds, model):
    windows = Windows(ds, model)
    assert windows.starts == range(6, 60 - 24)
    given, asked, first = windows.draw(4, 9, torch.Generator().manual_seed(3))
    assert given.shape == (4, len(HOURS), 3, 12, 9) and asked.shape == (4, len(LEADS), 3, 12, 9)
    x = tensors(ds).float()
    at = int(np.flatnonzero(ds.longitude.values == first[0])[0])
    columns = (at + torch.arange(9)) % 72
    match = [h for h in windows.starts if torch.equal(x[h][..., columns], given[0, -1])]
    assert len(match) == 1
    assert torch.equal(asked[0, -1], x[match[0] + LEADS[-1]][..., columns])
    assert torch.equal(given[0, 0], x[match[0] + HOURS[0]][..., columns])
    with pytest.raises(PhysLabError, match="without gaps"):
        Windows(ds.isel(time=[0, 1, 3]), model)
    with pytest.raises(PhysLabError, match="hold no forecast"):
        Windows(ds.isel(time=slice(0, 20)), model)


QUICK = ForecastSettings(steps=60, batch=4, width=16, precision="fp32")


@pytest.mark.slow
def test_equations_lower_the_residual_and_training_lowers_the_error():
    """A network trained for a moment, then fine-tuned with and without the law; a seed decides the weights."""
    ds, names = band(wobble=0.3), ("u", "c")
    law = GridResidual.learn(ds, names, equations=(Equation("c", (advection_along("c", "x", "u"),)),))
    law.spread = torch.full_like(law.spread, 5e-6)  # a tenth of the tendency: noise-free data leave next to nothing
    windows = Windows(ds, base := Forecaster.of("afno", ds, names))
    given, asked = windows.take([10, 20, 30], [0, 30, 60], 16)

    def measure(model):
        with torch.no_grad():
            made = model(given)
            rest = law(torch.cat([given[:, -1:], made], 1), windows.grid(16), 7200.0)
            force, spread = law.at([0.0, 150.0, 300.0], 16)
        rmse = (made - asked)[:, :, 1].square().mean().sqrt()
        return float(rmse), float(((rest - force) / spread).square().mean().sqrt())

    start = measure(base)
    report = finetune(base, windows, QUICK)
    assert len(report.history) == 2 and report.history[-1]["data"] < report.history[0]["data"]
    trained = measure(base)
    assert trained[0] < 0.5 * start[0]
    found = []
    for physics in (0.0, 0.01, 0.1, 0.1):
        model = copy.deepcopy(base)
        finetune(model, windows, dataclasses.replace(QUICK, rate=1e-4, physics=physics), law, seed=1)
        found.append(measure(model))
    assert found[1][1] < 0.9 * found[0][1] and found[1][0] < 1.1 * found[0][0]
    assert found[2][1] < 0.8 * found[0][1]  # heavier: more balanced, at a price
    assert found[2] == found[3]


@pytest.mark.slow
def test_published_penalty_has_no_lower_bound(ds, law):
    """The signed mean goes below zero and on: what it lowers is no residual."""
    law = GridResidual.learn(ds, VARIABLES, equations=(EQUATION,))
    model = Forecaster.of("unet", ds, VARIABLES)
    settings = dataclasses.replace(QUICK, steps=100, physics=10.0, signed=True, force="none")
    history = finetune(model, Windows(ds, model), settings, law).history
    assert history[-1]["physics"] < -5 and history[-1]["physics"] < history[0]["physics"]


def test_save_and_load(ds, model, tmp_path):
    torch.nn.init.normal_(model.network.last.weight, std=0.1)
    model.card = {"seed": 3}
    folder = model.save(tmp_path / "forecast")
    other = Forecaster.load(folder)
    history = ds.isel(time=slice(0, 7))
    xr.testing.assert_allclose(other.forecast(history), model.eval().forecast(history))
    assert other.card["seed"] == 3
    (folder / "card.json").write_text((folder / "card.json").read_text().replace('"unet"', '"afno"'))
    with pytest.raises(CheckpointError, match="train it and save it again"):
        Forecaster.load(folder)


def test_bad_input(ds, model, law):
    with pytest.raises(FieldError, match="no variable c"):
        model.forecast(ds.drop_vars("c"))
    with pytest.raises(FieldError, match="this network knows 12"):
        model.forecast(ds.isel(latitude=slice(1, None)))
    with pytest.raises(FieldError, match="hours"):
        model.forecast(ds.isel(time=slice(0, 5)))
    with pytest.raises(FieldError, match="missing values"):
        model.forecast(ds.where(ds.longitude > 3).isel(time=slice(0, 7)))
    with pytest.raises(PhysLabError, match="convlstm, afno or unet"):
        Forecaster.of("transformer", ds, VARIABLES)
    with pytest.raises(PhysLabError, match="needs equations"):
        finetune(model, Windows(ds, model), dataclasses.replace(QUICK, physics=1.0))
    with pytest.raises(PhysLabError, match="one of place, none"):
        ForecastSettings(force="smooth")
