"""Adas, ConvCNP, FNP: they start at the background, turn with the globe, learn, and survive a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate import FNP, Adas, Columns, ConvCNP, Learned, StateSpace, convcnp, fnp, observe_columns
from physlab.assimilate.regression import GaussianRegression, Regression
from physlab.errors import Cancelled, PhysLabError

H, W = 16, 32
CHANNELS = (("u", 500.0), ("u", 850.0), ("t", 500.0), ("t", 850.0), ("t_low", np.nan), ("sp", np.nan))
SMALL = {Adas: {"width": 16}, ConvCNP: {"width": 16, "blocks": 2}, FNP: {"width": 8, "layers": 1, "hidden": 16}}
EACH = pytest.mark.parametrize("kind", list(SMALL))


@pytest.fixture(scope="module")
def space() -> StateSpace:
    one = torch.ones(len(CHANNELS), 1, 1)
    latitude = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0]))
    return StateSpace(CHANNELS, latitude, np.arange(W) * 360.0 / W, 280 * one, 10 * one, 2 * one)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(seed: int, batch: int, waves: int = 4) -> Tensor:
    """(B, C, H, W) errors of scales that a few columns can see; channels are related."""
    modes = torch.fft.rfft2(normal(seed, batch, 3, H, W))
    modes[:, :, waves : H - waves + 1], modes[..., waves:] = 0, 0
    x = torch.einsum("cm,bmhw->bchw", normal(1, len(CHANNELS), 3), torch.fft.irfft2(modes, s=(H, W)))
    return x / x.square().mean((0, 2, 3), keepdim=True).sqrt()


def make(kind: type[Regression], space: StateSpace, shaken: bool = True) -> Regression:
    """Untrained, or with no layer at zero, so that every part shows in the output."""
    torch.manual_seed(0)
    method = kind(space, **SMALL[kind])
    if shaken:
        for k, parameter in enumerate(method.parameters()):
            parameter.data += 0.05 * normal(k, *parameter.shape)
    return method.eval()


def problem(space: StateSpace, seed: int = 0, batch: int = 2, noise: float = 0.0) -> tuple[Tensor, Tensor, Columns]:
    e = smooth(seed, batch)
    generator = torch.Generator().manual_seed(seed)
    return normal(seed + 50, *e.shape), e, observe_columns(e, 0.1, noise, space.area, generator)


def rolled(columns: Columns, shift: int) -> Columns:
    return Columns(columns.innovation.roll(shift, -1), columns.mask.roll(shift, -1), columns.noise)


@EACH
def test_the_untrained_method_returns_the_background(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space, shaken=False)
    x, e, columns = problem(space)
    assert method.increments(x, columns).shape == (2, 1, *e.shape[1:]) and not method.increments(x, columns).any()
    assert method.rate > 0 and not method.ensemble
    if isinstance(method, GaussianRegression):  # and expects the errors that the background has
        assert torch.allclose(method.spread(x, columns), torch.ones_like(e), atol=1e-5)
        expected = 0.5 * (e.square() * space.area).mean()
    else:
        expected = (e.square() * space.area).mean()
    assert torch.allclose(method.loss(x, e, columns, torch.Generator()), expected, rtol=1e-4)


@EACH
def test_the_globe_has_no_seam(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space)
    x, _, columns = problem(space)
    stride = getattr(method, "multiple", 2)
    with torch.no_grad():
        out = method.estimate(x, columns)
        size = out.square().mean().sqrt()
        for shift in (stride, 2 * stride, W // 2):
            difference = method.estimate(x.roll(shift, -1), rolled(columns, shift)) - out.roll(shift, -1)
            assert difference.abs().max() < 2e-4 * size
        assert (method.estimate(x.roll(1, -1), rolled(columns, 1)) - out.roll(1, -1)).abs().max() > 1e-3 * size


@EACH
def test_grids_that_no_stride_divides(kind: type[Regression]) -> None:
    one = torch.ones(len(CHANNELS), 1, 1)
    space = StateSpace(CHANNELS, np.linspace(-84, 84, 15), np.arange(30) * 12.0, one, one, one)
    method, e = make(kind, space), normal(0, 1, len(CHANNELS), 15, 30)
    columns = observe_columns(e, 0.1, 0.0, space.area, torch.Generator().manual_seed(0))
    assert method.increments(e, columns)[:, 0].shape == e.shape and method.increments(e, columns).isfinite().all()


@EACH
def test_what_was_observed_matters_and_samples_stay_apart(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space)
    x, _, columns = problem(space, noise=0.3)
    with torch.no_grad():
        out = method.estimate(x, columns)
        size = out.square().mean().sqrt()
        value, error = columns.innovation.clone(), columns.noise.clone()
        value[1], error[1] = -value[1], 2.0
        other = method.estimate(x, Columns(value, columns.mask, columns.noise))
        assert (other[1] - out[1]).abs().max() > 1e-2 * size and torch.allclose(other[0], out[0], atol=1e-5)
        other = method.estimate(x, Columns(columns.innovation, columns.mask, error))
        assert (other[1] - out[1]).abs().max() > 1e-4 * size and torch.allclose(other[0], out[0], atol=1e-5)
        none = Columns(torch.zeros_like(value), torch.zeros_like(columns.mask), columns.noise)
        assert method.estimate(x, none).isfinite().all()


@EACH
def test_every_parameter_learns(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space)
    x, e, columns = problem(space, noise=0.3)
    method.loss(x, e, columns, torch.Generator()).backward()
    idle = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle, idle


@EACH
def test_bfloat16_gives_about_the_same(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space)
    x, e, columns = problem(space, noise=0.3)
    out, loss = method.estimate(x, columns), method.loss(x, e, columns, torch.Generator())
    with torch.autocast("cpu", torch.bfloat16):
        half, near = method.estimate(x, columns), method.loss(x, e, columns, torch.Generator())
    near.backward()
    assert half.dtype == torch.float32 and all(p.grad.isfinite().all() for p in method.parameters())
    assert 0 < (half - out).square().mean().sqrt() < 0.05 * out.square().mean().sqrt()
    assert abs(near - loss) < 0.02 * abs(loss)


@pytest.mark.slow
@EACH
def test_a_few_steps_carry_observations_to_their_neighbours(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space, shaken=False).train()
    optimiser = torch.optim.AdamW(method.parameters(), lr=4e-3)
    for step in range(60):
        x, e, columns = problem(space, seed=step % 30, batch=4)
        loss = method.loss(x, e, columns, torch.Generator())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, e, columns = problem(space, seed=99, batch=8)  # errors that it has never seen
    with torch.no_grad():
        ratio = float((method.estimate(x, columns) - e).square().sum() / e.square().sum())
        blind = Columns(torch.zeros_like(e), torch.zeros_like(columns.mask), columns.noise)
        unseen = float((method.estimate(x, blind) - e).square().sum() / e.square().sum())
    assert ratio < 0.9 and unseen > 0.97, (ratio, unseen)  # without columns nothing can be known here
    if isinstance(method, GaussianRegression):  # it expects smaller errors where columns were seen
        spread = method.spread(x, columns)
        assert (spread * columns.mask).sum() / columns.mask.sum() < spread.mean() * len(CHANNELS) - 0.05


@EACH
def test_files(kind: type[Regression], space: StateSpace, tmp_path: Path) -> None:
    method = make(kind, space)
    x, _, columns = problem(space)
    with torch.no_grad():
        out = method.estimate(x, columns)
        back, half = Learned.load(method.save(tmp_path / "a")), Learned.load(method.save(tmp_path / "b", half=True))
        assert type(back) is kind and torch.equal(back.estimate(x, columns), out)
        assert 0 < (half.estimate(x, columns) - out).abs().max() < 0.02 * out.abs().max()
    sizes = [(tmp_path / folder / "model.safetensors").stat().st_size for folder in "ab"]
    assert sizes[1] < 0.7 * sizes[0]


@EACH
def test_one_analysis_and_no_members(kind: type[Regression], space: StateSpace) -> None:
    method = make(kind, space)
    x, _, columns = problem(space)
    for members in (0, 2):
        with pytest.raises(PhysLabError, match="it gives one analysis, pass 1"):
            method.increments(x, columns, members)
    with pytest.raises(Cancelled):
        method.increments(x, columns, cancel=lambda: True)
    steps: list[tuple[int, int]] = []
    method.increments(x, columns, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 1)]
    with pytest.raises(PhysLabError):
        method.analyse(xr.Dataset(), xr.Dataset(), members=3)


@EACH
def test_size_on_the_grid_of_the_benchmark(kind: type[Regression]) -> None:
    channels = tuple((v, float(p)) for v in "uvtqz" for p in range(7)) + tuple((v, np.nan) for v in "abcde")
    one = torch.ones(40, 1, 1)
    space = StateSpace(channels, np.linspace(-88, 88, 64), np.arange(128) * 2.8125, one, one, one)
    assert 2e5 < sum(p.numel() for p in kind(space).parameters()) < 3.6e5


def test_set_convolution_on_the_sphere_is_the_sum_over_observations(space: StateSpace) -> None:
    gather = convcnp.SetConv(space.latitude, space.longitude, (1500.0, 3000.0))
    values, mask = normal(0, 2, 3, H, W), (normal(1, 2, 1, H, W) > 1.5).float()
    signal, density = gather(values, mask)
    phi, lam = (torch.from_numpy(np.deg2rad(a)) for a in np.meshgrid(space.latitude, space.longitude, indexing="ij"))
    at = torch.stack([phi.cos() * lam.cos(), phi.cos() * lam.sin(), phi.sin()], dim=-1).reshape(-1, 3)
    chord = (at[:, None] - at).square().sum(-1)
    for k, length in enumerate((1500.0, 3000.0)):
        kernel = torch.exp(-chord / (2 * (length / convcnp.EARTH) ** 2)).float()
        summed, weight = ((kernel @ z.flatten(2).mT).mT.reshape(z.shape) for z in (values * mask, mask))
        assert torch.allclose(density[:, k : k + 1], weight, atol=1e-4)
        assert torch.allclose(signal[:, 3 * k : 3 * k + 3], summed / (weight + convcnp.EPSILON), atol=1e-3)


def test_set_convolution_of_windows_is_a_weighted_mean(space: StateSpace) -> None:
    gather, mask = fnp.LocalSetConv(3), torch.zeros(1, 1, H, W)
    mask[0, 0, 6, 0] = mask[0, 0, 0, 9] = 1
    out = gather(torch.full((1, 3, H, W), 2.5), mask)
    signal, density = out[:, :3], out[:, 3:]
    near = density > fnp.EPSILON
    assert torch.allclose(signal[near], torch.tensor(2.5)) and near.any() and not near.all()
    assert near[0, 0, 3, -1] and near[0, 0, 3, 1]  # across the date line
    assert density[0, 0, 3, 0] == 1 and not density[0, 0, -1, :].any()


def test_variables_of_fnp_find_their_channels_in_any_order() -> None:
    channels = (("sp", np.nan), ("t", 500.0), ("t", 850.0), ("t_low", np.nan))
    one = torch.ones(4, 1, 1)
    method = FNP(StateSpace(channels, np.linspace(-84, 84, H), np.arange(W) * 360.0 / W, one, one, one), **SMALL[FNP])
    assert method.parts == [[1, 2], [0, 3]]
    for k in range(2):  # the end of a branch moves its channels alone
        torch.nn.init.constant_(method.mean[k].bias, k + 1.0)
    e = torch.zeros(1, 4, H, W)
    mean = method.estimate(e, Columns(e, e[:, :1], torch.zeros(1)))
    assert torch.allclose(mean[0, :, 0, 0], torch.tensor([2.0, 1.0, 1.0, 2.0]))
