"""The Continuous view without a browser: its numbers are the library's, its script repeats them, and it says what is
not known."""

from __future__ import annotations

import contextlib
import io
import re

import numpy as np
import pytest

from apps.continuous import tables, words
from apps.continuous.maps import QUANTITY
from apps.continuous.store import Moments
from apps.options import FIELDS, NUMBERS, VARIABLES
from apps.problems import Overtaken
from apps.state import Choice, Look
from physlab.errors import PhysLabError
from physlab.views.window import Window
from tests.apps import pages

WHOLE, BETWEEN = Look(), Look("q", "no-equations", 100.25, 4, -38.0, 40.0)


@pytest.fixture(scope="module")
def moments():
    return Moments()


@pytest.fixture(scope="module")
def window():
    return Window.open()


@pytest.fixture
def session(store, moments, monkeypatch):
    """session(query) -> a page at that address, with coefficients that cost nothing."""
    monkeypatch.setattr("physlab.phydl.PhyDL.coefficients", lambda self: coefficients(self, 1024, 20), raising=True)
    store.moments = moments
    return lambda query: pages.session(store, query)


def coefficients(model, points, draws):
    import pandas as pd

    from physlab.phydl import coefficient_table
    from physlab.phydl.fit import solve

    normals = solve(model.with_network(model.network), points, 7)
    return pd.concat([coefficient_table(n, draws=draws) for n in normals.values()], ignore_index=True)


@pytest.mark.parametrize("look", [WHOLE, BETWEEN, Look("z", moment=3.0, zoom=8), Look("u", "no-equations", 240.0)])
def test_maps_and_numbers_are_those_of_the_library(moments, window, look):
    moment = moments.moment(look)
    box = window.box(look.zoom, look.east, look.north)
    assert moment.numbers == window.numbers(look.variable, look.moment, look.field, box)
    scale = 1e3 if look.variable == "q" else 1.0
    fine = scale * window.field(look.field, look.moment, box)[look.variable].values[0]
    np.testing.assert_allclose(moment.maps["continuous"][0], fine, rtol=1e-6)
    assert ("truth" in moment.maps) == ("error" in moment.maps) == ("truth" in moment.spectra) == moment.whole
    assert ("force" in moment.maps) == ("law" in moment.maps) == (look.variable != "z")
    for name, (image, (west, east, south, north)) in moment.maps.items():
        assert name in QUANTITY and image.dtype == np.float32 and np.isfinite(image).all()
        assert west < box.west < box.east < east and south < box.south < box.north < north, name  # nothing is cut off


def test_the_error_is_field_minus_truth_at_the_windows_points(moments, window):
    moment = moments.moment(WHOLE)
    error, truth = moment.maps["error"][0], moment.maps["truth"][0]
    assert error.shape == truth.shape == (33, 33)
    made = 1e3 * window.field("equations", 100.0)["q"].values[0]
    np.testing.assert_allclose(error, made - truth, atol=1e-5)
    held = np.ones((33, 33), bool)
    assert np.sqrt(np.mean(error[held] ** 2)) == pytest.approx(moment.numbers["equations"]["rmse"], rel=1e-5)


@pytest.mark.slow
def test_a_law_is_shared_by_both_fields(moments):
    ours, bare = moments.moment(WHOLE), moments.moment(Look(field="no-equations"))
    for name in ("law", "bare", "force"):
        assert np.array_equal(ours.maps[name][0], bare.maps[name][0]), name
    assert ours.limits == bare.limits
    laws = moments.laws()
    assert moments.laws() is laws is moments.cached_laws()
    assert set(laws.coefficients["equation"]) == set(VARIABLES) - {"z"} == set(laws.balance)


def test_limits_are_those_of_a_variable_and_a_box(moments):
    first, later = (
        moments.moment(Look("v", field, hour)) for field, hour in (("equations", 7.0), ("no-equations", 9.5))
    )
    assert first.limits == later.limits
    for name in ("field", "error", "residual", "force"):
        low, high = first.limits[name]
        assert low == -high < 0, name  # winds too diverge
    assert moments.moment(WHOLE).limits["field"][0] >= 0


def test_moments_are_made_once_and_the_whole_window_has_no_centre(moments):
    assert moments.cached(Look(moment=17.5)) is None
    made = moments.moment(Look(moment=17.5))
    assert moments.moment(Look(moment=17.5, east=-50.0)) is made is moments.cached(Look(moment=17.5, north=60.0))
    assert moments.moment(Look(moment=17.5, zoom=2)) is not made


def test_work_that_nobody_waits_for_stops_and_can_be_asked_for_again(moments):
    calls = []

    def cancelled():
        calls.append(1)
        return True

    look = Look("t", moment=33.25, zoom=2)
    with pytest.raises(Overtaken):
        moments.moment(look, cancelled)
    assert len(calls) == 1 and moments.cached(look) is None
    assert moments.moment(look).look == look


def test_every_place_and_moment_that_can_be_chosen_is_in_the_window(moments, window):
    (west, east, _), (south, north, _), (first, last, step) = (NUMBERS[n] for n in ("east", "north", "moment"))
    x, y = window.ds["longitude"].values - 360, window.ds["latitude"].values
    assert x[0] <= west < east <= x[-1] and y[0] <= south < north <= y[-1]
    assert (first, last) == (0, window.last)
    with pytest.raises(PhysLabError):
        window.time(last + step)
    for hour in (first, last):
        for place in ((west, south), (east, north)):
            assert moments.moment(Look("tcw", "equations", hour, 8, *place)).whole


@pytest.mark.parametrize("look", [WHOLE, BETWEEN, Look("z", "equations", 0.25, 2, -20.0, 60.0)])
def test_copied_code_gives_the_same_numbers(moments, look):
    moment, printed = moments.moment(look), io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tables.script(moment), "copied", "exec"), {})
    found = {column: {} for column in moment.numbers}
    for line in printed.getvalue().splitlines():
        column, name, value = line.split()
        found[column][name] = float(value)
    assert found.keys() == moment.numbers.keys()
    for column, numbers in moment.numbers.items():
        assert found[column] == pytest.approx(numbers, rel=1e-6)


def test_the_table_holds_full_numbers_and_marks_the_best(moments):
    page = tables.numbers_html(moments.moment(WHOLE), "key")
    cells = re.findall(r'<td class="(.*?)" data-metric="(\w+)" data-column="([\w-]+)" data-value="(.*?)">', page)
    numbers = moments.moment(WHOLE).numbers
    for _, metric, column, value in cells:
        assert float(value) == numbers[column][metric]
    assert len(cells) == sum(len(column) for column in numbers.values())
    assert [c for kind, m, c, _ in cells if m == "rmse" and "best" in kind] == ["equations"]
    assert "nobody has data" in tables.numbers_html(moments.moment(BETWEEN), "key")


def test_words_say_what_is_not_known(moments):
    assert "no truth" in words.answer(moments.moment(BETWEEN))
    assert "no equation" in words.answer(moments.moment(Look("z")))
    questions = {
        words.question(moments.moment(look)) for look in (WHOLE, BETWEEN, Look("z"), Look(moment=0.5), Look(zoom=2))
    }
    assert len(questions) == 5


def test_a_page_at_a_moment_between_hours(session, moments):
    page = session("?v=1&view=continuous&variable=q&hour=100.25&zoom=4&east=-38&north=40&field=no-equations")
    view = page.continuous
    assert view.shown is moments.moment(BETWEEN) and view.view.visible and not page.downscale.visible
    assert page.downscale not in page.main  # nobody has looked at it
    assert f'data-status="ready" data-key="{page.state.choice().key()}"' in page.status.object
    assert view.maps.images["continuous"].data["image"][0] is view.shown.maps["continuous"][0]
    assert np.isnan(view.maps.images["truth"].data["image"][0]).all()
    assert "nobody has data" in view.maps.silence["truth"].data["text"][0]
    assert (view.maps.x_range.start, view.maps.x_range.end) == view.shown.box[:2]
    assert page.controls["moment"].value == 401
    assert 'data-table="coefficients" data-state="ready"' in view.coefficients.object
    assert "nature-window-no-equations-s0" in view.card.object
    page.controls["moment"].value = 404
    assert page.state.moment == 101.0 and view.shown.whole
    assert view.maps.silence["truth"].data["text"] == []
    assert view.maps.images["truth"].data["image"][0] is view.shown.maps["truth"][0]
    page.controls["variable"].value = "z"
    assert "No equation" in view.maps.silence["law"].data["text"][0]
    page.controls["view"].value = "downscale"
    assert page.downscale.visible and not view.view.visible and page.shown is not None
    assert not page.groups["moment"].visible and page.groups["frame"].visible


def test_a_click_on_the_small_map_looks_there(session):
    page = session("?view=continuous")
    page.continuous._go(-30.5, 45.0)
    assert (page.state.zoom, page.state.east, page.state.north) == (4, -30.5, 45.0)
    assert page.continuous.locator.box.data["left"][0] == pytest.approx(page.continuous.shown.box[0] - 360)
    page.controls["zoom"].value = 8
    page.continuous._go(-60.0, 22.0)
    assert page.state.zoom == 8


def test_a_lesson_hides_panels(session):
    page = session("?view=continuous&hide=given,coefficients,east,card")
    view = page.continuous
    assert not view.cells["given"].visible and view.cells["truth"].visible
    assert not view.coefficients.visible and view.card not in view.tabs.objects
    assert not page.groups["east"].visible and page.groups["north"].visible


def test_missing_fields_are_one_sentence_and_leave_the_rest(session, store, monkeypatch):
    def gone(name):
        raise FileNotFoundError(f"no model {name!r}")

    monkeypatch.setattr("physlab.views.window.load_model", gone)
    store.moments = Moments()
    page = pages.session(store, "?view=continuous")
    assert "The continuous fields are not available" in page.messages.object
    assert 'data-status="failed"' in page.status.object
    page.state.view = "downscale"
    assert page.shown.choice == Choice().scene() and "not available" not in page.messages.object


def test_two_pages_share_moments_and_nothing_else(session):
    first, second = session("?view=continuous"), session("?view=continuous")
    first.state.moment = 12.0
    assert second.state.moment == Look.moment and second.continuous.shown.look == WHOLE
    assert first.continuous.maps.figures["given"] is not second.continuous.maps.figures["given"]


def test_every_field_has_a_card(moments):
    for name in FIELDS:
        card = tables.card_html(moments.card(name), name)
        assert "6,561 points" in card and "54,468" in card and "RMSE" in card
