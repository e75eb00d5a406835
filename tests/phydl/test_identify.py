"""Coefficients, force and intervals, on states that are known exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from physlab.phydl import (
    Domain,
    Equation,
    SmoothForce,
    State,
    bootstrap,
    coefficient_table,
    holdout,
    normal_equations,
    threshold,
)
from physlab.phydl.library import gradient, product, relaxation

DOMAIN = Domain((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), plane=True)
FORCE = SmoothForce((3, 3, 4), 1e-3)
EQUATION = Equation("c", (gradient("c", "x"), relaxation("c"), product("c", "c")))


def state(noise: float = 0.0, force: torch.Tensor | None = None, seed: int = 0, count: int = 4000) -> State:
    """c_t = -2 c_x - 0.7 c + force + noise, c and c_x any independent numbers."""
    generator = torch.Generator().manual_seed(seed)
    points = DOMAIN.sample(count, generator, torch.float64)
    c, slope, rough = torch.randn(3, count, generator=generator, dtype=torch.float64)
    left = -2 * slope - 0.7 * c + noise * rough
    if force is not None:
        left = left + FORCE.basis(points, DOMAIN) @ force
    first = torch.stack([slope, torch.zeros_like(slope), left])
    return State(points, DOMAIN, {"c": c}, {"c": first}, {"c": torch.zeros_like(first)})


def test_least_squares_finds_the_coefficients_and_the_force():
    wanted = torch.zeros(FORCE.size, dtype=torch.float64)
    wanted[[1, 5, 17]] = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
    normal = normal_equations(EQUATION, [state(force=wanted)], dataclasses.replace(FORCE, penalty=0.0))
    coefficients, force = normal.solve()
    assert np.allclose(coefficients, [-2, -0.7, 0], atol=1e-9)
    assert np.allclose(force * normal.tendency, wanted, atol=1e-9)
    assert normal.unexplained(coefficients, force) < 1e-6


def test_against_numpy_least_squares():
    s = state(noise=0.5)
    normal = normal_equations(EQUATION, [s], SmoothForce((0, 0, 0)))
    wanted = np.linalg.lstsq(EQUATION.columns(s).numpy(), EQUATION.tendency(s).numpy(), rcond=None)[0]
    assert np.allclose(normal.solve()[0], wanted, rtol=1e-8)


def test_batches_and_blocks_do_not_change_the_sums():
    s = state(noise=0.3)
    halves = [
        State(s.points[a:b], DOMAIN, {"c": s["c"][a:b]}, {"c": s.first["c"][:, a:b]}, {"c": s.second["c"][:, a:b]})
        for a, b in ((0, 1000), (1000, 4000))
    ]
    one = normal_equations(EQUATION, [s], FORCE, (1, 1, 1)).solve()
    many = normal_equations(EQUATION, halves, FORCE, (2, 3, 4)).solve()
    assert np.allclose(one[0], many[0], rtol=1e-9) and np.allclose(one[1], many[1], rtol=1e-7)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """95 % intervals from 27 blocks: of 60 independent cases at least 50 cover each coefficient."""
    hits = np.zeros(2)
    for seed in range(60):
        normal = normal_equations(EQUATION, [state(1.0, seed=seed, count=800)], SmoothForce((0, 0, 0)), (3, 3, 3))
        low, high = bootstrap(normal, draws=150, seed=seed).T
        hits += [low[0] <= -2 <= high[0], low[1] <= -0.7 <= high[1]]
    assert (hits >= 50).all(), hits


def test_thresholding_keeps_what_is_there():
    normal = normal_equations(EQUATION, [state(noise=0.2)], FORCE)
    active = threshold(normal)
    assert active.tolist() == [True, True, False]
    table = coefficient_table(normal, active, draws=50)
    assert table["term"].tolist() == ["∂x c", "c"] and (table["low"] <= table["high"]).all()
    assert table["coefficient"].tolist() == pytest.approx([-2, -0.7], abs=0.03)


def test_known_coefficients_are_kept():
    equation = dataclasses.replace(EQUATION, known={"c": -0.5})
    coefficients, _ = normal_equations(equation, [state()], SmoothForce((0, 0, 0))).solve()
    assert coefficients[1] == pytest.approx(-0.5, rel=1e-12) and coefficients[0] == pytest.approx(-2, abs=0.02)


def test_a_force_that_absorbs_noise_is_found_out_by_the_blocks_it_has_not_seen():
    """Much capacity without a price explains what it was shown, and nothing else."""
    case = [state(noise=2.0, count=3000)]
    small = holdout(normal_equations(EQUATION, case, SmoothForce((2, 2, 2), 0.01)))
    large = holdout(normal_equations(EQUATION, case, SmoothForce((10, 10, 10), 1e-9)))
    assert abs(small["held out"] / small["used"] - 1) < 0.1
    assert large["used"] < 0.8 * small["used"] and large["held out"] > 1.5 * small["held out"]


def test_the_basis_is_orthogonal_and_no_modes_mean_no_force():
    points = DOMAIN.sample(200_000, torch.Generator().manual_seed(0), torch.float64)
    basis = FORCE.basis(points, DOMAIN)
    gram = basis.T @ basis / len(points)
    assert float((gram - torch.diag(gram.diagonal())).abs().max()) < 0.02
    assert SmoothForce((0, 4, 4)).basis(points[:5], DOMAIN).shape == (5, 0)
