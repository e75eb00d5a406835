"""4D-Var and an ensemble filter that live with the laboratory atmosphere: formulas, adjoints, and a cycle of each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate import LETKF
from physlab.assimilate.localisation import gaspari_cohn, sphere_distance
from physlab.assimilate.model_cycle import LETKFSettings, Var4DSettings, minimise_window, run_model_cycle, weigh_members
from physlab.assimilate.statespace import Columns
from physlab.cli.cycle import cycle
from physlab.errors import PhysLabError


class Toy:
    """A linear model of 2 x 3 x 4 numbers, and a covariance by its root."""

    shape, controls = (2, 3, 4), 24

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.G, self.L = rng.standard_normal((24, 24)) / 5, torch.from_numpy(np.tril(rng.standard_normal((24, 24)) / 3))

    def tangent(self, e: np.ndarray, de: np.ndarray) -> np.ndarray:
        return (self.G @ de.ravel()).reshape(self.shape)

    def adjoint(self, e: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return (self.G.T @ dy.ravel()).reshape(self.shape)

    def root(self, v: Tensor) -> Tensor:
        return self.L @ v

    def transpose(self, x: Tensor) -> Tensor:
        return self.L.T @ x


def test_the_window_is_minimised_where_the_kalman_smoother_says():
    toy, rng = Toy(), torch.Generator().manual_seed(0)
    mask = (torch.rand(1, 3, 4, generator=rng) < 0.4).double().expand(2, 3, 4)
    d = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64) * mask
    B, at = toy.L @ toy.L.T, mask.flatten() > 0
    G = torch.from_numpy(toy.G)
    for q in (0.5, 0.0):  # with errors of the model at the end of the window, and without
        settings = Var4DSettings(size=0.7, model_error=q, iterations=200, tolerance=1e-10)
        start, end = minimise_window(toy, toy, d, mask, 0.3, settings)
        at_end = 0.49 * G @ B @ G.T + q**2 * B
        pull = torch.linalg.solve(at_end[at][:, at] + 0.09 * torch.eye(int(at.sum())), d.flatten()[at])
        assert (start.flatten() - 0.49 * (B @ G.T)[:, at] @ pull).abs().max() < 1e-7
        assert (end.flatten() - q**2 * B[:, at] @ pull).abs().max() < 1e-7


def test_the_weights_of_members_are_those_of_the_letkf():
    rng = torch.Generator().manual_seed(1)
    N, C, H, W = 6, 3, 4, 5
    lat, lon = np.meshgrid(np.linspace(-60, 60, H), np.linspace(0, 288, W), indexing="ij")
    points = torch.from_numpy(np.stack([lat.ravel(), lon.ravel()], 1))
    x = torch.randn(N, C, H, W, generator=rng, dtype=torch.float64)
    x = x - x.mean(0)
    mask = (torch.rand(1, 1, H, W, generator=rng) < 0.4).double()
    d = torch.randn(1, C, H, W, generator=rng, dtype=torch.float64) * mask
    settings = LETKFSettings(members=N, radius=5e6, inflation=1.1)
    weights = weigh_members(x, Columns(d, mask, torch.tensor([0.5])), points, settings, chunk=7)
    made = 1.1 * torch.einsum("pij,jcp->icp", weights, x.flatten(2))
    at = torch.nonzero(mask.flatten())[:, 0]
    index = torch.cat([c * H * W + at for c in range(C)])
    taper = gaspari_cohn(sphere_distance(points, points[at]), 5e6).repeat(1, C)
    wanted = LETKF(inflation=1.1, taper=taper).analyse(x.flatten(1), d.flatten()[index], lambda s: s[..., index], 0.25)
    assert (made.flatten(1) - wanted).abs().max() < 1e-9
    nothing = weigh_members(x, Columns(0 * d, 0 * mask, torch.tensor([0.5])), points, settings)
    assert torch.equal(nothing[3], torch.eye(N).double())


def test_refusals(tmp_path):
    with pytest.raises(PhysLabError, match="at least 3"):
        LETKFSettings(members=2)
    with pytest.raises(PhysLabError, match="relaxation 2"):
        LETKFSettings(relaxation=2.0)
    with pytest.raises(PhysLabError, match="additive -1 and static 1"):
        LETKFSettings(additive=-1.0)
    with pytest.raises(PhysLabError, match="additive 0 and static 2"):
        LETKFSettings(additive=0.0, static=2.0)
    with pytest.raises(PhysLabError, match="model_error -1"):
        Var4DSettings(model_error=-1.0)
    with pytest.raises(PhysLabError, match="one of 4d-var, letkf"):
        run_model_cycle(None, tmp_path, tmp_path, "3d-var", None)  # type: ignore[arg-type]
    with pytest.raises(PhysLabError, match="adas-s0 is no 3D-Var: pass 3d-var, or a folder of"):
        cycle(tmp_path, tmp_path / "out", "letkf", prior="adas-s0")


# --- with the atmosphere ----------------------------------------------------------------------------------------------
CHANNELS = (*((n, p) for n in ("u", "v", "t", "q", "z") for p in (300.0, 500.0, 850.0)),
            *((n, float("nan")) for n in ("t_low", "u_low", "v_low", "sp", "tcw")))  # fmt: skip
UNITS = {"u": 3.0, "v": 3.0, "t": 1.5, "q": 5e-4, "z": 300.0}
UNITS |= {"t_low": 1.5, "u_low": 3.0, "v_low": 3.0, "sp": 300.0, "tcw": 3.0}


@pytest.fixture(scope="module")
def weather(request):
    pytest.importorskip("dinosaur")
    import jax

    from physlab.simulate import nature

    request.addfinalizer(lambda: jax.config.update("jax_disable_most_optimizations", False))
    jax.config.update("jax_disable_most_optimizations", True)  # what is compiled here runs a few times only
    model = nature.atmosphere("t21")
    return model, model.advance(model.rest(0), 24 * 12)


@pytest.mark.slow
def test_tangent_and_adjoint_of_the_atmosphere(weather):
    """The dot product in single precision. In double (JAX_ENABLE_X64) it holds to 1e-10, too slow to compile here."""
    from physlab.simulate.window import Window

    model, state = weather
    window = Window(model, state, 6.0, CHANNELS, np.array([UNITS[n] for n, _ in CHANNELS]))
    rng = np.random.default_rng(0)
    e, de, dy = (0.2 * rng.standard_normal(window.shape) for _ in range(3))
    seen, back = window.tangent(e, de).astype(float), window.adjoint(e, dy).astype(float)
    size = np.linalg.norm(seen) * np.linalg.norm(dy)
    assert abs(np.vdot(seen, dy) - np.vdot(de, back)) < 1e-5 * size
    now = Window(model, state, 0.0, CHANNELS, np.array([UNITS[n] for n, _ in CHANNELS]))
    moved = (now.predict(e + 0.1 * de).astype(float) - now.predict(e - 0.1 * de).astype(float)) / 0.2
    assert np.linalg.norm(moved - now.tangent(e, de)) < 0.1 * np.linalg.norm(moved)
    with pytest.raises(PhysLabError, match="whole number of steps"):
        Window(model, state, 0.3, CHANNELS, np.ones(20))
    with pytest.raises(PhysLabError, match="shows no w"):
        Window(model, state, 1.0, (("w", 500.0),), np.ones(1))
    with pytest.raises(PhysLabError, match="pass \\(20, 32, 64\\)"):
        window.tangent(e[:3], de)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["4d-var", "letkf"])
def test_a_cycle_of_each(weather, method, tmp_path):
    """From another weather towards the truth, which is the model itself; stopped and continued."""
    from physlab.assimilate.global3d import GlobalVar3D
    from physlab.assimilate.global_cycle import GlobalCycle
    from physlab.assimilate.statespace import StateSpace
    from physlab.simulate import diagnostics

    model, state = weather
    show, states = diagnostics.of(model), [state]
    for _ in range(4):
        states.append(model.advance(states[-1], 6))
    times = np.datetime64("2001-01-01", "ns") + 6 * np.arange(5) * np.timedelta64(1, "h")
    truth = show.dataset([show.state(s) for s in states], list(times)).sel(level=[300, 500, 850])
    (tmp_path / "truth").mkdir()
    truth.to_netcdf(tmp_path / "truth" / "states-00000.nc")
    rng = torch.Generator().manual_seed(0)
    other = truth.isel(time=slice(None, None, -1)).assign_coords(time=truth["time"])
    space = StateSpace.of(truth, other)
    space = StateSpace(space.channels, space.latitude, space.longitude, space.mean, space.std,
                       torch.tensor([UNITS[n] for n, _ in space.channels])[:, None, None])  # fmt: skip
    e = torch.nn.functional.interpolate(torch.randn(30, 20, 8, 16, generator=rng), size=(32, 64), mode="bilinear")
    prior = GlobalVar3D.from_increments(e, space, truncation=21, modes=8)
    cycle = GlobalCycle((0.1, 0.1), 0.0, 0, 1, 6, 6.0, 0)
    settings = Var4DSettings(iterations=1) if method == "4d-var" else LETKFSettings(members=4, size=0.5, additive=0.2)
    told = []
    stop = lambda: len(told) >= 2  # noqa: E731
    out = run_model_cycle(cycle, tmp_path / "truth", tmp_path / "a", method, prior, settings, "t21",
                          lambda k, _: told.append(k))  # fmt: skip
    assert told == [1, 2, 3, 4] and not (out / "forecasts-00004.nc").exists() and stop()
    made, before = (xr.open_dataset(out / f"{name}-00000.nc") for name in ("analyses", "forecasts"))
    assert made.sizes["time"] == 4 and int(before["observed"].isel(time=0).sum()) == 205

    seen = torch.from_numpy(before["observed"].values[:2, None].copy())

    def error(ds: xr.Dataset) -> float:
        x = space.tensor(ds[list(space.variables)].isel(time=slice(0, 2)).sel(level=[300, 500, 850]))
        y = space.tensor(truth.isel(time=slice(1, 3)))
        return float((((x - y) / space.error).square() * seen).mean())

    assert error(made) < 0.95 * error(before)
    assert (out / "spread-00000.nc").exists() is (method == "letkf")
