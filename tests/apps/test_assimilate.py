"""The Assimilate view without a browser: its numbers are the library's, its script repeats them, long work can be
stopped, and a method that is not there is said."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest

import physlab
from apps.assimilate import tables, words
from apps.assimilate.maps import QUANTITY, ROWS
from apps.assimilate.store import Analyses, plain
from apps.options import ASSIMILATORS, CHANNELS, GRID, LEVELS, OWN, STATES
from apps.problems import Overtaken
from apps.state import Setup
from physlab.views.twin import HEADLINE, Twin
from physlab.zoo import assimilator_folders
from tests.apps import pages

QUICK = Setup(assimilator="adas")
DRAWN = Setup(channel="q700", share=0.5, noise=0.25, members=2, seed=3, own="3000.412", balance="thickness")


@pytest.fixture(autouse=True)
def zoo(untrained_assimilators, monkeypatch):
    monkeypatch.setenv("PHYSLAB_ASSETS", str(untrained_assimilators))


@pytest.fixture(scope="module")
def analyses():
    return Analyses()


@pytest.fixture(scope="module")
def twin():
    return Twin.open()


@pytest.fixture
def session(store, analyses, monkeypatch):
    """session(query) -> a page at that address."""
    store.analyses = analyses
    return lambda query="": pages.session(store, "?view=assimilate" + query)


def test_what_can_be_chosen_is_there(twin):
    assert twin.space.shape[1:] == GRID and twin.space.levels == LEVELS and len(twin.times) == STATES
    assert set(twin.space.names) == set(CHANNELS)


def test_every_assimilator_in_the_zoo_has_a_name_for_people(analyses):
    assert {plain(name) for name in assimilator_folders()} <= {plain(name) for name in ASSIMILATORS}
    assert {"phyda", "adas"} <= set(analyses.offers())
    assert plain("vae-var-s2") == plain("vaevar") == "vaevar"


@pytest.mark.parametrize("setup", [QUICK, DRAWN])
def test_maps_and_numbers_are_those_of_the_library(analyses, twin, setup):
    picture = analyses.picture(setup)
    members = setup.members if setup is DRAWN else 1
    case = twin.case(setup.when, setup.share / 100, setup.points, setup.noise, setup.seed)
    method = physlab.load_model(f"{setup.assimilator}-s0")
    made = method.analyse(case.background, case.observations, members=members, seed=setup.seed)
    mean = made.mean("member") if members > 1 else made
    name, level = ("q", 700) if setup is DRAWN else ("z", 500)
    expected = (1e3 if name == "q" else 1.0) * mean[name].sel(level=level).values
    np.testing.assert_allclose(np.roll(picture.maps["analysis"], 64, axis=-1), expected, rtol=2e-5, atol=1e-5)
    wanted = case.scores(made, picture.scores)
    for field, row in wanted.items():
        assert picture.scores[field] == pytest.approx(row, rel=1e-4, abs=1e-6)
    assert set(picture.scores) == {*HEADLINE, setup.channel}
    assert picture.balance["analysis"] == pytest.approx(case.balance(made)["analysis"], rel=1e-4)
    assert picture.members == members and ("spread" in picture.maps) == (members > 1)
    for key, image in picture.maps.items():
        assert key in QUANTITY and image.dtype == np.float32 and image.shape == GRID
        assert np.isfinite(image).all() or key.startswith("of_")
    maps = picture.maps
    np.testing.assert_allclose(maps["increment"], maps["error"] - maps["before"], atol=1e-2)
    assert set(QUANTITY) | {"spectrum"} == {name for row in ROWS for name in row}


def test_own_stations_are_observed_and_marked(analyses, twin):
    picture = analyses.picture(DRAWN)
    assert picture.own.sum() == 2 and len(picture.own) == round(0.005 * 8192) + 2
    west = (twin.space.longitude[3000 % 128] + 180) % 360 - 180
    assert (west, twin.space.latitude[3000 // 128]) in set(zip(picture.longitude, picture.latitude, strict=True))


def test_limits_belong_to_a_field_whatever_was_made(analyses):
    one, other = analyses.picture(QUICK), analyses.picture(replace(QUICK, when=2, share=10.0))
    assert one.limits == other.limits
    low, high = one.limits["error"]
    assert low == -high < 0 and one.limits["spread"] == (0.0, high / 2)


def test_another_field_of_a_known_analysis_is_not_made_again(analyses, monkeypatch):
    analyses.picture(QUICK)
    assert analyses.known(QUICK) and analyses.known(replace(QUICK, channel="tcw", balance="thickness", members=16))
    monkeypatch.setattr("apps.assimilate.store.Analyses._analyse", None)
    assert analyses.picture(replace(QUICK, channel="tcw")).units == "kg m⁻²"
    assert not analyses.known(replace(QUICK, seed=9))


def test_long_work_tells_how_far_it_is_and_stops(analyses):
    told, setup = [], Setup(members=2, seed=7)
    with pytest.raises(Overtaken):
        analyses.picture(setup, lambda: len(told) > 2, lambda done, steps: told.append((done, steps)))
    assert told[0][1] > 3 and len(told) < told[0][1] and not analyses.known(setup)
    assert analyses.picture(setup).members == 2


def test_copied_code_gives_the_same_numbers(analyses):
    picture, printed = analyses.picture(DRAWN), io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tables.script(picture, "phyda-s0"), "copied", "exec"), {})
    found = {}
    for line in printed.getvalue().splitlines():
        name, column, value = line.split()
        found.setdefault(name, {})[column] = float(value)
    assert found.keys() == picture.scores.keys()
    for name, row in picture.scores.items():
        assert found[name] == pytest.approx(row, rel=1e-4, abs=1e-6)


def test_words_ask_about_what_is_chosen(analyses):
    setups = (QUICK, DRAWN, replace(QUICK, share=0.0), replace(QUICK, share=0.0, own="3000"), replace(QUICK, noise=1.0))
    assert len({words.question(analyses.picture(setup)) for setup in setups}) == 5
    assert "Spread over skill" in words.answer(analyses.picture(DRAWN))
    assert "no analysis" in words.answer(analyses.started(QUICK))


@pytest.mark.slow
def test_a_page(session, analyses):
    page = session("&assimilator=adas&channel=u500&own=3000")
    view, key = page.assimilate, page.state.choice().key()
    assert view.shown is analyses.picture(replace(QUICK, channel="u500", own="3000"))
    assert f'data-status="ready" data-key="{key}"' in page.status.object
    assert f'data-table="analysis" data-key="{key}"' in view.numbers.object
    assert view.maps.images["analysis"].data["image"][0] is view.shown.maps["analysis"]
    assert "no members" in view.maps.silence["spread"].data["text"][0]
    assert not page.groups["members"].visible and not page.groups["factor"].visible
    assert "one of them" not in view.strip.words.object and "1 of them yours" in view.strip.words.object
    assert "adas-s0" in view.card.object and "adas-s0" in view.code.object
    assert page.downscale not in page.main
    page.controls["assimilator"].value = "phyda"
    page.controls["members"].value = 2
    assert view.shown.members == 2 and page.groups["members"].visible
    assert view.maps.silence["spread"].data["text"] == []
    assert 'data-column="spread_skill"' in view.numbers.object
    page.controls["share"].value = 0.0
    assert view.shown.own.all() and len(view.maps.columns.data["x"]) == 0
    page.controls["view"].value = "downscale"
    assert page.downscale.visible and not view.view.visible


@pytest.mark.slow
def test_a_click_places_a_station_and_takes_it_away(session):
    page = session("&assimilator=adas&share=0")
    view = page.assimilate
    view.stations.place(-101.0, 40.0)
    assert page.state.own == str(46 * 128 + 92)
    view.stations.place(10.0, -30.0)
    assert len(view.shown.own) == 2 and "2 of at most" in view.stations.words.object
    assert view.maps.own.data["x"] == pytest.approx([-101.25, 11.25])
    view.stations.place(-101.0, 40.0)
    assert page.state.own.count(".") == 0
    view.stations.clear.clicks += 1
    assert page.state.own == "" and len(view.shown.own) == 0
    page.state.own = ".".join(map(str, range(OWN)))
    view.stations.place(0.0, 80.0)
    assert f"There are {OWN} stations" in page.messages.object and page.state.own.count(".") == OWN - 1


def test_a_method_that_is_not_there_leaves_the_rest(session, analyses):
    page = session("&assimilator=sda")
    view = page.assimilate
    assert "is not installed; here are: " in page.messages.object
    assert view.maps.silence["analysis"].data["text"] == ["Not installed."]
    assert view.maps.images["truth"].data["image"][0].shape == GRID
    page.controls["assimilator"].value = "adas"
    assert view.shown.scores and "not installed" not in page.messages.object


def test_the_button_stops_and_makes_again(session, analyses):
    page = session("&assimilator=adas")
    view = page.assimilate
    pages.stop_and_go_on(page, view, "analysis")
    assert view.shown.scores


def test_a_lesson_hides_panels(session):
    page = session("&assimilator=adas&hide=of_truth,when,card")
    view = page.assimilate
    assert not view.cells["of_truth"].visible and view.cells["truth"].visible
    assert view.card not in view.tabs.objects and not page.groups["when"].visible


@pytest.mark.slow
def test_two_pages_share_analyses_and_nothing_else(session):
    first, second = session("&assimilator=adas"), session("&assimilator=adas")
    first.state.own = "77"
    assert second.state.own == "" and not second.assimilate.shown.own.any()
    assert first.assimilate.maps.figures["truth"] is not second.assimilate.maps.figures["truth"]
