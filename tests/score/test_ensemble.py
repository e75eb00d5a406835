"""CRPS, spread against skill, rank histogram: against closed forms, stored numbers and scoringrules."""

import math

import numpy as np
import pytest
import torch

from physlab import score
from physlab.errors import PhysLabError

OBSERVED = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64)
MEMBERS = torch.tensor([[-1.0, 0.0, 1.0], [0.0, 2.0, 4.0], [1.0, 2.0, 3.0]], dtype=torch.float64)


@pytest.mark.parametrize(("fair", "expected"), [(False, [2 / 9, 7 / 9, 7 / 18]), (True, [0, 1 / 3, 1 / 6])])
def test_crps_by_hand(fair, expected):
    each = score.crps(MEMBERS, OBSERVED, fair=fair, dim=1, mean=False)
    assert torch.allclose(each, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14)
    assert torch.allclose(score.crps(MEMBERS.T, OBSERVED, fair=fair), each.mean(), rtol=1e-14)
    for row, observed, value in zip(MEMBERS, OBSERVED, expected, strict=True):
        assert float(score.crps(row, observed, fair=fair)) == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize("fair", [False, True])
def test_crps_of_stored_numbers(reference, fair):
    index = np.arange(7 * 40).reshape(40, 7)
    members, truth = np.sin(1.7 * index) + 0.1 * index % 1, np.cos(2.3 * np.arange(40))
    each = score.crps(members, truth, fair=fair, dim=-1, mean=False)
    assert np.allclose(each, reference["crps"]["fair" if fair else "standard"], rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5, 50])
def test_crps_against_scoringrules(count):
    import scoringrules  # compiles for seconds

    rng = np.random.default_rng(count)
    members, truth = rng.normal(size=(count, 6, 8)), rng.normal(size=(6, 8))
    for fair, estimator in ((False, "nrg"), (True, "fair")):
        expected = scoringrules.crps_ensemble(truth, np.moveaxis(members, 0, -1), estimator=estimator)
        assert np.allclose(score.crps(members, truth, fair=fair, mean=False), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("fair", [False, True])
def test_one_member_is_the_absolute_error_and_so_are_ten_copies(fair):
    rng = np.random.default_rng(0)
    pred, truth = rng.normal(size=(2, 9, 9))
    assert float(score.crps(pred[None], truth, fair=fair)) == pytest.approx(float(score.mae(pred, truth)), rel=1e-13)
    assert float(score.crps(np.stack([pred] * 10), truth, fair=fair)) == pytest.approx(
        float(score.mae(pred, truth)), rel=1e-12
    )


def test_fair_crps_does_not_depend_on_the_size_and_has_the_gaussian_expectation():
    """Members and truth N(0, 1): expected fair CRPS 1/sqrt(pi) = 0.5642 for any M, standard 0.5642 (1 + 1/M)."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(200_000, generator=generator, dtype=torch.float64)
    for count in (2, 10):
        members = torch.randn(count, 200_000, generator=generator, dtype=torch.float64)
        assert float(score.crps(members, truth)) == pytest.approx(1 / math.sqrt(math.pi), abs=0.005)
        assert float(score.crps(members, truth, fair=False)) == pytest.approx(
            (1 + 1 / count) / math.sqrt(math.pi), abs=0.005
        )


def test_crps_is_weighted():
    weights = torch.tensor([1.0, 0.0, 3.0])
    assert float(score.crps(MEMBERS.T, OBSERVED, fair=False, weights=weights)) == pytest.approx(
        (2 / 9 + 3 * 7 / 18) / 4
    )


def test_spread_equals_skill_for_exchangeable_members():
    generator = torch.Generator().manual_seed(0)
    centre = 3 * torch.randn(100_000, generator=generator)
    truth = centre + torch.randn(100_000, generator=generator)
    for count in (2, 5, 20):
        members = centre + torch.randn(count, 100_000, generator=generator)
        assert float(score.spread_skill(members, truth)) == pytest.approx(1, abs=0.02), count
        assert float(score.spread_skill(centre + 0.5 * (members - centre), truth)) < 0.75
    assert float(score.ensemble_spread(members)) == pytest.approx(1, abs=0.01)
    assert float(score.ensemble_mean_rmse(members, truth)) == pytest.approx(math.sqrt(1 + 1 / 20), abs=0.01)
    with pytest.raises(PhysLabError, match="no spread"):
        score.spread_skill(members[:1], truth)


def test_rank_histogram_is_flat_for_exchangeable_members():
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn(10, 40_000, generator=generator)
    counts = score.rank_histogram(fields[1:], fields[0])
    assert counts.shape == (10,) and counts.sum() == 40_000
    chi2 = ((counts - 4000) ** 2 / 4000).sum()
    assert chi2 < 27.9  # 0.1 % point of chi-squared with 9 degrees of freedom
    narrow = score.rank_histogram(0.3 * fields[1:], fields[0])
    assert narrow[0] > 8000 and narrow[-1] > 8000  # an over-confident ensemble: the truth falls outside


def test_ranks_by_hand_and_ties_are_shared():
    members = torch.tensor([[0.0], [1.0], [2.0]])
    for value, rank in ((-1.0, 0), (0.5, 1), (1.5, 2), (9.0, 3)):
        assert score.rank_histogram(members, torch.tensor([value])).tolist() == [float(i == rank) for i in range(4)]
    assert score.rank_histogram(members, torch.tensor([1.0])).tolist() == [0, 0.5, 0.5, 0]
    assert score.rank_histogram(torch.zeros(3, 8), torch.zeros(8)).tolist() == [2, 2, 2, 2]


def test_member_axis_must_fit():
    with pytest.raises(PhysLabError, match="dim= the member axis"):
        score.crps(torch.zeros(4, 5, 10), torch.zeros(4, 5))
    assert score.crps(torch.zeros(4, 5, 10), torch.zeros(4, 5), dim=-1) == 0


@pytest.mark.parametrize("count", [2, 4, 8])
def test_members_about_a_known_mean_are_scored_like_free_ones(count):
    """A calibrated Gaussian ensemble about its true mean: CRPS 1 / sqrt(pi), spread over error 1, whatever its size."""
    from physlab.assimilate.learned import about

    generator = torch.Generator().manual_seed(count)
    draws = torch.randn(1, count, 400_000, generator=generator, dtype=torch.float64)
    truth = torch.randn(400_000, generator=generator, dtype=torch.float64)
    members = about(draws, torch.zeros(1, 1, 400_000, dtype=torch.float64))[0]
    assert float(score.crps(members, truth, centred=True)) == pytest.approx(math.pi**-0.5, rel=5e-3)
    assert float(score.spread_skill(members, truth, centred=True)) == pytest.approx(1.0, rel=5e-3)
    assert float(score.crps(members, truth)) < 0.95 * math.pi**-0.5  # as free draws they look better than they are
