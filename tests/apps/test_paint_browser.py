"""The Paint view and the brush in a real browser: a hand draws a track, takes a band and a region."""

from __future__ import annotations

import pytest

from apps.options import PAINTED
from apps.state import Choice, parse_query, to_query
from tests.apps.pages import drag, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def chosen(page) -> Choice:
    return parse_query(page.evaluate("location.search"))[0]


def wait_until_changed(page, name: str, before: str) -> Choice:
    page.wait_for_function("old => !(location.search + '&').includes(old)", arg=f"&{name}={before}&")
    page.wait_for_timeout(500)
    return chosen(page)


def test_a_hand_draws_a_track_takes_a_band_and_a_region(open_page):
    start = Choice(view="paint", painted="1250", guide="enkf")
    page = open_page(to_query(start))
    page.get_by_label("A drag draws a track").check()
    page.wait_for_timeout(1000)
    drag(page, "truth", (0.3, 0.7), (0.7, 0.3))
    made = wait_until_changed(page, "painted", "1250")
    assert 5 < len(made.stations) <= PAINTED and made.stations[0] == 1250
    wait_for(page, made)
    page = open_page(to_query(Choice(frame=5)))
    drag(page, "spectrum", (0.5, 0.5), (0.7, 0.4))
    made = wait_until_changed(page, "band", "")
    low, high = made.waves
    assert 1 <= low < high
    wait_for(page, made)
    assert page.locator('[data-name="band_truth"]').first.is_visible()
    page.get_by_label("A drag takes a region").check()
    page.wait_for_timeout(1000)
    drag(page, "truth", (0.4, 0.3), (0.7, 0.6))
    made = wait_until_changed(page, "region", "")
    west, south, east, north = made.edges
    assert west < east and south < north
    wait_for(page, made)
    assert page.locator('[data-table="region"][data-state="ready"]').count() == 1
