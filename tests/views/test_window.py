"""The window at one moment: boxes stay within, whole hours agree with the benchmark, and between them is no truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.benchmark.continuous import GRIDDED, given_points, interpolate_grid, thinned
from physlab.errors import PhysLabError
from physlab.phydl import Domain
from physlab.views.window import FIELDS, Box, Window, nearest_given, shown, under


@pytest.fixture(scope="module")
def window():
    return Window.open()


def test_a_box_is_a_part_of_the_window_and_never_leaves_it():
    domain = Domain((300.0, 340.0), (20.0, 60.0), (0.0, 1.0))
    assert Box.of(domain) == Box(300.0, 340.0, 20.0, 60.0)
    assert Box.of(domain, 4, -40.0, 40.0) == Box.of(domain, 4, 320.0, 40.0) == Box(315.0, 325.0, 35.0, 45.0)
    assert Box.of(domain, 4, -61.0, 90.0) == Box(300.0, 310.0, 50.0, 60.0)
    with pytest.raises(PhysLabError, match="magnification"):
        Box.of(domain, 0.5)


def test_a_box_is_resolved_beyond_the_grid_and_keeps_its_corners(window):
    box = window.box(8, -30.0, 45.0)
    grid = box.grid(window.time(100.5), 97)
    assert (grid.longitude.values[0], grid.latitude.values[-1]) == (box.west, box.north)
    spacing = float(np.diff(window.ds.longitude)[0])
    assert float(np.diff(grid.longitude)[0]) == pytest.approx(spacing * 32 / 8 / 96)
    assert box.holds(window.ds).sum() == 16  # of 1089 points


def test_whole_hours_have_truth_and_the_errors_of_the_library(window):
    held, box = ~given_points(window.ds)[100], window.box()
    numbers = window.numbers("q", 100, "equations", box)
    truth = window.ds["q"].values[100]
    made = window.fields["equations"].downscale(to=window.ds.isel(time=[100]))["q"].values[0]
    smooth = interpolate_grid(thinned(window.ds), window.ds.isel(time=[100]), window.best("q"))["q"].values[0]
    for name, x in {"equations": made, "interpolation": smooth}.items():
        assert numbers[name]["rmse"] == pytest.approx(1e3 * np.sqrt(np.mean((x - truth)[held] ** 2)), rel=1e-9)
    assert numbers["truth"] == pytest.approx(
        {"low": 1e3 * truth.min(), "high": 1e3 * truth.max(), "mean": 1e3 * truth.mean()}
    )
    assert numbers["equations"]["ratio"] < numbers["no-equations"]["ratio"] < 1


def test_between_two_hours_nobody_has_data(window):
    numbers = window.numbers("q", 100.5, "no-equations", window.box(4))
    assert window.truth(100.5) is None and numbers["truth"] == {}
    assert not any("rmse" in column for column in numbers.values())
    assert {"low", "high", "mean", "residual"} <= numbers["no-equations"].keys()
    assert "low" not in numbers["equations"]  # of the field that was asked for, only
    for hour in (-0.25, 240.25):
        with pytest.raises(PhysLabError, match="extrapolates"):
            window.truth(hour)


def test_interpolation_passes_through_the_given_points(window):
    given = window.given(99)
    for variable in ("u", "z"):
        assert window.best(variable) in GRIDDED
        through = window.interpolation(variable, 99)[::4, ::4]
        np.testing.assert_allclose(through, given[variable].values[0], rtol=1e-9, atol=1e-9)
    box = window.box(4)
    assert window.interpolation("u", 99.25, box).shape == (97, 97)
    whole = window.interpolation("u", 99.25, window.box(), 33)  # equally spaced rows, the window nearly so
    np.testing.assert_allclose(whole, window.interpolation("u", 99.25), atol=0.1)
    assert [nearest_given(h) for h in (0, 1.25, 1.5, 100, 100.5, 240)] == [0, 0, 3, 99, 102, 240]
    assert window.given(100.5).time.values == window.time(102)


def test_one_law_for_both_fields(window):
    box = window.box(2)
    law, bare = (window.residual(name, 50.25, box)["v"] for name in FIELDS)
    points = torch.tensor([[box.west, box.south, 50.25 * 3600]])
    np.testing.assert_allclose(law[0, 0], window.law.residual_at(points)["v"], rtol=1e-4)
    assert np.sqrt(np.mean(bare**2)) > 2 * np.sqrt(np.mean(law**2))
    assert under(window.fields["no-equations"], window.law).solution.keys() == window.law.solution.keys()
    assert not window.fields["no-equations"].solution  # left as it is
    for v, row in window.balance(1024).items():
        assert row["equations"] < row["no-equations"], v
        assert 0.5 < row["equations"] / row["truth"] < 2, v  # about as balanced as the truth


def test_force_is_per_hour_and_z_has_no_law(window):
    box = window.box()
    points = torch.tensor([[box.west, box.south, 7 * 3600.0]])
    force = window.force("t", 7, box)
    assert force[0, 0] == pytest.approx(3600 * float(window.law.force_at(points, "t")), rel=1e-5)
    numbers = window.numbers("z", 7, "equations", box)
    found = window.numbers("t", 7, "equations", box)["equations"]
    assert found["rate"] == pytest.approx(3600 * window.law.tendency["t"] * found["residual"])
    assert "residual" not in numbers["equations"] and "force" not in numbers["equations"]
    assert shown("q") == (1e3, "g kg⁻¹") and shown("z")[0] == 1.0
