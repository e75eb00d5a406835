"""4D-Var and the LETKF with forecast members for single analyses, with a linear model in the place of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physlab.assimilate import GlobalVar3D, StateSpace
from physlab.assimilate.model_cycle import LETKFSettings, Var4DSettings
from physlab.assimilate.statespace import Columns
from physlab.benchmark import flow
from physlab.errors import PhysLabError

H, W = 8, 16
SHAPE = (3, H, W)


class Window:
    """A wind that carries everything three points to the east, and halves it."""

    shape = SHAPE

    def predict(self, e: np.ndarray) -> np.ndarray:
        return 0.5 * np.roll(e, 3, -1).astype(np.float32)

    def tangent(self, e: np.ndarray, de: np.ndarray) -> np.ndarray:
        return self.predict(de)

    def adjoint(self, e: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return 0.5 * np.roll(dy, -3, -1)


@pytest.fixture
def prior(monkeypatch) -> GlobalVar3D:
    flow.members_of.cache_clear()
    monkeypatch.setattr(flow, "window_of", lambda *_: Window())
    channels = (("u", 500.0), ("v", 500.0), ("t", 500.0))
    one = torch.ones(3, 1, 1)
    space = StateSpace(
        channels, np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0])), np.arange(W) * 22.5, 0 * one, one, one
    )
    draw = torch.Generator().manual_seed(0)
    e = torch.nn.functional.interpolate(torch.randn(40, 3, 4, 8, generator=draw), size=(H, W), mode="bilinear")
    return GlobalVar3D.from_increments(e, space, truncation=6, modes=2, bias=0.0)


@pytest.fixture
def background() -> Tensor:
    return torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)).half().float()


def columns_of(values: Tensor, share: float = 0.3) -> Columns:
    mask = (torch.rand(1, 1, H, W, generator=torch.Generator().manual_seed(2)) < share).float()
    return Columns(values * mask, mask, torch.full((1,), 0.25))


def covariance(prior: GlobalVar3D) -> Tensor:
    B = prior.covariance
    roots = torch.stack([B.root(v) for v in torch.eye(B.controls, dtype=torch.float64)], -1)
    return (roots @ roots.mT).reshape(*SHAPE, *SHAPE)


def test_4d_var_is_the_kalman_filter_of_a_linear_model(prior, background) -> None:
    settings = Var4DSettings(size=0.8, model_error=0.4, iterations=300, tolerance=1e-10)
    method = flow.Var4DInWeather(
        prior, flow.weather_of(background, [(Path("cycle"), np.datetime64("2001-01-08"))]), settings
    )
    columns = columns_of(torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(3)))
    made = method.increments(background, columns)[0, 0]
    B, n = covariance(prior), 3 * H * W
    moved = 0.25 * B.roll((3, 3), (2, 5))
    at_end = (0.64 * moved + 0.16 * B).reshape(n, n)
    at = columns.mask[0].expand(SHAPE).flatten() > 0
    pull = torch.linalg.solve(at_end[at][:, at] + 0.0625 * torch.eye(int(at.sum())),
                              columns.innovation[0].flatten()[at].double())  # fmt: skip
    assert (made.flatten() - at_end[:, at] @ pull).abs().max() < 1e-4
    nothing = Columns(0 * columns.innovation, 0 * columns.mask, columns.noise)
    assert not method.increments(background, nothing).any()
    assert not method.ensemble and method.parameters() == ()


def test_members_are_forecasts_and_their_mean_is_that_of_the_kalman_filter(prior, background) -> None:
    settings = LETKFSettings(
        members=400, radius=1e9, floor=0.1, size=1.0, additive=0.5, inflation=1.0, relaxation=0.0, static=0.0
    )
    method = flow.LETKFInWeather(
        prior, flow.weather_of(background, [(Path("cycle"), np.datetime64("2001-01-08"))]), settings
    )
    key = flow.mark(background[0])
    X = method.anomalies(key)
    assert X.shape == (400, *SHAPE) and X.mean(0).abs().max() < 1e-2 and torch.equal(X, method.anomalies(key))
    B, n = covariance(prior), 3 * H * W
    at_end = (0.25 * B.roll((3, 3), (2, 5)) + 0.25 * B).reshape(n, n)
    found = torch.einsum("np,nq->pq", X.flatten(1), X.flatten(1)) / 399
    chance = ((at_end.trace() ** 2 + at_end.square().sum()) / 399).sqrt()  # of a sample of so many
    assert (found - at_end).norm() < 1.3 * chance < 0.6 * at_end.norm()
    truth = X[7][None]  # an error of the kind that the members know
    columns = columns_of(truth)
    made = method.increments(background, columns, 50)[0]
    assert made.shape == (50, *SHAPE)
    at = columns.mask[0].expand(SHAPE).flatten() > 0
    pull = torch.linalg.solve(found[at][:, at].double() + 0.0625 * torch.eye(int(at.sum())),
                              columns.innovation[0].flatten()[at].double())  # fmt: skip
    assert (made.mean(0).flatten() - found.double()[:, at] @ pull).abs().max() < 1e-3
    blind = method.increments(background, Columns(0 * truth, 0 * columns.mask, columns.noise), 50)[0]
    assert blind.mean(0).abs().max() < 1e-4 and blind.std(0).mean() > 1.5 * made.std(0).mean()


def test_what_few_members_leave_goes_on_to_3d_var(prior, background) -> None:
    truth = prior.covariance.root(torch.randn(1, prior.covariance.controls, generator=torch.Generator().manual_seed(5)))
    truth = truth.reshape(1, *SHAPE).float()
    left = []
    for static in (0.0, 1.0):
        settings = LETKFSettings(members=5, radius=2e6, static=static)
        method = flow.LETKFInWeather(
            prior, flow.weather_of(background, [(Path("cycle"), np.datetime64("2001-01-08"))]), settings
        )
        made = method.increments(background, columns_of(truth))[0, 0]
        left.append(float((made - truth[0]).square().mean()))
    assert left[1] < 0.7 * left[0], left


def test_refusals(prior, background) -> None:
    method = flow.LETKFInWeather(
        prior, flow.weather_of(background, [(Path("cycle"), np.datetime64("2001-01-08"))]), LETKFSettings(members=4)
    )
    columns = columns_of(background)
    with pytest.raises(PhysLabError, match="weather before it is not known"):
        method.increments(background + 1, columns)
    with pytest.raises(PhysLabError, match="9 members of an ensemble of 4"):
        method.increments(background, columns, 9)
