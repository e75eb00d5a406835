"""Coastlines follow the window of the map: any longitude convention, cut at the edges, right places."""

from __future__ import annotations

import numpy as np
import pytest

from physlab.data.coastline import load_coastline


@pytest.mark.parametrize("lon_range", [(-180, 180), (0, 360), (250, 430), (-200, -20), (-52.7, 127.3)])
def test_lines_stay_in_the_window(lon_range):
    x, y = load_coastline(lon_range, (-90, 90))
    assert x.dtype == y.dtype == np.float32
    assert (np.isnan(x) == np.isnan(y)).all()
    assert lon_range[0] - 1e-4 <= np.nanmin(x)
    assert np.nanmax(x) <= lon_range[1] + 1e-4
    assert np.isfinite(x).sum() > 1000


def test_the_same_coast_in_two_conventions():
    west, east = load_coastline((-100, -20), (-60, 20)), load_coastline((260, 340), (-60, 20))
    np.testing.assert_allclose(west[0], east[0] - 360, atol=1e-4)
    np.testing.assert_allclose(west[1], east[1], atol=1e-4)


def test_no_line_crosses_the_map():
    for lon_range in ((-180, 180), (0, 360), (120, 480)):
        x, y = load_coastline(lon_range)
        assert np.nanmax(np.abs(np.diff(x))) < 20
        assert np.nanmax(np.abs(np.diff(y))) < 20


@pytest.mark.parametrize(
    ("place", "longitude", "latitude", "layer", "near"),
    [
        ("Cape Horn", -67.3, -55.9, "global", 1.0),
        ("Cape Agulhas", 20.0, -34.8, "global", 0.5),
        ("Land's End", -5.7, 50.07, "uk", 0.15),
        ("Malin Head", -7.37, 55.38, "uk", 0.15),
        ("North Foreland", 1.45, 51.38, "uk", 0.15),
    ],
)
def test_known_places(place, longitude, latitude, layer, near):
    x, y = load_coastline(
        (-180, 180) if layer == "global" else (-13, 5), (-90, 90) if layer == "global" else (47, 62), layer
    )
    assert np.nanmin(np.hypot(x - longitude, y - latitude)) < near, place


def test_small_maps_of_britain_get_the_fine_line():
    fine, rough = load_coastline((-10, 2), (50, 58))[0], load_coastline((-10, 2), (50, 58), "global")[0]
    assert fine.size > 10 * rough.size
    assert load_coastline((350, 362), (50, 58))[0].size == fine.size


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (((10, 10),), "wide"),
        (((0, 400),), "wide"),
        (((0, 10), (5, -5)), "empty"),
        (((0, 10), (0, 5), "moon"), "unknown"),
    ],
)
def test_bad_windows_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        load_coastline(*arguments)
