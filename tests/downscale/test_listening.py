"""Stations in a downscaled field: the Kalman posterior on Gaussian problems, block means, signs, members."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate.localisation import gaspari_cohn, grid_points, sphere_distance
from physlab.data.observe import Interpolation, table
from physlab.downscale import Bicubic, BicubicConstrained, LatentDownscaler
from physlab.downscale.base import FieldDownscaler
from physlab.downscale.listening import Known, Listening, Sampled, Stationary, Together, measured, tuned, update
from physlab.downscale.listening.covariance import Blocks
from physlab.downscale.listening.measure import blank, coarsened, network
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid, coarsen

GRID = Grid(np.linspace(58, 50.25, 16), np.linspace(-10, -2.5, 24))
FACTOR = 4
BLOCKS = Blocks(GRID, FACTOR)
POINTS = grid_points(GRID.latitude, GRID.longitude)
N = 16 * 24


def block_means() -> Tensor:
    """P as a matrix (blocks, n)."""
    weights = torch.from_numpy(GRID.area_weights[:, :1].copy())
    return coarsen(torch.eye(N, dtype=torch.float64).reshape(N, *GRID.shape), FACTOR, weights).flatten(1).T


def smooth(length: float = 1.5e5) -> Tensor:
    return 2.0 * gaspari_cohn(sphere_distance(POINTS, POINTS), length) + 1e-6 * torch.eye(N)


def seen(count: int = 9, seed: int = 0) -> tuple[Interpolation, Tensor, xr.Dataset]:
    """H, as a matrix too, and the places."""
    found = network(GRID, count, np.random.default_rng(seed))
    see = Interpolation(found, blank(GRID))
    return see, see(torch.eye(N, dtype=torch.float64)).T, found


def drawn(C: Tensor, seed: int, count: int = 1) -> Tensor:
    root = torch.linalg.cholesky(C + 1e-8 * torch.eye(len(C)))
    return (root @ torch.randn(len(C), count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).T


# --- the Gaussian toy -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("with_means", [True, False], ids=["block means known", "nothing known"])
def test_the_result_is_the_kalman_posterior(with_means):
    """Prior N(0, C), exact block means or none, nine stations: everything in one system, against two steps."""
    C, P, (see, H, _) = smooth(), block_means(), seen()
    x, error = drawn(C, 1)[0], torch.full((9,), 0.1, dtype=torch.float64)
    y = see(x) + error * drawn(torch.eye(9, dtype=torch.float64), 2)[0]
    A, R = (torch.cat([P, H]), torch.diag(torch.cat([torch.full((len(P),), 1e-9), error**2]))) if with_means else (
        H, torch.diag(error**2))  # fmt: skip
    gain = torch.linalg.solve(A @ C @ A.T + R, A @ C).T
    mean = gain @ (torch.cat([P @ x, y]) if with_means else y)
    left = (C - gain @ A @ C).diagonal().clamp(min=0).sqrt()
    first, B = torch.zeros(N, dtype=torch.float64), C
    if with_means:  # the best downscaling, and the covariance of its errors
        known = torch.linalg.solve(P @ C @ P.T, P @ C).T
        first, B = known @ P @ x, C - known @ P @ C
        assert (P @ B).abs().max() < 1e-8
    made, std = update(first, y, error, see, Known(B))
    assert (made - mean).abs().max() < 1e-5
    assert (std - left).abs().max() < 1e-4
    if with_means:
        assert (P @ (made - x)).abs().max() < 1e-6
    members, _ = update(first + drawn(B, 3, 4000), y, error, see, Known(B), torch.Generator().manual_seed(0))
    assert (members.mean(0) - mean).abs().max() < 0.12  # of a spread of 1.4 without stations
    assert float((members.std(0) / left.clamp(min=0.05)).mean()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("kind", ["stationary", "stationary, free", "samples", "samples, local"])
def test_covariances_are_those_of_their_formulas(kind):
    see, H, _ = seen(5)
    rng = torch.Generator().manual_seed(0)
    E = BLOCKS.detail(torch.randn(7, N, generator=rng, dtype=torch.float64))
    Pi = torch.eye(N, dtype=torch.float64) - torch.stack([BLOCKS.of == b for b in range(24)]).double().T @ block_means()
    s = 0.5 + torch.rand(N, generator=rng, dtype=torch.float64)
    C = s[:, None] * gaspari_cohn(sphere_distance(POINTS, POINTS), 1.2e5) * s
    near = gaspari_cohn(sphere_distance(BLOCKS.middles, BLOCKS.middles), 2e5)[BLOCKS.of][:, BLOCKS.of]
    made, wanted = {
        "stationary": (Stationary(s, 1.2e5, GRID, BLOCKS, True), Pi @ C @ Pi.T),
        "stationary, free": (Stationary(s, 1.2e5, GRID, BLOCKS, False), C),
        "samples": (Sampled(E, BLOCKS), E.T @ E / 7),
        "samples, local": (Sampled(E, BLOCKS, 2e5), near * (E.T @ E) / 7),
    }[kind]
    assert (made.columns(see) - wanted @ H.T).abs().max() < 1e-12 * float(wanted.abs().max()) * N
    assert torch.allclose(made.variance(), wanted.diagonal(), atol=1e-12)
    if kind != "stationary, free":
        assert (block_means() @ made.columns(see)).abs().max() < 1e-12
    both = Together([(0.25, made), (2.0, made)])
    assert torch.allclose(both.columns(see), 2.25 * made.columns(see)) and both.n == N
    assert torch.allclose(both.variance(), 2.25 * made.variance())


# --- fields -----------------------------------------------------------------------------------------------------------
def world(times: int = 3, name: str = "t2m", seed: int = 0, offset: float = 280.0) -> xr.Dataset:
    values = offset + 3 * drawn(smooth(2.5e5), seed, times).reshape(times, *GRID.shape).numpy()
    stamp = np.datetime64("2024-01-01", "ns") + 6 * np.arange(times) * np.timedelta64(1, "h")
    units = {"t2m": "K", "tp": "kg m-2"}[name]
    return xr.Dataset({name: (("time", "latitude", "longitude"), values, {"units": units})},
                      {"time": stamp, "latitude": GRID.latitude, "longitude": GRID.longitude})  # fmt: skip


def stations(truth: xr.Dataset, count: int = 12, error: float = 0.1, seed: int = 0, **extra) -> xr.Dataset:
    """What is measured at places of a network, at each time."""
    name, draw = str(next(iter(truth))), np.random.default_rng(seed)
    found, parts = network(GRID, count, draw, name), []
    see = Interpolation(found, blank(GRID, name))
    for t in range(truth.sizes["time"]):
        value = see(torch.tensor(truth[name].values[t].ravel(), dtype=torch.float64)).numpy()
        value = value + error * draw.standard_normal(count)
        parts.append(table([name] * count, [np.nan] * count, found["latitude"], found["longitude"], value,
                           [error] * count, time=[truth["time"].values[t]] * count, **extra))  # fmt: skip
    return xr.concat(parts, "observation")


def means_off(fine: xr.DataArray, coarse: xr.DataArray) -> float:
    weights = torch.from_numpy(GRID.area_weights[:, :1].copy())
    mean = coarsen(torch.tensor(fine.transpose(..., "latitude", "longitude").values).double(), FACTOR, weights)
    low = torch.tensor(coarse.values).double()
    return float(((mean - low).abs() / low.abs().clamp(min=1e-9)).max())


def rmse(a: xr.Dataset, b: xr.Dataset) -> float:
    return float(np.square(a["t2m"].values - b["t2m"].values).mean()) ** 0.5


@pytest.fixture(scope="module")
def bicubic_errors():
    return measured(BicubicConstrained(FACTOR), world(24, seed=5))


def test_stations_correct_a_field_and_keep_its_block_means(bicubic_errors):
    truth = world()
    coarse, found = coarsened(truth, FACTOR), stations(truth)
    method = BicubicConstrained(FACTOR)
    alone = method.downscale(coarse)
    error = rmse(alone, truth)
    for errors in (None, bicubic_errors):
        made = Listening(method, errors).downscale(coarse, observations=found)
        left = rmse(made, truth)
        assert left < 0.97 * error
        assert means_off(made["t2m"], coarse["t2m"]) < 1e-6
        assert made.attrs["observations_used"] == 36 and made.attrs["observations_left_out"] == 0
        told = float((made["t2m_error"] ** 2).mean()) ** 0.5 / left
        assert 0.8 < told < (1.25 if errors is not None else 2.0)  # 36 innovations alone say little of a size
    free = Listening(method, conserve=False).downscale(coarse, observations=found)
    assert means_off(free["t2m"], coarse["t2m"]) > 1e-5
    plain = Listening(Bicubic(FACTOR)).downscale(coarse, observations=found)  # it did not keep them before
    assert means_off(plain["t2m"], coarse["t2m"]) > 1e-5
    assert Listening(method).downscale(coarse).identical(method.downscale(coarse))


def test_a_time_without_observations_is_left_and_the_rest_is_accounted_for(bicubic_errors):
    truth = world()
    coarse, found = coarsened(truth, FACTOR), stations(truth)
    method = BicubicConstrained(FACTOR)
    found["value"].values[13] += 30.0  # a wrong one at the second time
    late = found.isel(observation=slice(12, None))
    late["time"].values[-12:] += np.timedelta64(2, "D")
    made = Listening(method, bicubic_errors).downscale(coarse, observations=late)
    alone = method.downscale(coarse)
    for t, same in enumerate((True, False, True)):
        assert made["t2m"].isel(time=t).equals(alone["t2m"].isel(time=t)) is same
    assert made.attrs["observations_used"] == 11 and made.attrs["observations_left_out"] == 13
    assert "rejected" in made.attrs["observations_account"] and "12 further than 1.5 h" in made.attrs["history"]
    with pytest.raises(FieldError, match="no observation belongs to the fields"):
        Listening(method).downscale(coarse, observations=late.isel(observation=slice(-12, None)))


def test_heights_are_brought_to_the_fine_surface(bicubic_errors):
    truth = world(1)
    coarse, found = coarsened(truth, FACTOR), stations(truth, elevation=np.full(12, 300.0))
    hills = xr.DataArray(np.full(GRID.shape, 100.0), dims=("latitude", "longitude"), name="orog", attrs={"units": "m"})
    hills = hills.assign_coords(latitude=GRID.latitude, longitude=GRID.longitude)
    method = Listening(BicubicConstrained(FACTOR), bicubic_errors)
    flat = method.downscale(coarse, observations=found.assign(value=found["value"] + 1.3))  # 200 m of 6.5 K km-1
    made = method.with_checks(orography=hills).downscale(coarse, observations=found)
    assert np.abs(made["t2m"].values - flat["t2m"].values).max() < 1e-4
    assert "brought to the height" in made.attrs["observations_account"]


@pytest.mark.parametrize("layer", ["mult", "softmax"])
def test_what_cannot_be_negative_stays_so(layer):
    truth = world(2, "tp", offset=0.0).clip(min=0)
    coarse, found = coarsened(truth, FACTOR), stations(truth, 30)
    method = BicubicConstrained(FACTOR, layer)
    assert float(method.downscale(coarse)["tp"].min()) >= 0
    made = Listening(method).with_checks(sigmas=0).downscale(coarse, observations=found)
    assert float(made["tp"].min()) >= 0
    wet = coarse["tp"].where(coarse["tp"] > 1e-3)
    assert means_off(made["tp"].where(made["tp"] >= 0), wet.fillna(1.0)) >= 0  # finite
    weights = torch.from_numpy(GRID.area_weights[:, :1].copy())
    mean = coarsen(torch.tensor(made["tp"].values).double(), FACTOR, weights).numpy()
    assert np.abs(mean - coarse["tp"].values).max() < 1e-6 * float(coarse["tp"].max())


class Noisy(FieldDownscaler):
    """Ten members around bicubic+add, which keep the block means."""

    name, factor = "noisy", FACTOR

    def downscale(self, coarse, *, statics=None, members=None, seed=0, progress=None, cancel=None):
        alone = BicubicConstrained(FACTOR).downscale(coarse)
        noise = BLOCKS.detail(drawn(smooth(2.5e5), seed + 9, 10 * coarse.sizes["time"])).numpy()
        shape = (10, *alone["t2m"].shape)
        return alone + xr.Dataset({"t2m": (("member", *alone["t2m"].dims), noise.reshape(shape).astype(np.float32))})


def test_members_are_corrected_by_their_own_covariance():
    truth = world(2)
    coarse, found = coarsened(truth, FACTOR), stations(truth)
    before = Noisy().downscale(coarse)["t2m"]
    own = Listening(Noisy(), "members")
    made = own.downscale(coarse, observations=found)
    assert dict(made.sizes) == {"member": 10, "time": 2, "latitude": 16, "longitude": 24}
    assert means_off(made["t2m"].mean("member"), coarse["t2m"]) < 1e-6 and "t2m_error" not in made
    gone = made["t2m"].var("member", ddof=1).mean() / before.var("member", ddof=1).mean()
    assert 0.1 < float(gone) < 0.95
    assert made.identical(own.downscale(coarse, observations=found))
    fitted = Listening(Noisy()).downscale(coarse, observations=found)
    assert means_off(fitted["t2m"].mean("member"), coarse["t2m"]) < 1e-6 and not fitted.identical(made)
    with pytest.raises(PhysLabError, match="has no members"):
        Listening(BicubicConstrained(FACTOR), "members").downscale(coarse, observations=found)


def test_refusals():
    truth = world(1)
    coarse, found = coarsened(truth, FACTOR), stations(truth)
    with pytest.raises(PhysLabError, match="no sampler that can be guided"):
        Listening(Bicubic(FACTOR), how="guide")
    with pytest.raises(PhysLabError, match="covariance is for 9 points"):
        Listening(Bicubic(FACTOR), Known(torch.eye(9))).downscale(coarse, observations=found)
    with pytest.raises(FieldError, match="at least 4 times"):
        measured(Bicubic(FACTOR), truth)
    with pytest.raises(PhysLabError, match="length is 0"):
        Stationary(1.0, 0, GRID, BLOCKS, True)


def test_tuning_finds_how_far_errors_are_alike():
    """A pattern that all errors share is seen from one end of the domain; white noise from nowhere."""
    rng = np.random.default_rng(0)
    pattern = rng.standard_normal(GRID.shape)
    errors = rng.standard_normal((30, 1, 1)) * pattern + 0.05 * rng.standard_normal((30, *GRID.shape))
    everywhere = tuned(torch.from_numpy(errors), GRID, FACTOR)
    assert isinstance(everywhere, Together) and everywhere.parts[0][1].radius is None
    local = tuned(torch.from_numpy(rng.standard_normal((30, *GRID.shape))), GRID, FACTOR)
    assert local.parts[0][1].radius is not None


# --- the guide --------------------------------------------------------------------------------------------------------
def test_guided_members_are_the_posterior_of_latents():
    """Latents N(0, I), a linear decoder: what the sampler returns is known."""
    from physlab.diffusion import GaussianDenoiser

    torch.manual_seed(0)
    latitude = np.linspace(56, 50.375, 16)
    model = LatentDownscaler("t2m", ("t2m",), (), 4, latitude, unet=(4, 4), vae=(4, 4), levels=(4, 4), latent=1,
                             features=4).eval()  # fmt: skip
    model.steps = 24
    model.denoiser = GaussianDenoiser(torch.zeros(1, 4, 4), torch.eye(16), model.denoiser.schedule)  # type: ignore
    G = torch.randn(256, 16, generator=torch.Generator().manual_seed(1))
    model.vae.decode = lambda z: (z.flatten(1) @ G.T).reshape(-1, 1, 16, 16)  # type: ignore[method-assign]
    grid = Grid(latitude, np.linspace(0, 5.625, 16))
    values = 280 + np.zeros((1, 4, 4), dtype=np.float32)
    low = grid.coarsen(4)
    coarse = xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})},
                        {"time": [np.datetime64("2024-01-01", "ns")], "latitude": low.latitude,
                         "longitude": low.longitude})  # fmt: skip
    found = network(grid, 6, np.random.default_rng(0), "t2m").assign(error=("observation", np.full(6, 0.5)))
    found["value"] = ("observation", 281 + np.arange(6.0))
    with torch.no_grad():
        base = model.regress(torch.full((1, 1, 4, 4), 280.0), torch.zeros(0, 16, 16)).flatten().double()
    see = Interpolation(found, blank(grid, "t2m"))
    A = see(G.T.double()).T
    gain = torch.linalg.solve(A @ A.T + 0.25 * torch.eye(6), A).T
    mean = base + G.double() @ gain @ (torch.tensor(found["value"].values) - see(base))
    left = (G.double() @ (torch.eye(16) - gain @ A) @ G.T.double()).diagonal().sqrt()
    method = Listening(model, how="guide").with_checks(sigmas=0)
    made = method.downscale(coarse, observations=found, members=96)["t2m"][:, 0].values.reshape(96, -1)
    assert np.abs(made.mean(0) - mean.numpy()).max() < 5 * float(left.max()) / 96**0.5
    assert (made.std(0) / left.numpy()).mean() == pytest.approx(1.0, abs=0.08)
