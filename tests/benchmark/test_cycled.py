"""The benchmark in a cycle: a small plan on made-up cycles, its control without observations, and its intervals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from physlab.assimilate.learned import Learned
from physlab.assimilate.statespace import observe_columns
from physlab.benchmark import cycled
from physlab.benchmark.cycled import (
    AUTOENCODER,
    COLUMNS,
    ENTRIES,
    MAIN,
    OUTER,
    SETTINGS,
    STEPS,
    STUDY,
    Run,
    against,
    block_of,
    cycled_summary,
    days_of,
    gains,
    plan,
    read_cycled,
    score,
)  # fmt: skip
from physlab.benchmark.flow import LETKFInWeather, Var4DInWeather, mark
from physlab.benchmark.study import Context
from physlab.cli.benchmark import tasks
from physlab.data.pairs import open_pairs
from physlab.errors import PhysLabError
from physlab.score.paired import block_bootstrap
from physlab.teach import phyda

SMALL = {"FIRST": 0, "GAP": 1, "VALIDATION": 2, "TEST": 3, "MEMBERS": 2, "BLOCK": 1.0}


@pytest.fixture(scope="module")
def data(twin, tmp_path_factory):
    """Two cycles of ten days of one truth, every six hours from day 1 on."""
    folder = tmp_path_factory.mktemp("cycled")
    twin.write(folder / "truth", times=40, seed=3)
    for k in range(2):
        made = folder / "cycles" / f"cycle-3-{k}"
        made.mkdir(parents=True)
        _, background = twin.pairs(44, 3 + k)
        background.isel(time=slice(4, 43, 2)).to_netcdf(made / "forecasts-00000.nc")
        (made / "cycle.json").write_text(json.dumps({"truth": str(folder / "truth"), "days": 10}))
    return str(folder / "cycles")


@pytest.fixture
def small(monkeypatch):
    block_of.cache_clear()
    for name, value in SMALL.items():
        monkeypatch.setattr(cycled, name, value)
    yield
    block_of.cache_clear()


class Half(Learned):
    """A quarter of the error without looking, and half of the rest at the columns that it sees."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return (0.5 * columns.innovation)[:, None]


def test_the_blocks_of_days_do_not_touch(data, small, tmp_path) -> None:
    days = days_of(data)
    assert days == {"train": (0, 3), "val": (4, 6), "test": (7, 11)}
    blocks = {name: block_of(data, str(tmp_path), name) for name in days}
    for name, block in blocks.items():
        assert len(block.pairs) == len(block.days) == len(block.draws) and set(block.draws) == {
            "cycle-3-0",
            "cycle-3-1",
        }
        assert block.days.min() >= days[name][0] and block.days.max() < days[name][1]
    assert blocks["train"].days.max() + 1 <= blocks["val"].days.min()
    truth = [block.pairs.truth(slice(None)) for block in blocks.values()]
    assert torch.allclose(truth[0][: len(truth[0]) // 2], truth[0][len(truth[0]) // 2 :], rtol=1e-2, atol=1.0)
    with pytest.raises(PhysLabError, match=r"holds no cycles: make a truth by `physlab simulate"):
        days_of(str(tmp_path / "none"))


def test_cycles_that_are_too_short(data, tmp_path) -> None:
    with pytest.raises(PhysLabError, match=r"are 10 days long: training, validation and test with gaps take more than"):
        days_of(data)


def test_the_control_sees_nothing(data, small, tmp_path) -> None:
    pairs = block_of(data, str(tmp_path), "test").pairs
    method = Half(pairs.space)
    seen, blind = (score(method, pairs, 0.1, 0.0, observed, states=range(2)) for observed in (True, False))
    plain = score(None, pairs, 0.1, 0.0, states=range(2))
    for a, b, c in zip(seen, blind, plain, strict=True):
        assert a["mse"] < b["mse"] == pytest.approx(c["mse"], rel=1e-2) and b["stations"] == c["stations"] == 1.0
        assert a["stations"] == pytest.approx(0.25, rel=1e-3)


@pytest.mark.slow
def test_a_small_plan(data, small, tmp_path, monkeypatch) -> None:
    few = {"3D-Var": ({"truncation": 8, "modes": 4, "bias": 0.0}, {"truncation": 8, "modes": 4}),
           "background corrector" + OUTER: ({"truncation": 8, "modes": 4},)}  # fmt: skip
    for name, tried in few.items():
        monkeypatch.setitem(ENTRIES, name, cycled.replace(ENTRIES[name], tried=tried))
    names = ("background", "OI", "3D-Var", "background corrector", "background corrector" + OUTER)
    runs, said = [run for run in plan() if run.model in names and run.seed in (None, 0)], []
    quick = {"steps": 2, "batch": 2, "precision": "fp32"}
    path = STUDY.launch(data, tmp_path, 1, runs, said.append, **quick)
    table = read_cycled(path)
    assert list(table.columns) == list(COLUMNS) and set(table["model"]) == set(names)
    main = table[(table["share"] == MAIN[0]) & (table["noise"] == MAIN[1])]
    states = len(block_of(data, str(tmp_path), "test").pairs)
    assert (main.groupby(["model", "observed"]).size() == states).all()
    method = Learned.load(tmp_path / "3d-var")
    errors = [row["mse"] for row in method.card["validation"]]
    assert len(errors) == 2 and method.card["bias"] == method.card["validation"][int(np.argmin(errors))].get(
        "bias", 0.7
    )
    corrector = table[table["model"] == "background corrector"]
    assert (corrector["samples"] == 4).all()
    outer = table[table["model"] == "background corrector" + OUTER]
    assert (outer["samples"] == 4).all() and len(outer) == len(corrector)
    assert [title for title, shown in STUDY.shown(table) if len(shown)]
    assert STUDY.launch(data, tmp_path, 1, runs, said.append, **quick) == path and "5 of them known" in said[-1]


def test_methods_that_live_with_the_model_know_where_a_background_comes_from(
    data, tmp_path, small, monkeypatch
) -> None:
    options = {"truncation": 6, "modes": 3}
    monkeypatch.setitem(ENTRIES, "3D-Var", cycled.replace(ENTRIES["3D-Var"], tried=(options,)))
    members = "LETKF, forecast members"
    monkeypatch.setitem(ENTRIES, members, cycled.replace(ENTRIES[members], tried=({},)))
    context, block = Context(data=data, output=str(tmp_path)), block_of(data, str(tmp_path), "test")
    for name, kind in (("4D-Var", Var4DInWeather), ("LETKF, forecast members", LETKFInWeather)):
        method = cycled.trained(Run(name, None), context)
        assert isinstance(method, kind) and len(method.weather) == len(block.pairs)
        for k, background in enumerate(block.pairs.background.float()):
            cycle, time = method.weather[mark(background)]
            stored, _ = open_pairs(cycle)
            assert cycle.name == block.draws[k] and time in stored["time"].values
            truth = method.space.tensor(stored.sel(time=[time]))
            b = method.space.mean + method.space.std * background
            e = (truth[0] - b) / method.space.error
            assert (e - block.pairs.increment[k].float()).abs().max() < 0.05
    with pytest.raises(PhysLabError, match="holds no analysis"):
        method.increments(
            block.pairs.background[:1].float(),
            observe_columns(
                block.pairs.increment[:1].float(), 0.1, 0.25, method.space.area, torch.Generator().manual_seed(0)
            ),
        )


def test_the_error_of_a_mean_is_that_of_many_members(data, tmp_path, small) -> None:
    """Free draws about the background: their mean is no worse than it, however few were made."""
    pairs = block_of(data, str(tmp_path), "test").pairs

    class Drawn(Learned):
        ensemble = True

        def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
            return torch.randn(1, members, *background.shape[1:], generator=generator)

    base, drawn = (
        np.mean([row["mse"] for row in score(method, pairs, *MAIN, members=m)])
        for method, m in ((None, 1), (Drawn(pairs.space), 3))
    )
    assert drawn == pytest.approx(base, rel=0.03)


def test_every_row_is_planned_once_and_after_what_it_builds_on() -> None:
    runs = plan()
    assert len(set(runs)) == len(runs) and {run.model for run in runs} == set(ENTRIES)
    for k, run in enumerate(runs):
        base = ENTRIES[run.model].base
        assert not base or Run(base, run.seed) in runs[:k]
    trained = {name: entry.steps for name, entry in ENTRIES.items() if entry.steps}
    assert trained["PhyDA"] + trained["VAE-Var"] == trained["Adas"] == trained["background corrector"]


def made_up(rng: np.random.Generator) -> pd.DataFrame:
    """Sixteen days with weather that makes all errors large or small together."""
    rows = []
    for day in np.arange(0, 16, 0.5):
        weather = 1 + 0.5 * np.sin(day) + 0.1 * rng.standard_normal()
        for model, seen, blind in (("background", 1.0, 1.0), ("OI", 0.7, 1.0), ("Adas", 0.6, 0.9)):
            for observed, left in ((1, seen), (0, blind)):
                mse = weather * left + 0.01 * rng.standard_normal()
                rows.append(dict.fromkeys(COLUMNS, 1.0) | {"model": model, "seed": None, "draw": "a", "day": day,
                            "share": MAIN[0], "noise": MAIN[1], "observed": observed, "mse": mse})  # fmt: skip
    return pd.DataFrame(rows)


def test_what_is_free_and_what_observations_bring() -> None:
    runs = made_up(np.random.default_rng(0))
    table = gains(runs)
    assert list(table.index) == ["OI", "Adas"]
    assert table.loc["OI", "brought"] == pytest.approx(30, abs=1.5) and abs(table.loc["OI", "free"]) < 1
    assert table.loc["Adas", "free"] == pytest.approx(10, abs=1) and table.loc["Adas", "share"] == pytest.approx(
        25, abs=3
    )
    assert (table["brought_low"] < table["brought"]).all() and (table["brought"] < table["brought_high"]).all()
    versus = against(runs, "OI")
    assert versus.loc["Adas", "difference"] == pytest.approx(-10, abs=1) and versus.loc["Adas", "high"] < 0
    assert versus.loc["OI", "low"] == versus.loc["OI", "high"] == 0 and (versus["states"] == 32).all()
    with pytest.raises(PhysLabError, match=r"no row 'FNP' at 0\.02, 0\.25: the table has background, OI, Adas"):
        against(runs, "FNP")
    assert list(cycled_summary(runs)["model"]) == ["background", "OI", "Adas"]
    with pytest.raises(PhysLabError, match=r"no run with share 0\.3, noise 0: the table has share 0\.02, noise 0\.25"):
        cycled_summary(runs, 0.3, 0.0)


def test_intervals_know_that_neighbours_are_alike() -> None:
    """Of a mean of blocks that vary as a whole, the interval covers as often as it says; state by state it does not."""
    rng, hits = np.random.default_rng(1), np.zeros(2)
    for _ in range(200):
        scores = np.repeat(rng.standard_normal(20), 4)[:, None] + 0.1 * rng.standard_normal((80, 1))
        for k, blocks in enumerate((np.repeat(np.arange(20), 4), np.arange(80))):
            _, low, high = block_bootstrap(scores, blocks, draws=200)
            hits[k] += low[0] <= 0 <= high[0]
    assert hits[0] > 175 and hits[1] < 150
    with pytest.raises(PhysLabError, match="1 block of 4 states: an interval needs at least 2"):
        block_bootstrap(np.ones((4, 1)), np.zeros(4))


def test_the_shipped_table_holds_what_is_said_of_it() -> None:
    """Each row has its control on the same states, budgets are equal, and parts and intervals follow from the rows."""
    runs = read_cycled()
    main = runs[(runs["share"] == MAIN[0]) & (runs["noise"] == MAIN[1])]
    states = [set(zip(part["day"], part["draw"], strict=True)) for _, part in main.groupby(["model", "observed"])]
    assert all(one == states[0] for one in states) and len(states) == 2 * main["model"].nunique()
    learns = [name for name, entry in ENTRIES.items() if (entry.steps or entry.base) and entry.lives is None]
    trained = main[main["model"].isin(learns)]
    budget = trained[trained["model"] != AUTOENCODER].groupby("model")["samples"].agg(["min", "max"])
    assert (budget == 8 * STEPS).all(axis=None) and {"background corrector", "Adas", "PhyDA"} <= set(budget.index)
    assert set(zip(runs["share"], runs["noise"], strict=True)) == set(SETTINGS)
    seen = main[main["observed"] == 1].groupby(["model", "day", "draw"])["mse"].mean().unstack(0)
    blind = main[main["observed"] == 0].groupby(["model", "day", "draw"])["mse"].mean().unstack(0)
    assert np.allclose(blind["OI"], blind["background"]) and np.allclose(seen["background"], blind["background"])
    table, base = gains(runs), seen["background"].mean()
    for name, row in table.iterrows():
        assert row["left"] == pytest.approx(100 * seen[name].mean() / base, rel=1e-6)
        assert row["free"] == pytest.approx(100 - 100 * blind[name].mean() / base, abs=1e-6)
        assert row["left"] + row["free"] + row["brought"] == pytest.approx(100)
    rng, blocks = np.random.default_rng(3), np.floor(seen.index.get_level_values("day") / cycled.BLOCK)
    groups, drawn = [seen[blocks == b][["3D-Var", "background"]].sum() for b in np.unique(blocks)], []
    for _ in range(2000):
        left, whole = np.sum([groups[k] for k in rng.integers(len(groups), size=len(groups))], axis=0)
        drawn.append(100 * left / whole)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert abs(low - table.loc["3D-Var", "left_low"]) < 0.25 and abs(high - table.loc["3D-Var", "left_high"]) < 0.25
    assert (runs[(runs["noise"] == 0) & (runs["model"] == "3D-Var")]["stations"] < 0.05).all()


def test_a_task_of_a_study_has_a_name() -> None:
    assert tasks("assimilation", "cycled") == STUDY.name and tasks("assimilation", "") == "assimilation"
    assert tasks("assimilation", "model-error") == "assimilation" and tasks("speed", "") == "speed"
    with pytest.raises(PhysLabError, match="no task 'twin': choose one of model-error, cycled"):
        tasks("assimilation", "twin")
    with pytest.raises(PhysLabError, match="speed has no task 'cycled': leave it out"):
        tasks("speed", "cycled")


def test_a_table_in_words() -> None:
    """What is said follows from the table: who leaves least, to whom observations bring most, what is free."""
    rng, rows = np.random.default_rng(0), []
    left = {"background": (1.0, 1.0), "background corrector": (0.8, 0.8), "3D-Var": (0.6, 0.95), "OI": (0.9, 1.0)}
    for day in np.arange(0, 20, 0.5):
        size = 1 + 0.2 * rng.standard_normal()
        for model, (seen, blind) in left.items():
            for observed, mse in ((1, seen), (0, blind)):
                same = {"seed": np.nan, "share": MAIN[0], "noise": MAIN[1], "draw": "a", "day": day}
                rows.append({"model": model, "observed": observed, **same, "mse": mse * size})
    runs = pd.DataFrame(rows)
    shown, said = phyda.worth(runs), phyda.worth_words(runs)
    assert list(shown.index) == [name for name in ENTRIES if name in left and name != "background"]
    assert "**3D-Var** leaves least: 60.0 %" in said[0] and "20.0 points less" in said[0]
    assert "**3D-Var**: 35.0 %" in said[1] and "takes off 20.0 % (20.0 to 20.0), 0.57 times" in said[2]
    assert gains(runs).loc["OI", "brought"] == pytest.approx(10)
    assert "Of what 3D-Var takes off, 12 % (12 to 13) needs no observation" in said[3]
    assert len(said) == 4 and phyda.draw_worth(runs).axes[0].get_yticklabels()[-1].get_text() == "3D-Var"


def test_a_table_in_words_where_phyda_loses() -> None:
    """The best form of PhyDA stands beside who wins; members are judged by CRPS, spread and what they leave."""
    rng, rows = np.random.default_rng(0), []
    left = {"background": (1.0, 1), "3D-Var": (0.6, 2), "PhyDA": (0.8, 2), "PhyDA" + OUTER: (0.7, 2), "Adas": (0.9, 1)}
    for day in np.arange(0, 20, 0.5):
        size = 1 + 0.2 * rng.standard_normal()
        for model, (part, members) in left.items():
            for (share, noise), observed in (*((setting, 1) for setting in SETTINGS), (MAIN, 0)):
                what = {
                    "model": model,
                    "seed": np.nan,
                    "share": share,
                    "noise": noise,
                    "observed": observed,
                    "draw": "a",
                }
                mse = size * (part if observed else 1.0)
                sure = {"members": members, "spread_skill": part, "stations": part - 0.5}
                rows.append(dict.fromkeys(COLUMNS, 1.0) | what | {"day": day, "mse": mse, "crps": size * part} | sure)
    runs = pd.DataFrame(rows)
    said, sure = phyda.worth_words(runs), phyda.member_words(runs)
    assert "PhyDA + outer step, leaves 10.0 points more (10.0 to 10.0)" in said[1]
    assert "of PhyDA by -10.0 points (-10.0 to -10.0)" in said[4] and "With 0.5 % of the columns 3D-Var" in said[6]
    assert list(phyda.members(runs).index) == ["3D-Var", "PhyDA", "PhyDA" + OUTER]
    assert "**3D-Var**, 10.0 points less than the next (at least 10.0)" in sure[0] and "10.0 points more" in sure[1]
    assert "for PhyDA." in sure[2] and "columns 3D-Var leave at most 15 %, the others up to 30 %" in sure[3]
