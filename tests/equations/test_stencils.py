"""Finite-difference weights: exact for polynomials on any points, the classical values on even ones."""

import numpy as np
import pytest
import torch

from physlab.equations import stencils
from physlab.errors import PhysLabError


def test_classical_weights():
    assert np.allclose(stencils.fornberg(0, np.array([-1.0, 0, 1]), 1), [-1 / 2, 0, 1 / 2])
    assert np.allclose(stencils.fornberg(0, np.array([0.0, 1, 2]), 1), [-3 / 2, 2, -1 / 2])
    assert np.allclose(stencils.fornberg(0, np.array([-2.0, -1, 0, 1, 2]), 1), [1 / 12, -2 / 3, 0, 2 / 3, -1 / 12])
    assert np.allclose(stencils.fornberg(0, np.array([-2.0, -1, 0, 1, 2]), 2), [-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12])


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("derivative", [1, 2])
@pytest.mark.parametrize("dim", [-1, -2])
def test_exact_for_polynomials_on_uneven_points(order, derivative, dim):
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, 12))
    for degree in range(order + 1):
        poly = np.polynomial.Polynomial(np.arange(1.0, degree + 2))
        f = torch.tensor(np.broadcast_to(poly(x), (3, 7, 12)).copy())
        expected = torch.tensor(poly.deriv(derivative)(x)).expand(3, 7, 12)
        if dim == -2:
            f, expected = f.mT, expected.mT
        assert torch.allclose(stencils.bounded(f, x, dim, derivative, order), expected, atol=1e-8)


@pytest.mark.parametrize("derivative", [1, 2])
@pytest.mark.parametrize("count", [16, 17])
def test_spectral_is_exact_for_every_resolved_wave(derivative, count):
    x = torch.arange(count, dtype=torch.float64) * 0.3
    for wave in range((count - 1) // 2 + 1):
        k = 2 * np.pi * wave / (0.3 * count)
        f = torch.cos(k * x + 0.4)
        expected = -k * torch.sin(k * x + 0.4) if derivative == 1 else -(k**2) * f
        assert torch.allclose(stencils.spectral(f[None], 0.3, -1, derivative)[0], expected, atol=1e-11)
        assert torch.allclose(stencils.spectral(f[:, None], 0.3, -2, derivative)[:, 0], expected, atol=1e-11)


def test_too_few_points():
    with pytest.raises(PhysLabError, match="at least 5"):
        stencils.bounded(torch.zeros(4, 4), np.arange(4.0), -1, 1, 4)
