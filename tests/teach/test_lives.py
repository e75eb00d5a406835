"""The month of cycles in the chapter: its numbers are means of the table, its words follow them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from physlab.benchmark.cycles import CLASSICAL, COLUMNS, FREE
from physlab.constants import GRAVITY
from physlab.teach import phyda
from physlab.teach.phyda.lives import best_of, steady


def month(letkf: float = 0.8, growth: float = 1.0) -> pd.DataFrame:
    """Three methods over 30 days on the same weather; errors of `LETKF` over those of 3D-Var, and how its errors of
    the last third of the days grow."""
    dice, rows = np.random.default_rng(0), []
    for day in np.arange(0.5, 30.5, 0.5):
        weather = 100 * (1 + 0.2 * dice.standard_normal())
        for name, size in ((FREE, 8.0), (CLASSICAL, 1.0), ("LETKF", letkf * (growth if day > 21.7 else 1.0))):
            leads = [("background", 12.0, 1.4), ("analysis", 0.0, 1.0)]
            if (2 * day) % 4 == 0:
                leads += [("forecast", 24.0 * k, 1.0 + k) for k in (1, 2, 3, 4, 5)]
            for kind, lead, factor in leads:
                error = size * factor * weather
                spread = error if name == "LETKF" and kind == "analysis" else np.nan
                rows.append(dict(zip(COLUMNS, (name, np.nan, 0, kind, lead, day, error, 0.9, 1.0, 2.0, spread),
                                     strict=True)))  # fmt: skip
    return pd.DataFrame(rows)


def test_the_table_is_of_means_past_the_first_days_in_metres():
    runs = month()
    table = phyda.lives(runs)
    assert [*table.index] == [FREE, CLASSICAL, "LETKF"]
    late = runs[(runs["day"] > 5) & (runs["model"] == CLASSICAL)]
    for kind, lead, title in (("analysis", 0.0, "analysis"), ("forecast", 72.0, "forecast of 3 d")):
        mean = late[(late["kind"] == kind) & (late["lead"] == lead)]["rmse_z500"].mean() / GRAVITY
        assert table.loc[CLASSICAL, title].startswith(f"{mean:.1f} (")
    assert table["spread / error"].tolist() == ["", "", "1.00"]
    assert phyda.lives(runs[runs["kind"] != "forecast"])["forecast of 5 d"].tolist() == ["", "", ""]


def test_words_say_who_wins_and_what_runs_away():
    words = " ".join(phyda.lives_words(month()))
    assert "the analysis is that of **LETKF** (20 % less than the next)" in words
    assert "no cycle runs away" in words and "it is 12 % of that" in words
    assert "LETKF runs away" in " ".join(phyda.lives_words(month(growth=2.0)))
    assert steady(month(growth=2.0))["LETKF"] == pytest.approx(2 * steady(month())["LETKF"])
    runs = month(letkf=1.0)
    assert "not beyond the interval" in best_of(runs, "analysis", 0.0)


def test_the_figure_has_a_line_for_each_in_both_panels():
    fig = phyda.draw_lives(month())
    assert [len(ax.lines) for ax in fig.axes] == [3, 3] and fig.axes[1].lines[0].get_xdata().tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]
