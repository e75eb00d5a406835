"""The published sizes: a control that differs in size alone, and the row that both make."""

from __future__ import annotations

import json

import numpy as np
import pytest

from physlab.benchmark import PAPER, published
from physlab.benchmark.ratios import waves
from physlab.data.patches import make_pairs
from physlab.teach import report, results
from physlab.train import evaluate, load_checkpoint
from physlab.train.recipe import get_recipe

BLOCKS = {"train": 0.7, "val": 0.1, "test": 0.2}


@pytest.mark.parametrize("row", PAPER)
def test_the_control_differs_in_size_alone(row: str) -> None:
    task, factor, label, _ = PAPER[row]
    recipe = get_recipe(f"{task}-x{factor}-{label}")
    large, small = recipe.presets["published"], published.control(recipe).presets["control"]
    assert small.plan() == large.plan() and small.network == large.network
    changed = {key for key, value in small.arguments.items() if value != large.arguments[key]}
    assert changed == {"channels", "blocks"} and set(small.arguments) == set(large.arguments)


def test_a_row_is_that_of_its_checkpoints(tmp_path, monkeypatch, one_thread) -> None:
    """Trained when it is not there, scored as every method is, with gains that enclose their value."""
    data = make_pairs(waves(240, (16, 16)), 2, BLOCKS, 24.0, task="toy")
    monkeypatch.setattr(published, "pairs", lambda task, factor: data)
    changes = {"steps": 2, "batch": 2, "crop": 8, "validate_every": 1}
    said: list[str] = []
    path = published.STUDY.launch(None, tmp_path, 1, [published.Run("E1", 0)], said.append, device="cpu", **changes)
    table = published.STUDY.read(path)
    row = table.iloc[0]
    folders = {
        name: tmp_path / "checkpoints" / f"tcw-x2-srcnn-plain-none-{name}-s0" for name in ("published", "control")
    }
    own = evaluate(load_checkpoint(folders["published"]), data)
    assert row["rmse"] == pytest.approx(own["rmse"], rel=1e-5) and row["crps"] == pytest.approx(own["crps"], rel=1e-5)
    small = evaluate(load_checkpoint(folders["control"]), data)["rmse"]
    assert row["gain_small"] == pytest.approx(1 - own["rmse"] / small, rel=1e-4, abs=1e-6)
    assert row["gain_small_low"] <= row["gain_small"] <= row["gain_small_high"]
    assert row["parameters"] == 385_921 > 20 * row["parameters_small"] > 0 and row["blocks"] >= 2
    assert json.loads((folders["published"] / "card.json").read_text())["preset"] == "published"
    frame = report.at_published_size(table)
    assert frame.loc["E1", "report_rmse"] == pytest.approx(0.06782**0.5) and frame.loc["E1", "rmse"] == row["rmse"]
    assert frame.loc["E1", ["size_low", "gain_high"]].tolist() == [row["gain_small_low"], row["gain_bicubic_add_high"]]
    axes = results.draw_sizes(frame).axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(
        sorted(heights)[-1], max(1 - frame["gain"].iloc[0], small / frame["untrained"].iloc[0]), rtol=1e-4
    )
