"""Lorenz-63 and Lorenz-96: fixed points, conserved quantities, order of the time step, Lyapunov exponents."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from physlab.errors import PhysLabError
from physlab.simulate import Lorenz63, Lorenz96
from physlab.simulate.lorenz import lyapunov_exponents
from physlab.simulate.stepping import Model

GENERATOR = torch.Generator


def test_needs_no_jax() -> None:
    program = "import sys; from physlab.simulate import Lorenz96, ShallowWater; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_fixed_points() -> None:
    """x = F on the ring; the middles of the two wings, (+-sqrt(beta (rho - 1)), same, rho - 1)."""
    assert torch.equal(Lorenz96().tendency(torch.full((40,), 8.0)), torch.zeros(40))
    wing = (8.0 / 3.0 * 27.0) ** 0.5
    for sign in (1.0, -1.0):
        middle = torch.tensor([sign * wing, sign * wing, 27.0], dtype=torch.float64)
        assert Lorenz63().tendency(middle).abs().max() < 1e-13


def test_ring_is_the_printed_formula() -> None:
    """Against the formula with indices, and the same wherever the ring is cut."""
    x = torch.randn(2, 5, 7, generator=GENERATOR().manual_seed(0), dtype=torch.float64)
    model = Lorenz96(n=7, F=3.0)
    expected = torch.stack(
        [(x[..., (i + 1) % 7] - x[..., i - 2]) * x[..., i - 1] - x[..., i] + 3.0 for i in range(7)], -1
    )
    assert torch.allclose(model.tendency(x), expected, rtol=1e-14, atol=1e-14)
    assert torch.equal(model(x.roll(3, -1), 4), model(x, 4).roll(3, -1))


def test_products_keep_energy() -> None:
    """d/dt of half the sum of squares is F sum(x) - sum(x^2): the products add nothing."""
    x = torch.randn(6, 40, generator=GENERATOR().manual_seed(1), dtype=torch.float64) * 4
    power = (x * Lorenz96().tendency(x)).sum(-1)
    assert torch.allclose(power, 8.0 * x.sum(-1) - x.square().sum(-1), rtol=1e-12)


@pytest.mark.parametrize("kind", [Lorenz63, Lorenz96])
def test_time_step_is_of_fourth_order(kind: type[Model]) -> None:
    x = kind().start(generator=GENERATOR().manual_seed(2))
    exact = kind(dt=0.2 / 1280)(x, 1280)
    error = [(kind(dt=0.2 / steps)(x, steps) - exact).norm() for steps in (40, 80)]
    assert 3.7 < torch.log2(error[0] / error[1]) < 4.3


@pytest.mark.slow
def test_lyapunov_exponents() -> None:
    """Sprott's figures; their sum is the divergence, -(sigma + 1 + beta) and -n, to rounding of the time step."""
    generator = GENERATOR().manual_seed(3)
    exponents = lyapunov_exponents(Lorenz63(), Lorenz63().start(100, generator=generator), 1500, 1000, every=10)
    assert (exponents - torch.tensor([0.906, 0.0, -14.572])).abs().max() < 0.02
    assert exponents.sum() == pytest.approx(-(10 + 1 + 8 / 3), abs=2e-3)
    exponents = lyapunov_exponents(Lorenz96(), Lorenz96().start(4, generator=generator), 400, 200)
    assert exponents[0] == pytest.approx(1.7, abs=0.1)  # errors double in 0.4 time units
    assert exponents.sum() == pytest.approx(-40, abs=0.1)


def test_trajectory_starts_at_the_start() -> None:
    model = Lorenz96()
    x = model.start(2, generator=GENERATOR().manual_seed(4))
    path = model.trajectory(x, 6, every=3)
    assert path.shape == (2, 3, 40)
    assert torch.equal(path[:, 0], x)
    assert torch.equal(path[:, 2], model(x, 6))


def test_bad_input_is_named() -> None:
    with pytest.raises(PhysLabError, match=r"\(\.\.\., 40\)"):
        Lorenz96()(torch.zeros(39))
    with pytest.raises(PhysLabError, match=r"\(\.\.\., 3\)"):
        Lorenz63()(torch.zeros(4))
    with pytest.raises(PhysLabError, match="dt is 0"):
        Lorenz63(dt=0.0)
    with pytest.raises(PhysLabError, match="n = 3"):
        Lorenz96(n=3)
