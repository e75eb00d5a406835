"""The Continuous view in a real browser: scrub between the hours, zoom, switch the field, and compare the numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from apps.options import FIELDS
from apps.state import Choice, parse_query, to_query
from physlab.teach import explorer_url
from physlab.views.window import Window
from tests.apps.pages import numbers_on, press, settled, wait_for

pytestmark = pytest.mark.browser
START = Choice(view="continuous", variable="q", moment=100.0)


@pytest.fixture(scope="module")
def window():
    return Window.open()


def same(page, choice: Choice, window: Window) -> None:
    """The numbers on the page are those of the library."""
    wait_for(page, choice)
    shown = numbers_on(page, "moment", "column", "metric")
    box = window.box(choice.zoom, choice.east, choice.north)
    wanted = window.numbers(choice.variable, choice.moment, choice.field, box)
    assert {(column, name) for column, name, _ in shown} == {(c, n) for c in wanted for n in wanted[c]}
    for column, name, value in shown:
        assert value == pytest.approx(wanted[column][name], rel=1e-5, abs=1e-9), (choice, column, name)


def test_scrub_zoom_and_switch(open_page, painted, window):
    page = open_page(to_query(START))
    same(page, START, window)
    page.wait_for_timeout(500)
    assert len(painted(page)) == 10 and all(painted(page)[1:])  # nine panels; first the small map, nearly white
    scrubber = page.get_by_role("slider").first
    scrubber.press("ArrowRight")
    scrubber.press("ArrowRight")
    choice = START.with_(moment=100.5)
    same(page, choice, window)
    assert page.get_by_text("between two hours: nobody has data").is_visible()
    assert page.locator('[data-metric="rmse"]').count() == 0
    press(page, "4 ×")
    choice = choice.with_(zoom=4)
    same(page, choice, window)
    press(page, FIELDS["no-equations"])
    choice = choice.with_(field="no-equations")
    same(page, choice, window)
    for symbol, variable in (("u", "u"), ("T", "t"), ("Φ", "z")):
        press(page, symbol)
        choice = choice.with_(variable=variable)
        same(page, choice, window)
    assert page.locator('[data-metric="residual"]').count() == 0  # geopotential has no equation
    scrubber.press("ArrowRight")
    scrubber.press("ArrowRight")
    choice = choice.with_(moment=101.0)
    same(page, choice, window)
    assert page.locator('[data-metric="rmse"]').count() == 3
    page.wait_for_function("location.search.includes('moment=101&')")
    assert parse_query(page.evaluate("location.search")) == (choice, (), [])


def test_a_click_on_the_small_map_moves_the_box(open_page, window):
    page = open_page(to_query(START))
    wait_for(page, START)
    frames = page.locator(".bk-Figure:visible")
    widths = [(box["width"], i) for i in range(frames.count()) if (box := frames.nth(i).bounding_box())]
    small = frames.nth(next(i for width, i in widths if width < 240)).bounding_box()
    page.mouse.click(small["x"] + 0.75 * small["width"], small["y"] + 0.25 * small["height"])
    page.wait_for_function("location.search.includes('zoom=4')")
    choice, _, problems = parse_query(page.evaluate("location.search"))
    assert not problems and choice.east > START.east and choice.north > START.north
    same(page, choice, window)


def test_the_film_plays_between_the_hours(open_page, window):
    page = open_page(to_query(START))
    page.get_by_role("button", name="play").first.click()
    page.get_by_text("between two hours: nobody has data").wait_for()  # drawn while it plays, on a slow machine too
    page.wait_for_function("new URLSearchParams(location.search).get('moment') > 101")
    page.get_by_role("button", name="pause").first.click()
    same(page, settled(page), window)


def test_a_link_of_the_book_copied_code_card_and_coefficients(open_page, window, tmp_path, repository):
    link = explorer_url(
        v=1, view="continuous", variable="tcw", field="equations", hour=49.75, zoom=2, east=-30, north=50
    )
    choice = Choice(view="continuous", variable="tcw", moment=49.75, zoom=2, east=-30.0, north=50.0)
    page = open_page("?" + link.split("?", 1)[1])
    same(page, choice, window)
    page.wait_for_selector('[data-table="coefficients"][data-state="ready"]', state="attached")
    cells = page.locator('[data-table="coefficients"] td[data-term]')
    shown = dict(cells.evaluate_all("cells => cells.map(c => [c.dataset.term, parseFloat(c.dataset.value)])"))
    learned = window.law.coefficients(draws=2)
    wanted = {
        f"{e}: {t}": c for e, t, c in zip(*(learned[k] for k in ("equation", "term", "coefficient")), strict=True)
    }
    assert shown == pytest.approx(wanted, rel=1e-4)
    values = page.locator('[data-table="moment"] td[data-metric]').evaluate_all(
        "cells => cells.map(c => [c.dataset.column + ' ' + c.dataset.metric, parseFloat(c.dataset.value)])"
    )
    page.get_by_role("tab", name="Card").click()
    page.wait_for_selector('[data-card="equations"]')
    page.get_by_role("tab", name="Code").click()
    script = tmp_path / "copied.py"
    script.write_text(page.locator("[data-code]:visible").inner_text(), encoding="utf-8")
    run = subprocess.run([sys.executable, str(script)], cwd=repository, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    printed = {f"{c} {n}": float(v) for c, n, v in (line.split() for line in run.stdout.splitlines())}
    assert printed == pytest.approx(dict(values), rel=1e-6)


def test_the_views_take_turns(open_page, window):
    page = open_page(to_query(START))
    same(page, START, window)
    assert not page.get_by_role("button", name="Softmax", exact=True).is_visible()
    press(page, "Downscale")
    page.wait_for_selector(f'[data-table="frame"][data-key="{Choice().key()}"]', state="attached")
    assert not page.get_by_role("button", name="4 ×", exact=True).is_visible()
    press(page, "Continuous")
    same(page, START, window)
