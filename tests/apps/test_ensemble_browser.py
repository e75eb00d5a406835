"""The Ensemble view in a real browser: choose, stop long work, and compare the numbers.

With the model and the fields that ship, or with small ones where these are not there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from apps.ensemble.store import Ensembles
from apps.screenshot import serve
from apps.state import Choice, Draw, parse_query, to_query
from physlab.benchmark.ensemble import SHIPPED
from physlab.data.assets import asset_folders
from physlab.zoo import folders_of
from tests.apps.pages import numbers_on, press, stop, take_turns, wait_for

pytestmark = pytest.mark.browser
START = Choice(view="ensemble", draws=2)


@pytest.fixture(scope="module")
def address(request, tmp_path_factory):
    names = ("nature-terrain", "nature-terrain-members")
    there = all(any((f / "data" / f"{name}.nc").is_file() for f in asset_folders()) for name in names)
    if SHIPPED in folders_of("latent diffusion") and there:
        yield request.getfixturevalue("explorer")
        return
    small = slow(request.getfixturevalue("untrained_ensemble"), tmp_path_factory.mktemp("slow") / "assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHYSLAB_ASSETS", str(small))
        with serve(timeout=180.0) as address:
            yield address


def slow(assets: Path, folder: Path) -> Path:
    """The small model with so many steps that one can press a button meanwhile."""
    card = shutil.copytree(assets, folder) / "ensembles" / SHIPPED / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"steps": 200}))
    return folder


@pytest.fixture(scope="module")
def ensembles(address):
    return Ensembles()


def same(page, choice: Choice, ensembles: Ensembles) -> None:
    """The scores on the page are those of the library."""
    wait_for(page, choice)
    shown = numbers_on(page, "ensemble", "column", "metric")
    wanted = ensembles.picture(choice.part(Draw)).scores
    assert {column for column, _, _ in shown} == set(wanted) and len(shown) == 16
    for column, name, value in shown:
        assert value == pytest.approx(wanted[column][name], rel=1e-4, abs=1e-6, nan_ok=True), (choice, column, name)


def test_choose_and_compare(open_page, painted, ensembles):
    page = open_page(to_query(START))
    same(page, START, ensembles)
    page.wait_for_timeout(500)
    assert len(painted(page)) == 9 and all(painted(page))
    press(page, "Additive")
    choice = START.with_(consistency="add")
    same(page, choice, ensembles)
    press(page, "Time 3")
    choice = choice.with_(day=2)
    same(page, choice, ensembles)
    page.get_by_role("slider").nth(1).press("ArrowRight")  # seed, member, threshold
    choice = choice.with_(which=2)
    wait_for(page, choice)
    page.get_by_role("slider").nth(2).press("ArrowLeft")
    choice = choice.with_(threshold=268.15)
    wait_for(page, choice)
    assert page.get_by_text("of 268.15 K").is_visible()
    page.wait_for_function("location.search.includes('threshold=268.15')")
    assert parse_query(page.evaluate("location.search")) == (choice, (), [])


def test_stored_members_by_weight(open_page, ensembles):
    page = open_page(to_query(START.with_(weight="0")))
    same(page, START.with_(weight="0"), ensembles)
    assert not page.get_by_role("button", name="Time 3", exact=True).is_visible()
    press(page, "0.3")
    same(page, START.with_(weight="0.3"), ensembles)
    press(page, "Live")
    same(page, START, ensembles)


def test_long_work_shows_how_far_it_is_and_can_be_stopped(open_page):
    page = open_page(to_query(START))
    wait_for(page, START)
    press(page, "16")
    choice = START.with_(draws=16)
    stop(page, choice)


def test_only_the_last_of_many_selections_is_drawn(open_page, ensembles):
    page = open_page(to_query(START.with_(seed=4)))
    wait_for(page, START.with_(seed=4))
    for label in ("4", "8", "2", "4"):
        press(page, label)
    same(page, START.with_(seed=4, draws=4), ensembles)


def test_the_views_take_turns(open_page):
    take_turns(open_page(to_query(START)), START, "Time 3")
