"""The continuous field: fitted, evaluated anywhere, interrupted, saved; its equations found again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.grid import Grid
from physlab.phydl import Blobs, FitSettings, PhyDL, SmoothForce, coefficient_table, threshold
from physlab.phydl.background import basis, exponents, fit_background
from physlab.phydl.continuous import frequencies
from physlab.phydl.fit import solve

SMALL = {"width": 24, "depth": 3}
QUICK = FitSettings(steps=60, batch=512, collocation=64, solve_every=20, solve_points=512, physics=0.1)


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    """A wave that moves east with the wind that goes with it, over mountains of nothing."""
    time = np.datetime64("2006-01-02T00", "ns") + np.arange(9) * np.timedelta64(3, "h")
    latitude, longitude = np.linspace(30.0, 50.0, 8), np.linspace(-20.0, 10.0, 10)
    t, lat, lon = np.meshgrid(np.arange(9) * 3.0, np.deg2rad(latitude), np.deg2rad(longitude), indexing="ij")
    phase = 16 * lon - 0.1 * t
    fields = {
        "u": 15 + 4 * np.sin(phase) * np.cos(3 * lat), "v": 6 * np.cos(phase),
        "z": 3e4 - 3e3 * np.sin(lat) ** 2 + 400 * np.sin(phase), "t": 290 - 40 * np.sin(lat) ** 2 + 3 * np.sin(phase),
    }  # fmt: skip
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({k: (dims, v.astype(np.float32), {"units": "1"}) for k, v in fields.items()},
                      {"time": time, "latitude": latitude, "longitude": longitude})  # fmt: skip


@pytest.fixture(scope="module")
def fitted(weather) -> PhyDL:
    model = PhyDL.of(weather, force=SmoothForce((2, 2, 2)), network=SMALL)
    model.fit(weather, dataclasses.replace(QUICK, steps=600, physics=0.001))
    return model


def test_background_is_least_squares_and_its_derivatives_are_right():
    z = (2 * torch.rand(50, 3, dtype=torch.float64) - 1).requires_grad_(True)
    jet = basis(z)
    assert jet.value.shape == (50, len(exponents()))
    for at in (0, 3, 11, len(exponents()) - 1):
        slope = torch.autograd.grad(jet.value[:, at].sum(), z, create_graph=True, allow_unused=True)[0]
        if slope is None:
            assert exponents()[at] == (0, 0, 0)
            continue
        assert torch.allclose(slope.T, jet.first[..., at])
        if slope.requires_grad:
            bend = torch.autograd.grad(slope[:, 1].sum(), z, retain_graph=True, allow_unused=True)[0]
            assert torch.allclose(torch.zeros(50).double() if bend is None else bend[:, 1], jet.second[1, :, at])
    wanted = torch.randn(len(exponents()), 2, dtype=torch.float64)
    many = 2 * torch.rand(400, 3, dtype=torch.float64) - 1
    values = basis(many).value @ wanted
    values[::7, 1] = torch.nan  # the second variable is not observed everywhere
    assert torch.allclose(fit_background(many, values), wanted, atol=1e-8)


@pytest.mark.slow
def test_fit_improves_on_the_base_state_and_evaluates_anywhere(weather, fitted):
    at_data = fitted.downscale(weather)
    base = fitted.base(fitted.data(weather)[0]).reshape(9, 8, 10, 4)
    for number, name in enumerate(fitted.variables):
        error = float(np.sqrt(((at_data[name] - weather[name]) ** 2).mean()))
        assert error < 0.6 * float(np.sqrt(((base[..., number].numpy() - weather[name]) ** 2).mean())), name
    fine = Grid(np.linspace(31.0, 49.0, 37), np.linspace(-19.0, 9.0, 57))
    time = weather.time.values[0] + np.array([90, 100], "timedelta64[m]")
    made = fitted.downscale(to=fine, time=time)
    assert dict(made.sizes) == {"time": 2, "latitude": 37, "longitude": 57} and made.u.attrs["units"] == "1"
    one = fitted.evaluate(torch.tensor([[-19.0, 31.0, 5400.0]]))[0]
    assert torch.allclose(one, torch.tensor([float(made[n][0, 0, 0]) for n in fitted.variables]), rtol=1e-5)


@pytest.mark.slow
def test_derivatives_in_si_units_are_slopes_of_the_field(fitted):
    points = torch.tensor([[-5.0, 40.0, 30000.0], [3.0, 33.0, 60000.0]])
    double = fitted.with_network(fitted.network.double())
    double.std = fitted.std.double()
    try:
        state, h = double.state(points.double()), 1e-3
        value = lambda p: double.state(p.double())["z"]  # noqa: E731
        metres = 6.37122e6 * np.deg2rad(h)
        north = value(points.double() + torch.tensor([0, h, 0])) - value(points.double() - torch.tensor([0, h, 0]))
        assert torch.allclose(north / (2 * metres), state.slope("z", 1), rtol=1e-4)
        east = value(points.double() + torch.tensor([h, 0, 0])) - value(points.double() - torch.tensor([h, 0, 0]))
        cosine = torch.cos(torch.deg2rad(points[:, 1].double()))
        assert torch.allclose(east / (2 * metres * cosine), state.slope("z", 0), rtol=1e-4)
    finally:
        fitted.network.float()


@pytest.mark.slow
def test_it_does_not_extrapolate(weather, fitted):
    with pytest.raises(FieldError, match="does not extrapolate"):
        fitted.downscale(to=Grid(np.array([20.0, 25.0]), np.array([0.0, 1.0])), time=weather.time.values[:1])
    with pytest.raises(FieldError, match=r"time .* is asked"):
        fitted.downscale(weather, time=weather.time.values[-1:] + np.timedelta64(1, "h"))
    with pytest.raises(PhysLabError, match="pass time"):
        fitted.downscale(to=Grid(np.array([35.0, 36.0]), np.array([0.0, 1.0])))
    with pytest.raises(PhysLabError, match="has not been fitted"):
        PhyDL.of(weather, network=SMALL).downscale()


def test_interrupted_fit_goes_on_to_the_same_weights(weather, tmp_path):
    whole, parts = (PhyDL.of(weather, force=SmoothForce((2, 2, 2)), network=SMALL) for _ in range(2))
    whole.fit(weather, QUICK)
    state = tmp_path / "state.pt"
    parts.fit(weather, QUICK, state=state, stop_after=37)
    assert state.exists()
    again = PhyDL.of(weather, force=SmoothForce((2, 2, 2)), network=SMALL, seed=9)
    again.fit(weather, QUICK, state=state)
    assert not state.exists()
    for a, b in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    with pytest.raises(PhysLabError, match="other settings"):
        parts.fit(weather, QUICK, state=state, stop_after=5)
        parts.fit(weather, dataclasses.replace(QUICK, steps=61), state=state)


@pytest.mark.slow
def test_saved_and_loaded(fitted, weather, tmp_path):
    folder = fitted.save(tmp_path / "field")
    again = PhyDL.load(folder)
    points = fitted.data(weather)[0][:50]
    assert torch.equal(again.evaluate(points), fitted.evaluate(points))
    assert torch.allclose(again.force_at(points, "u"), fitted.force_at(points, "u"))
    assert {k: v.shape for k, v in again.residual_at(points).items()} == dict.fromkeys("uvt", (50,))
    card = json.loads((folder / "card.json").read_text())
    assert card["parameters"] == sum(p.numel() for p in fitted.network.parameters())
    large = {**card, "network": {**card["network"], "width": 10**6}}  # must not be allocated
    (folder / "card.json").write_text(json.dumps(large))
    with pytest.raises(CheckpointError, match="the file differs"):
        PhyDL.load(folder)
    card["equations"]["u"]["terms"][0] = "w ∂p u"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="w ∂p u"):
        PhyDL.load(folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="no continuous field"):
        PhyDL.load(folder)


def test_bad_data(weather):
    with pytest.raises(FieldError, match="do not vary"):
        PhyDL.of(weather.assign(v=weather["v"] * 0))
    with pytest.raises(FieldError, match="no variable w"):
        PhyDL.of(weather, ["w"])
    with pytest.raises(FieldError, match="time, latitude, longitude"):
        PhyDL.of(weather.expand_dims(level=[500]))
    model = PhyDL.of(weather, network=SMALL)
    points, values = model.data(weather)
    values[:, 1] = torch.nan
    with pytest.raises(PhysLabError, match="no value at all"):
        model.fit((points, values), QUICK)


def test_a_variable_that_is_seen_at_few_points(weather):
    model = PhyDL.of(weather, network=SMALL)
    points, values = model.data(weather)
    values[torch.arange(len(values)) % 5 > 0, 3] = torch.nan
    report = model.fit((points, values), QUICK)
    assert np.isfinite(report.history[-1]["data"])


def test_frequencies_follow_the_density_of_the_data():
    assert frequencies(6561) == pytest.approx((4.1, 4.1, 20.6), abs=0.1)
    assert frequencies(8 * 6561) == pytest.approx(tuple(2 * f for f in frequencies(6561)), abs=0.05)


MANUFACTURED = FitSettings(physics=0.1, warm_up=0.3, rate=6e-3, solve_every=20, solve_points=4096)


@pytest.fixture(scope="module")
def blobs():
    """The manufactured case with 1 % noise, fitted with its equation."""
    case = Blobs()
    points, values = case.samples(noise=0.01)
    model = PhyDL.at_points(
        ("u", "v", "c"), case.domain, points, values, [case.equation], SmoothForce((0, 0, 0)),
        {"width": 64, "depth": 4, "omega": 4.0}, flat=True,
    )  # fmt: skip
    # about a minute; the diffusivity converges last, from below (its column is a second derivative)
    model.fit((points, values), dataclasses.replace(MANUFACTURED, steps=2500))
    return case, model


@pytest.mark.slow
def test_known_coefficients_are_recovered_within_two_percent(blobs):
    case, model = blobs
    found = model.coefficients(draws=20).set_index("term")["coefficient"]
    for name, value in found.items():
        assert value == pytest.approx(case.truth[name], rel=0.02), name


@pytest.mark.slow
def test_the_library_finds_exactly_the_active_terms(blobs):
    case, model = blobs
    other = model.with_network(model.network)
    other.equations = (case.library,)
    normal = solve(other, 12000, 5)["c"]
    active = threshold(normal)
    assert {n for n, a in zip(case.library.names, active, strict=True) if a} == {"u ∂x c", "v ∂y c", "∇² c", "c"}
    table = coefficient_table(normal, active, draws=20).set_index("term")
    for name, value in table["coefficient"].items():
        assert value == pytest.approx(case.truth[name], rel=0.03), name


@pytest.mark.slow
def test_with_the_published_force_the_same_fit_learns_nothing(blobs):
    """A force network without a price absorbs the residual: it vanishes, and the coefficients are far from true."""
    case, model = blobs
    points, values = case.samples(noise=0.01)
    free = PhyDL.at_points(
        ("u", "v", "c"), case.domain, points, values, [case.equation], SmoothForce((0, 0, 0)),
        {"width": 64, "depth": 4, "omega": 4.0}, flat=True,
    )  # fmt: skip
    report = free.fit((points, values), dataclasses.replace(MANUFACTURED, steps=800, free=True))
    assert report.history[-1]["physics"] < 0.15  # "the physics holds"
    coefficients = dict(zip(case.equation.names, free.solution["c"][0], strict=True))
    errors = [abs(coefficients[name] / case.truth[name] - 1) for name in case.equation.names]
    assert max(errors) > 0.2, errors
