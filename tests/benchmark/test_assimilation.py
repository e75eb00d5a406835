"""The benchmark of assimilation: a small plan on made-up runs, resumed; the table and its summary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from physlab.assimilate.learned import Learned
from physlab.benchmark import assimilation as bench
from physlab.benchmark.assimilation import (
    COLUMNS,
    ENTRIES,
    FIXED,
    MAIN,
    SCORES,
    SEEDS,
    SETTINGS,
    STUDY,
    Run,
    assimilation_summary,
    benchmark_assimilation,
    checkpoint,
    pairs_of,
    plan,
    read_assimilation,
    score,
    write_assimilation,
)
from physlab.errors import PhysLabError

TABLE = STUDY.file
RUNS = [Run("background", None), Run("VAE-Var", 0), Run("SLAM", 0), Run("PhyDA without PRDO", 0)]
QUICK = {"steps": 2, "batch": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def data(twin_runs) -> str:
    return twin_runs


def launch(data: str, output, runs=RUNS, **changes) -> list[str]:
    said: list[str] = []
    benchmark_assimilation(data, output, 1, runs, said.append, **{**QUICK, **changes})
    return said


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """The output of the small plan, and what was said."""
    output = tmp_path_factory.mktemp("benchmark")
    return output, launch(data, output)


class Oracle(Learned):
    """Knows the pairs by heart; keeps the stations it was shown."""

    ensemble = True

    def __init__(self, pairs, wrong: float = 0.0) -> None:
        super().__init__(pairs.space)
        self.pairs, self.wrong, self.shown = pairs, wrong, []

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        torch.randn(len(self.shown) + 1, generator=generator)
        self.shown.append((columns, members))
        k = [torch.equal(background[0], b.float()) for b in self.pairs.background].index(True)
        truth = self.pairs.increment[k : k + 1].float()
        return torch.stack([truth + self.wrong * (1 + m) for m in range(members)], 1)


# --- the plan ---------------------------------------------------------------------------------------------------------
def test_the_plan_is_whole() -> None:
    runs = plan()
    assert len(runs) == len(set(runs)) == len(FIXED) + len(SEEDS) * (len(ENTRIES) - len(FIXED))
    assert {r.model for r in runs} == set(ENTRIES) and all((r.seed is None) == (r.model in FIXED) for r in runs)
    for k, run in enumerate(runs):  # the autoencoder comes first
        after = ENTRIES[run.model].after
        assert not after or Run(after, run.seed) in runs[:k]
    folders = {checkpoint("out", r.model, r.seed) for r in runs}
    assert len(folders) == len(runs) and all(" " not in f.name and "," not in f.name for f in folders)


# --- a small plan -----------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_small_plan_gives_a_row_for_each_setting(done, data) -> None:
    output, said = done
    table = read_assimilation(output / TABLE)
    assert list(table.columns) == list(COLUMNS) and len(table) == 3 * len(SETTINGS) + 1
    assert said[0].startswith("4 runs, 0 of them known") and len(said) == 5
    assert set(zip(table["share"], table["noise"], strict=True)) == set(SETTINGS)
    assert table["seed"].isna().sum() == len(SETTINGS) and (table["states"] == 2).all()
    assert not table[["mse", "crps", "specdiv", "residual_geostrophic"]].isna().any().any()
    members = table.set_index(["model", "share", "noise"])["members"]
    assert (members["background"] == 1).all() and (members["VAE-Var"] == 1).all()
    assert members["SLAM"][MAIN] == 8 and (members["SLAM"].drop(index=MAIN) == 4).all()
    assert (table["spread_skill"].isna() == (table["members"] == 1)).all()
    rows = table[table["model"] == "background"]
    pairs = pairs_of(data, str(output), "test")
    error = pairs.increment.float() * pairs.space.error / pairs.space.std
    expected = float((error.square() * pairs.space.area).mean())
    assert np.allclose(rows["mse"], expected, rtol=1e-4) and (rows["parameters"] == 0).all()
    for run in RUNS[1:]:
        method = Learned.load(checkpoint(output, run.model, run.seed))
        assert method.card["training"]["steps"] == 2 and method.card["seed"] == 0
    first, then = (Learned.load(checkpoint(output, m, 0)).vae for m in ("VAE-Var", "SLAM"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), then.parameters(), strict=True))
    assert then.calibrated and not first.calibrated


@pytest.mark.slow
def test_parameters_are_those_of_the_whole_method(data, tmp_path) -> None:
    launch(data, tmp_path, RUNS[2:3])
    table, method = read_assimilation(tmp_path / TABLE), Learned.load(checkpoint(tmp_path, "SLAM", 0))
    assert (table["parameters"] == sum(p.numel() for p in method.parameters())).all()


@pytest.mark.slow
def test_what_is_known_is_not_done_again(done, data, monkeypatch, tmp_path) -> None:
    output, _ = done

    def never(*_args, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(bench, "train_assimilator", never)
    before = (output / TABLE).read_bytes()
    assert launch(data, output) == [f"4 runs, 4 of them known from {output / TABLE}"]
    assert (output / TABLE).read_bytes() == before
    # a row that is lost is scored again, by the method in its folder
    table = read_assimilation(output / TABLE)
    write_assimilation(table[table["model"] != "SLAM"], output / TABLE)
    said = launch(data, output)
    assert said[0].startswith("4 runs, 3 of them known") and said[1].startswith("[1/1] SLAM, seed 0: MSE ")
    again = read_assimilation(output / TABLE)
    known = [c for c in COLUMNS if c not in ("s_per_state", "parameters")]
    pd.testing.assert_frame_equal(again[known], table[known], check_dtype=False)


@pytest.mark.slow
def test_runs_that_fail_leave_the_others(data, done, monkeypatch, tmp_path) -> None:
    for path in done[0].glob("pairs-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    real = bench.train_assimilator

    def fails(method, *arguments, **options):
        if type(method).__name__ == "ConvCNP":
            raise PhysLabError("the loss is not a number")
        return real(method, *arguments, **options)

    monkeypatch.setattr(bench, "train_assimilator", fails)
    runs = [Run("ConvCNP", 0), Run("background", None)]
    with pytest.raises(PhysLabError, match=r"1 of 2 runs failed \(ConvCNP, seed 0\): run again to resume"):
        launch(data, tmp_path, runs)
    assert set(read_assimilation(tmp_path / TABLE)["model"]) == {"background"}
    monkeypatch.setattr(bench, "train_assimilator", real)
    assert launch(data, tmp_path, runs)[0].startswith("2 runs, 1 of them known")
    assert set(read_assimilation(tmp_path / TABLE)["model"]) == {"background", "ConvCNP"}


def test_data_that_are_not_there(data, twin, tmp_path) -> None:
    with pytest.raises(PhysLabError, match=r"no .*run-8: make it by `physlab simulate .*--seed 8 --days 80 --hourly"):
        launch(str(tmp_path), tmp_path / "out")
    twin.write(tmp_path / "run-8", times=2)
    with pytest.raises(PhysLabError, match=r"no .*run-9: make it by `physlab simulate .*--seed 9 --days 40 --hourly"):
        launch(str(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out" / TABLE).exists()


@pytest.mark.slow
def test_every_method_is_scored_on_the_same_stations(done, data) -> None:
    pairs = pairs_of(data, str(done[0]), "test")
    right, wrong = Oracle(pairs), Oracle(pairs, 0.5)
    perfect = score(right, pairs, 0.1, 0.0, members=2)
    assert perfect["mse"] < 1e-5 and perfect["members"] == 2 and perfect["states"] == 2
    off = score(wrong, pairs, 0.1, 0.0, members=1)
    expected = float((0.5 * pairs.space.error / pairs.space.std).square().mean())
    assert off["mse"] == pytest.approx(expected, rel=0.02) and off["s_per_state"] > 0
    for (a, _), (b, _) in zip(right.shown, wrong.shown, strict=True):
        assert torch.equal(a.innovation, b.innovation) and a.mask.sum() == 51
    assert not torch.equal(right.shown[0][0].mask, right.shown[1][0].mask)  # others for another state
    score(right, pairs, 0.1, 0.5, members=2)
    assert float(right.shown[2][0].noise) == 0.5


# --- the table --------------------------------------------------------------------------------------------------------
def toy() -> pd.DataFrame:
    rows = []
    for model, seeds, mse in (("SLAM", [0, 1, 2], 0.6), ("background", [None], 1.0), ("VAE-Var", [0], 0.8)):
        for seed in seeds:
            for share, noise in (MAIN, (0.1, 0.0), (0.02, 0.5)):
                row = dict.fromkeys(COLUMNS, 2.0) | {"model": model, "seed": seed, "share": share, "noise": noise}
                rows.append(row | {"mse": mse + 0.1 * (seed or 0) + share, "parameters": 10, "states": 9})
    return pd.DataFrame(rows)


def test_the_table_survives_a_file(tmp_path) -> None:
    path = write_assimilation(toy(), tmp_path / "deep" / "t.csv")
    table = read_assimilation(path)
    assert list(table.columns) == list(COLUMNS) and len(table) == 15
    first = table[(table["share"] == 0.02) & (table["noise"] == 0)]
    assert list(first["model"]) == ["background", "VAE-Var", "SLAM", "SLAM", "SLAM"]
    assert list(first["seed"].fillna(-1)) == [-1, 0, 0, 1, 2] and str(table["seed"].dtype) == "Int64"
    assert list(table["share"])[:5] == [0.1] * 5 and list(table["noise"])[-5:] == [0.5] * 5
    text = path.read_bytes()
    assert write_assimilation(read_assimilation(path), path).read_bytes() == text
    (tmp_path / "bad.csv").write_text("model,seed,mse\nSLAM,0,1\n")
    with pytest.raises(PhysLabError, match=r"lacks the columns share, noise, specdiv, .*: make it by `physlab bench"):
        read_assimilation(tmp_path / "bad.csv")


def test_summary_by_hand(tmp_path) -> None:
    table = assimilation_summary(read_assimilation(write_assimilation(toy(), tmp_path / "t.csv"))).set_index("model")
    assert list(table["seeds"]) == [1, 1, 3]
    assert table.loc["SLAM", "mse"] == pytest.approx(0.72) and table.loc["SLAM", "mse_spread"] == pytest.approx(0.1)
    assert table.loc["SLAM", "mse_gain"] == pytest.approx(1 - 0.72 / 1.02) and table.loc["background", "mse_gain"] == 0
    assert table.loc["SLAM", "specdiv_gain"] == 0 and np.isnan(table.loc["VAE-Var", "mse_spread"])
    assert all(f"{name}_spread" in table for name in SCORES)
    other = assimilation_summary(toy(), 0.1, 0.0).set_index("model")
    assert other.loc["background", "mse"] == pytest.approx(1.1)
    without = assimilation_summary(toy()[lambda t: t["model"] != "background"])
    assert without["mse_gain"].isna().all()
    with pytest.raises(
        PhysLabError, match=r"no run with share 0.3, noise 0.0: the table has share 0.02, noise 0.0; share 0"
    ):
        assimilation_summary(toy(), 0.3)


@pytest.mark.slow
def test_processes_do_the_same(done, data, tmp_path) -> None:
    said: list[str] = []
    runs = [Run("background", None), Run("ConvCNP", 0)]
    path = benchmark_assimilation(data, tmp_path, runs=runs, say=said.append, **QUICK)
    table, here = read_assimilation(path), read_assimilation(done[0] / TABLE)
    assert len(table) == 2 * len(SETTINGS) and len(said) == 3
    a, b = (t.loc[t["model"] == "background", ["mse", "mae", "crps", "specdiv_eddy"]] for t in (table, here))
    pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), rtol=1e-4)
