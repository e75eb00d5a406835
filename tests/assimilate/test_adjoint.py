"""Adjoints by autograd pass the tests that adjoints written by hand have to pass."""

from __future__ import annotations

import pytest
import torch

from physlab.assimilate import BalancedCovariance, Dense, Var4D, linearise
from physlab.assimilate.minimise import gauss_newton
from physlab.assimilate.observed import Observed
from physlab.errors import PhysLabError
from physlab.simulate import Lorenz63, Lorenz96, ShallowWater

from .conftest import normal, positive

SHALLOW = ShallowWater(shape=(12, 16))
MODELS = {"Lorenz-63": Lorenz63(), "Lorenz-96": Lorenz96(), "shallow water": SHALLOW}


def start(name: str, *batch: int) -> torch.Tensor:
    return MODELS[name].start(*batch, generator=torch.Generator().manual_seed(0))


def scale(name: str) -> torch.Tensor:
    """Sizes of typical errors, so that wind and height count alike."""
    if name != "shallow water":
        return torch.ones(1, dtype=torch.float64)
    one = torch.ones(12, 16, dtype=torch.float64)
    return SHALLOW.state(one, one, 30 * one)


@pytest.mark.parametrize("name", MODELS)
def test_dot_product(name: str) -> None:
    """<M' dx, y> = <dx, M'^T y> over trajectories of 20 steps, two at a time, to 1e-10."""
    x = start(name, 2)
    path, tangent, adjoint = linearise(lambda x: MODELS[name].trajectory(x, 20, 5), x)
    assert torch.allclose(path, MODELS[name].trajectory(x, 20, 5))
    dx, y = normal(1, *x.shape) * scale(name), normal(2, *path.shape) / scale(name)
    left, right = (tangent(dx) * y).sum((-1, -2)), (dx * adjoint(y)).sum(-1)
    assert ((left - right) / left).abs().max() < 1e-10
    assert (left.abs() > 1e-3).all()  # not the product of nothing


@pytest.mark.parametrize("name", MODELS)
def test_tangent_is_the_limit_of_differences(name: str) -> None:
    """|M(x + e dx) - M(x) - e M' dx| falls as e^2: by 100 when e falls by 10."""
    model, x = MODELS[name], start(name)
    _, tangent, _ = linearise(lambda x: model(x, 20), x)
    dx = normal(1, *x.shape) * scale(name)
    left = [((model(x + e * dx, 20) - model(x, 20) - e * tangent(dx)) / scale(name)).norm() for e in (1e-2, 1e-3)]
    assert 95 < left[0] / left[1] < 105


@pytest.mark.parametrize("name", MODELS)
def test_gradient_of_the_cost(name: str) -> None:
    """J(v + e d) - J(v) - e <grad J, d> falls as e^2, for the cost that 4D-Var minimises."""
    model, x = MODELS[name], start(name)
    n = x.shape[-1]
    method = Var4D(Dense(torch.diag(scale(name).expand(n).square())), model=lambda x: model(x, 4))
    picked = scale(name).expand(n)[::3]
    observed = Observed.check(normal(3, 5, len(picked)) * picked + x[::3], lambda x: x[..., ::3], picked.square(), n, x)

    def residual(v):
        return observed.whiten(observed.y - method.predict(x + method.B.root(v), 5, observed)).flatten(-2)

    def cost(v):
        return 0.5 * (v.square().sum() + residual(v).square().sum())

    v, d = normal(4, n), normal(5, n)
    r, _, adjoint = linearise(residual, v)
    slope = ((v + adjoint(r)) * d).sum()
    left = [cost(v + e * d) - cost(v) - e * slope for e in (1e-4, 1e-5)]
    assert 90 < left[0] / left[1] < 110
    assert abs(slope) > 1
    found = gauss_newton(residual, v, outer=1, inner=1, tolerance=1e-3)
    assert float(found.gradient[0]) == pytest.approx(float((v + adjoint(r)).norm()))
    assert float(found.cost[0]) == pytest.approx(float(cost(v)))


@pytest.mark.parametrize("kind", ["dense", "singular", "balanced"])
def test_transpose_of_the_root(kind: str) -> None:
    """<U v, x> = <v, U^T x>, and B = U U^T."""
    root = normal(0, 6, 3)
    k = torch.arange(7.0)
    B = {
        "dense": Dense(positive(1, 6)),
        "singular": Dense(root @ root.mT),
        "balanced": BalancedCovariance(SHALLOW, torch.stack([1e9 / (1 + k), 1e8 / (1 + k), 50 / (1 + k)]), 1 - k / 10),
    }[kind]
    v, x = normal(2, 3, B.controls), normal(3, 3, B.n)
    left, right = (B.root(v) * x).sum(-1), (v * B.transpose(x)).sum(-1)
    assert ((left - right) / left).abs().max() < 1e-10
    assert torch.allclose(B.multiply(x), x @ B.matrix(x), rtol=1e-8, atol=1e-8 * float(B.matrix(x).abs().max()))


def test_what_autograd_cannot_follow_is_named() -> None:
    with pytest.raises(PhysLabError, match="autograd cannot follow"):
        linearise(lambda x: x.detach(), torch.ones(2))
