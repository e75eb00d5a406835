"""A against B: any two results of a view, in the link, on linked maps, with a difference and its interval."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apps.state import Choice, parse_query, to_query
from physlab.errors import PhysLabError
from physlab.views.compare import blocks_of, compared, per_frame
from tests.apps.pages import session


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("apps.session.SETTLE", 0)


def test_a_second_result_is_in_the_link_and_nonsense_is_said():
    choice = Choice(frame=3, constraint="add", beside="constraint:none,method:bicubic,mode:applied")
    assert parse_query(to_query(choice)) == (choice, (), [])
    other = choice.other()
    assert other == choice.with_(constraint="none", method="bicubic", mode="applied", beside="")
    assert choice.with_(view="ensemble").other() is None  # what differs means nothing there
    assert Choice(beside=other.pinned()).other() == other.with_(frame=0)
    assert choice.scene().beside == ""
    for wrong in ("constraint", "constraint:<script>", "frame:3", "__class__:x", "factor:3"):
        found, _, problems = parse_query(f"?beside={wrong}")
        assert found == Choice() and len(problems) == 1 and "beside" in problems[0]


def test_b_stands_beside_a_with_the_numbers_of_both(store):
    page = session(store, "?constraint=add")
    assert "beside" not in vars(page.second)  # nobody has asked for it
    page._pin()
    page.state.apply(page.state.choice().with_(method="nearest", mode="applied", constraint="none"))
    beside = page.second.beside
    a, b = beside.shown
    assert all(cell.visible for cell in beside.cells.values())
    difference = beside.maps.images["difference"].data["image"][0]
    assert difference == pytest.approx(a.result - b.result) and np.abs(difference).max() > 0
    assert beside.maps.x_range is page.maps.x_range
    assert list(page.maps.spectrum.source.data["other"]) == list(b.power)
    rmse = store.panel(page.state.choice().other()).scores["this"]["rmse"]
    assert f'data-metric="RMSE" data-column="b" data-value="{rmse!r}"' in beside.scores.object
    assert "Constraint: which" in beside.differs.object and "Factor" not in beside.differs.object
    assert 'data-table="paired" data-state="ready"' in beside.scores.object
    page._swap()
    assert page.state.method == "network" and page.second.beside.shown[1].title == a.title
    page._clear()
    assert not any(cell.visible for cell in beside.cells.values()) and beside.scores.object == ""
    assert not page.maps.spectrum.items["other"].visible


def test_a_lesson_may_hide_it_and_what_is_missing_is_said(store):
    page = session(store, "?beside=constraint:add&hide=beside")
    assert not page.other_group.visible and "beside" not in vars(page.second)
    page = session(store, "?network=gan&constraint=add&beside=constraint:none")
    assert "too many" in page.second.beside.scores.object


def test_a_difference_is_told_only_where_the_weather_does_not_explain_it():
    rng, frames = np.random.default_rng(0), 60
    time = np.datetime64("2001-01-01") + np.arange(frames).astype("timedelta64[D]")
    truth = torch.from_numpy(rng.normal(size=(frames, 1, 8, 8)))
    coarse = torch.nn.functional.avg_pool2d(truth, 2)
    noise = torch.from_numpy(rng.normal(size=truth.shape))
    near, far = (per_frame(truth + size * noise, truth, coarse, 2, None) for size in (0.5, 0.6))
    found, days = compared(near, far, time)
    assert days == 5 and found["rmse"].sure and found["rmse"].value == pytest.approx(-0.1, rel=0.05)
    assert found["rmse"].low < found["rmse"].value < found["rmse"].high < 0
    same = per_frame(truth + 0.5 * noise.flip(0), truth, coarse, 2, None)
    assert not compared(near, same, time)[0]["rmse"].sure
    assert blocks_of(time[:20])[1] == 2.0
    with pytest.raises(PhysLabError, match="same frames"):
        compared(near, far[:3], time)
