"""Longer training and calmer members: a small plan on made-up runs, resumed; the table and its summary."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch

from physlab.assimilate import PhyDA
from physlab.assimilate.learned import Learned
from physlab.benchmark import assimilation as bench
from physlab.benchmark.divergence import (
    COLUMNS,
    MODELS,
    STEPS,
    STUDY,
    TEMPERATURES,
    Run,
    benchmark_divergence,
    divergence_summary,
    plan,
    read_divergence,
)
from physlab.errors import PhysLabError

TABLE = STUDY.file
RUNS = [Run("background", 0, 0), Run("PhyDA", 0, 1), Run("PhyDA", 0, 2), Run("Adas", 0, 2)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    quick = replace(bench.CPU, steps=2, batch=2, precision="fp32")
    small = functools.partial(PhyDA, latent=4, vae_width=8, width=8, levels=(8, 8))
    encoder = functools.partial(bench.VAEVar, latent=4, vae_width=8)
    entries = {"PhyDA": (small, "VAE-Var"), "VAE-Var": (encoder, ""), "Adas": (bench.Adas, "")}
    for name, (make, after) in entries.items():
        monkeypatch.setitem(bench.ENTRIES, name, bench.Entry(make, quick, after))


@pytest.fixture
def data(twin_runs) -> str:
    return twin_runs


def launch(data: str, output, runs=RUNS) -> list[str]:
    said: list[str] = []
    benchmark_divergence(data, output, 1, runs, said.append)
    return said


def test_the_plan_trains_everybody_as_long() -> None:
    runs = plan()
    assert len(runs) == len(set(runs)) == 1 + len(MODELS[1:]) * len(STEPS) * len(bench.SEEDS)
    assert {(r.model, r.steps) for r in runs[1:]} == {(m, s) for m in MODELS[1:] for s in STEPS}


@pytest.mark.slow
def test_a_small_plan_is_run_and_resumed(data, tmp_path, monkeypatch) -> None:
    said = launch(data, tmp_path)
    assert said[0] == f"4 runs, 0 of them known from {tmp_path / TABLE}" and len(said) == 1 + 4 + 1
    assert said[2].startswith("[2/5] VAE-Var, seed 0: ready") and "PhyDA, seed 0, 1 steps: SpecDiv" in said[3]
    table = read_divergence(tmp_path / TABLE)
    assert list(table.columns) == list(COLUMNS) and len(table) == 2 * len(TEMPERATURES) + 2
    one = table.set_index(["model", "steps", "temperature"]).sort_index(ascending=False)
    assert (one.loc[("PhyDA", 2)]["members"] == [8] * (len(TEMPERATURES) - 1) + [1]).all()
    spread = one.loc[("PhyDA", 2), "spread_skill"]
    assert spread.iloc[:-1].is_monotonic_decreasing and spread.isna().tolist() == [False] * 4 + [True]
    assert spread.iloc[2] == pytest.approx(spread.iloc[0] / 2, rel=0.02)  # half the distance, half the spread
    assert one.loc[("Adas", 2, 0.0), "members"] == 1
    pairs = bench.pairs_of(data, str(tmp_path), "test")
    background = bench.score(None, pairs, *bench.MAIN)["mse"]
    assert one.loc[("background", 0, 0.0), "mse"] == pytest.approx(background, rel=1e-5)
    counts = [Learned.load(bench.checkpoint(tmp_path / f"steps-{n}", "PhyDA", 0)).card["training"]["steps"]
              for n in (1, 2)]  # fmt: skip
    assert counts == [1, 2]

    def never(*_args, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(bench, "train_assimilator", never)
    shutil.rmtree(bench.checkpoint(tmp_path, "VAE-Var", 0))  # nobody needs it any more
    assert launch(data, tmp_path) == [f"4 runs, 4 of them known from {tmp_path / TABLE}"]


@pytest.mark.slow
def test_what_it_builds_on_keeps_its_own_settings(data, tmp_path) -> None:
    launch(data, tmp_path, [Run("PhyDA", 0, 1)])
    encoder = Learned.load(bench.checkpoint(tmp_path, "VAE-Var", 0))
    assert encoder.card["training"]["steps"] == 2
    longer = Learned.load(bench.checkpoint(tmp_path / "steps-1", "PhyDA", 0))
    assert all(torch.equal(a, b) for a, b in zip(encoder.vae.parameters(), longer.vae.parameters(), strict=True))


def test_a_run_that_fails_is_named(data, tmp_path, monkeypatch) -> None:
    real = bench.train_assimilator

    def fails(method, *arguments, **options):
        if isinstance(method, PhyDA):
            raise PhysLabError("the loss is not a number")
        return real(method, *arguments, **options)

    monkeypatch.setattr(bench, "train_assimilator", fails)
    with pytest.raises(PhysLabError, match=r"1 of 3 runs failed \(PhyDA, seed 0, 1 steps\): run again to resume"):
        launch(data, tmp_path, [RUNS[1], RUNS[3]])
    assert set(read_divergence(tmp_path / TABLE)["model"]) == {"Adas"}


def test_the_summary_has_means_and_spreads() -> None:
    rows = [{**dict.fromkeys(COLUMNS, 1.0), "model": "PhyDA", "steps": 400, "temperature": 0.5, "seed": seed,
             "specdiv": 1.0 + seed} for seed in (0, 1, 2)]  # fmt: skip
    table = divergence_summary(pd.DataFrame(rows))
    assert table.loc[0, ["seeds", "specdiv", "specdiv_spread", "mse_spread"]].tolist() == [3, 2.0, 1.0, 0.0]
