"""The Assimilate view in a real browser: choose, place stations, stop long work, and compare the numbers.

With the methods that ship, or with small untrained ones where these are not there.
"""

from __future__ import annotations

import pytest

from apps.assimilate.store import Analyses
from apps.options import ASSIMILATORS, CHANNELS
from apps.screenshot import serve
from apps.state import Choice, Setup, parse_query, to_query
from physlab import load_model
from physlab.views.brush import band_scores
from physlab.views.twin import Twin
from physlab.zoo import assimilator_folders
from tests.apps.pages import drag, numbers_on, press, stop, take_turns, wait_for

pytestmark = pytest.mark.browser
NEEDED = ("phyda-s0", "adas-s0")
START = Choice(view="assimilate", assimilator="adas", share=1.0)


@pytest.fixture(scope="module")
def address(request):
    if set(NEEDED) <= set(assimilator_folders()):
        yield request.getfixturevalue("explorer")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHYSLAB_ASSETS", str(request.getfixturevalue("untrained_assimilators")))
        with serve(timeout=180.0) as address:
            yield address


@pytest.fixture(scope="module")
def twin():
    return Twin.open()


def same(page, choice: Choice, twin: Twin) -> None:
    """The scores on the page are those of the library."""
    wait_for(page, choice)
    shown = numbers_on(page, "analysis", "field", "column")
    setup, method = choice.part(Setup), load_model(f"{choice.assimilator}-s0")
    members = setup.members if method.ensemble else 1
    case = twin.case(setup.when, setup.share / 100, setup.points, setup.noise, setup.seed)
    made = method.analyse(case.background, case.observations, members=members, seed=setup.seed)
    wanted = case.scores(made, dict.fromkeys(field for field, _, _ in shown))
    assert {(field, column) for field, column, _ in shown} == {(f, c) for f, row in wanted.items() for c in row}
    for field, column, value in shown:
        assert value == pytest.approx(wanted[field][column], rel=1e-3, abs=1e-5), (choice, field, column)


def select(page, control: int, label: str) -> None:
    """An option of the n-th list: first the fields, then the methods."""
    page.get_by_role("combobox").nth(control).click()
    page.get_by_role("menuitem", name=label, exact=True).click()


def middle(page, panel: int, east: float, north: float) -> tuple[float, float]:
    """Where on the screen a share of a panel's width and height is."""
    box = page.locator(".bk-Figure:visible").nth(panel).bounding_box()
    return box["x"] + east * box["width"], box["y"] + north * box["height"]


def test_choose_and_compare(open_page, painted, twin):
    page = open_page(to_query(START))
    same(page, START, twin)
    page.wait_for_timeout(500)
    assert len(painted(page)) == 12 and all(painted(page))
    assert not page.get_by_role("button", name="16", exact=True).is_visible()
    select(page, 0, CHANNELS["q700"][0])
    choice = START.with_(channel="q700")
    same(page, choice, twin)
    press(page, "½")
    choice = choice.with_(noise=0.5)
    same(page, choice, twin)
    press(page, "State 3")
    choice = choice.with_(when=2)
    same(page, choice, twin)
    press(page, "Thickness")
    choice = choice.with_(balance="thickness")
    wait_for(page, choice)
    page.wait_for_function("location.search.includes('balance=thickness')")
    assert parse_query(page.evaluate("location.search")) == (choice, (), [])
    drag(page, "spectrum", (0.5, 0.5), (0.7, 0.4))
    page.wait_for_function("/band=\\d+-\\d+/.test(location.search)")
    choice = parse_query(page.evaluate("location.search"))[0]
    wait_for(page, choice)
    picture = Analyses().picture(choice.part(Setup))
    truth, analysis = (picture.maps[name] for name in ("truth", "analysis"))
    wanted = band_scores(analysis, truth, *choice.waves, "circles", picture.rows[1])
    shown = {name: value for name, column, value in numbers_on(page, "band", "metric", "column") if column == "this"}
    assert {name: shown[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)
    assert page.locator('[data-name="band_error"]:visible').count() == 1


def test_another_method_brings_members(open_page, twin):
    page = open_page(to_query(START.with_(members=2)))
    wait_for(page, START.with_(members=2))
    select(page, 1, ASSIMILATORS["phyda"])
    choice = START.with_(members=2, assimilator="phyda")
    same(page, choice, twin)
    assert page.locator('[data-column="spread_skill"]').count() >= 10
    press(page, "4")
    same(page, choice.with_(members=4), twin)


def test_a_click_places_a_station_and_clear_takes_it_away(open_page, twin):
    choice = START.with_(share=0.0)
    page = open_page(to_query(choice))
    wait_for(page, choice)
    page.wait_for_timeout(500)
    page.mouse.click(*middle(page, 1, 0.6, 0.35))
    page.wait_for_function("/own=\\d+/.test(location.search)")
    placed, _, problems = parse_query(page.evaluate("location.search"))
    assert not problems and placed == choice.with_(own=placed.own) and len(placed.points) == 1
    same(page, placed, twin)
    assert page.get_by_text("1 of at most").is_visible()
    page.mouse.click(*middle(page, 0, 0.4, 0.3))
    page.wait_for_function("/own=\\d+\\.\\d+/.test(location.search)")
    press(page, "Clear")
    wait_for(page, choice)


def test_long_work_shows_how_far_it_is_and_can_be_stopped(open_page):
    choice = START.with_(members=16)
    page = open_page(to_query(choice))
    wait_for(page, choice)
    select(page, 1, ASSIMILATORS["phyda"])
    choice = choice.with_(assimilator="phyda")
    stop(page, choice)


def test_a_method_that_is_not_there_is_said(open_page):
    missing = next((name for name in ASSIMILATORS if name not in Analyses().offers()), None)
    if missing is None:
        pytest.skip("all methods are installed")
    page = open_page(to_query(START.with_(assimilator=missing)), status="failed")
    page.wait_for_load_state("networkidle")  # closing a page that still loads would count as failed requests
    assert page.get_by_text(f"{ASSIMILATORS[missing]} is not installed; here are:").is_visible()


def test_the_views_take_turns(open_page):
    take_turns(open_page(to_query(START)), START, "State 3")
