"""The spectral brush and the region: by hand, by slider, by numbers and by link, with the library's numbers."""

from __future__ import annotations

import contextlib
import html
import io
import re
from concurrent.futures import Executor, Future

import numpy as np
import pytest
import torch

from apps.brush import QUANTITY
from apps.sides import parts_of
from apps.state import MAX_WAVE, Choice, parse_query, to_query
from physlab.score.zonal import zonal_spectrum
from physlab.views.brush import band_scores, part, region_scores
from tests.apps.pages import session


def numbers(words: str, table: str, column: str = "this") -> dict[str, float]:
    """Metric -> value of a column of one table of the page."""
    whole = words.partition(f'data-table="{table}"')[2].partition("</table>")[0]
    found = re.findall(r'data-metric="(\w+)" data-column="(\w+)" data-value="([^"]*)"', whole)
    return {metric: float(value) for metric, where, value in found if where == column}


VIEWS = {  # each view with a truth: what is selected there that is made at once
    "downscale": "",
    "assimilate": "&assimilator=adas&share=1",
    "ensemble": "&weight=0.3",
}


@pytest.fixture
def looked_at(store, untrained_assimilators, untrained_ensemble, monkeypatch):
    """looked_at(view, more) -> a page and the part of it with the brush."""

    def look(view: str, more: str = ""):
        assets = {"assimilate": untrained_assimilators, "ensemble": untrained_ensemble}
        if view in assets:
            monkeypatch.setenv("PHYSLAB_ASSETS", str(assets[view]))
        page = session(store, f"?view={view}{VIEWS[view]}{more}")
        return page, page if view == "downscale" else getattr(page, view)

    return look


def run(script: str) -> list[dict[str, float]]:
    """What a copied script prints of band and region."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(script, {})
    return [eval(line, {"nan": np.nan}) for line in said.getvalue().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("view", VIEWS)
def test_a_link_shows_the_map_of_a_band_and_the_scores_of_a_region(looked_at, view):
    page, part_of = looked_at(view, "&band=4-9&region=10,-20,60,60&hide=band_truth")
    brush, panel = part_of.brush, part_of.shown
    of = parts_of(panel) if view == "downscale" else part_of.parts(panel)
    shown = brush.bands.images["band_error"].data["image"][0]
    np.testing.assert_allclose(shown, part(of.result.astype(float) - of.truth, 4, 9, of.waves), atol=1e-3 * shown.std())
    assert [brush.cells[name].visible for name in QUANTITY] == [False, True, True]
    assert {n: f.html_attributes["role"] for n, f in brush.bands.figures.items()} == dict.fromkeys(QUANTITY, "img")
    cells = [*part_of.frame.grid]
    assert cells.index(brush.cells["band_truth"]) == 1 + cells.index(part_of.frame.cells["spectrum"])
    band = band_scores(of.result, of.truth, 4, 9, of.waves, of.area)
    found = region_scores(of.result, of.truth, panel.window, (10, -20, 60, 60), of.latitude, of.area)
    assert numbers(brush.scores.object, "band").items() >= band.items()
    told = numbers(brush.scores.object, "region")
    assert {name: told[name] for name in found if name != "cells"}.items() <= found.items() and found["cells"] > 1
    assert page.controls["band"].value == (4, 9) and page.hand.numbers.value == "10,-20,60,60"
    spectrum = part_of.maps.spectrum
    assert spectrum.band.visible and (spectrum.band.left, spectrum.band.right) == (4, 9)
    code = html.unescape(part_of.code.object.partition('data-code="ready">')[2].partition("</pre>")[0])
    printed = run(code)
    assert printed[0] == pytest.approx(band, rel=1e-5) and printed[1] == pytest.approx(found, rel=1e-5, abs=1e-7)
    page.controls["band"].value = (1, MAX_WAVE)
    assert page.state.band == "" and not any(brush.cells[name].visible for name in QUANTITY)
    assert not spectrum.band.visible and 'data-table="band"' not in brush.scores.object


def test_a_band_of_an_analysis_error_is_what_its_spectrum_and_its_table_say(looked_at):
    page, view = looked_at("assimilate", "&band=6-20&region=-180,-90,179,90")
    picture, said = view.shown, view.brush.scores.object
    area = picture.rows[1]
    k, power = (x.numpy() for x in zonal_spectrum(torch.from_numpy(picture.maps["error"].astype(float))))
    power = power[:, (k >= 6) & (k < 20)].sum(-1)
    assert numbers(said, "band")["rmse"] == pytest.approx(np.sqrt(np.average(power, weights=area)), rel=1e-4)
    own = picture.scores["z500"]
    for column, name in (("this", "analysis"), ("before", "background")):
        assert numbers(said, "region", column)["rmse"] == pytest.approx(picture.scale * own[name], rel=1e-4)
    assert numbers(said, "region")["gain"] == pytest.approx(own["gain"], abs=1e-4)
    limit = view.brush.bands.mappers
    assert limit["band_error"].high < 0.5 * limit["band"].high  # errors have the colours of the background's


def test_a_band_that_is_chosen_while_something_is_made_does_not_begin_it_anew(looked_at):
    page, view = looked_at("ensemble")
    view.slow.pool = view.quick.pool = Held()
    page.state.weight = "live"
    page.state.band = "2-5"
    assert len(view.slow.pool.work) == 2 and view.strip.stop.visible  # what is there at once, and the members
    assert view.brush.bands is not None
    for work in view.slow.pool.work:
        work()
    assert view._going is None and view.shown.members == page.state.draws
    assert page.status.object.count("ready") and page.state.choice().key() in page.status.object
    assert view.brush.cells["band_result"].visible and not view.brush.bands.silence["band_result"].data["text"]


class Held(Executor):
    """Takes work and does it when it is told to."""

    def __init__(self) -> None:
        self.work = []

    def submit(self, function, /, *args, **kwargs):
        self.work.append(lambda: function(*args, **kwargs))
        return Future()


@pytest.mark.parametrize("view", VIEWS)
def test_a_hand_brushes_and_drags(looked_at, view):
    page, part_of = looked_at(view)
    brush, maps = part_of.brush, part_of.maps
    assert not brush.cells and brush.bands is None  # not made before they are asked for
    assert page.groups["band"].visible and page.groups["region"].visible
    brush.brushed({"x0": 7.6, "x1": 3.2})
    assert page.state.band == "3-8" and all(brush.cells[name].visible for name in QUANTITY)
    brush.brushed({"x0": 5.0, "x1": 5.01})  # a click
    assert page.state.band == ""
    page.hand.drag.value = True
    tool = maps.figures["truth"].toolbar.active_drag
    assert tool is not maps.pan and tool in maps.figures["truth"].tools
    brush.dragged({"x0": 20.04, "x1": -10.0, "y0": -95.0, "y1": 10.0})
    assert page.state.region == "-10,-90,20,10"
    page.hand.drag.value = False
    assert maps.figures["truth"].toolbar.active_drag is maps.pan
    page.hand.numbers.value = "5, 5, 1, 9"
    assert "west,south,east,north" in page.messages.object and page.state.region == "-10,-90,20,10"
    page.hand.numbers.value = "10,89.5,11,90"
    assert "No cell of this map" in brush.scores.object
    page.hand.numbers.value = ""
    assert page.state.region == ""
    page.state.view = "benchmark"
    assert not page.groups["band"].visible


@pytest.mark.parametrize("wrong", ["band=8", "band=9-3", "band=0-4", "band=4-99", "band=a-b", "region=1,2,3",
                                   "region=5,0,1,9", "region=0,-91,1,1", "region=nan,0,1,1"])  # fmt: skip
def test_links_are_checked(wrong):
    choice, _, problems = parse_query(f"?{wrong}")
    assert choice == Choice() and len(problems) == 1
    right = Choice(band="4-16", region="-10.5,0,20,33")
    assert parse_query(to_query(right))[0] == right
