"""Localisation by neighbourhoods: the same numbers as with the whole matrix, without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.assimilate import LETKF, gaspari_cohn, sphere_distance
from physlab.assimilate import fields as fields_module
from physlab.assimilate import nearby as nearby_module
from physlab.assimilate.fields import FieldAssimilator
from physlab.assimilate.nearby import Nearby
from physlab.data.observe import table
from physlab.errors import Cancelled, PhysLabError


def globe(rows: int = 37, columns: int = 72) -> torch.Tensor:
    """(rows * columns, 2) points, both poles included."""
    lat, lon = torch.linspace(90, -90, rows).double(), torch.arange(columns).double() * (360 / columns)
    return torch.stack(torch.meshgrid(lat, lon, indexing="ij"), -1).flatten(0, 1)


def places(count: int = 60, seed: int = 0) -> torch.Tensor:
    """Stations all over the sphere: at a pole, on the date line, and two at one place."""
    rng = np.random.default_rng(seed)
    lat, lon = np.rad2deg(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)
    lat[:2], lon[:4] = [90, -90], [0, 30, -180, 180]
    lat[3], lat[4], lon[4] = lat[2], lat[5], lon[5]
    return torch.from_numpy(np.stack([lat, lon], 1))


@pytest.mark.parametrize("radius", [2e5, 1e6, 5e6, 2e7])
def test_the_parts_are_the_matrix(radius, monkeypatch):
    monkeypatch.setattr(nearby_module, "POINTS", 64)
    near = Nearby(globe(), places(), radius)
    whole, seen = torch.zeros(near.shape, dtype=torch.float64), torch.zeros(near.shape[0], dtype=torch.long)
    for k, j, weights in near.parts():
        assert len(k) <= 64
        whole[k[:, None], j] = weights
        seen[k] += 1
    assert bool((seen == 1).all())
    assert torch.equal(whole, gaspari_cohn(sphere_distance(near.points, near.places), radius))


def test_memory_grows_with_the_neighbours_alone(monkeypatch):
    """Pairs that are looked at are a multiple of those that count, and few are held at a time."""
    monkeypatch.setattr(nearby_module, "POINTS", 64)
    near = Nearby(globe(91, 180), places(400), 4e5)
    pairs = sum(weights.numel() for _, _, weights in near.parts())
    reached = int((gaspari_cohn(sphere_distance(near.points, near.places), near.radius) > 0).sum())
    assert reached <= pairs < 0.2 * near.shape[0] * near.shape[1] and pairs < 8 * reached
    assert max(weights.numel() for _, _, weights in near.parts()) < 0.02 * near.shape[0] * near.shape[1]


@pytest.mark.parametrize("rotation", [False, True])
def test_the_analysis_is_that_of_the_dense_weights(rotation, monkeypatch):
    monkeypatch.setattr(nearby_module, "POINTS", 100)
    points, where = globe(19, 36), places(30)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 3 * len(points), generator=generator, dtype=torch.float64)  # two experiments, three variables
    at = torch.randint(0, x.shape[-1], (len(where),), generator=generator)
    y = torch.randn(2, len(where), generator=generator, dtype=torch.float64)
    dense = gaspari_cohn(sphere_distance(points, where), 8e5)
    made = [
        LETKF(1.1, rotation=rotation, taper=taper).analyse(
            x, y, lambda s: s[..., at], 0.25, torch.Generator().manual_seed(1)
        )
        for taper in (dense, Nearby(points, where, 8e5))
    ]
    assert torch.allclose(made[0], made[1], rtol=1e-11, atol=1e-12)
    far = (dense == 0).all(-1).repeat(3)
    assert bool(far.any()) and torch.equal(made[1][..., far], x[..., far])


def state(members: int = 6) -> xr.Dataset:
    rng = np.random.default_rng(0)
    t = 280 + rng.standard_normal((members, 2, 30, 60))
    axes = {"level": [850.0, 500.0], "latitude": np.linspace(87, -87, 30), "longitude": np.arange(60) * 6.0}
    return xr.Dataset({"t": (("member", "level", "latitude", "longitude"), t, {"units": "K"})}, axes)


def some(count: int = 40) -> xr.Dataset:
    where = places(count).numpy()
    return table(
        ["t"] * count, [850.0, 500.0] * (count // 2), where[:, 0], where[:, 1], np.full(count, 281.0), np.ones(count)
    )


def test_a_large_field_takes_neighbourhoods_and_gives_the_same(monkeypatch):
    background = state()
    dense = FieldAssimilator("letkf", radius=8e5, inflation=1.05).analyse(background, some())
    monkeypatch.setattr(fields_module, "DENSE", 0)
    monkeypatch.setattr(nearby_module, "POINTS", 200)
    told: list[tuple[int, int]] = []
    near = FieldAssimilator("letkf", radius=8e5, inflation=1.05).analyse(
        background, some(), progress=lambda done, total: told.append((done, total))
    )
    np.testing.assert_allclose(near["t"], dense["t"], rtol=1e-13)
    assert len(told) > 5 and told[-2] == (1800, 1800) and [d for d, _ in told[:-1]] == sorted(d for d, _ in told[:-1])
    asked = iter([False, False, True])
    with pytest.raises(Cancelled, match=r"letkf was cancelled after \d+ of 1800 points"):
        FieldAssimilator("letkf", radius=8e5).analyse(background, some(), cancel=lambda: next(asked))


def test_a_radius_or_places_that_are_none():
    with pytest.raises(PhysLabError, match="radius is 0"):
        Nearby(globe(), places(), 0.0)
    with pytest.raises(PhysLabError, match=r"others has shape \(1, 1\)"):
        Nearby(globe(), places()[:, :1], 1e6)


@pytest.mark.slow
def test_optimal_interpolation_of_a_large_field_is_that_of_the_matrix(monkeypatch):
    """Two variables, one of them on two levels, observations between grid points, two of them at one place."""
    one = state().isel(member=0, drop=True)
    one = one.assign(sp=one["t"].isel(level=0, drop=True) * 300.0).assign_coords(level=[850.0, 500.0])
    seen = some()
    pressure = table(["sp"] * 10, [np.nan] * 10, *places(10, 3).numpy().T, np.full(10, 84000.0), np.full(10, 50.0))
    observations = xr.concat([seen, pressure], "observation")
    method = FieldAssimilator("oi", radius=2e6, error={"t": 1.5, "sp": 300.0}).with_checks(sigmas=0)
    dense = method.analyse(one, observations)
    monkeypatch.setattr(fields_module, "LARGEST", 0)
    monkeypatch.setattr(nearby_module, "POINTS", 200)
    told: list[tuple[int, int]] = []
    near = method.analyse(one, observations, progress=lambda done, total: told.append((done, total)))
    for name in ("t", "sp"):
        assert float(abs(dense[name] - one[name]).max()) > 0
        np.testing.assert_allclose(near[name], dense[name], rtol=1e-11)
    assert told[-2] == (5400, 5400) and len(told) > 20
