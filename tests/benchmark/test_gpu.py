"""The steps for a graphics card: the rehearsal on the processor takes the way that the machine will take."""

from __future__ import annotations

import zipfile

import pandas as pd
import pytest

import physlab
from physlab import cli
from physlab.benchmark import gpu
from physlab.benchmark.study import Context
from physlab.errors import PhysLabError
from physlab.store import read_card
from physlab.train import get_recipe


def test_steps_are_known_and_fit_the_time() -> None:
    """Every recipe has the preset, and the tests, the times and the report's table take less than nine minutes."""
    plan = gpu.plan()
    assert len({run.step for run in plan}) == len(plan) and {run.kind for run in plan} == set(gpu.WORK)
    for run in plan:
        if run.kind == "recipe":
            recipe = get_recipe(run.what)
            assert run.preset in recipe.presets and run.step.startswith(f"{recipe.name}-{run.constraint}")
    reported = [run.minutes for run in plan[: [run.preset for run in plan].index("full")]]
    assert sum(reported) < 9 and sum(run.preset == "report" for run in plan) >= 12
    assert {run.kind for run in gpu.rehearsal()} == set(gpu.WORK)


def test_a_step_without_time_is_left_for_the_next_time(tmp_path) -> None:
    said: list[str] = []
    with pytest.raises(PhysLabError, match="minutes is 0"):
        gpu.gpu_checkpoints(tmp_path, 0.0, "cpu")
    written = gpu.gpu_checkpoints(tmp_path, 0.01, "cpu", only=("tcw-x4-srcnn-plain",), say=said.append)
    assert written == [] and "no time left for it" in said[1]
    assert said[-1].startswith("2 steps are left, 2 min: run it again")
    assert gpu.one(gpu.plan()[0], Context(output=str(tmp_path), device="cpu", changes={"until": 0.0})) == []


@pytest.mark.slow
def test_rehearsal(tmp_path, capsys) -> None:
    """All kinds of steps with small networks; models that load, from folders and from archives; nothing done twice."""
    cli.main(["gpu-checkpoints", "--output", str(tmp_path), "--device", "cpu", "--rehearse"])
    table = gpu.STUDY.read(tmp_path / "gpu.csv")
    assert set(table["step"]) == {run.step for run in gpu.rehearsal()} and table["device"].str.startswith("CPU").all()
    trained = table[table["kind"].isin(["recipe", "assimilation", "latent", "field"])]
    assert (trained["per_second"] > 0).all() and (table.dropna(subset=["rmse"])["kind"] == "recipe").all()
    ways = table[table["kind"] == "images"]
    assert {what.split(", ")[1] for what in ways["what"]} >= {"plain", "ours"} and (ways["per_second"] > 0).all()
    folders = [f.parent for f in tmp_path.glob("*/*/card.json") if f.parents[1].name != "packed"]
    assert {type(physlab.load_model(folder)).__name__ for folder in folders} >= {"CNN", "GAN", "PhyDA", "PhyDL"}
    for folder in (tmp_path / "checkpoints").iterdir():
        card = read_card(folder)
        assert card["preset"] in folder.name and card["device"] and card["training"]["precision"]
        assert card["training"]["samples_per_s"] > 0
    archive = tmp_path / "models-0.zip"
    assert archive.stat().st_size < gpu.LARGEST
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "there")
    packed = [f.parent for f in (tmp_path / "there").rglob("card.json")]
    assert {f.name for f in packed} == {f.name for f in folders}
    assert all(physlab.load_model(folder) is not None for folder in packed)
    capsys.readouterr()
    before = pd.read_csv(tmp_path / "gpu.csv")
    cli.main(["gpu-checkpoints", "--output", str(tmp_path), "--device", "cpu", "--rehearse"])
    out = capsys.readouterr().out
    assert f"{len(gpu.rehearsal())} of them known" in out and pd.read_csv(tmp_path / "gpu.csv").equals(before)
