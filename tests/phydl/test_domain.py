"""The box of place and time, and its metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.constants import EARTH_RADIUS, OMEGA
from physlab.errors import FieldError, PhysLabError
from physlab.phydl import Domain
from physlab.phydl.domain import grid_points, seconds_of

SPHERE = Domain((300.0, 345.0), (22.0, 67.0), (0.0, 864000.0), "2006-01-02T00:00:00")


def test_scaling_and_back():
    points = torch.tensor([[300.0, 22.0, 0.0], [345.0, 67.0, 864000.0], [322.5, 44.5, 432000.0]])
    scaled = SPHERE.scaled(points)
    assert torch.allclose(scaled, torch.tensor([[-1.0] * 3, [1.0] * 3, [0.0] * 3]), atol=1e-6)
    assert torch.allclose(SPHERE.points(scaled), points)


def test_slopes_are_those_of_the_sphere():
    points = torch.tensor([[310.0, 30.0, 0.0], [310.0, 60.0, 0.0]], dtype=torch.float64)
    east, north, second = SPHERE.slopes(points)
    step = 1e-3  # degrees
    for at, latitude in enumerate((30.0, 60.0)):
        metres = EARTH_RADIUS * np.cos(np.deg2rad(latitude)) * np.deg2rad(step)
        moved = SPHERE.scaled(points + torch.tensor([step, 0.0, 0.0]))[at, 0] - SPHERE.scaled(points)[at, 0]
        assert float(east[at]) == pytest.approx(float(moved) / metres, rel=1e-6)
    assert float(north[0]) == pytest.approx(2 / (EARTH_RADIUS * np.deg2rad(45.0)), rel=1e-12)
    assert float(second[0]) == pytest.approx(2 / 864000.0, rel=1e-12)
    assert float(SPHERE.coriolis(points)[0]) == pytest.approx(OMEGA, rel=1e-12)  # 2 Omega sin 30


def test_a_plane_does_not_rotate():
    plane = Domain((0.0, 1e5), (0.0, 2e5), (0.0, 10.0), plane=True)
    points = torch.tensor([[5e4, 1e5, 5.0]])
    assert float(plane.coriolis(points)) == 0 and float(plane.slopes(points)[0]) == pytest.approx(2e-5)


def test_samples_are_uniform_by_area():
    points = SPHERE.sample(20000, torch.Generator().manual_seed(0))
    sine = torch.sin(torch.deg2rad(points[:, 1])).double()
    low, high = np.sin(np.deg2rad(22.0)), np.sin(np.deg2rad(67.0))
    share = torch.histc((sine - low) / (high - low), 10, 0, 1) / len(points)
    assert float((share - 0.1).abs().max()) < 0.01


def test_points_of_a_grid_run_with_longitude_fastest():
    time = np.datetime64("2006-01-02T00", "ns") + np.arange(2) * np.timedelta64(1, "h")
    points = grid_points(SPHERE, np.array([301.0, 302.0]), np.array([30.0, 31.0, 32.0]), time)
    assert points.shape == (12, 3) and points[1].tolist() == [302.0, 30.0, 0.0] and float(points[-1, 2]) == 3600.0


def test_domain_of_a_dataset_and_its_errors():
    time = np.datetime64("2006-01-02T00", "ns") + np.arange(3) * np.timedelta64(6, "h")
    ds = xr.Dataset(coords={"time": time, "latitude": [40.0, 30.0], "longitude": [0.0, 1.0, 2.0]})
    assert Domain.of(ds) == Domain((0.0, 2.0), (30.0, 40.0), (0.0, 43200.0), str(time[0]))
    with pytest.raises(FieldError, match="at least two"):
        Domain.of(ds.isel(time=[0]))
    with pytest.raises(PhysLabError, match="pole"):
        Domain((0.0, 1.0), (0.0, 90.0), (0.0, 1.0))
    with pytest.raises(PhysLabError, match="must exceed"):
        Domain((1.0, 1.0), (0.0, 9.0), (0.0, 1.0))
    assert seconds_of(np.array([0.0, 5.0]))[0].tolist() == [0.0, 5.0]
