"""The outer step: 3D-Var of the errors that another method leaves."""

import numpy as np
import pytest
import torch

from physlab.assimilate import GlobalVar3D, Learned, OuterStep
from physlab.assimilate.sphere import SphereCovariance, roots_of
from physlab.assimilate.statespace import StateSpace, observe_columns
from physlab.errors import Cancelled, PhysLabError

H, W, L = 16, 32, 8
LATITUDE = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0]))
SETTINGS = {"truncation": L, "modes": 3, "floor": 0.05, "bias": 0.0}


class Nothing(Learned):
    """The background is the analysis."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return torch.zeros(len(background), members, *self.space.shape)


class HalfOfTheWay(Learned):
    """Half of the increment of each state, known beforehand, with members that differ by noise of their own."""

    ensemble = centred = True

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        centre = 0.5 * background[:, None].expand(-1, members, -1, -1, -1)
        noise = 0.3 * torch.randn(centre.shape, generator=generator)
        return centre if members == 1 else centre + noise - noise.mean(1, keepdim=True)

    def centre(self, background, columns, cancel=None):
        return 0.5 * background


@pytest.fixture(scope="module")
def space() -> StateSpace:
    one = torch.ones(3, 1, 1)
    return StateSpace((("u", 500.0), ("v", 500.0), ("z", 500.0)), LATITUDE, np.arange(W) * 360.0 / W, 0 * one, one, one)


@pytest.fixture(scope="module")
def increments(space) -> torch.Tensor:
    """(60, C, H, W) smooth winds and heights."""
    l = torch.arange(L + 1.0, dtype=torch.float64)
    power = torch.exp(-l * (l + 1) / 15)
    C_l = (power / ((2 * l + 1) * power).sum())[:, None, None] * torch.eye(3, dtype=torch.float64)
    B = SphereCovariance(space, torch.ones(3, H, dtype=torch.float64), roots_of(C_l.expand(2, -1, -1, -1)))
    return B.sample(60, generator=torch.Generator().manual_seed(0)).unflatten(-1, space.shape).float()


def observed(space, increment, share=0.1, noise=0.1):
    return observe_columns(increment, share, noise, space.area, torch.Generator().manual_seed(7))


def test_after_nothing_it_is_3d_var(space, increments):
    outer = OuterStep.after(Nothing(space), torch.zeros_like(increments[:40]), increments[:40], 0.1, 0.1, **SETTINGS)
    alone = GlobalVar3D.from_increments(increments[:40], space, **SETTINGS)
    test = increments[40:42]
    columns = observed(space, test)
    same = alone.increments(torch.zeros_like(test), columns)
    assert torch.allclose(outer.increments(torch.zeros_like(test), columns), same, atol=1e-5)


def test_it_takes_off_what_the_method_leaves(space, increments, tmp_path):
    first = HalfOfTheWay(space)
    outer = OuterStep.after(first, increments[:40], increments[:40], 0.1, 0.1, members=2, **SETTINGS)
    test = increments[40:]
    columns = observed(space, test)
    left = (test - first.increments(test, columns)[:, 0]).square().mean()
    made = outer.increments(test, columns)[:, 0]
    assert (test - made).square().mean() < 0.6 * left
    seen = columns.mask.bool().expand_as(test)
    assert (test - made)[seen].square().mean() < 0.1 * left, "it fits what was observed"
    saved = Learned.load(outer.save(tmp_path / "outer"))
    assert isinstance(saved, OuterStep) and isinstance(saved.first, HalfOfTheWay)
    assert torch.equal(saved.increments(test[:1], columns[:1]), outer.increments(test[:1], columns[:1]))
    assert saved.card["samples"] == 40


def test_members_lie_about_the_analysis_and_agree_where_was_observed(space, increments):
    outer = OuterStep.after(HalfOfTheWay(space), increments[:40], increments[:40], 0.1, 0.1, members=2, **SETTINGS)
    test = increments[50:52]
    columns, calls = observed(space, test), []
    draw = torch.Generator().manual_seed(1)
    members = outer.increments(test, columns, 12, draw, progress=lambda done, total: calls.append((done, total)))
    assert members.shape == (2, 12, *space.shape) and calls[-1] == (26, 26)
    assert torch.allclose(members.mean(1), outer.increments(test, columns)[:, 0], atol=5e-3), (
        "to the tolerance of the search"
    )
    spread = members.std(1)
    seen = columns.mask.bool().expand_as(test)
    assert spread[seen].mean() < 0.7 * 0.3 and spread[seen].mean() < spread[~seen].mean()
    with pytest.raises(Cancelled):
        outer.increments(test, columns, cancel=lambda: True)


def test_once_is_enough(space, increments):
    outer = OuterStep.after(Nothing(space), increments[:4] * 0, increments[:4], 0.1, **SETTINGS)
    with pytest.raises(PhysLabError, match="pass the one inside"):
        OuterStep.after(outer, increments[:4] * 0, increments[:4])
