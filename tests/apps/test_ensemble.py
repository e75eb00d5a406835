"""The Ensemble view without a browser: its numbers are the library's, its script repeats them, long work can be
stopped, and what is not there is said."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch

import physlab
from apps.ensemble import tables, words
from apps.ensemble.maps import QUANTITY, ROWS
from apps.ensemble.store import Ensembles
from apps.options import DAYS, DRAWS, WEIGHTS, WHICH
from apps.problems import Overtaken, Unavailable
from apps.progress import now_and_then
from apps.state import Draw
from physlab.benchmark.ensemble import DRIVERS, PACKED, SHIPPED
from physlab.downscale.terrain import TerrainFields, unrounded
from physlab.fields import to_dataset, to_tensor
from physlab.grid import coarsen
from physlab.score import crps, rmse, spread_skill
from physlab.simulate.terrain import TIMES
from physlab.train.latent import balance_of
from tests.apps import pages

LIVE = Draw(draws=2)
TIED = Draw(day=2, draws=4, seed=3, consistency="add", threshold=283.15, which=3)
STORED = Draw(weight="0.3", which=2)


@pytest.fixture(autouse=True)
def assets(untrained_ensemble, monkeypatch):
    monkeypatch.setenv("PHYSLAB_ASSETS", str(untrained_ensemble))


@pytest.fixture(scope="module")
def ensembles():
    return Ensembles()


@pytest.fixture
def fields():
    truth = physlab.open_dataset("nature-terrain")
    t = truth["t_low"]
    truth["t_low"] = t.copy(data=unrounded(t.values, t["latitude"].values))
    return TerrainFields.of(truth, "t_low", DRIVERS, 4)


@pytest.fixture
def session(store, ensembles):
    """session(query) -> a page at that address."""
    store.ensembles = ensembles
    return lambda query="": pages.session(store, "?view=ensemble" + query)


def members_of(draw: Draw, fields: TerrainFields) -> np.ndarray:
    """By the public calls of the library."""
    if draw.weight != "live":
        return physlab.open_dataset("nature-terrain-members")["t_low"].sel(weight=float(draw.weight)).values
    model, now = physlab.load_model(SHIPPED), fields.take(slice(draw.day, draw.day + 1))
    model.constraint = draw.consistency
    like = physlab.open_dataset("nature-terrain").isel(time=[draw.day])
    coarse = to_dataset(now.coarse, like, DRIVERS, now.grid.coarsen(4))
    return to_tensor(model.downscale(coarse, members=draw.draws, seed=draw.seed), "t_low")[:, 0, 0].numpy()


@pytest.mark.slow
def test_what_can_be_chosen_is_what_ships():
    assert DAYS == TIMES and [float(w) for w in WEIGHTS if w != "live"] == list(PACKED)
    assert {Draw().draws} < set(DRAWS) and WHICH == tuple(range(1, DRAWS[-1] + 1)) and DRAWS[0] >= 2


@pytest.mark.parametrize("draw", [LIVE, TIED, STORED])
def test_maps_and_numbers_are_those_of_the_library(ensembles, fields, draw):
    picture, members = ensembles.picture(draw), members_of(draw, fields)
    day = 1 if draw is STORED else draw.day
    assert (picture.day, picture.members) == (day, 3 if draw is STORED else draw.draws)
    maps = {name: torch.from_numpy(np.roll(x, -(x.shape[-1] // 2), axis=-1)) for name, x in picture.maps.items()}
    truth, area, made = fields.truth[day, 0], fields.area, torch.from_numpy(members)
    expected = {
        "input": coarsen(truth, 4, area), "truth": truth, "mean": made.mean(0), "member": made[draw.which - 1],
        "error": made.mean(0) - truth, "spread": made.std(0), "probability": (made > draw.threshold).float().mean(0),
    }  # fmt: skip
    for name, x in expected.items():
        torch.testing.assert_close(maps[name], x.float(), atol=2e-4, rtol=1e-5)
    law, wind = balance_of(fields), tuple(x[day].double() for x in fields.wind)
    residual = 86400 * law.residual(made[draw.which - 1].double(), *wind)
    torch.testing.assert_close(maps["law"], residual.float(), atol=1e-3, rtol=1e-3)
    size = [float(law.relative(x.double(), *wind)) ** 0.5 for x in (made[draw.which - 1], truth)]
    assert picture.ratio == pytest.approx(size[0] / size[1], rel=1e-4)
    own = picture.scores["ensemble"]
    assert own["rmse"] == pytest.approx(float(rmse(made.mean(0), truth, area)), rel=1e-5)
    assert own["crps"] == pytest.approx(float(crps(made, truth, weights=area)), rel=1e-5)
    assert own["spread_skill"] == pytest.approx(float(spread_skill(made, truth, weights=area)), rel=1e-5)
    assert picture.scores["bicubic"]["crps"] == picture.scores["bicubic"]["mae"]
    assert (own["conservation"] < 1e-4) == (draw.consistency == "add")
    for name, x in picture.maps.items():
        assert name in QUANTITY and x.dtype == np.float32 and np.isfinite(x).all()
    assert set(QUANTITY) | {"spectrum"} == {name for row in ROWS for name in row}
    assert {len(p) for p in picture.spectra.values()} == {len(picture.wavenumber)}


def test_another_look_draws_nothing_anew(ensembles, monkeypatch):
    first = ensembles.picture(LIVE)
    monkeypatch.setattr("apps.ensemble.store.Ensembles._members", None)
    for change in ({"threshold": 263.15}, {"which": 2}, {"consistency": "add"}):
        assert ensembles.known(replace(LIVE, **change))
        assert ensembles.picture(replace(LIVE, **change)).limits == first.limits
    assert ensembles.picture(replace(LIVE, which=9)).which == 2  # there is no ninth of two
    assert not ensembles.known(replace(LIVE, seed=9)) and not ensembles.known(replace(LIVE, draws=16))


def test_stored_members_have_their_own_time_number_and_seed(ensembles):
    one = ensembles.picture(STORED)
    assert ensembles.picture(replace(STORED, day=2, draws=16, seed=5)) is one
    assert one.maps["truth"] is not None and one.time.startswith("2012-01-25")


def test_the_line_is_where_the_truth_has_the_threshold(ensembles):
    picture = ensembles.picture(LIVE)
    x, y = (np.concatenate(part) for part in picture.isotherm)
    west, east, south, north = picture.window
    rows, columns = picture.maps["truth"].shape
    r, c = (y - south) / (north - south) * rows - 0.5, (x - west) / (east - west) * columns - 0.5
    on_edge = np.isclose(r, np.rint(r), atol=1e-6)  # the line crosses an edge of the grid along a row or a column
    low, high, i = np.floor(c[on_edge]).astype(int), np.ceil(c[on_edge]).astype(int), np.rint(r[on_edge]).astype(int)
    near = np.stack([picture.maps["truth"][i, low], picture.maps["truth"][i, high]])
    assert len(i) > 20 and (near.min(0) <= 273.15 + 1e-3).all() and (near.max(0) >= 273.15 - 1e-3).all()


def test_long_work_tells_how_far_it_is_and_stops(ensembles):
    told, draw = [], Draw(draws=2, seed=7)
    with pytest.raises(Overtaken):
        ensembles.picture(draw, lambda: len(told) > 2, lambda done, steps: told.append((done, steps)))
    assert told[0][1] > 3 and len(told) < told[0][1] and not ensembles.known(draw)
    assert ensembles.picture(draw).members == 2


def test_progress_is_told_now_and_then_and_not_when_cancelled():
    told = []
    report = now_and_then(lambda done, steps: told.append(done), lambda: False)
    for k in range(100):
        report(k, 100)
    assert told == [0]
    now_and_then(lambda done, steps: told.append(done), lambda: True)(1, 2)
    assert told == [0]


@pytest.mark.parametrize("draw", [TIED, STORED, replace(STORED, consistency="add")])
def test_copied_code_gives_the_same_numbers(ensembles, draw):
    picture, printed, names = ensembles.picture(draw), io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        exec(compile(tables.script(picture), "copied", "exec"), names)
    found = {"ensemble": {}, "bicubic": {}}
    for line in printed.getvalue().splitlines():
        column, name, value = line.split()
        found[column][name] = float(value)
    for column, row in picture.scores.items():
        assert found[column] == pytest.approx(row, rel=1e-6, abs=1e-6, nan_ok=True)
    np.testing.assert_array_equal(np.roll(names["probability"].numpy(), 32, axis=-1), picture.maps["probability"])


def test_words_ask_about_what_is_chosen(ensembles):
    draws = (LIVE, replace(LIVE, draws=4), TIED, STORED, replace(STORED, weight="0"))
    assert len({words.question(ensembles.picture(draw)) for draw in draws}) == 5
    assert "Spread over skill" in words.answer(ensembles.picture(LIVE))
    assert "miss the input" in words.answer(ensembles.picture(LIVE))
    assert "meet the input" in words.answer(ensembles.picture(TIED))
    assert "no ensemble" in words.answer(ensembles.started(LIVE))


@pytest.mark.slow
def test_a_page(session, ensembles):
    page = session("&draws=2&which=2")
    view, key = page.ensemble, page.state.choice().key()
    assert view.shown is ensembles.picture(replace(LIVE, which=2))
    assert f'data-status="ready" data-key="{key}"' in page.status.object
    assert f'data-table="ensemble" data-key="{key}"' in view.numbers.object
    assert 'data-metric="crps" data-column="bicubic"' in view.numbers.object
    assert view.maps.images["mean"].data["image"][0] is view.shown.maps["mean"]
    assert "2 members · seed 0" in view.strip.words.object and "2012-01-19" in view.moment.object
    assert SHIPPED in view.card.object and SHIPPED in view.code.object and "000000000000" in view.card.object
    assert page.groups["draws"].visible and page.groups["seed"].visible and not page.groups["factor"].visible
    assert page.downscale not in page.main
    assert page.controls["which"].end == 2
    page.controls["consistency"].value = "add"
    assert view.shown.scores["ensemble"]["conservation"] < 1e-4 and "hard consistency" in view.strip.words.object
    page.controls["threshold"].value = 263.15
    assert "263.15 K" in view.maps.captions["probability"].object
    page.controls["weight"].value = "0.3"
    assert "3 stored members of the time 2012-01-25" in view.strip.words.object
    assert not any(page.groups[name].visible for name in ("day", "draws", "seed"))
    assert page.controls["which"].end == 3
    page.controls["view"].value = "assimilate"
    assert page.groups["seed"].visible and not view.view.visible


def test_what_is_not_stored_leaves_the_rest(session):
    page = session("&weight=3")
    view = page.ensemble
    assert "no stored members of λ = 3" in page.messages.object and "0.3" in page.messages.object
    assert view.maps.silence["mean"].data["text"] == ["Not installed."]
    assert view.maps.images["truth"].data["image"][0].shape == (32, 64)
    assert 'data-state="waiting"' in view.numbers.object and 'data-column="bicubic"' in view.numbers.object
    page.controls["weight"].value = "0"
    assert view.shown.members == 3 and "no stored members" not in page.messages.object


def test_without_a_model_input_and_truth_are_there(session, ensembles, store, monkeypatch):
    fresh = Ensembles()
    monkeypatch.setattr("apps.ensemble.store.SHIPPED", "no-such-model")
    page = session("&draws=2")
    del page.ensemble  # made anew, with another store
    store.ensembles = fresh
    view = page.ensemble
    view.request(page.state.choice())
    assert "Latent diffusion is not installed" in page.messages.object and view.shown.members == 0
    assert view.maps.images["truth"].data["image"][0].shape == (32, 64)
    assert "not installed" in view.card.object and 'data-status="failed"' in page.status.object


def test_without_fields_the_page_says_so(session, store, monkeypatch, tmp_path):
    monkeypatch.setenv("PHYSLAB_ASSETS", str(tmp_path))
    monkeypatch.setattr("apps.ensemble.store.TRUTH", "no-such-data")
    page = session("&draws=2")
    del page.ensemble  # made anew, with another store
    store.ensembles = Ensembles()
    page.ensemble.request(page.state.choice())
    assert "fields over terrain are not available" in page.messages.object
    assert 'data-status="failed"' in page.status.object
    with pytest.raises(Unavailable, match="not available"):
        Ensembles().started(LIVE)


def test_a_time_that_is_not_there_is_said(ensembles):
    with pytest.raises(Unavailable, match="there are 3 times"):
        ensembles.now(3)


def test_the_button_stops_and_draws_again(session):
    page = session("&draws=2")
    view = page.ensemble
    pages.stop_and_go_on(page, view, "mean")
    assert view.shown.members == 2


def test_a_lesson_hides_panels(session):
    page = session("&draws=2&hide=law,day,card")
    view = page.ensemble
    assert not view.cells["law"].visible and view.cells["truth"].visible
    assert view.card not in view.tabs.objects and not page.groups["day"].visible


@pytest.mark.slow
def test_two_pages_share_members_and_nothing_else(session):
    first, second = session("&draws=2"), session("&draws=2")
    first.state.threshold = 293.15
    assert second.state.threshold == 273.15 and second.ensemble.shown.draw.threshold == 273.15
    assert first.ensemble.maps.figures["truth"] is not second.ensemble.maps.figures["truth"]
