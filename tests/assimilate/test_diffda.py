"""DiffDA: what replaces the denoiser's answer, and a Gaussian whose posterior is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.assimilate import DiffDA, StateSpace
from physlab.assimilate.localisation import gaspari_cohn
from physlab.assimilate.statespace import Columns
from physlab.errors import PhysLabError

H, W = 8, 16


@pytest.fixture(scope="module")
def space() -> StateSpace:
    channels = (("u", 500.0), ("t", 500.0))
    one = torch.ones(2, 1, 1)
    return StateSpace(channels, np.linspace(-70, 70, H), np.arange(W) * 22.5, 0 * one, one, one)


def columns_at(points: list[tuple[int, int]], values: torch.Tensor) -> Columns:
    mask = torch.zeros(1, 1, H, W)
    for i, j in points:
        mask[0, 0, i, j] = 1.0
    return Columns(values[None] * mask, mask, torch.zeros(1))


def test_innovations_are_spread_by_distance(space) -> None:
    method = DiffDA(space, levels=(8, 16), length=3e6)
    e = torch.randn(2, H, W, generator=torch.Generator().manual_seed(0))
    known, mask = method.spread_out(columns_at([(3, 4)], e))
    assert mask[0, 3, 4] == 1 and torch.allclose(known[:, 3, 4], e[:, 3, 4])
    angle = np.deg2rad(20.0)  # one row further on the same meridian
    wanted = gaspari_cohn(torch.tensor([6.371e6 * angle]), 3e6)[0]
    assert float(mask[0, 4, 4]) == pytest.approx(float(wanted), rel=2e-3)
    near = mask[0] > 0
    assert torch.allclose(known[:, near], e[:, 3, 4][:, None].expand(-1, int(near.sum())), atol=1e-5)
    assert near[:, [3, 4, 5]].any() and not near[:, 12].any()  # the other side of the globe hears nothing
    known, mask = method.spread_out(columns_at([(3, 4), (3, 6)], e))
    assert torch.allclose(known[:, 3, 5], (e[:, 3, 4] + e[:, 3, 6]) / 2, atol=1e-5)


def test_what_is_known_is_met_and_the_rest_is_drawn(space) -> None:
    """A denoiser of white noise of variance one: replaced points are exact, the others keep mean 0 and variance 1."""
    method = DiffDA(space, levels=(8, 16), steps=40, length=1e5)  # shorter than the distance of two points
    schedule = method.denoiser.schedule

    def white(x, t, condition=None):
        alpha, sigma = schedule.coefficients(t, x)
        return alpha * x / (alpha**2 + sigma**2)

    method.denoiser.forward = white  # type: ignore[method-assign]
    e = 2 + torch.zeros(2, H, W)
    seen = [(i, j) for i in range(0, H, 2) for j in range(0, W, 3)]
    columns = columns_at(seen, e)
    made = method.increments(torch.zeros(1, 2, H, W), columns, 64, torch.Generator().manual_seed(0))[0]
    at = columns.mask[0, 0] > 0
    assert (made[:, :, at] - 2).abs().max() < 0.02
    free = made[:, :, ~at]
    assert abs(float(free.mean())) < 0.03 and float(free.var()) == pytest.approx(1, abs=0.05)


def test_without_observations_the_background_decides(space) -> None:
    torch.manual_seed(0)
    method = DiffDA(space, levels=(8, 16), steps=4)
    for p in method.parameters():
        p.data += 0.1 * torch.randn(p.shape)
    nothing = columns_at([], torch.zeros(2, H, W))
    one, other = (
        method.increments(b, nothing, 2, torch.Generator().manual_seed(1))
        for b in (torch.zeros(1, 2, H, W), torch.ones(1, 2, H, W))
    )
    assert one.shape == (1, 2, 2, H, W) and (one - other).abs().max() > 1e-3


def test_a_length_that_hears_nothing_is_refused(space) -> None:
    with pytest.raises(PhysLabError, match="length is 0 m"):
        DiffDA(space, length=0.0)
