"""What the chapter on CNNs computes: costs against the formula, reach against the layers, effects of a layer."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from physlab.benchmark.downscaling import COLUMNS
from physlab.nn import EDSR, ESPCN, SRCNN, CompactResNet, ResNet
from physlab.teach import cnn


def runs_table(values: dict[tuple[str, int, str], list[float]]) -> pd.DataFrame:
    """A tidy table with these RMSE by (model, factor, constraint), one line per seed."""
    lines = [
        {"task": "tcw", "factor": factor, "model": model, "constraint": constraint, "seed": seed, "rmse": value}
        for (model, factor, constraint), found in values.items()
        for seed, value in enumerate(found)
    ]
    frame = pd.DataFrame(lines).reindex(columns=list(COLUMNS))
    return frame.assign(kind="network", preset="cpu", parameters=24_752.0, s_per_megapixel=0.1)


@pytest.mark.parametrize("factor", [2, 4])
def test_multiplications_are_those_of_the_formula(factor):
    n = factor**2
    assert cnn.multiplications(ESPCN(factor)) == (25 * 64 + 9 * 64 * 32 + 9 * 32 * n) / n
    assert cnn.multiplications(SRCNN(factor)) == 81 * 64 + 9 * 64 * 32 + 25 * 32  # all on the fine grid
    assert cnn.multiplications(ESPCN(factor), size=10) == cnn.multiplications(ESPCN(factor), size=24)


def test_multiplications_of_the_transposed_convolutions():
    # SR-CNN x2: head on the coarse grid; one doubling, 64*64*4 weights met by each coarse cell; the rest on the fine
    fine = 9 * 64 * 64 + 2 * 2 * 9 * 64 * 64 + 9 * 64 * 64 + 64
    assert cnn.multiplications(ResNet(2, channels=64, blocks=2)) == (9 * 64 + 4 * 64 * 64) / 4 + fine


def test_reach_is_the_sum_of_the_kernels():
    assert cnn.reach(ESPCN(4)) == 9
    assert cnn.reach(CompactResNet(4, channels=8, blocks=3)) == 1 + 2 * (1 + 2 * 3 + 1)
    assert cnn.reach(EDSR(4, channels=4, blocks=5, upsample="single")) == 1 + 2 * (1 + 2 * 5 + 1 + 1)


def test_influence_is_the_gradient_and_leaves_the_network_alone():
    network = ESPCN(2, channels=(6, 4), spread=2.0)
    before = [p.clone() for p in network.parameters()]
    x = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    seen = cnn.influence(network, x, 6, 5)
    assert seen.shape == (12, 12) and float(seen[6, 5]) > 0 and float(seen[0, 0]) == 0.0
    nudged = x.clone()
    nudged[0, 0, 6, 5] += 2e-2
    with torch.no_grad():
        slope = (network.trunk(nudged / 2.0) - network.trunk(x / 2.0))[0, 0, 13, 11] / 1e-2
    assert math.isclose(abs(float(slope)), float(seen[6, 5]), rel_tol=0.05)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_layer_effect_tells_chance_from_more():
    runs = runs_table({
        ("compact", 2, "none"): [1.00, 1.01, 0.99], ("compact", 2, "softmax"): [1.001, 1.011, 0.991],
        ("srcnn-plain", 2, "none"): [1.00, 1.01, 0.99], ("srcnn-plain", 2, "softmax"): [0.60, 0.61, 0.59],
        ("edsr", 4, "none"): [1.0, 1.0, 1.1],
    })  # fmt: skip
    effect = cnn.layer_effect(runs).set_index("network")
    assert set(effect["layer"]) == {"softmax"}
    assert list(effect.index) == ["compact (here)", "SR-CNN without skip"]  # edsr has no softmax row
    assert not effect.loc["compact (here)", "beyond"] and effect.loc["SR-CNN without skip", "beyond"]
    assert math.isclose(effect.loc["SR-CNN without skip", "change"], -40.0, rel_tol=1e-9)
    assert effect.loc["compact (here)", "without"].startswith("1.000 ± 0.01")


def test_by_network_sorts_by_error_and_knows_its_baselines():
    runs = runs_table({
        ("bicubic", 4, "add"): [2.0], ("bicubic", 4, "none"): [2.2], ("edsr", 4, "none"): [1.5, 1.5, 1.5],
        ("espcn", 4, "none"): [1.6, 1.6, 1.6], ("edsr", 4, "add"): [1.4], ("linear", 4, "none"): [1.0],
    })  # fmt: skip
    rows = cnn.by_network(runs, "none")
    assert list(rows.index) == ["bicubic", "bicubic+add", "espcn", "edsr"]
    assert math.isclose(rows.loc["edsr", "gain"], 25.0) and rows.loc["edsr", "parameters"] == "24,752"
    assert rows.loc["bicubic+add", "name"] == "bicubic+add, no training"


def test_highest_reads_bias_and_hits():
    class Shifted:
        def predict(self, coarse, weights=None):
            return truth - 1.0

    truth = torch.arange(400.0).reshape(1, 1, 20, 20)
    row = cnn.highest({"low": Shifted()}, truth, truth[..., :5, :5], torch.ones(20, 20)).loc["low"]
    assert row["bias"] == -1.0 and row["RMSE"] == 1.0 and row["bias of the highest"] == -1.0
    assert row["frequency bias"] == 0.75  # four cells above the 99th percentile, three of them still
