"""The zoo: names, and the promises of every shipped checkpoint on input that it has never seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab import zoo
from physlab.assimilate import Learned, StateSpace
from physlab.constrain import CONSTRAINTS
from physlab.data import sr_pairs
from physlab.errors import CheckpointError
from physlab.grid import coarsen
from physlab.train import evaluate, list_recipes
from physlab.train.checkpoint import read_card

SHIPPED = sorted(zoo.checkpoint_folders())


def test_baselines_have_names_for_any_factor() -> None:
    for name in ("nearest-x4", "bicubic-x4", "bicubic+add-x4", "bicubic+softmax-x3"):
        model = physlab.load_model(name)
        assert model.name == name and model.predict(torch.rand(2, 3, 5)).shape == (
            2,
            3 * model.factor,
            5 * model.factor,
        )


def test_list_names_everything_that_can_be_loaded() -> None:
    table = physlab.list_models()
    assert {"name", "kind", "task", "factor", "constraint", "seed", "rmse_test"} <= set(table.columns)
    assert {"nearest-x4", "bicubic-x4", "bicubic+add-x4"} <= set(table["name"]) and table["name"].is_unique
    assert set(SHIPPED) <= set(table["name"])


@pytest.mark.parametrize("name", ["tcw-x4-softmx", "", "bicubic-x0", "cubic-x4", "../secrets"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(CheckpointError) as error:
        physlab.load_model(name)
    assert "\n" not in str(error.value)


def test_unusable_checkpoint_is_listed_with_its_reason(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "checkpoints" / "broken-x2-add-s0"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    monkeypatch.setenv("PHYSLAB_ASSETS", str(tmp_path))
    table = physlab.list_models().set_index("name")
    assert "unusable" in table.loc["broken-x2-add-s0", "kind"]
    with pytest.raises(CheckpointError, match="lacks"):
        physlab.load_model("broken-x2-add-s0")


class Halfway(Learned):
    """Every observed point moves by a learned share of its innovation."""

    def __init__(self, space: StateSpace) -> None:
        super().__init__(space)
        self.share = torch.nn.Parameter(torch.tensor(0.5))

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return (self.share * columns.innovation)[:, None]


def save_halfway(folder: Path) -> Halfway:
    x = np.arange(2 * 4 * 8.0).reshape(2, 4, 8)
    at = {"latitude": [-60.0, -20.0, 20.0, 60.0], "longitude": np.arange(8) * 45.0}
    truth = xr.Dataset({"tcw": (("time", "latitude", "longitude"), x)}, {"time": [0, 1], **at})
    method = Halfway(StateSpace.of(truth, truth + 1.0, ["tcw"]))
    method.card = {"task": "nature-twin", "seed": 3}
    method.save(folder)
    return method


def test_assimilators_are_listed_and_loaded(tmp_path, monkeypatch) -> None:
    made = save_halfway(tmp_path / "assimilators" / "halfway-s0")
    monkeypatch.setenv("PHYSLAB_ASSETS", str(tmp_path))
    assert "halfway-s0" in zoo.assimilator_folders()
    row = physlab.list_models().set_index("name").loc["halfway-s0"]
    assert (row["kind"], row["task"], row["seed"], row["parameters"]) == ("assimilation", "nature-twin", 3, 1)
    for name in ("halfway-s0", "halfway", tmp_path / "assimilators" / "halfway-s0"):
        found = physlab.load_model(name)
        assert isinstance(found, Halfway) and found.card == made.card and found.space.names == ("tcw",)
    (tmp_path / "assimilators" / "halfway-s0" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no assimilation method in"):
        physlab.load_model("halfway")


@pytest.mark.parametrize("name", sorted(zoo.assimilator_folders()))
def test_every_shipped_assimilator_is_of_a_class_of_the_library(name: str) -> None:
    model = physlab.load_model(name)
    assert isinstance(model, Learned) and not model.training


def test_shipped_set_is_complete() -> None:
    assert SHIPPED, "no checkpoint ships: physlab train all --all"
    for task in ("tcw-x2", "tcw-x4", "tcw-x8", "era5-uk-t2m-x4"):
        for constraint in CONSTRAINTS:
            seeds = 3 if task == "tcw-x4" else 1
            assert {f"{task}-{constraint}-s{seed}" for seed in range(seeds)} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_checkpoint_keeps_its_promise_on_foreign_input(name: str) -> None:
    model = physlab.load_model(name)
    shape, (given, made) = model.domain or (6, 9), model.network.frames
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, given, *shape, generator=generator)
    coarse = 230 + 90 * coarse if model.variable == "t2m" else 60 * coarse * (coarse > 0.3)
    weights = torch.linspace(0.3, 1.0, shape[0] * model.factor)[:, None]
    static = {"static": torch.rand(1, 1, 24, 36)} if model.network.statics else {}
    fine = model.predict(coarse, weights, **static)
    assert fine.shape == (3, made, shape[0] * model.factor, shape[1] * model.factor) and torch.isfinite(fine).all()
    fine = fine if given == made else fine[:, ::2]  # the hour between is tied to the network's own estimate
    error = (coarsen(fine.double(), model.factor, weights.double()) - coarse).abs().max() / coarse.abs().max()
    if model.constraint in ("none", "soft"):
        assert error > 1e-5, "without a layer nothing conserves to rounding: is there one after all?"
    else:
        assert error <= 1e-6
    if model.constraint in ("mult", "softmax"):
        assert (fine >= 0).all()


@pytest.mark.slow
def test_loading_a_model_does_not_load_the_compiler_of_torch() -> None:
    """It takes more than a second, and is called for by arithmetic on the outline of a model, on the device "meta"."""
    names = ("tcw-x4-softmax-s0", "tcw-t1-x4-convgru-none-s0", "forecast-unet-data-s0", "phyda-s0", "adas-s0", "letkf",
             "nature-t-low-x4-s0", "nature-window-equations-s0")  # fmt: skip
    program = "import sys, physlab\nfor name in sys.argv[1:]:\n    physlab.load_model(name)\n"
    program += "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", program, *names], check=True, cwd=Path(physlab.__file__).parents[1])


def test_one_network_of_every_recipe_ships() -> None:
    recipes = {read_card(folder)["recipe"] for folder in zoo.checkpoint_folders().values()}
    assert set(list_recipes()) <= recipes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tcw-x4", "era5-uk-t2m-x4"])
def test_best_network_beats_interpolation_with_constraint_by_fifteen_percent(name: str) -> None:
    """The goal of the first zoo, on unseen days, scored anew; the card must have told the truth."""
    cards = {folder: read_card(zoo.checkpoint_folders()[folder]) for folder in SHIPPED}
    cards = {folder: card for folder, card in cards.items() if card["recipe"] == name}
    assert cards, f"no checkpoint of {name} ships: physlab train {name} --all"
    hard = {folder: card for folder, card in cards.items() if card["constraint"] not in ("none", "soft")}
    best = min(hard, key=lambda folder: hard[folder]["scores"]["val"]["rmse"])  # chosen on validation, judged on test
    model = physlab.load_model(best)
    data = sr_pairs(model.card["task"], model.factor, splits=("test",))
    assert data.hashes["test"] == model.card["split_hashes"]["test"], (
        "the checkpoints belong to other data than those shipped"
    )
    scores = evaluate(model, data)
    reference = evaluate(physlab.load_model(f"bicubic+add-x{model.factor}"), data)
    assert scores["rmse"] < 0.85 * reference["rmse"]
    for key, value in model.card["scores"]["test"].items():
        assert scores[key] == pytest.approx(value, rel=1e-3, abs=1e-5), key


def test_recipes_state_the_scores_that_their_checkpoints_reached() -> None:
    cards = [read_card(folder) for folder in zoo.checkpoint_folders().values()]
    for name, recipe in list_recipes().items():
        for constraint, expected in recipe.expected.items():
            own = [c["scores"]["test"]["rmse"] for c in cards if (c["recipe"], c["constraint"]) == (name, constraint)]
            assert own and sum(own) / len(own) == pytest.approx(expected, rel=5e-3), (name, constraint)


def test_a_name_without_seed_means_the_preset_that_is_best_on_validation(tmp_path, monkeypatch) -> None:
    """Of the first seed, and only if it was validated on the same data."""
    names = ("tcw-x4-add-s0", "tcw-x4-add-full-s0", "tcw-x4-add-report-s0", "tcw-x4-add-full-s1", "own-x4-add-full-s0")
    scores = {"tcw-x4-add-s0": 1.6, "tcw-x4-add-full-s0": 1.4, "tcw-x4-add-report-s0": 1.3, "own-x4-add-full-s0": 9.0}
    cards = {name: {"scores": {"val": {"rmse": scores.get(name, 0.1)}}, "split_hashes": {"val": "a"}} for name in names}
    monkeypatch.setattr(zoo, "read_card", lambda folder: cards[folder.name])
    known = {name: tmp_path / name for name in names}
    assert zoo.preferred("tcw-x4-add", known) == "tcw-x4-add-report-s0"
    cards["tcw-x4-add-report-s0"]["split_hashes"] = {"val": "b"}
    assert zoo.preferred("tcw-x4-add", known) == "tcw-x4-add-full-s0"
    cards["tcw-x4-add-full-s0"]["scores"] = {}
    assert zoo.preferred("tcw-x4-add", known) == "tcw-x4-add-s0"
    assert zoo.preferred("own-x4-add", known) == "own-x4-add-full-s0" and zoo.preferred("tcw-x4-none", known) is None
    assert zoo.parts("tcw-x4-gan-report-add-full-s2") == {
        "task": "tcw", "factor": "4", "label": "gan-report", "constraint": "add", "preset": "full", "seed": "2",
    }  # fmt: skip
    assert zoo.parts("tcw-x4-add-s0")["preset"] is None and zoo.parts("tcw-x4-add-large-s0") is None
