"""3D-Var and 4D-Var against direct solutions, the Kalman smoother and a general minimiser; covariances and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from physlab.assimilate import (
    BalancedCovariance,
    OptimalInterpolation,
    Var3D,
    Var4D,
    nmc_differences,
    sample_covariance,
)
from physlab.assimilate.minimise import conjugate_gradient, gauss_newton
from physlab.assimilate.observed import Observed
from physlab.constants import GRAVITY
from physlab.errors import FieldError, PhysLabError
from physlab.simulate import Lorenz96, ShallowWater

from .conftest import kalman, normal, positive

SHALLOW = ShallowWater(shape=(12, 16))


def covariance() -> BalancedCovariance:
    """Spectra linear in |k|, so that rings of modes have the value of their middle."""
    k = torch.arange(7, dtype=torch.float64)
    spectra = torch.stack([1e12 * (7 - k), 1e11 * (7 - k), 20 * (7 - k)])
    spectra[:, 0] = torch.tensor([4.0, 5.0, 6.0])
    return BalancedCovariance(SHALLOW, spectra, 1 - 0.05 * k)


def test_conjugate_gradients_are_the_direct_solution() -> None:
    """Each row on its own, in n steps at most; a row of zeros does not disturb the others."""
    S = torch.stack([positive(0, 12), torch.diag(torch.logspace(0, 2, 12)).double(), positive(2, 12)])
    right = normal(3, 3, 12)
    right[2] = 0

    def product(v: Tensor) -> Tensor:
        return (S @ v[..., None])[..., 0]

    found, made = conjugate_gradient(product, right, 100, 1e-12)
    expected = torch.linalg.solve(S, right[..., None])[..., 0]
    assert (found - expected).abs().max() < 1e-10 * expected.abs().max()
    assert made < 25
    early, made = conjugate_gradient(product, right, 3, 1e-12)
    assert made == 3
    assert (early - expected).norm() > 1e-3
    identity, made = conjugate_gradient(lambda v: v, right, 100, 1e-12)
    assert made == 1
    assert torch.equal(identity, right)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_3dvar_is_the_kalman_filter(batch: tuple[int, ...]) -> None:
    B, R, H = positive(0, 8), positive(1, 5), normal(2, 5, 8)
    x, y = normal(3, *batch, 8), normal(4, *batch, 5)
    expected = kalman(x, B, y, H, R)[0]
    assert (Var3D(B).analyse(x, y, H, R) - expected).abs().max() < 1e-7
    assert (Var3D(B, inner=2).analyse(x, y, H, R) - expected).abs().max() > 1e-3  # it is the search that gets there


def test_3dvar_with_operators_is_optimal_interpolation() -> None:
    """The same B as a chain of operators in one and as a matrix in the other."""
    B, x = covariance(), normal(0, SHALLOW.n)
    y, R = 10 * normal(1, 40), torch.diag(torch.linspace(1.0, 9.0, 40, dtype=torch.float64))

    def H(x: Tensor) -> Tensor:
        return SHALLOW.fields(x)[2].flatten(-2)[..., ::4][..., :40]

    by_search = Var3D(B, inner=300, tolerance=1e-12).analyse(x, y, H, R)
    by_formula = OptimalInterpolation(B.matrix(x)).analyse(x, y, H, R)
    assert (by_search - by_formula).abs().max() < 1e-7 * (by_formula - x).abs().max()


def test_height_moves_the_wind_around_it() -> None:
    """One observation of height: the increments of balanced wind and height obey f v = g dh/dx, if all is balanced."""
    k = torch.arange(7, dtype=torch.float64)
    psi = 1e13 * torch.exp(-k)
    psi[0] = 0
    B = BalancedCovariance(SHALLOW, torch.stack([psi, 0 * k, 0 * k]), torch.ones(7))
    x = SHALLOW.balanced(torch.zeros(12, 16, dtype=torch.float64))
    H = torch.zeros(1, SHALLOW.n, dtype=torch.float64)
    H[0, 2 * 192 + 5 * 16 + 8] = 1.0
    u, v, h = SHALLOW.fields(Var3D(B).analyse(x, H @ x - 50.0, H, 25.0) - x)
    assert int(h.flatten().argmin()) == 5 * 16 + 8
    b = float(B.matrix(x).diagonal()[-1])  # of height, the same at all points
    assert float(h.min()) == pytest.approx(-50 * b / (b + 25), rel=1e-6)
    balanced = SHALLOW.fields(SHALLOW.balanced(GRAVITY / SHALLOW.f * h))
    assert (u - balanced[0]).abs().max() < 1e-8 * u.abs().max()
    assert (v - balanced[1]).abs().max() < 1e-8 * v.abs().max()
    assert float(u.abs().max()) > 1
    assert v[5, 9] > 0 > v[5, 7]  # around a low the wind blows with the Earth's turn: northward to the east of it


def test_curved_operators_need_outer_loops() -> None:
    """Wind speed observed: Gauss-Newton ends where scipy's minimiser of the whole cost ends; one loop does not."""
    B = positive(0, 4) + torch.eye(4)
    x, y = normal(1, 4) + 2, torch.tensor([4.0, 3.0], dtype=torch.float64)

    def H(x: Tensor) -> Tensor:
        return torch.stack([(x[..., 0] ** 2 + x[..., 1] ** 2).sqrt(), (x[..., 2] ** 2 + x[..., 3] ** 2).sqrt()], -1)

    def cost(a: np.ndarray) -> float:
        a = torch.from_numpy(a)
        return float((a - x) @ torch.linalg.solve(B, a - x) / 2 + (y - H(a)).square().sum() / 0.08)

    best = scipy.optimize.minimize(cost, x.numpy(), method="BFGS", options={"gtol": 1e-7}).x
    assert np.abs(Var3D(B, outer=10).analyse(x, y, H, 0.04).numpy() - best).max() < 1e-5
    assert np.abs(Var3D(B, outer=1).analyse(x, y, H, 0.04).numpy() - best).max() > 1e-3


def test_cost_never_rises() -> None:
    """Where a full step would overshoot it is halved: r(v) = 10 atan(v), from v = 3, where Newton's steps run away."""

    def residual(v: Tensor) -> Tensor:
        return 10 * torch.atan(v - 1)

    found = gauss_newton(residual, torch.tensor([[4.0], [1.5]], dtype=torch.float64), 12, 10, 1e-10, halvings=20)
    assert (found.cost.diff(dim=0) <= 1e-9).all()
    assert found.gradient[-1].max() < 1e-6
    assert found.cost.shape == (13, 2)


def linear(window: int) -> tuple[Tensor, ...]:
    """A rotation that also grows, its window of observations, and a background."""
    turn = torch.linalg.matrix_exp(0.3 * (normal(0, 6, 6) - normal(0, 6, 6).mT))
    A = turn @ torch.diag(torch.linspace(0.9, 1.2, 6, dtype=torch.float64))
    return A, positive(1, 6), normal(2, 2, 6), positive(3, 2), normal(4, 6), normal(5, window, 2)


@pytest.mark.parametrize("lead", [0, 1])
def test_4dvar_is_the_kalman_smoother(lead: int) -> None:
    """Rauch, Tung and Striebel's smoother at the start of the window, the filter at its end, to 1e-6."""
    A, B, H, R, x, y = linear(7)
    mean, P, saved = x, B, []
    for k in range(7):  # the filter; k = 0 is an analysis of the background itself if lead is 0
        prior = (mean, P) if k == 0 and lead == 0 else (A @ mean, A @ P @ A.mT)
        saved.append((mean, P, prior))
        mean, P = kalman(*prior, y[k], H, R)
    smooth = mean
    for k in range(6, -1 if lead else 0, -1):
        before, P, prior = saved[k]
        smooth = before + P @ A.mT @ torch.linalg.solve(prior[1], smooth - prior[0])
    method = Var4D(B, model=lambda x: x @ A.mT, lead=lead, outer=1)
    found = method.analyse(x, y, H, R)
    assert (found - smooth).abs().max() < 1e-6
    assert (method.trajectory(found, 7)[-1] - mean).abs().max() < 1e-6
    assert (found - x).abs().max() > 0.1


def test_4dvar_treats_each_of_a_batch_on_its_own() -> None:
    A, B, H, R, _, _ = linear(4)
    x, y = normal(6, 3, 6), normal(7, 3, 4, 2)
    method = Var4D(B, model=lambda x: x @ A.mT, tolerance=1e-12)
    assert torch.allclose(method.analyse(x, y, H, R)[1], method.analyse(x[1], y[1], H, R), atol=1e-9)


def test_one_time_is_3dvar() -> None:
    _, B, H, R, x, y = linear(1)
    found = Var4D(B, model=lambda x: x).analyse(x, y, H, R)
    assert (found - Var3D(B).analyse(x, y[0], H, R)).abs().max() < 1e-9


@pytest.mark.slow
def test_4dvar_reaches_a_minimum_of_chaos() -> None:
    """Lorenz-96 over half a time unit, from errors of 0.3: the gradient vanishes, and the start comes nearer."""
    model = Lorenz96()
    truth = model.start(4, generator=torch.Generator().manual_seed(0))
    y = model.trajectory(truth, 10)[..., ::2] + 0.3 * normal(1, 4, 11, 20)
    x = truth + 0.3 * normal(2, 4, 40)
    method = Var4D(0.09 * torch.eye(40), model=model, outer=6)
    observed = Observed.check(y, lambda x: x[..., ::2], 0.09, 40, x)
    found = method.minimise(x, observed)
    assert (found.gradient[-1] < 1e-5 * found.gradient[0]).all()
    assert (found.cost[-1] < 0.5 * found.cost[0]).all()
    analysis = method.analyse(x, y, lambda x: x[..., ::2], 0.09)
    assert (analysis - truth).norm() < 0.75 * (x - truth).norm()


def test_fit_finds_the_covariance() -> None:
    """Spectra within five standard errors of 600 samples, balance within 0.02."""
    B = covariance()
    samples = B.sample(600, generator=torch.Generator().manual_seed(0))
    found = BalancedCovariance.fit(SHALLOW, samples)
    rings = slice(1, 6)
    modes = torch.tensor([4, 8, 16, 24, 28])  # about as many in each ring
    error = 5 * (2 / (600 * modes)).sqrt() + 0.05  # the middle of a ring is not exactly at a whole number
    assert ((found.spectra[:, rings] / B.spectra[:, rings] - 1).abs() < error).all()
    assert (found.spectra[:, 0] / B.spectra[:, 0] - 1).abs().max() < 5 * (2 / 600) ** 0.5
    assert (found.balance[rings] - B.balance[rings]).abs().max() < 0.02
    point = samples.var(0).reshape(3, -1).mean(-1) / B.matrix(samples).diagonal().reshape(3, -1).mean(-1)
    assert (point - 1).abs().max() < 0.1
    doubled = BalancedCovariance.fit(SHALLOW, samples, factor=2.0)
    assert torch.allclose(doubled.spectra, 2 * found.spectra)


def test_nmc_differences_are_valid_at_the_same_time() -> None:
    """Analyses that are a run of the model have none; a jump between two of them shows in the right ones."""
    model = Lorenz96(n=6)
    run = model.trajectory(model.start(generator=torch.Generator().manual_seed(0)), 5)
    assert nmc_differences(model, run, 1, 2).abs().max() < 1e-12
    run = torch.cat([run[:3], model.trajectory(run[3] + 1.0, 2)])
    found = nmc_differences(model, run, 1, 2)
    assert found.shape == (4, 6)
    assert torch.equal(found.abs().amax(-1) > 0.1, torch.tensor([False, False, True, False]))
    expected = model(run[1], 2) - model(run[2], 1)
    assert torch.allclose(nmc_differences(model, run, 1, 2)[1], expected)
    with pytest.raises(PhysLabError, match="do not fit 6 analyses"):
        nmc_differences(model, run, 1, 6)


def test_sample_covariance() -> None:
    x = normal(0, 4, 30, 5)
    assert torch.allclose(sample_covariance(x, 0.3).B, 0.3 * torch.cov(x.reshape(-1, 5).mT))
    few = sample_covariance(x[0, :3])  # rank 2: the root of a semi-definite matrix
    assert torch.allclose(few.root(few.transpose(x)), x @ few.B, atol=1e-7)
    with pytest.raises(PhysLabError, match="1 sample"):
        sample_covariance(x[0, :1])


def test_bad_input_is_named() -> None:
    A, B, H, R, x, y = linear(3)
    with pytest.raises(PhysLabError, match="without a model"):
        Var4D(B)
    with pytest.raises(PhysLabError, match="lead is -1"):
        Var4D(B, model=lambda x: x, lead=-1)
    with pytest.raises(PhysLabError, match="outer is 0"):
        Var3D(B, outer=0)
    with pytest.raises(PhysLabError, match=r"times, m"):
        Var4D(B, model=lambda x: x @ A.mT).analyse(x, y[0], H, R)
    with pytest.raises(FieldError, match="B is for 6 numbers"):
        Var3D(B).analyse(x[:4], y[0], H[:, :4], R)
    with pytest.raises(PhysLabError, match="negative variance"):
        BalancedCovariance(SHALLOW, -torch.ones(3, 4), torch.ones(4))
    with pytest.raises(PhysLabError, match=r"\(3, K\)"):
        BalancedCovariance(SHALLOW, torch.ones(3, 4), torch.ones(5))
    assert math.isfinite(float(Var3D(B).analyse(x, y[0], H, R).sum()))
