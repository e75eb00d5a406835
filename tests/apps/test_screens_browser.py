"""The explorer on a phone and on a small projector, in light and dark, by keyboard, and for those who hear it."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.options import VIEWS
from apps.state import Choice, to_query
from tests.apps.pages import press, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MEASURE = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
PHONE, PROJECTOR = {"width": 390, "height": 844}, {"width": 1024, "height": 768}
PATIENCE = 240_000  # ms: five views are made one after the other, on a machine that is busy with something else
LEAST = 140  # pixels of the shorter side of a map
BRUSHED = {"band": "4-16", "region": "-30,20,40,60"}
START = Choice(frame=5, assimilator="adas", weight="0.3", guide="enkf", **BRUSHED)  # what takes no sampling


def measured(page, size: dict) -> dict:
    """What the page looks like at a size, once it has settled."""
    page.set_viewport_size(size)
    page.wait_for_timeout(1200)
    return page.evaluate(MEASURE)


def serious(page) -> list[str]:
    """What axe finds that keeps somebody out."""
    script = pytest.importorskip("axe_playwright_python.base").AXE_SCRIPT
    page.evaluate(script)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found if v["impact"] in ("serious", "critical")]


def colour_of(page, selector: str) -> str:
    return page.locator(selector).first.evaluate("e => getComputedStyle(e).color")


def test_no_screen_cuts_or_covers_anything_and_everybody_gets_in(open_page):
    page = open_page(to_query(START))
    page.set_default_timeout(PATIENCE)
    for view in VIEWS:
        page.set_viewport_size(PROJECTOR)
        press(page, VIEWS[view])
        wait_for(page, START.with_(view=view))
        for size in (PROJECTOR, PHONE):
            seen = measured(page, size)
            assert len(seen["sides"]) >= 2, (view, size)
            assert min(min(sides) for sides in seen["sides"].values()) >= LEAST, (view, size, seen["sides"])
            for name in ("cut", "covered", "over"):
                assert not seen[name], (view, size, name, seen[name])
            assert not seen["sideways"] and not seen["beyond"], (view, size)
        assert not serious(page), view
        named = page.locator("[data-map]:visible").evaluate_all("maps => maps.map(m => m.getAttribute('aria-label'))")
        assert len(named) == len(seen["sides"]) and all(len(name) > 20 for name in named), (view, named)


def test_dark_as_the_reader_wishes_and_maps_by_keyboard(open_page):
    page = open_page(to_query(START))
    light = colour_of(page, "td.this")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    page.wait_for_timeout(800)
    assert colour_of(page, "td.this") != light
    assert not serious(page)
    page.get_by_role("button", name="Toggle theme").click()
    page.wait_for_timeout(500)
    assert colour_of(page, "td.this") == light
    shown = page.locator('[data-name="truth"]')
    shown.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#lab-said").inner_text()
    page.keyboard.press("Shift+ArrowUp")
    second = page.locator("#lab-said").inner_text()
    assert "kg m⁻² at" in first and "degrees" in first and first != second
