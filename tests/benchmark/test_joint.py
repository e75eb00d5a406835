"""Variables refined together, on the states that ship: what is compared, what is kept, and the laws as numbers."""

from __future__ import annotations

import pytest
import torch

from physlab.benchmark import joint
from physlab.errors import PhysLabError
from physlab.grid import coarsen
from physlab.train import Preset


@pytest.mark.slow
def test_rows_of_the_table(tmp_path, monkeypatch) -> None:
    """Resumed from what was trained; the layer holds its laws, the additive one the block means alone."""
    monkeypatch.setattr(joint, "PRESET", Preset("CompactResNet", {"channels": 4, "blocks": 1}, joint.BUDGET))
    runs = [run for run in joint.plan() if run.seed in (None, 0)]
    changes = {"steps": 3, "batch": 4, "validate_every": 1}
    path = joint.STUDY.launch(None, tmp_path, 1, runs, lambda line: None, device="cpu", **changes)
    table = joint.STUDY.read(path).set_index(["model", "constraint", "what"]).sort_index()
    reference = table.loc[("alone", "add")]
    scores = reference.loc[list(joint.VARIABLES)]
    assert (scores["gain"] == 0).all() and (scores["blocks"] >= 4).all()
    for way in (("bicubic", "add then column"), ("joint", "add then column"), ("joint", "column")):
        value = table.loc[way]["value"]
        assert value["block means"] < 1e-5 and value["energy"] < 1e-5 and value["hydrostatic"] < 1e-5 * 6600, way
        assert value["negative humidity"] == value["supersaturation"] == 0, way
    added = table.loc[("joint", "add")]["value"]
    assert added["block means"] < 1e-5 and added["hydrostatic"] > 0.5 and added["negative humidity"] > 0
    truth = reference.loc[list(joint.LAWS), "truth"]
    assert truth["moisture flux"] == truth["energy of moist air"] == truth["negative humidity"] == 0
    kept = {file.name for file in (tmp_path / "joint").iterdir()}
    assert kept == {"alone-add-s0.npy", "joint-add-s0.npy", "joint-column-s0.npy"}
    said: list[str] = []
    joint.STUDY.launch(None, tmp_path, 1, runs, said.append, device="cpu", **changes)
    assert said == [f"7 runs, 7 of them known from {path}"]


def test_the_table_that_ships() -> None:
    """Coupled laws to 1e-5, and no variable worse than alone by more than 2 per cent, in any seed."""
    table = joint.STUDY.read()
    column = table[(table["model"] == "joint") & (table["constraint"] == "column")]
    assert set(column["seed"]) == set(joint.SEEDS)
    scores = column[column["what"].isin(joint.VARIABLES)]
    assert len(scores) == len(joint.SEEDS) * len(joint.VARIABLES) and scores["gain"].min() > -0.02
    law = column.pivot_table(index="what", values="value", aggfunc="max")["value"]
    assert law["block means"] < 1e-5 and law["energy"] < 1e-5 and law["hydrostatic"] < 1e-5 * 6600
    assert law["negative humidity"] == law["supersaturation"] == 0


def test_pairs_are_apart_and_their_truth_conserves() -> None:
    data = joint.pairs(joint.SHIPPED)
    assert data.fine["train"].shape[1:] == (8, 32, 32) and not data.fixed
    days = {k: (t - t.min()).astype("timedelta64[D]").max() for k, t in data.time.items()}
    assert min(days.values()).astype(int) > 5
    gap = coarsen(data.fine["test"].double(), 4, data.weights.double()) - data.coarse["test"]
    assert float((gap.abs().amax((0, 2, 3)) / data.coarse["test"].abs().amax((0, 2, 3))).max()) < 1e-6
    exact = joint.laws(data.fine["test"], data.fine["test"], data.coarse["test"], data.weights)
    worse = data.fine["test"].clone()
    worse[:, 2] += torch.linspace(-10, 10, 32)  # a slope of height at 925 hPa: within four cells, a step of 20 / 31
    slope = torch.linspace(-10, 10, 32).reshape(8, 4)
    added = float((slope - slope.mean(1, keepdim=True)).square().mean())
    found = joint.laws(worse, data.fine["test"], data.coarse["test"], data.weights)
    assert found["hydrostatic"] ** 2 - exact["hydrostatic"] ** 2 == pytest.approx(added, abs=0.5)
    with pytest.raises(PhysLabError, match="lacks"):
        joint.states("nature-window")
