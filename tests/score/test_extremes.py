"""Scores above a threshold against numbers worked out by hand and against scipy, and what loss weights do to the best
prediction.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from physlab.errors import PhysLabError
from physlab.score.extremes import extreme_table, extreme_threshold, extreme_weights, fractions_skill_score

TRUTH = torch.tensor([[0.0, 1.0, 5.0], [6.0, 8.0, 2.0]])
PRED = torch.tensor([[0.0, 5.0, 3.0], [7.0, 6.0, 2.0]])  # hits 7 and 6, one false alarm, one miss


def test_by_hand() -> None:
    scores = extreme_table(PRED, TRUTH, threshold=4.0)
    assert scores == pytest.approx({
        "threshold": 4.0,
        "rmse_extreme": math.sqrt((4 + 1 + 4) / 3),
        "bias_extreme": (-2 + 1 - 2) / 3,
        "hit_rate": 2 / 3,
        "false_alarm_ratio": 1 / 3,
        "frequency_bias": 1.0,
    })  # fmt: skip


def test_by_hand_with_areas() -> None:
    scores = extreme_table(PRED, TRUTH, threshold=4.0, weights=torch.tensor([[1.0], [3.0]]))
    assert scores["rmse_extreme"] == pytest.approx(math.sqrt((1 * 4 + 3 * 1 + 3 * 4) / 7))
    assert scores["bias_extreme"] == pytest.approx((-2 + 3 - 6) / 7)
    assert scores["hit_rate"] == pytest.approx(6 / 7)
    assert scores["false_alarm_ratio"] == pytest.approx(1 / 7)


def test_perfect_none_and_exaggerated() -> None:
    truth = torch.from_numpy(np.random.default_rng(0).gamma(2.0, size=(4, 1, 20, 30)))
    perfect = extreme_table(truth, truth)
    assert perfect["rmse_extreme"] == perfect["bias_extreme"] == perfect["false_alarm_ratio"] == 0
    assert perfect["hit_rate"] == perfect["frequency_bias"] == 1
    assert perfect["threshold"] == pytest.approx(np.quantile(truth, 0.99))
    assert float((truth > perfect["threshold"]).double().mean()) == pytest.approx(0.01)
    smooth = extreme_table(torch.zeros_like(truth), truth)
    assert smooth["hit_rate"] == smooth["frequency_bias"] == 0 and math.isnan(smooth["false_alarm_ratio"])
    assert smooth["bias_extreme"] < -perfect["threshold"]
    high = extreme_table(truth + 2.0, truth)  # the dilemma: all events hit, and only the other scores tell
    assert high["hit_rate"] == 1 and high["frequency_bias"] > 2 and high["false_alarm_ratio"] > 0.5
    assert math.isnan(extreme_table(truth, truth, threshold=1e9)["rmse_extreme"])


def test_the_threshold_itself_is_no_event() -> None:
    scores = extreme_table(torch.tensor([[4.0, 4.0]]), torch.tensor([[4.0, 5.0]]), threshold=4.0)
    assert scores["hit_rate"] == 0 and scores["frequency_bias"] == 0
    assert extreme_weights(torch.tensor([4.0, 4.1]), 4.0, 9.0).tolist() == [1.0, 9.0]


def test_weights_of_the_loss() -> None:
    truth = torch.from_numpy(np.random.default_rng(1).gamma(2.0, size=(50, 1, 20, 20))).float()
    threshold = extreme_threshold(truth)
    weights = extreme_weights(truth, threshold, 11.0)
    assert weights.dtype == truth.dtype and weights.shape == truth.shape and not weights.requires_grad
    assert float(weights.mean()) == pytest.approx(0.99 + 0.01 * 11, abs=1e-4)
    assert torch.equal(extreme_weights(truth, threshold, 1.0), torch.ones_like(truth))


def test_the_weighted_minimum_is_biased_as_the_docstring_says() -> None:
    """The best constant under weights w is E[w t] / E[w] = E[t] + Cov(w, t) / E[w]."""
    truth = torch.from_numpy(np.random.default_rng(2).gamma(2.0, size=100_000))
    w = extreme_weights(truth, extreme_threshold(truth), 10.0)
    y = truth.mean().clone().requires_grad_()
    for _ in range(50):  # Newton steps of a quadratic, damped
        loss = (w * (y - truth).square()).mean()
        (slope,) = torch.autograd.grad(loss, y)
        y = (y - 0.25 * slope / w.mean()).detach().requires_grad_()
    covariance = ((w - w.mean()) * (truth - truth.mean())).mean()
    assert covariance > 0
    assert float(y.detach() - truth.mean()) == pytest.approx(float(covariance / w.mean()), rel=1e-6)


def test_fractions_skill_score_against_scipy() -> None:
    generator = np.random.default_rng(3)
    pred, truth = generator.gamma(2.0, size=(2, 3, 24, 31))
    for window in (1, 3, 7):
        p, o = (
            np.stack([uniform_filter((x > 3.0).astype(float), window, mode="constant") for x in field])
            for field in (pred, truth)
        )
        expected = 1 - ((p - o) ** 2).mean() / (p**2 + o**2).mean()
        assert float(fractions_skill_score(pred, truth, 3.0, window)) == pytest.approx(expected, rel=1e-12)
    assert float(fractions_skill_score(truth, truth, 3.0, 5)) == 1
    assert math.isnan(float(fractions_skill_score(truth, truth, 1e9, 5)))


def test_a_shifted_front_is_forgiven_by_a_window() -> None:
    """One column of events, one cell beside: 0 without a window; 1 - 1/n in the limit of a long column with n cells."""
    truth, pred = torch.zeros(400, 21), torch.zeros(400, 21)
    truth[:, 10], pred[:, 11] = 1.0, 1.0
    assert float(fractions_skill_score(pred, truth, 0.5, 1)) == 0
    for n in (3, 5):
        assert float(fractions_skill_score(pred, truth, 0.5, n)) == pytest.approx(1 - 1 / n, abs=1e-6)


def test_errors() -> None:
    with pytest.raises(PhysLabError, match="odd"):
        fractions_skill_score(TRUTH, TRUTH, 1.0, 4)
    with pytest.raises(PhysLabError, match="quantile"):
        extreme_table(PRED, TRUTH, quantile=99)
    with pytest.raises(PhysLabError, match="number >= 1"):
        extreme_weights(TRUTH, 1.0, 0.5)
    with pytest.raises(PhysLabError, match="equal"):
        extreme_table(PRED[0], TRUTH)
