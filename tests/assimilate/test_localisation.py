"""Gaspari and Cohn's function against its definition as a convolution; distances against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physlab.assimilate import gaspari_cohn, plane_distance, ring_distance, sphere_distance
from physlab.assimilate.localisation import GAUSSIAN
from physlab.constants import EARTH_RADIUS
from physlab.errors import PhysLabError


def test_gaspari_cohn_is_a_convolution() -> None:
    """Eq. 4.10 is the self-convolution in space of the hat 1 - r / c, r < c, divided by its value at distance zero.

    In space the self-convolution of f at distance z is (2 pi / z) int f(r) r int_{|z - r|}^{z + r} f(s) s ds dr.
    """
    n = 4000
    r = (np.arange(n) + 0.5) / n  # hat of support 1: reaches z = 2 in units of c
    hat = 1 - r
    inner = np.concatenate([[0.0], np.cumsum(hat * r) / n])  # int_0^s f s ds, on edges
    edges = np.arange(n + 1) / n

    def convolved(z: float) -> float:
        upper = np.interp(np.minimum(z + r, 1), edges, inner)
        lower = np.interp(np.minimum(np.abs(z - r), 1), edges, inner)
        return float((hat * r * (upper - lower)).sum() / n / z)

    at_zero = float((2 * hat**2 * r**2).sum() / n)
    for z in (0.1, 0.5, 0.9, 1.0, 1.3, 1.7, 1.95):
        found = float(gaspari_cohn(torch.tensor([z * 3.0], dtype=torch.float64), 3.0))
        assert found == pytest.approx(convolved(z) / at_zero, abs=2e-5)


def test_gaspari_cohn_falls_smoothly_to_zero() -> None:
    z = torch.linspace(0, 3, 3001, dtype=torch.float64)
    weight = gaspari_cohn(z, 1.0)
    assert float(weight[0]) == 1.0
    assert (weight[2000:] == 0).all()
    assert (weight.diff() <= 0).all()
    assert (weight >= 0).all()
    assert float(weight[1000]) == pytest.approx(5 / 24, abs=1e-12)
    assert weight.diff().diff().abs().max() < 4e-6  # no corner: the second derivative stays below 4
    near = torch.linspace(0, 0.3, 50, dtype=torch.float64)
    gaussian = torch.exp(-0.5 * (near * GAUSSIAN).square())
    assert (gaspari_cohn(near, 1.0) - gaussian).abs().max() < 0.01
    assert gaspari_cohn(z.float(), 1.0).dtype == torch.float32


def test_gaspari_cohn_keeps_covariances_positive() -> None:
    """On a plane and on a ring that is longer than its reach."""
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for distance in (plane_distance(points, points), ring_distance(60) / 60):
        assert torch.linalg.eigvalsh(gaspari_cohn(distance, 0.2))[0] > -1e-12


def test_ring_distance() -> None:
    expected = torch.tensor([[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]], dtype=torch.float64)
    assert torch.equal(ring_distance(4), expected)
    found = ring_distance(torch.tensor([0.5, 9.5]), torch.tensor([9.0, 12.0]), length=10.0)
    assert torch.allclose(found, torch.tensor([[1.5, 1.5], [0.5, 2.5]]))


def test_plane_distance() -> None:
    a, b = torch.tensor([[0.0, 0.0], [1.0, 9.0]]), torch.tensor([[3.0, 4.0]])
    assert torch.allclose(plane_distance(a, b), torch.tensor([[5.0], [29**0.5]]))
    assert torch.allclose(plane_distance(a, b, (4.0, 10.0)), torch.tensor([[17**0.5], [29**0.5]]))


def test_sphere_distance() -> None:
    """Along the equator and a meridian, over the pole, to the antipode; millimetres between neighbours in float64."""
    points = torch.tensor([[0.0, 0.0], [60.0, 10.0], [89.0, 0.0], [45.0, 350.0]], dtype=torch.float64)
    others = torch.tensor([[0.0, 90.0], [60.0, 190.0], [89.0, 180.0], [45.0, 350.00001]], dtype=torch.float64)
    found = sphere_distance(points, others).diagonal() / EARTH_RADIUS
    expected = [math.pi / 2, math.radians(60), math.radians(2), math.radians(1e-5) * math.cos(math.pi / 4)]
    assert found.tolist() == pytest.approx(expected, rel=1e-8)
    antipode = sphere_distance(torch.tensor([[30.0, 20.0]]), torch.tensor([[-30.0, 200.0]]), radius=1.0)
    assert float(antipode) == pytest.approx(math.pi, abs=1e-3)


def test_bad_input_is_named() -> None:
    with pytest.raises(PhysLabError, match="radius is 0"):
        gaspari_cohn(torch.zeros(2), 0.0)
    with pytest.raises(PhysLabError, match="latitude in -90 to 90"):
        sphere_distance(torch.tensor([[100.0, 0.0]]), torch.zeros(1, 2))
