"""The benchmark: resumes after being killed, three seeds in each row, and the shipped table is complete."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from physlab.benchmark import PAPER, benchmark_downscaling, read_runs, summary
from physlab.benchmark.downscaling import COLUMNS, SCORES, STUDY, Run, paper, write_runs
from physlab.errors import PhysLabError

TABLE = STUDY.file
QUICK = [
    Run("tcw", 4, "bicubic", "add", None, "baseline"),
    Run("tcw", 4, "espcn", "add", 0, "network", "cpu", "tcw-x4-espcn"),
]


def toy_runs() -> pd.DataFrame:
    rows = []
    for model, constraint, seeds, rmse in (("bicubic", "add", [None], 2.0), ("edsr", "add", [0, 1, 2], 1.5)):
        for seed in seeds:
            row = dict.fromkeys(COLUMNS, 1.0) | {"task": "tcw", "factor": 4, "model": model, "constraint": constraint}
            row |= {"seed": seed, "kind": "network" if seeds[0] == 0 else "baseline", "preset": "cpu", "data": "x"}
            rows.append(row | {"rmse": rmse + 0.1 * (seed or 0)})
    return pd.DataFrame(rows)


def test_summary_has_mean_spread_and_gain(tmp_path) -> None:
    path = write_runs(toy_runs(), tmp_path / "t.csv")
    table = summary(read_runs(path)).set_index("model")
    assert table.loc["edsr", "seeds"] == 3 and table.loc["edsr", "rmse"] == pytest.approx(1.6)
    assert table.loc["edsr", "rmse_spread"] == pytest.approx(0.1)
    assert table.loc["edsr", "gain"] == pytest.approx(0.2) and np.isnan(table.loc["bicubic", "rmse_spread"])
    with pytest.raises(PhysLabError, match="no run with task tcw, factor 8: the table has task tcw, factor 4"):
        summary(read_runs(path), "tcw", 8)
    (tmp_path / "bad.csv").write_text("task,factor\ntcw,4\n")
    with pytest.raises(PhysLabError, match="lacks the columns model"):
        read_runs(tmp_path / "bad.csv")


@pytest.mark.slow
def test_resumes_after_being_killed(tmp_path, monkeypatch) -> None:
    """Killed in the middle of a training: known lines stay as they are, the training goes on."""
    code = (
        "from physlab.benchmark import benchmark_downscaling, Run\n"
        "import os, torch; torch.set_num_threads(1)\n"
        f"runs = [{', '.join(map(repr, QUICK))}]\n"
        f"benchmark_downscaling(output={str(tmp_path)!r}, runs=runs, workers=1, steps=100000, validate_every=100000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    path, end = tmp_path / TABLE, time.monotonic() + 100
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    process.kill()
    process.wait()
    assert path.exists(), process.stdout.read().decode()
    first = path.read_text()
    assert first.count("\n") == 2 and not list(tmp_path.glob("*.part"))
    said = []
    benchmark_downscaling(output=tmp_path, runs=QUICK, workers=1, say=said.append, steps=4, validate_every=2)
    assert "1 of them known" in said[0] and len(said) == 2
    runs = read_runs(path)
    assert first.splitlines()[1] in path.read_text() and set(runs["model"]) == {"bicubic", "espcn"}
    line = runs[runs["model"] == "espcn"].iloc[0]
    assert line["parameters"] == 24_752 and line["conservation_error_relative"] < 1e-6
    assert line["s_per_megapixel"] > 0 and 1.5 < line["rmse"] < 3.0
    monkeypatch.setattr("physlab.benchmark.downscaling.make", lambda *a: pytest.fail("nothing is left to do"))
    benchmark_downscaling(output=tmp_path, runs=QUICK, workers=1, say=said.append)


@pytest.mark.slow
def test_a_run_that_fails_does_not_stop_the_others(tmp_path) -> None:
    said, broken = [], Run("tcw", 4, "bicubic", "none", None, "nonsense")
    with pytest.raises(PhysLabError, match="1 of 2 runs failed"):
        benchmark_downscaling(output=tmp_path, runs=[broken, QUICK[0]], workers=1, say=said.append)
    assert len(read_runs(tmp_path / TABLE)) == 1


def test_unknown_preset(tmp_path) -> None:
    with pytest.raises(PhysLabError, match="paper, full, report, quick"):
        benchmark_downscaling("everything", tmp_path)


def test_shipped_table_is_of_the_plan_and_every_row_has_three_seeds() -> None:
    """Every line is a run of the plan, no number is missing, and what the report's experiments need is there."""
    runs, plan = read_runs(), paper()
    keys = runs.assign(seed=runs["seed"].fillna(-1))[["task", "factor", "model", "constraint", "seed"]]
    found = [tuple(row) for row in keys.itertuples(index=False)]
    wanted = {(r.task, r.factor, r.model, r.constraint, -1 if r.seed is None else r.seed) for r in plan}
    assert set(found) <= wanted and len(set(found)) == len(found)
    always = [name for name in SCORES if name not in ("spread_skill", "member_rmse")]
    assert runs[always].notna().all(axis=None)
    assert runs.loc[runs["kind"] == "ensemble", "spread_skill"].notna().all()
    for task, factor in runs[["task", "factor"]].drop_duplicates().itertuples(index=False):
        table = summary(runs, task, factor)
        assert (table.loc[table["kind"] != "baseline", "seeds"] == 3).all(), table[["model", "constraint", "seeds"]]
        assert {"nearest", "bicubic"} <= set(table["model"])
        hard = table[table["constraint"].isin(["add", "scaled_add", "mult", "softmax"])]
        if task != "tcw-t2":  # its middle frame is tied to an estimate
            assert (hard["conservation_error_relative"] < 2e-6).all()
    for row in PAPER.values():
        assert ((runs[["task", "factor", "model", "constraint"]] == list(row)).all(axis=1)).sum() == 3, row


def test_shipped_table_keeps_the_goals_of_the_comparison() -> None:
    """Column water x4: EDSR beats the SR-CNN, and the best network is a quarter better than bicubic+add."""
    table = summary(read_runs()).set_index(["model", "constraint"])
    best = table[table["kind"] == "network"]["rmse"].min()
    assert best <= 0.75 * table.loc[("bicubic", "add"), "rmse"]
    assert best <= 0.72 * table.loc[("bicubic", "none"), "rmse"]
    for constraint in ("none", "add"):
        edsr, srcnn = table.loc[("edsr", constraint)], table.loc[("srcnn", constraint)]
        assert edsr["rmse"] + 3 * edsr["rmse_spread"] < srcnn["rmse"] - 3 * srcnn["rmse_spread"]
    ratio = table.loc[("gan", "add"), "spread_skill"]
    assert 0.7 < ratio < 1.3 and table.loc[("gan-report", "none"), "spread_skill"] < 0.5 * ratio
