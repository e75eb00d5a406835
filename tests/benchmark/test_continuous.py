"""The benchmark of continuous fields: what it gives and asks, that it resumes, and what the shipped table says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import physlab
from physlab.benchmark import benchmark_continuous, continuous_summary, read_continuous
from physlab.benchmark.continuous import (
    FIELDS,
    GRIDDED,
    REGULAR,
    SHARES,
    VARIABLES,
    Run,
    given_points,
    interpolate,
    make_case,
    plan,
    thinned,
    window,
)
from physlab.errors import PhysLabError
from physlab.nn.coordinate import CoordinateNetwork

RUNS = [Run(REGULAR, "trilinear", None), Run("1 %", "cubic radial functions", 1), Run(REGULAR, "equations", 0)]


def test_given_and_asked_points_share_nothing():
    case = make_case(REGULAR)
    assert len(case.points) == 81 * 9 * 9 and len(case.points) + len(case.asked) == 241 * 33 * 33
    ds, given = window(), given_points(window())
    assert np.array_equal(ds["q"].values[given], thinned(ds)["q"].values.ravel())
    for seed in (0, 1):
        case = make_case("1 %", seed)
        both = {tuple(p) for p in case.points.tolist()} & {tuple(p) for p in case.asked.tolist()}
        assert len(case.points) == 2624 and not both
    assert not torch.equal(make_case("1 %", 0).points, make_case("1 %", 1).points)
    with pytest.raises(PhysLabError, match="x4, 3 h"):
        make_case("2 %")


def test_interpolation_against_scipy_on_the_whole_grid():
    from scipy.interpolate import RegularGridInterpolator

    case = make_case(REGULAR)
    made = interpolate(case, "trilinear")[:, VARIABLES.index("u")]
    hours = np.arange(0, 241, 3.0)
    exact = RegularGridInterpolator(
        (hours, case.regular.latitude.values, case.regular.longitude.values), case.regular["u"].values
    )
    at = case.asked.double().numpy()
    wanted = exact(np.stack([at[:, 2] / 3600, at[:, 1].clip(*case.domain.y), at[:, 0].clip(*case.domain.x)], -1))
    assert np.allclose(made, wanted, atol=1e-3)


@pytest.mark.slow
def test_runs_and_resumes(tmp_path):
    said: list[str] = []
    quick = {"steps": 6, "batch": 256, "collocation": 16, "solve_points": 256}
    path = benchmark_continuous(tmp_path, 2, RUNS[:2], said.append, **quick)
    first = path.read_text()
    benchmark_continuous(tmp_path, 2, RUNS, said.append, **quick)
    assert "3 runs, 2 of them known" in said[3] and first.splitlines()[1] in path.read_text()
    table = read_continuous(path)
    assert len(table) == 3 and table["rmse_u"].between(0.5, 50).all()
    with pytest.raises(PhysLabError, match="1 of 1 runs failed"):
        benchmark_continuous(tmp_path / "bad", 1, [Run("2 %", "equations", 0)], said.append)
    path.write_text("data,method\n")
    with pytest.raises(PhysLabError, match="lacks the columns"):
        read_continuous(path)


def test_shipped_table_is_complete_and_says_what_the_book_says():
    runs = read_continuous()
    there = {(d, m, None if s is pd.NA else int(s)) for d, m, s in zip(runs.data, runs.method, runs.seed, strict=True)}
    assert {(run.data, run.method, run.seed) for run in plan()} == there
    table = continuous_summary(runs).set_index(["data", "method", "variable"])
    assert (table.loc[(REGULAR, list(FIELDS)), "seeds"] == 3).all()
    for v in ("u", "v", "t", "q"):  # better than every interpolation, beyond the spread over seeds
        row = table.loc[(REGULAR, "equations", v)]
        assert row["ratio"] + 2 * row["ratio_spread"] < 1, v
        for method in GRIDDED:
            assert row["rmse"] < table.loc[(REGULAR, method, v), "rmse"]
        for data in (REGULAR, *SHARES):
            assert table.loc[(data, "equations", v), "ratio"] < table.loc[(data, "no equations", v), "ratio"]


@pytest.mark.slow
def test_shipped_fields_have_the_errors_of_their_cards():
    case = make_case(REGULAR)
    for name in ("nature-window-equations", "nature-window-no-equations-s0"):
        model = physlab.load_model(name)
        assert isinstance(model.network, CoordinateNetwork)
        error = (model.evaluate(case.asked) - case.truth).double().square().mean(0).sqrt()
        for v, found in zip(VARIABLES, error.tolist(), strict=True):
            assert found == pytest.approx(model.card["scores"][f"rmse_{v}"], rel=0.02), (name, v)
    assert "continuous" in set(physlab.list_models()["kind"])
