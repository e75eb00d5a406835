"""The twin-experiment cycle against closed forms on a model that turns its state and changes nothing else."""

from __future__ import annotations

import pytest
import torch

from physlab.assimilate import ETKF, OptimalInterpolation, Scores, TwinExperiment, Var4D
from physlab.errors import PhysLabError

from .conftest import normal

TURN = torch.linalg.matrix_exp(0.4 * (normal(0, 20, 20) - normal(0, 20, 20).mT))
ONE = torch.eye(20, dtype=torch.float64)


def turn(x: torch.Tensor) -> torch.Tensor:
    return x @ TURN.mT


def run(b: float, r: float = 2.0, cycles: int = 2000) -> Scores:
    """Optimal interpolation with B = b I and R = r I."""
    generator = torch.Generator().manual_seed(0)
    twin = TwinExperiment(turn, ONE, r * ONE, cycles=cycles, spin_up=100)
    start = 5 * normal(1, 3, 20)
    truth, y = twin.nature(start, generator)
    return twin.run(OptimalInterpolation(b * ONE), start + normal(2, 3, 20), truth, y)


@pytest.mark.parametrize("b", [0.2, 1.0, 6.0])
def test_scores_of_a_fixed_gain(b: float) -> None:
    """e <- (1 - k) e + k noise with k = b / (b + r): variance k r / (2 - k), before the analysis and after it.

    Innovations have that plus r; two successive ones the covariance p (1 - k) - k r in the turned frame, where the turn
    hides it: their correlation shows only through the trace of the turn.
    """
    s, r = run(b), 2.0
    k = b / (b + r)
    p = k * r / (2 - k)
    n, turned = 20, float(TURN.trace()) / 20
    bias = 1 - 1 / (4 * n)  # mean root of a chi-square of n numbers
    assert s.rmse.shape == (3,)
    assert float(s.rmse.mean()) == pytest.approx(bias * p**0.5, rel=0.02)
    assert float(s.rmse_background.mean()) == pytest.approx(bias * p**0.5, rel=0.02)
    assert float(s.innovation_ratio.mean()) == pytest.approx((p + r) / (b + r), rel=0.02)
    memory = turned * (p * (1 - k) - k * r) / (p + r)
    assert float(s.innovation_memory.mean()) == pytest.approx(memory, abs=0.01)
    assert s.innovation.abs().max() < 0.05
    assert not s.diverged.any()
    assert torch.isnan(s.spread).all()
    assert s.history.shape == (2000, 3)


@pytest.mark.slow
def test_an_ensemble_knows_how_good_it_is() -> None:
    """Without model error the ETKF is the Kalman filter: variance r / k after k analyses, from a prior of r."""
    generator = torch.Generator().manual_seed(3)
    start = 5 * normal(1, 16, 20)
    twin = TwinExperiment(turn, ONE, 2 * ONE, cycles=12, spin_up=0)
    truth, y = twin.nature(start, generator)
    members = normal(4, 16, 400, 20)
    members = members - members.mean(-2, keepdim=True)  # variance 2 and no correlation, exactly
    root = torch.linalg.cholesky(members.mT @ members / 399)
    members = 2**0.5 * torch.linalg.solve_triangular(root, members.mT, upper=False).mT
    background = start + 2**0.5 * torch.randn(start.shape, generator=generator, dtype=start.dtype)
    s = twin.run(ETKF(), background[:, None] + members, truth, y)
    expected = (2.0 / torch.arange(2, 14, dtype=torch.float64)).sqrt()
    assert torch.allclose(s.history_spread, expected[:, None].expand(12, 16), rtol=1e-8)
    assert torch.allclose(s.history.mean(1), expected * (1 - 1 / 80), rtol=0.12)
    assert float(s.innovation_ratio.mean()) == pytest.approx(1, abs=0.05)


def test_windows_end_where_filters_do() -> None:
    """4D-Var over two times with a linear model and B = p I: two steps of the Kalman filter."""
    generator = torch.Generator().manual_seed(5)
    start = 5 * normal(1, 4, 20)
    twin = TwinExperiment(turn, ONE, 2 * ONE, cycles=2, spin_up=0, window=2)
    truth, y = twin.nature(start, generator)
    background = start + normal(6, 4, 20)
    s = twin.run(Var4D(ONE, model=turn, lead=1, tolerance=1e-12), background, truth, y)
    x, p = background, 1.0
    for values in y:
        x, k = turn(x), p / (p + 2)
        x, p = x + k * (values - x), (1 - k) * p
    assert torch.allclose(s.last, x, atol=1e-8)
    assert s.history.shape == (1, 4)
    assert torch.allclose(s.rmse_background, (turn(turn(background)) - truth[1]).square().mean(-1).sqrt())


def test_observations_have_the_error_they_claim() -> None:
    R = torch.tensor([[1.0, 0.6], [0.6, 2.0]], dtype=torch.float64)
    twin = TwinExperiment(turn, ONE[:2], R, cycles=4000, spin_up=0)
    truth, y = twin.nature(normal(1, 5, 20), torch.Generator().manual_seed(0))
    error = (y - truth[..., :2]).flatten(0, 1)
    assert (torch.cov(error.mT) - R).abs().max() < 0.06
    assert error.mean(0).abs().max() < 0.05
    several = torch.stack([R, 4 * torch.eye(2), R, R, R])
    _, y = TwinExperiment(turn, ONE[:2], several, cycles=4000, spin_up=0).nature(normal(1, 5, 20))
    assert (torch.cov((y - truth[..., :2])[:, 1].mT) - several[1]).abs().max() < 0.3
    by_function, _ = TwinExperiment(turn, lambda x: x[..., :2], R, cycles=3, spin_up=0).nature(normal(1, 5, 20))
    assert torch.equal(by_function, truth[:3])


def test_a_single_experiment_needs_no_leading_dimension() -> None:
    twin = TwinExperiment(turn, ONE, 2 * ONE, cycles=9, spin_up=2)
    start = normal(1, 20)
    truth, y = twin.nature(start, torch.Generator().manual_seed(0))
    assert y.shape == truth.shape == (9, 20)
    alone = twin.run(OptimalInterpolation(ONE), start, truth, y)
    together = twin.run(OptimalInterpolation(ONE), start[None], truth[:, None], y[:, None])
    assert alone.rmse.shape == ()
    assert torch.allclose(alone.rmse, together.rmse[0])
    members = start + normal(2, 6, 20)
    assert twin.run(ETKF(), members, truth, y).history_spread.shape == (9,)


def test_the_spin_up_does_not_count() -> None:
    """A start that is far away is forgotten: errors and innovations of the first cycles belong to it alone."""
    whole, late = (TwinExperiment(turn, ONE, 2 * ONE, cycles=60, spin_up=n) for n in (0, 30))
    truth, y = whole.nature(normal(1, 3, 20), torch.Generator().manual_seed(0))
    far, method = truth[0] + 1000.0, OptimalInterpolation(2 * ONE)
    everything, settled = (twin.run(method, far, truth, y) for twin in (whole, late))
    assert torch.equal(everything.history, settled.history)
    assert torch.allclose(settled.rmse, settled.history[30:].mean(0))
    assert (settled.rmse < 2).all() and (settled.rmse_background < 2).all() and (everything.rmse > 10).all()
    assert settled.innovation_ratio.max() < 2 < everything.innovation_ratio.min()


def test_a_method_that_loses_the_truth_is_counted() -> None:
    """A gain of a millionth never corrects an error of ten times the truth's own size."""
    twin = TwinExperiment(turn, ONE, 2 * ONE, cycles=50, spin_up=10)
    truth, y = twin.nature(normal(1, 2, 20), torch.Generator().manual_seed(0))
    background = torch.stack([normal(1, 2, 20)[0], 10 * normal(7, 20)])
    s = twin.run(OptimalInterpolation(1e-6 * ONE), background, truth, y)
    assert s.diverged.tolist() == [False, True]


def test_bad_settings_are_named() -> None:
    with pytest.raises(PhysLabError, match="spin-up of 5 in 5 cycles"):
        TwinExperiment(turn, ONE, ONE, cycles=5, spin_up=5)
    with pytest.raises(PhysLabError, match="window is 4"):
        TwinExperiment(turn, ONE, ONE, cycles=8, spin_up=5, window=4)
