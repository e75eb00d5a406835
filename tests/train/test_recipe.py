"""Recipes, evaluation and the table over seeds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from physlab.benchmark import PAPER
from physlab.constrain import CONSTRAINTS
from physlab.downscale import Interpolate
from physlab.errors import PhysLabError
from physlab.nn import NETWORKS, count_parameters
from physlab.train import (
    evaluate,
    get_recipe,
    layer_overhead,
    list_recipes,
    load_checkpoint,
    make_model,
    results_table,
    train,
    train_all,
    train_one,
    write_results,
)
from physlab.train.loop import schedule
from physlab.train.recipe import checkpoint_name
from physlab.train.run import expand


def test_recipes_of_the_first_zoo() -> None:
    recipes = list_recipes()
    assert {"tcw-x2", "tcw-x4", "tcw-x8", "era5-uk-t2m-x4"} <= set(recipes)
    for recipe in recipes.values():
        assert {"cpu", "full"} <= set(recipe.presets) and set(recipe.constraints) <= set(CONSTRAINTS)
        assert set(recipe.presets) - {"cpu", "full"} in (set(), {"report", "published"}), "rows of the report have both"
        assert len(recipe.seeds) >= 3, "a table that compares methods needs three seeds"
    for name in ("tcw-x2", "tcw-x4", "tcw-x8", "era5-uk-t2m-x4"):
        full = recipes[name].presets["full"]
        assert recipes[name].constraints == CONSTRAINTS, "the comparison of the layers needs them all"
        assert full.network == "ResNet" and full.arguments["channels"] == 64
    assert recipes["era5-uk-t2m-x4"].presets["cpu"].settings.flips == "", "a coastline must not be mirrored"


def test_expansion_and_names() -> None:
    jobs = expand("tcw-x4", None, None, every=True)
    assert len(jobs) == 18 and jobs[:6] == [("tcw-x4", name, 0) for name in CONSTRAINTS]
    assert expand("tcw-x4", None, None) == [("tcw-x4", "softmax", 0)]
    assert expand("tcw-x4", ("add",), (2, 1)) == [("tcw-x4", "add", 2), ("tcw-x4", "add", 1)]
    recipe = list_recipes()["tcw-x4"]
    assert (
        checkpoint_name(recipe, "add", 1) == "tcw-x4-add-s1"
        and checkpoint_name(recipe, "add", 1, "full") == "tcw-x4-add-full-s1"
    )
    for wrong, words in (
        (("tcw-x3", None, None), "tcw-x4"),
        (("tcw-x4", "hard", None), "softmax"),
        (("tcw-x4", None, None, "gpu"), "cpu, full"),
    ):
        with pytest.raises(PhysLabError, match=words):
            expand(*wrong)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_every_constraint_trains_to_a_checkpoint(recipe, pairs, tmp_path, constraint: str) -> None:
    path = train_one(recipe, constraint, 1, folder=tmp_path, data=pairs)
    model = load_checkpoint(path)
    scores = evaluate(model, pairs, "test")
    reference = evaluate(
        Interpolate("bicubic", 2, "add" if constraint in ("add", "scaled_add", "mult", "softmax") else "none"), pairs
    )
    assert scores["rmse"] < reference["rmse"], "24 steps must beat what the network starts from"
    assert scores == pytest.approx(model.card["scores"]["test"])
    if constraint in ("none", "soft"):
        assert (
            scores["conservation_error_relative"] > 1e-4
            and model.layer.name == "none"
            and model.constraint == constraint
        )
    else:
        assert scores["conservation_error_relative"] <= 1e-6
    if constraint in ("mult", "softmax"):
        assert scores["negative_count"] == 0


def test_finished_runs_are_skipped_and_never_lost(recipe, pairs, tmp_path) -> None:
    def run(**changes):
        path = train_one(recipe, "add", 0, folder=tmp_path, data=changes.pop("data", pairs), steps=4, **changes)
        return (path / "model.safetensors").stat().st_mtime_ns, json.loads((path / "card.json").read_text())

    first = run()
    assert run() == first
    other = dataclasses.replace(pairs, data_hash="other")
    for changes, word in (
        ({"rate": 1e-3}, "settings"),
        ({"data": other}, "data"),
        ({"data": other, "rate": 1e-3}, "data and settings"),
    ):
        with pytest.raises(PhysLabError, match=f"with other {word}: overwrite it"):
            run(**changes)
    assert run() == first, "what is there is not lost to another try"
    assert run(rate=1e-3, overwrite=True)[0] != first[0]
    assert run(data=other, overwrite=True)[1]["data_hash"] == "other"
    (tmp_path / "toy-x2-add-s0" / "card.json").write_text("{")
    assert run()[1]["data_hash"] == pairs.data_hash, "a damaged checkpoint is made again"
    assert [path.name for path in tmp_path.iterdir()] == ["toy-x2-add-s0"]
    with pytest.raises(PhysLabError, match="unknown settings stepps: allowed are"):
        train_one(recipe, "add", 0, folder=tmp_path, data=pairs, stepps=3)


def test_statistics_come_from_the_training_block(recipe, pairs) -> None:
    changed = dataclasses.replace(
        pairs,
        fine={**pairs.fine, "val": pairs.fine["val"] * 9},
        coarse={**pairs.coarse, "val": pairs.coarse["val"] * 9},
    )
    for constraint in CONSTRAINTS:
        (a, first), (b, second) = (
            make_model(recipe, constraint, 0, recipe.presets["cpu"], d) for d in (pairs, changed)
        )
        assert first == second and a.options == b.options and a.scale == b.scale


def test_full_preset_is_the_published_size(pairs) -> None:
    recipe = list_recipes()["tcw-x2"]
    model, arguments = make_model(dataclasses.replace(recipe, task="toy"), "softmax", 0, recipe.presets["full"], pairs)
    assert count_parameters(model.network) == 385_921 and arguments["skip"] == "log"
    torch.testing.assert_close(
        model.predict(pairs.coarse["val"], pairs.weights),
        Interpolate("bicubic", 2, "mult").predict(pairs.coarse["val"].clamp_min(0), pairs.weights),
        atol=0.2, rtol=0.02,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "parameters"),
    [("E1", 385_921), ("E3", 402_369), ("E5", 960_513), ("E10", 505_346), ("E12", 444_994), ("E14", 960_513)],
)
def test_report_preset_is_that_of_the_report(row: str, parameters: int) -> None:
    """Its size, Adam without anything, 20 epochs of 1,024 (or 300) samples in batches of 64."""
    task, factor, label, constraint = PAPER[row]
    preset = get_recipe(f"{task}-x{factor}-{label}").presets["report"]
    size = [128 // factor] * 2
    arguments = {**preset.arguments, **({"size": size} if preset.arguments.get("noise") == "map" else {})}
    network = NETWORKS[preset.network](factor, **arguments)
    assert count_parameters(network) == parameters and network.skip == "none"
    settings, steps = preset.settings, preset.settings.steps + (preset.adversarial.steps if preset.adversarial else 0)
    assert settings.batch == 64 and steps == (100 if task == "tcw-t1" else 20 * 1024 // 64)
    assert (settings.rate, settings.ema, settings.flips, settings.precision) == (1e-3, 0.0, "", "fp32")
    assert {schedule(done, settings.warm_up, settings.schedule) for done in (0.0, 0.3, 1.0)} == {1.0}
    flow = get_recipe("tcw-t2-x4-flowgru").presets["report"]
    assert count_parameters(NETWORKS[flow.network](4, **flow.arguments)) == 4_776_004


@pytest.mark.parametrize("row", PAPER)
def test_published_preset_differs_from_the_report_in_its_batches_alone(row: str) -> None:
    """The same network, optimiser, steps and losses; the points of a batch are those of the compact networks."""
    task, factor, label, _ = PAPER[row]
    presets = get_recipe(f"{task}-x{factor}-{label}").presets
    ours, theirs = presets["published"], presets["report"]
    assert (ours.network, ours.arguments, ours.adversarial) == (theirs.network, theirs.arguments, theirs.adversarial)
    changed = {key for key, value in ours.plan().items() if value != theirs.plan()[key]}
    assert changed <= {"batch", "crop", "precision", "validate_every"}
    settings = ours.settings
    assert settings.batch * (settings.crop or 128) ** 2 == 16 * 64**2


def test_report_preset_trains(pairs, tmp_path) -> None:
    """Generator and discriminator from the second step on, and the card says so; it is finished when it is there."""
    recipe = get_recipe("tcw-x4-gan-report")
    preset = recipe.presets["report"]
    small = dataclasses.replace(
        preset,
        arguments={**preset.arguments, "channels": 4, "blocks": 1},
        settings=dataclasses.replace(preset.settings, batch=4),
        adversarial=dataclasses.replace(preset.adversarial, steps=3, channels=4),
    )
    recipe = dataclasses.replace(recipe, task="toy", factor=2, presets={"report": small})
    folder = train_one(recipe, "add", 0, "report", tmp_path, pairs)
    card = load_checkpoint(folder).card
    assert folder.name == "toy-x2-gan-report-add-report-s0" and card["training"]["steps"] == 4
    assert card["settings"]["adversarial"]["beta1"] == 0.9 and card["settings"]["schedule"] == "constant"
    assert card["training"]["samples_per_s"] > 0
    before = (folder / "card.json").stat().st_mtime_ns
    assert train_one(recipe, "add", 0, "report", tmp_path, pairs) == folder
    assert (folder / "card.json").stat().st_mtime_ns == before


def test_table_of_results(recipe, pairs, tmp_path) -> None:
    models = [
        load_checkpoint(train_one(recipe, "add", seed, folder=tmp_path, data=pairs, steps=6)) for seed in (0, 1, 2)
    ]
    table = results_table(models, pairs)
    assert list(table["method"]) == ["nearest", "bicubic", "bicubic+add", "add"]
    row = table.set_index("method").loc["add"]
    values = [evaluate(model, pairs)["rmse"] for model in models]
    assert (
        row["seeds"] == 3
        and row["rmse"] == pytest.approx(np.mean(values))
        and row["rmse_spread"] == pytest.approx(np.std(values, ddof=1))
    )
    reference = evaluate(Interpolate("bicubic", 2, "add"), pairs)["rmse"]
    assert row["gain"] == pytest.approx(1 - np.mean(values) / reference)
    assert np.isnan(table.set_index("method").loc["bicubic", "rmse_spread"])
    again = results_table(models, pairs, stored=False)
    pd.testing.assert_frame_equal(table, again)
    read = pd.read_csv(write_results(table, tmp_path / "results" / "toy.csv"))
    np.testing.assert_allclose(read["rmse"], table["rmse"], rtol=1e-5)
    with pytest.raises(PhysLabError, match="load the pairs of its task"):
        evaluate(Interpolate("bicubic", 4), pairs)
    with pytest.raises(PhysLabError, match="not loaded"):
        evaluate(models[0], dataclasses.replace(pairs, fine={}), "test")


@pytest.mark.slow
def test_series_in_two_worker_processes(tmp_path, monkeypatch) -> None:
    """On a toy nature run that PHYSLAB_ASSETS puts in the place of the shipped one, workers included."""
    generator = np.random.default_rng(0)
    splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    days = np.array([*range(8), 20, 21, 40, 41])
    xr.Dataset(
        {"tcw": (("sample", "y", "x"), generator.random((12, 32, 32), dtype=np.float32) * 50)},
        {"time": ("sample", np.datetime64("2001-01-01", "ns") + days * np.timedelta64(1, "D")),
         "split": ("sample", splits),
         "longitude0": ("sample", np.zeros(12)), "latitude": ("y", np.linspace(-85, 85, 32))},
    ).to_netcdf((tmp_path / "data").mkdir() or tmp_path / "data" / "nature-tcw.nc")  # fmt: skip
    monkeypatch.setenv("PHYSLAB_ASSETS", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said: list[str] = []
    settings = {"steps": 2, "batch": 4, "crop": 16, "validate_every": 2}
    paths = train("tcw-x2", ("add", "soft"), (0, 1), workers=2, say=said.append, **settings)
    assert [path.name for path in paths] == ["tcw-x2-add-s0", "tcw-x2-soft-s0", "tcw-x2-add-s1", "tcw-x2-soft-s1"]
    assert len(said) == 4 and all("test RMSE" in line and "kg m-2" in line for line in said)
    assert {load_checkpoint(path).card["seed"] for path in paths} == {0, 1}
    assert paths[0].parent == tmp_path / "checkpoints"


def test_a_student_is_trained_after_its_teacher(monkeypatch) -> None:
    """Whatever the order of the jobs; and one whose teacher fails is not begun."""
    made: list[str] = []

    def trained(recipe, constraint, seed, *rest, **options):
        made.append(recipe)
        if seed:
            raise PhysLabError("no chalk")
        return Path(recipe)

    monkeypatch.setattr("physlab.train.run.train_one", trained)
    monkeypatch.setattr("physlab.train.run._summary", lambda path: "done")
    student = "tcw-x4-espcn-distilled"
    teacher = get_recipe(student).teacher
    said: list[str] = []
    jobs = [(student, "add", 0), (teacher, "add", 0)]
    assert train_all(jobs, workers=1, say=said.append) == [Path(student), Path(teacher)]
    assert made == [teacher, student] and said[0].startswith(f"[1/2] {teacher}-add-s0: done")
    with pytest.raises(PhysLabError, match=rf"2 of 2 runs failed \({teacher}-add-s1; {student}-add-s1\)"):
        train_all([(student, "add", 1), (teacher, "add", 1)], workers=1, say=said.append)
    assert made[2:] == [teacher]


@pytest.mark.parametrize("factor", [2, 4])
def test_layers_cost_less_than_five_percent_of_the_network(factor: int) -> None:
    table = layer_overhead(factor, batch=1, repeats=3)
    assert (table["ratio"] < 0.05).all(), table.to_string()
