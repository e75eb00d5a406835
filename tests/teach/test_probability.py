"""The chapter on probability: what is counted, integrated and bounded equals what theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from physlab.data.patches import sr_pairs
from physlab.teach import probability
from physlab.teach.probability.analysis import LINE, bell, bell_crps, divergence


def test_counting_obeys_bayes():
    dice = torch.rand(2, 40, 50, generator=torch.Generator().manual_seed(0))
    area = torch.linspace(0.1, 1.9, 40)[:, None]
    found = probability.chances(dice[0] < 0.3, dice[0] + dice[1] < 0.6, area)
    assert found["A given B"] * found["B"] == pytest.approx(found["B given A"] * found["A"])
    assert found["A"] == pytest.approx(0.3, abs=0.03)


def test_divergences_have_their_closed_forms():
    p, q = bell(LINE, 0.3, 0.8), bell(LINE, -0.5, 1.3)
    assert divergence(p, q) == pytest.approx(math.log(1.3 / 0.8) + (0.64 + 0.64) / (2 * 1.69) - 0.5, abs=1e-4)
    assert divergence(p, p) == 0
    assert probability.fit_bell(p, "p || q") == pytest.approx((0.3, 0.8), abs=1e-4)
    assert probability.fit_bell(p, "q || p") == pytest.approx((0.3, 0.8), abs=1e-2)


def test_bound_touches_the_evidence_where_the_posterior_is_a_bell():
    problem = probability.Bound()
    path = problem.climb(0.5, 200)
    assert path["bound"].max() < math.log(problem.evidence) and path["bound"].iloc[-1] > path["bound"].iloc[0]


def test_scores_are_proper_and_the_staircase_is_the_double_sum():
    members = np.random.default_rng(0).normal(size=9)
    pairs = abs(members[:, None] - members).mean()
    assert probability.crps_integral(members, 0.4) == pytest.approx(abs(members - 0.4).mean() - pairs / 2)
    many = np.random.default_rng(1).normal(size=20_000)
    assert probability.crps_integral(many, 0.7) == pytest.approx(float(bell_crps(1.0, np.array(0.7))), abs=0.01)
    assert (probability.by_claim((0.8, 1.0, 1.25)).idxmin() == 1.0).all()


def test_ranks_tell_width_and_bias():
    flat, narrow, high = (probability.ranks(9, *kind) for kind in ((1.0, 0.0), (0.5, 0.0), (1.0, 0.7)))
    assert (flat - 0.1).abs().max() < 0.01 and narrow[0] > 0.2 and narrow[-1] > 0.2 and high[0] > 2 * high[-1]


def test_two_ensembles_without_learning():
    found = probability.ensembles(sr_pairs("tcw", factor=4), members=4, every=60)
    assert found["bicubic + past errors"]["CRPS"] < found["maps of the past"]["CRPS"]
    assert all(len(scores["ranks"]) == 5 for scores in found.values())
    assert isinstance(probability.draw_ranks(found=found), Figure)


def test_pictures():
    errors = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    made = [
        probability.draw_errors(errors, errors[..., ::4, ::4]),
        probability.draw_bayes(1.0),
        probability.draw_ideas(),
    ]
    made += [probability.draw_divergence(3.0), probability.draw_bound(probability.Bound()), probability.draw_crps(0.5)]
    made += [probability.draw_claims(), probability.draw_ranks("too wide")]
    assert all(isinstance(fig, Figure) for fig in made)
