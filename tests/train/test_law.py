"""The law that a physics-informed discriminator sees, on the shipped triplets."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from physlab.data import sr_pairs
from physlab.errors import PhysLabError
from physlab.nn import bicubic
from physlab.train.law import LIMIT, WaterBudget


@pytest.fixture(scope="module")
def data():
    return sr_pairs("tcw-t1", 4, splits=("train",))


def test_truth_is_balanced_and_errors_are_not(data):
    scale = data.scaling.scale[0]
    law, terms = WaterBudget(data, scale), WaterBudget.terms(data)
    some = slice(0, 40, 4)
    fine, coarse = data.fine["train"][some] / scale, data.coarse["train"][some] / scale
    of = {
        "truth": law(fine, coarse, terms[some]),
        "swapped": law(fine[:, [0, 2, 1]], coarse, terms[some]),
        "bicubic": law(bicubic(coarse, 4), coarse, terms[some]),
    }
    size = {name: float(r.square().mean().sqrt()) for name, r in of.items()}
    assert all(r.shape == (10, 2, 128, 128) and r.abs().max() <= LIMIT for r in of.values())
    assert 0.8 < size["truth"] < 1.1  # relative to itself
    assert size["swapped"] > 1.5 * size["truth"]  # time runs forward
    # without rain and evaporation the budget of the truth does not close as well
    dry = terms.clone()
    dry[:, -6:] = 0
    assert float(law(fine, coarse, dry[some]).square().mean().sqrt()) > size["truth"]


def test_scale_does_not_matter(data):
    one, two = WaterBudget(data, 1.0), WaterBudget(data, 70.0)
    fine, coarse, terms = data.fine["train"][:2], data.coarse["train"][:2], WaterBudget.terms(data)[:2]
    torch.testing.assert_close(one(fine, coarse, terms), two(fine / 70, coarse / 70, terms), rtol=1e-3, atol=1e-3)


def test_other_data_have_no_budget(data):
    with pytest.raises(PhysLabError, match="tcw-t1 at factor 4"):
        WaterBudget(dataclasses.replace(data, budget={}), 1.0)
