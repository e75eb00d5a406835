"""Parts of a map: bands add up to it and hold the waves that they say, regions are scored as the library scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.errors import PhysLabError
from physlab.score import bias, mae, rmse
from physlab.views.brush import band_scores, inside, part, region_scores
from physlab.views.keep import Plane


def test_bands_add_up_and_hold_the_waves_that_they_say():
    field = np.random.default_rng(0).normal(size=(24, 48)) + 7.0
    edges = [0, 0.5, 3, 8, 40]
    parts = [part(field, low, high) for low, high in zip(edges, edges[1:], strict=False)]
    np.testing.assert_allclose(sum(parts), field, atol=1e-10)
    np.testing.assert_allclose(parts[0], field.mean(), atol=1e-10)  # the mean alone
    x = (np.arange(48) + 0.5) / 48
    wave = np.broadcast_to(np.cos(2 * np.pi * 5 * x), (24, 48))  # five waves along the longer side
    np.testing.assert_allclose(part(wave, 5, 6), wave, atol=1e-10)
    assert np.abs(part(wave, 6, 20)).max() < 1e-10
    y = (np.arange(24) + 0.5) / 24
    wave = np.broadcast_to(np.cos(2 * np.pi * 5 * y)[:, None], (24, 48))  # five along the shorter: ten along the longer
    np.testing.assert_allclose(part(wave, 10, 10.5), wave, atol=1e-10)
    with pytest.raises(PhysLabError, match="0 <= low < high"):
        part(field, 4, 4)


def test_scores_of_a_band_are_of_its_waves():
    x = (np.arange(64) + 0.5) / 64
    long, short = (np.broadcast_to(np.cos(2 * np.pi * k * x), (64, 64)) for k in (2, 20))
    found = band_scores(long + 0.5 * short, long + short, 16, 24)
    assert found == pytest.approx({"rmse": 0.5 * np.sqrt(0.5), "power": 0.25, "correlation": 1.0})
    assert band_scores(long, long + short, 16, 24)["power"] == pytest.approx(0.0, abs=1e-20)
    assert band_scores(long, long + short, 1, 4)["rmse"] == pytest.approx(0.0, abs=1e-10)


def test_scores_of_a_region_are_the_library_s():
    rng, window = np.random.default_rng(1), (-10.0, 10.0, 30.0, 50.0)
    truth, result = rng.normal(size=(2, 10, 20))
    rows, columns = inside(Plane.within(window, truth.shape), (-4.0, 34.0, 5.0, 45.0))
    assert (rows.sum(), columns.sum()) == (6, 9)  # centres 35 to 45, -3.5 to 4.5
    found = region_scores(result, truth, window, (-4.0, 34.0, 5.0, 45.0))
    area = torch.from_numpy(np.cos(np.deg2rad(31.0 + 2.0 * np.arange(10)[rows])))[:, None]
    a, b = (torch.from_numpy(x[np.ix_(rows, columns)]) for x in (result, truth))
    for name, score in (("rmse", rmse), ("mae", mae), ("bias", bias)):
        assert found[name] == pytest.approx(float(score(a, b, area)), rel=1e-6), name
    assert found["cells"] == 54
    assert region_scores(result, truth, (350.0, 370.0, 30.0, 50.0), (-4.0, 34.0, 5.0, 45.0)) == pytest.approx(found)
    assert region_scores(result, truth, window, (40.0, 31.0, 50.0, 35.0)) == {"cells": 0.0}


@pytest.mark.parametrize("waves", ["circles", "globe"])
def test_waves_go_round_the_globe_without_a_seam(waves):
    rng = np.random.default_rng(2)
    field = rng.normal(size=(16, 32)) + 5.0
    edges = [0, 1, 3, 8, 40]
    parts = [part(field, low, high, waves) for low, high in zip(edges, edges[1:], strict=False)]
    np.testing.assert_allclose(sum(parts), field, atol=1e-10)
    np.testing.assert_allclose(parts[0], np.broadcast_to(field.mean(-1, keepdims=True), field.shape), atol=1e-10)
    np.testing.assert_allclose(part(np.roll(field, 5, -1), 3, 8, waves), np.roll(parts[2], 5, -1), atol=1e-10)
    x = np.broadcast_to(np.sin(2 * np.pi * 6 * np.arange(32) / 32 + 0.4), (16, 32))  # no whole number of cosines
    np.testing.assert_allclose(part(x, 6, 7, waves), x, atol=1e-10)


def test_squared_errors_of_all_zonal_bands_add_up_to_that_of_the_map():
    truth, result = np.random.default_rng(3).normal(size=(2, 16, 32))
    area = np.cos(np.deg2rad(np.linspace(-84, 84, 16)))
    bands = [(0, 1), (1, 4), (4, 9), (9, 17)]
    found = [band_scores(result, truth, *band, "circles", area)["rmse"] for band in bands]
    weights = torch.from_numpy(area)[:, None].expand(16, 32)
    whole = float(rmse(*(torch.from_numpy(x) for x in (result, truth)), weights))
    assert np.sqrt(np.square(found).sum()) == pytest.approx(whole, rel=1e-9)
    assert np.isnan(band_scores(result, truth, 20, 30, "circles")["power"])  # finer than the grid
    window, all_of_it = (-180.0, 180.0, -90.0, 90.0), (-180.0, -90.0, 179.0, 90.0)
    of_map = region_scores(result, truth, window, all_of_it, np.linspace(-84, 84, 16), area)
    assert of_map["rmse"] == pytest.approx(whole, rel=1e-9) and of_map["cells"] == 512
    with pytest.raises(PhysLabError, match="plane, circles, globe"):
        part(truth, 1, 2, "squares")
