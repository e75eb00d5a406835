"""Ensemble methods and optimal interpolation against the Kalman filter, and what they do with bad input."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path

import pytest
import torch

import physlab
from physlab.assimilate import ETKF, LETKF, EnKF, OptimalInterpolation, Var3D, gaspari_cohn, ring_distance
from physlab.errors import FieldError, PhysLabError

from .conftest import Problem, kalman, moments, normal, positive

SQUARE_ROOT = {
    "LETKF": LETKF(),
    "ETKF": ETKF(),
    "rotation": ETKF(rotation=True),
    "taper": LETKF(taper=torch.ones(5, 3)),
    "taper-rotation": LETKF(taper=torch.ones(1, 3), rotation=True),
}
ALL = {**SQUARE_ROOT, "EnKF": EnKF(), "OI": OptimalInterpolation(positive(9, 5)), "3D-Var": Var3D(positive(9, 5))}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", SQUARE_ROOT)
def test_square_root_filters_are_the_kalman_filter(problem: Problem, name: str) -> None:
    E, y, H, R, mean, covariance = problem
    analysis = SQUARE_ROOT[name].analyse(E, y, H, R, generator())
    assert analysis.shape == E.shape
    found = moments(analysis)
    assert (found[0] - mean).abs().max() < 1e-12
    assert (found[1] - covariance).abs().max() < 1e-12
    assert (analysis - E).abs().max() > 0.1  # not simply the background


def test_functions_are_taken_for_their_matrix(problem: Problem) -> None:
    E, y, H, R, _, _ = problem
    for name, method in ALL.items():
        x = E if method.dimensions == 2 else E[..., 0, :]
        by_matrix = method.analyse(x, y, H, R, generator())
        by_function = method.analyse(x, y, lambda x: x @ H.mT, R, generator())
        assert torch.allclose(by_matrix, by_function, rtol=1e-9, atol=1e-11), name


def test_leading_dimensions_are_independent() -> None:
    E, y = normal(0, 2, 3, 8, 5), normal(1, 2, 3, 4)
    H, R = normal(2, 2, 3, 4, 5), torch.stack([positive(s, 4) for s in range(6)]).reshape(2, 3, 4, 4)
    taper = gaspari_cohn(ring_distance(5)[:, :4], 1.3)
    for method in (ETKF(1.1), LETKF(1.1, taper=taper), OptimalInterpolation(positive(3, 5)), Var3D(positive(3, 5))):
        x = E if method.dimensions == 2 else E[..., 0, :]
        together = method.analyse(x, y, H, R)
        alone = method.analyse(x[1, 2], y[1, 2], H[1, 2], R[1, 2])
        assert torch.allclose(together[1, 2], alone, rtol=1e-8, atol=1e-10), type(method)
    shared = ETKF().analyse(E[0, 0], y[0], H[0, 0], R[0, 0])  # one ensemble, three sets of values
    assert shared.shape == (3, 8, 5)
    assert torch.allclose(shared[1], ETKF().analyse(E[0, 0], y[0, 1], H[0, 0], R[0, 0]), rtol=1e-10)


def test_enkf_converges_to_the_kalman_filter() -> None:
    """Mean and covariance within five standard errors."""
    P, H, R, y = positive(0, 4), normal(1, 3, 4), positive(2, 3), normal(3, 3)
    N = 200_000
    E = normal(4, N, 4) @ torch.linalg.cholesky(P).mT + 1.0
    mean, covariance = moments(EnKF().analyse(E, y, H, R, generator(5)))
    expected = kalman(torch.ones(4, dtype=torch.float64), P, y, H, R)
    error = (P.diagonal().max() / N) ** 0.5
    assert (mean - expected[0]).abs().max() < 5 * error
    assert (covariance - expected[1]).abs().max() < 10 * error * P.diagonal().max() ** 0.5
    no_noise = moments(E + (y - E @ H.mT) @ torch.linalg.solve(H @ P @ H.mT + R, H @ P))[1]
    assert (no_noise - expected[1]).abs().max() > 0.05  # the test would notice that the noise is missing


@pytest.mark.parametrize(("N", "m"), [(6, 5), (6, 6), (5, 9)])
def test_enkf_solves_the_smaller_system(N: int, m: int) -> None:
    """The mean is met by y itself, so it must be the Kalman filter's exactly; any noise has mean zero."""
    E, H, R, y = normal(0, N, 4), normal(1, m, 4), positive(2, m), normal(3, m)
    mean, P = moments(E)
    gain = P @ H.mT @ torch.linalg.inv(H @ P @ H.mT + R)
    analysis = EnKF().analyse(E, y, H, R, generator())
    assert (analysis.mean(0) - (mean + gain @ (y - H @ mean))).abs().max() < 1e-10
    assert torch.equal(analysis, EnKF().analyse(E, y, H, R, generator()))
    assert not torch.equal(analysis, EnKF().analyse(E, y, H, R, generator(1)))


def test_optimal_interpolation_is_the_formula(problem: Problem) -> None:
    _, y, H, R, _, _ = problem
    B, x = positive(7, 5), normal(8, *y.shape[:-1], 5)
    expected = kalman(x, B, y, H, R)[0]
    assert (OptimalInterpolation(B).analyse(x, y, H, R) - expected).abs().max() < 1e-11


def test_optimal_interpolation_takes_the_slope() -> None:
    """H(x) = x^2 at one point: K = 2 x b / (4 x^2 b + r)."""
    x, b, r = torch.tensor([3.0], dtype=torch.float64), 0.5, 2.0
    found = OptimalInterpolation(torch.tensor([[b]])).analyse(x, torch.tensor([10.0]), lambda x: x.square(), r)
    assert float(found) == pytest.approx(3 + 6 * b / (36 * b + r) * (10 - 9), rel=1e-12)


def test_analyses_are_those_of_dapper() -> None:
    """Stored members. DAPPER has 1.82 for sqrt(10 / 3), and leaves out weights below 1e-3."""
    folder = Path(__file__).resolve().parents[1] / "reference"
    reference = json.loads((folder / "assimilation.json").read_text())
    case = runpy.run_path(str(folder / "make_assimilation.py"))["case"]
    one, taper = torch.eye(40, dtype=torch.float64), gaspari_cohn(ring_distance(40), 4 * 1.82)
    local = LETKF(taper=torch.where(taper > 1e-3, taper, 0.0))
    for name, N, method in (("etkf", 24, ETKF()), ("letkf", 7, local)):
        E, y = (torch.from_numpy(part) for part in case(N))
        difference = (method.analyse(E, y, one, one) - torch.tensor(reference[name], dtype=torch.float64)).abs()
        assert difference.max() < 1e-10, name


def test_inflation_widens_the_background(problem: Problem) -> None:
    """Inflation by a is the Kalman filter with a^2 P."""
    E, y, H, R, _, _ = problem
    mean, P = moments(E)
    expected = kalman(mean, 1.2**2 * P, y, H, R)
    for method in (ETKF(1.2), LETKF(1.2), LETKF(1.2, taper=torch.ones(5, 3))):
        found = moments(method.analyse(E, y, H, R))
        assert (found[0] - expected[0]).abs().max() < 1e-12
        assert (found[1] - expected[1]).abs().max() < 1e-12


@pytest.mark.parametrize("correlated", [False, True])
def test_local_analysis_is_an_etkf_of_its_own(correlated: bool) -> None:
    """Each point: the ETKF with observation errors made larger by 1 / taper, after R is made white in place."""
    E, y = normal(0, 6, 8), normal(1, 8)
    taper = gaspari_cohn(ring_distance(8), 2.1)
    R = positive(2, 8) if correlated else torch.diag(torch.linspace(0.3, 2.0, 8, dtype=torch.float64))
    found = LETKF(1.05, taper=taper).analyse(E, y, torch.eye(8), R)
    values, vectors = torch.linalg.eigh(R)
    white = vectors @ torch.diag(values.rsqrt()) @ vectors.mT
    for p in range(8):
        near = taper[p] > 0
        local = ETKF(1.05).analyse(E, (white @ y)[near], white[near], torch.diag(1 / taper[p][near]))
        assert torch.allclose(found[:, p], local[:, p], rtol=1e-10, atol=1e-12)


def test_points_out_of_reach_keep_their_background() -> None:
    E = normal(0, 5, 10)
    H = torch.eye(10, dtype=torch.float64)[:1]
    method = LETKF(1.5, taper=gaspari_cohn(ring_distance(10)[:, :1], 1.5))
    analysis = method.analyse(E, torch.ones(1), H, torch.eye(1))
    assert torch.equal(analysis[:, 3:8], E[:, 3:8])
    assert (analysis[:, [0, 1, 2, 8, 9]] != E[:, [0, 1, 2, 8, 9]]).all()


def test_variables_of_a_point_share_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """k variables at p points: as with the taper repeated; also when the points are taken a few at a time."""
    E, y, H = normal(0, 2, 6, 12), normal(1, 2, 4), normal(2, 4, 12)
    taper = gaspari_cohn(ring_distance(4), 1.2)
    short = LETKF(taper=taper).analyse(E, y, H, torch.eye(4))
    assert torch.allclose(short, LETKF(taper=taper.repeat(3, 1)).analyse(E, y, H, torch.eye(4)), rtol=1e-12)
    monkeypatch.setattr("physlab.assimilate.letkf.NUMBERS", 150)
    assert torch.allclose(short, LETKF(taper=taper).analyse(E, y, H, torch.eye(4)), rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_nothing_observed_changes_nothing(problem: Problem, name: str) -> None:
    method = dataclasses.replace(ALL[name], inflation=1.1) if hasattr(ALL[name], "inflation") else ALL[name]
    x = problem.ensemble if method.dimensions == 2 else problem.ensemble[..., 0, :]
    analysis = method.analyse(x, torch.zeros(*problem.y.shape[:-1], 0), torch.zeros(0, 5), torch.zeros(0, 0))
    assert torch.equal(analysis, x)
    assert analysis is not x


@pytest.mark.parametrize("name", [name for name in ALL if "taper" not in name and name != "EnKF"])
def test_doubled_observations_count_twice(problem: Problem, name: str) -> None:
    """Two of variance r are one of variance r / 2."""
    E, y, H, R, _, _ = problem
    x = E if ALL[name].dimensions == 2 else E[..., 0, :]
    twice = ALL[name].analyse(x, torch.cat([y, y], -1), torch.cat([H, H]), torch.block_diag(R, R), generator())
    assert torch.allclose(twice, ALL[name].analyse(x, y, H, R / 2, generator()), rtol=1e-9, atol=1e-9)


def test_short_forms_of_r(problem: Problem) -> None:
    E, y, H, _, _, _ = problem
    full = ETKF().analyse(E, y, H, 0.7 * torch.eye(3))
    for R in (0.7, torch.tensor(0.7), torch.full((3,), 0.7)):
        assert torch.allclose(ETKF().analyse(E, y, H, R), full, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", ALL)
def test_precision_of_the_background(problem: Problem, name: str, dtype: torch.dtype) -> None:
    E, y, H, R, _, _ = problem
    x = E if ALL[name].dimensions == 2 else E[..., 0, :]
    found = ALL[name].analyse(x.to(dtype), y, H, R, generator())
    assert found.dtype == dtype
    if "rotation" in name or name == "EnKF":  # other random numbers in other precision
        assert torch.isfinite(found).all()
    else:
        tolerance = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}[dtype]
        assert (found.double() - ALL[name].analyse(x, y, H, R)).abs().max() < tolerance * x.abs().max()


def test_bad_input_is_named(problem: Problem) -> None:
    E, y, H, R, _, _ = problem
    nan, infinite = y.clone(), E.clone()
    nan[..., 0], infinite[..., 0, 0] = torch.nan, torch.inf
    half_exact = torch.diag(torch.tensor([1.0, 0.0, 1.0]))
    singular = torch.ones(3, 3, dtype=torch.float64)
    crooked = torch.eye(3)
    crooked[0, 1] = 0.5
    wrong = [
        ((E, nan, H, R), "y holds .* NaN"),
        ((infinite, y, H, R), "background holds NaN"),
        ((E, y, H[:2], R), r"H has shape \(2, 5\) for 3 observations of 5"),
        ((E, y, H[:, :4], R), r"H has shape \(3, 4\)"),
        ((E, y, "H", R), "H is a str"),
        ((E, y, lambda x: x[..., :2], R), r"H took states .* and returned"),
        ((E, y, H, R[:2, :2]), r"R has shape \(2, 2\) for 3"),
        ((E, y, H, -R), "R is not positive definite"),
        ((E, y, H, half_exact), "variance 0"),
        ((E, y, H, singular), "R is not positive definite"),
        ((E, y, H, crooked), "R is not symmetric"),
        ((E, y, H, torch.full((3, 3), torch.nan)), "R is not symmetric"),
        ((E, y, H, torch.diag(torch.tensor([1.0, torch.inf, 1.0]))), "finite error variance"),
        ((E[..., :1, :], y, H, R), "one member"),
        ((E[..., :0, :], y, H, R), "background has shape"),
        ((E.long(), y, H, R), "floating-point"),
        ((E.expand(4, *E.shape), y.expand(3, *y.shape), H, R), "leading dimensions"),
        ((E, y[..., 0, None, None].expand(*y.shape, 7), H, R), "H has shape"),
    ]
    for method in (LETKF(), ETKF(), EnKF(), LETKF(taper=torch.ones(5, 3))):
        for arguments, message in wrong:
            with pytest.raises(PhysLabError, match=message):
                method.analyse(*arguments)
    with pytest.raises(FieldError, match="B is for 4 numbers"):
        OptimalInterpolation(positive(0, 4)).analyse(E, y, H, R)
    with pytest.raises(PhysLabError, match="taper is for 4 points"):
        LETKF(taper=torch.ones(4, 3)).analyse(E, y, H, R)


def test_bad_settings_are_named() -> None:
    with pytest.raises(PhysLabError, match=r"inflation is 0\.9"):
        EnKF(0.9)
    with pytest.raises(PhysLabError, match="inflation is nan"):
        LETKF(float("nan"))
    with pytest.raises(PhysLabError, match="weights from 0 to 1"):
        LETKF(taper=torch.full((2, 2), 1.5))
    with pytest.raises(PhysLabError, match=r"B has shape \(2, 3\)"):
        OptimalInterpolation(torch.zeros(2, 3))
    with pytest.raises(PhysLabError, match="eigenvalue"):
        Var3D(torch.diag(torch.tensor([1.0, -1.0])))
    with pytest.raises(PhysLabError, match="B is a float"):
        Var3D(0.5)


def test_public_names() -> None:
    for name in ("OptimalInterpolation", "Var3D", "Var4D", "EnKF", "LETKF", "ETKF"):
        assert callable(getattr(physlab.assimilate, name).analyse)
