"""What all studies have in common: runs in order and side by side, chosen rows, tables that come back as they were."""

from __future__ import annotations

import operator
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

import physlab.benchmark
from physlab import registry
from physlab.assimilate import Adas
from physlab.benchmark import read_runs, studies
from physlab.benchmark.study import Context, Run, Study, missing, presets
from physlab.benchmark.table import By
from physlab.constrain import Additive
from physlab.data.assets import asset
from physlab.downscale import Statistical
from physlab.errors import PhysLabError
from physlab.nn import CompactResNet
from physlab.train.parallel import Task, results

MODELS = ("zero", "teacher", "pupil")


def toy(made: list[str], **changes) -> Study:
    """A pupil learns from the teacher of its seed; what is made is written down."""

    def work(run: Run, context: Context) -> list[dict]:
        made.append(str(run))
        if context.changes.get("fails") == run.model:
            raise PhysLabError("no chalk")
        return [{"model": run.model, "seed": run.seed, "error": len(run.model) / 4 + (run.seed or 0) / 8}]

    def after(run: Run, context: Context) -> list[Run]:
        return [Run("teacher", run.seed)] if run.model == "pupil" else []

    def plan() -> list[Run]:
        learned = [Run(model, seed) for model in ("pupil", "teacher") for seed in (0, 1)]
        return [*learned, Run("zero", None)]

    study = Study(
        name="toy", title="a toy", keys=("model", "seed"), columns=("model", "seed", "error"), plans=presets(plan),
        work=work, after=after, order=(By("model", MODELS), By("seed", falling=True)),
        by=("model",), averaged=("error",), gains={"gain": "error"}, against={"model": "teacher"}, headline=("error",),
        tell=lambda rows: f"error {rows['error'].iloc[0]:g}", reference=lambda run: run.model == "zero",
        prepare=lambda run, context: made.append(f"{run}, prepared"),
        more=lambda name, preset: [Run(name, seed) for seed in (0, 1)] if name == "guest" else [],
    )  # fmt: skip
    return replace(study, **changes)


# of one machine, of cycles that take hours
UNSHIPPED = {"gpu"}
SHIPPED = sorted(set(studies()) - UNSHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_table_that_is_read_and_written_stays_as_it_is(name, tmp_path) -> None:
    study = studies()[name]
    path = study.write(study.read(), tmp_path / study.file)
    assert path.read_bytes() == asset(f"results/{study.file}").read_bytes()
    assert list(study.read(path).columns) == list(study.columns)
    shuffled = study.read().sample(frac=1, random_state=0)
    if study.order:
        assert study.write(shuffled, path).read_bytes() == asset(f"results/{study.file}").read_bytes()
    titles = [title for title, table in study.shown(study.read()) if len(table)]
    assert titles and all(titles)


def test_runs_that_ship_are_known() -> None:
    """What a shipped table holds would not be made again."""
    for study in map(studies().__getitem__, SHIPPED):
        runs = study.plan()
        left = missing(study.read(), runs, study.keys)
        assert len(runs) == len(set(runs)) == len(set(map(str, runs)))
        if study.name in ("assimilation", "continuous", "forecasting"):
            assert not left
        assert len(left) < len(runs) or study.alone  # which belongs to another machine


def test_what_others_build_on_comes_first_and_once(tmp_path) -> None:
    made: list[str] = []
    said: list[str] = []
    study = toy(made)
    path = study.launch(None, tmp_path, 1, say=said.append)
    assert made == ["teacher, seed 0", "pupil, seed 0", "teacher, seed 1", "pupil, seed 1", "zero"]
    assert said[0] == f"5 runs, 0 of them known from {path}"
    assert said[1].startswith("[1/5] teacher, seed 0: error 1.75, 0 min left") and said[-1] == "[5/5] zero: error 1"
    table = study.read(path)
    assert list(table["model"]) == ["zero", "teacher", "teacher", "pupil", "pupil"]
    assert list(table["seed"].fillna(-1)) == [-1, 1, 0, 1, 0]
    summary = study.summary(table).set_index("model")
    assert summary.loc["teacher", "error"] == 1.8125 and summary.loc["teacher", "seeds"] == 2
    assert summary.loc["teacher", "error_spread"] == pytest.approx(0.125 / 2**0.5)
    assert summary.loc["pupil", "gain"] == pytest.approx(1 - 1.3125 / 1.8125) and summary.loc["teacher", "gain"] == 0
    ((title, shown),) = study.shown(table)
    assert title == "toy; mean and spread over seeds" and list(shown["gain"]) == ["+44.8%", "+0.0%", "+27.6%"]
    assert list(shown["error"]) == ["1", "1.812 ± 0.088", "1.312 ± 0.088"]
    made.clear()
    study.launch(None, tmp_path, 1, say=said.append)
    assert not made and said[-1] == f"5 runs, 5 of them known from {path}"


def test_what_is_not_asked_for_is_prepared_and_has_no_row(tmp_path) -> None:
    made: list[str] = []
    said: list[str] = []
    study = toy(made)
    path = study.launch(None, tmp_path, 1, [Run("pupil", 0), Run("pupil", 1)], said.append)
    assert made == ["teacher, seed 0, prepared", "pupil, seed 0", "teacher, seed 1, prepared", "pupil, seed 1"]
    assert said[1].startswith("[1/4] teacher, seed 0: ready") and set(study.read(path)["model"]) == {"pupil"}


def test_a_failure_costs_what_builds_on_it_and_nothing_else(tmp_path) -> None:
    made: list[str] = []
    said: list[str] = []
    study = toy(made)
    with pytest.raises(PhysLabError, match=r"4 of 5 runs failed \(teacher, seed 0; pupil, seed 0; .*run again"):
        study.launch(None, tmp_path, 1, say=said.append, fails="teacher")
    assert not any("pupil" in run for run in made) and list(study.read(tmp_path / "toy.csv")["model"]) == ["zero"]
    assert "[2/5] pupil, seed 0 failed: it builds on teacher, seed 0, which failed" in said[2]
    study.launch(None, tmp_path, 1, say=said.append)
    assert len(study.read(tmp_path / "toy.csv")) == 5


def test_rows_are_chosen_by_name() -> None:
    study = toy([])
    assert study.plan(only=("PUPIL",)) == [Run("zero", None), Run("pupil", 0), Run("pupil", 1)]
    assert study.plan(only=("guest", "pupil"), seeds=(4,)) == [Run("zero", None), Run("guest", 4), Run("pupil", 4)]
    assert study.plan("quick") == [Run("pupil", 0), Run("teacher", 0), Run("zero", None)]
    assert study.plan("quick", seeds=(7, 8))[1:3] == [Run("pupil", 7), Run("teacher", 7)]
    with pytest.raises(PhysLabError, match=r"the study toy has no row 'puppil': choose among pupil"):
        study.plan(only=("puppil",))
    with pytest.raises(PhysLabError, match=r"unknown preset 'full': choose one of paper, quick"):
        study.plan("full")


def test_a_method_that_no_plan_knows_gets_its_row_at_the_end(tmp_path) -> None:
    study = toy([])
    path = study.launch(None, tmp_path, 1, say=lambda line: None, only=("guest", "teacher"), seeds=(2,))
    assert list(study.read(path)["model"]) == ["zero", "teacher", "guest"]


def test_named_rows_of_every_study() -> None:
    """A word of the shipped table chooses its runs and, with them, what they are compared with."""
    chosen = {
        "downscaling": ("edsr", {"edsr", "nearest", "bicubic"}), "assimilation": ("phyda", {"PhyDA", "background"}),
        "divergence": ("Adas", {"Adas", "background"}), "forecasting": ("afno", {"afno", "persistence"}),
        "ensemble": ("nature-x8", {"bicubic", "latent diffusion", "latent diffusion, tuned"}),
    }  # fmt: skip
    for name, (word, models) in chosen.items():
        runs = studies()[name].plan(only=(word,), seeds=(5,))
        assert {run.model for run in runs} == models
        assert {run.seed for run in runs if run.model.casefold() == word} <= {5}
    plan = studies()["downscaling"].plan
    assert {(run.task, run.factor) for run in plan(only=("edsr",))} == {("tcw", 4)}  # no baselines of other tasks
    assert [str(run) for run in plan("quick", only=("edsr add", "random forest"), seeds=(3,))[3:]] == [
        "tcw x4 edsr add, seed 3", "tcw x4 random forest none, seed 3", "tcw x4 random forest add, seed 3",
    ]  # fmt: skip
    assert {run.preset for run in plan("full", only=("edsr",))} == {"", "full"}
    assert {run.recipe for run in plan(only=("compactresnet",))} >= {"tcw-x4", "tcw-x2", "era5-uk-t2m-x4"}
    phyda = studies()["assimilation"].plan(only=("3dvar", "vaevar"), seeds=(1,))  # as they are registered
    assert [str(run) for run in phyda] == ["background", "3D-Var", "VAE-Var, seed 1"]


class Later:
    """A client like that of dask: futures whose callbacks come from a thread, in any order."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def submit(self, work, /, *arguments) -> Future:
        self.given.append(str(arguments[1]))
        future: Future = Future()
        delay = 0.1 if len(self.given) % 2 else 0.0

        def run() -> None:
            time.sleep(delay)
            future.set_result(work(*arguments))

        threading.Thread(target=run, daemon=True).start()
        return future


def test_a_client_takes_the_runs(tmp_path) -> None:
    made: list[str] = []
    client = Later()
    study = toy(made)
    path = study.launch(None, tmp_path / "a", client=client, say=lambda line: None)
    assert len(study.read(path)) == 5 and sorted(client.given) == sorted(made)
    assert made.index("teacher, seed 1") < made.index("pupil, seed 1")
    with ThreadPoolExecutor(2) as pool:
        other = study.launch(None, tmp_path / "b", client=pool, say=lambda line: None)
    assert other.read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_processes_and_what_becomes_of_a_run_whose_process_dies() -> None:
    tasks = [Task(word, operator.contains, frozenset(needs)) for word, needs in (("abc", "x"), ("x", ""))]
    found = list(results([replace(task, needs=task.needs - {""}) for task in tasks], ("a",), 2))
    assert found == [("x", False), ("abc", True)]
    (run, error), *_ = results([Task(3, os._exit)], (), 2)
    assert run == 3 and isinstance(error, RuntimeError) and "terminated abruptly" in str(error)


def test_runs_that_wait_for_each_other_are_refused() -> None:
    tasks = [Task("a", str, frozenset("b")), Task("b", str, frozenset("a"))]
    with pytest.raises(PhysLabError, match="a, b wait for each other"):
        list(results(tasks, (), 1))


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        list(results([Task(0, lambda run: 1 / run)], (), 1))


def test_a_study_is_one_file(tmp_path, monkeypatch) -> None:
    """Put into the folder, it has a name on the command line and a place among the others."""
    (tmp_path / "added.py").write_text(
        "from physlab.benchmark.study import Run, Study, presets\n"
        "STUDY = Study(name='added', title='one more', keys=('model', 'seed'), columns=('model', 'seed'),\n"
        "              plans=presets(lambda: [Run('a', None)]), work=lambda run, context: [vars(run)],\n"
        "              by=('model',), tell=lambda rows: 'fine')\n"
    )
    monkeypatch.setattr(physlab.benchmark, "__path__", [*physlab.benchmark.__path__, str(tmp_path)])
    found = studies.__wrapped__()
    assert list(found) == sorted({*studies(), "added"})
    path = found["added"].launch(None, tmp_path, 1, say=lambda line: None)
    assert pd.read_csv(path).to_dict("list") == {"model": ["a"], "seed": [pytest.approx(float("nan"), nan_ok=True)]}


@pytest.mark.slow
def test_a_registered_method_is_benchmarked_without_an_edit(tmp_path, monkeypatch) -> None:
    """A statistical method, a layer, a network and an analysis of somebody: each has its runs; one of them is made."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    @registry.register("parent", title="The parent's value", kind="statistical")
    @dataclass(eq=False)
    class Parent(Statistical):
        def _learn(self, coarse, fine, rng):
            self.arrays["nothing"] = np.zeros(1)

        def _fields(self, coarse):
            return coarse.repeat(self.factor, axis=-2).repeat(self.factor, axis=-1)

    registry.register("halved", title="Half of it")(type("Halved", (Additive,), {"__module__": __name__}))
    registry.register("Plain5", title="Plain")(type("Plain5", (CompactResNet,), {"__module__": __name__}))
    registry.register("other", title="Other", kind="assimilation")(type("Other", (Adas,), {"__module__": __name__}))
    plan = studies()["downscaling"].plan
    assert {run.constraint for run in plan(only=("halved",)) if run.seed is not None} == {"halved"}
    networks = plan("quick", only=("plain5 add",))
    assert [str(run) for run in networks if run.kind == "network"] == ["tcw x4 plain5 add, seed 0"]
    assert [str(run) for run in studies()["assimilation"].plan("quick", only=("Other",))] == [
        "background", "other, seed 0",
    ]  # fmt: skip
    (run,) = (run for run in plan("quick", only=("parent",)) if (run.model, run.constraint) == ("parent", "none"))
    path = studies()["downscaling"].launch(None, tmp_path, 1, [run], lambda line: None)
    row, nearest = studies()["downscaling"].read(path).iloc[0], read_runs().query("model == 'nearest'")
    nearest = nearest[(nearest["task"] == "tcw") & (nearest["factor"] == 4)].iloc[0]
    assert row["rmse"] == pytest.approx(nearest["rmse"], rel=1e-4) and row["kind"] == "statistical"
    assert row["data"] == nearest["data"] and row["s_per_megapixel"] > 0


def test_a_table_without_its_columns_is_refused(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("model,seed\nzero,\n")
    with pytest.raises(PhysLabError, match=r"lacks the columns error: make it by `physlab benchmark`"):
        toy([]).read(tmp_path / "t.csv")
