"""The Benchmark view: tables of all chapters, sorted and filtered, and the way from a row to the live view."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from apps.chapters import chapter_html, live_link, sortable
from apps.options import STUDIES
from apps.state import Choice, parse_query
from physlab.data.assets import asset_folders
from tests.apps.pages import session


def test_every_table_that_ships_can_be_chosen(store):
    there = {file.stem for folder in asset_folders() for file in (folder / "results").glob("*.csv")}
    assert there <= set(STUDIES) and len(there) > 5
    page = session(store, "?view=benchmark&study=speed")
    assert 'data-chapter="speed"' in page.benchmark.table.object and not page.benchmark.plot.visible
    assert not page.groups["dataset"].visible if "dataset" in page.groups else True
    assert page.state.choice().scene() == Choice().scene()
    assert "ready" in page.status.object


def test_a_table_holds_the_numbers_of_its_study():
    found = re.findall(r'data-number="([^"]+)"', chapter_html("speed"))
    assert found
    table = sortable(pd.DataFrame({"method": ["a<b"], "x": [0.123456], "y": [float("nan")]}), "three")
    assert "a&lt;b" in table and 'data-number="0.123456"' in table and "<td>–</td>" in table
    assert table.count('class="sort"') == 3


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"model": "bicubic", "kind": "baseline", "constraint": "add"}, {"method": "bicubic", "mode": "applied"}),
        ({"model": "edsr", "kind": "network", "constraint": "none"}, {"method": "network", "network": "edsr"}),
        ({"model": "linear", "kind": "statistical", "constraint": "none"}, {"statistic": "linear"}),
    ],
)
def test_a_row_leads_to_the_live_view(row, wanted):
    choice, _, problems = parse_query(live_link(pd.Series(row), "era5-uk-t2m", 4))
    assert not problems and choice.view == "downscale" and choice.dataset == "era5-uk-t2m"
    assert all(getattr(choice, name) == value for name, value in wanted.items())
    assert choice.constraint == row["constraint"]
    assert live_link(pd.Series({"model": "unknown", "kind": "network", "constraint": "add"}), "tcw", 4) == ""
