"""Shallow water: frequencies of its waves, what is kept, what is steady, and the laws it is made of."""

from __future__ import annotations

import math

import pytest
import torch

from physlab.constants import GRAVITY
from physlab.equations import momentum
from physlab.equations.operators import divergence
from physlab.errors import PhysLabError
from physlab.simulate import ShallowWater


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("east", "north"), [(1, 0), (2, 3), (0, 4)])
def test_waves_have_the_frequency_of_poincare(east: int, north: int) -> None:
    """A standing wave of height alone swings as h' ~ f^2 + g D k^2 cos(omega t), over omega^2: closed form."""
    model = ShallowWater(shape=(24, 32), dt=300.0, damping=1e12)
    x, y = (torch.arange(n, dtype=torch.float64) * model.spacing for n in (32, 24))
    k, l = 2 * math.pi * east / (32 * model.spacing), 2 * math.pi * north / (24 * model.spacing)
    wave = torch.cos(k * x + l * y[:, None])
    omega2 = model.f**2 + GRAVITY * model.depth * (k * k + l * l)
    state = model.state(0 * wave, 0 * wave, model.depth + 1e-4 * wave)
    for steps in (7, 20):
        swing = math.cos(math.sqrt(omega2) * steps * model.dt)
        expected = (model.f**2 + (omega2 - model.f**2) * swing) / omega2
        h = model.fields(model(state, steps))[2] - model.depth
        assert float((h * wave).sum() / wave.square().sum()) / 1e-4 == pytest.approx(expected, abs=1e-3)


def test_tendency_is_the_library_s_momentum_and_continuity() -> None:
    """Against equations.momentum and equations.operators, with fields so smooth that nothing is cut off."""
    model = ShallowWater(shape=(32, 48), dt=1e-2, damping=1e12)
    x = model.start(generator=generator(0))
    coarse = torch.fft.rfft2(x.unflatten(-1, (3, 32, 48)))
    coarse[..., 6:-5, :] = 0
    coarse[..., 7:] = 0
    x = torch.fft.irfft2(coarse, s=(32, 48)).flatten(-3)
    u, v, h = model.fields(x)
    x = model.state(u + 0.3 * v, v, h)  # out of balance, and divergent
    u, v, h = model.fields(x)
    tendency = (model(x) - x) / model.dt
    east, north = momentum.tendency(u, v, GRAVITY * h, model.grid, "spectral")  # a plane: f = 0
    expected = model.state(east + model.f * v, north - model.f * u, -divergence(h * u, h * v, model.grid, "spectral"))
    for found, wanted in zip(model.fields(tendency), model.fields(expected), strict=True):
        assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_balance_is_steady_for_weak_winds() -> None:
    """Geostrophic vortices of 1 cm/s stay for two days; the same height without wind does not."""
    model = ShallowWater()
    x = model.start(wind=0.01, generator=generator(1))
    u, v, h = model.fields(x)
    size = (h - model.depth).norm()
    assert (model.fields(model(x, 288))[2] - h).norm() < 0.02 * size
    unbalanced = model.state(0 * u, 0 * v, h)
    assert (model.fields(model(unbalanced, 288))[2] - h).norm() > 0.3 * size


def test_mass_is_kept_and_energy_falls_slowly() -> None:
    model = ShallowWater()
    x = model.start(3, generator=generator(2))

    def energy(x):
        u, v, h = model.fields(x)
        return (0.5 * h * (u * u + v * v) + 0.5 * GRAVITY * (h - model.depth) ** 2).mean((-2, -1))

    after = model(x, 144)
    assert (model.fields(after)[2].mean((-2, -1)) - model.depth).abs().max() < 1e-9
    assert ((energy(after) / energy(x)) < 1).all()
    assert ((energy(after) / energy(x)) > 0.85).all()


def test_time_step_is_of_fourth_order() -> None:
    options = {"shape": (16, 16), "damping": 1e12}
    x = ShallowWater(**options).start(wind=20.0, generator=generator(3))
    x = ShallowWater(**options)(x, 1)  # nothing left that is cut off
    exact = ShallowWater(**options, dt=25.0)(x, 192)
    error = [(ShallowWater(**options, dt=dt)(x, round(4800 / dt)) - exact).norm() for dt in (800.0, 400.0)]
    assert 3.6 < torch.log2(error[0] / error[1]) < 4.4


def test_leading_dimensions_and_precision() -> None:
    model = ShallowWater(shape=(8, 12))
    x = model.start(2, 3, generator=generator(4))
    assert torch.allclose(model(x, 3)[1, 2], model(x[1, 2], 3), rtol=1e-12)
    single = model(x.float(), 3)
    assert single.dtype == torch.float32
    assert (model.fields(single)[2] - model.fields(model(x, 3))[2]).abs().max() < 0.01


def test_bad_input_is_named() -> None:
    model = ShallowWater()
    with pytest.raises(PhysLabError, match="3072"):
        model(torch.zeros(3, 32, 32))
    with pytest.raises(PhysLabError, match="unstable"):
        ShallowWater(dt=3600.0)
    with pytest.raises(PhysLabError, match="depth is -1"):
        ShallowWater(depth=-1.0)
    with pytest.raises(PhysLabError, match="at least 8"):
        ShallowWater(shape=(4, 32))
