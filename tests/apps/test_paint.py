"""The Paint view without a browser: clicks, lines and lists become observations, the certificate is the library's, and
the copied script repeats it."""

from __future__ import annotations

import asyncio
import contextlib
import io

import numpy as np
import pytest
import xarray as xr

from apps.options import GUIDES, PAINTED
from apps.paint import view
from apps.paint.store import Paintings
from apps.state import Choice, Paint, parse_query, to_query
from physlab.views.painter import Canvas, certificate
from tests.apps import pages

FEW = Paint(painted="1250.1310.900", seed=2)


@pytest.fixture(scope="module")
def paintings():
    return Paintings()


@pytest.fixture
def session(store, paintings):
    store.paintings = paintings
    return lambda query="": pages.session(store, "?view=paint&painted=1250.1310.900&seed=2" + query)


def test_numbers_are_those_of_the_library_and_of_the_copied_script(paintings):
    picture, canvas = paintings.picture(FEW), Canvas.make()
    seen = canvas.observe(FEW.stations, FEW.sigma, FEW.seed)
    expected = certificate(canvas, seen, canvas.ask("mmps", seen), canvas.kalman(seen))
    assert picture.certificate == pytest.approx(expected, rel=1e-9)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(view.script(picture), {})
    printed = {line.split()[0]: float(line.split()[1]) for line in said.getvalue().splitlines()}
    assert printed == pytest.approx(expected | {"rmse": picture.scores["asked"]}, rel=1e-6)
    assert set(picture.maps) == set(view.QUANTITY) and set(GUIDES) >= {"mmps", "enkf"}


def test_a_page_shows_both_answers_and_says_which_is_exact(session):
    page = session()
    shown = page.paint
    assert shown.view.visible and "Moment matching" in shown.strip.words.object
    assert shown.numbers.object.count("best") == 4 and "within the bounds" in shown.prompt.object
    assert shown.maps.images["apart"].data["image"][0] is shown.shown.maps["apart"]
    kept = xr.load_dataset(io.BytesIO(asyncio.run(page.keep.fetch()).getvalue()), engine="h5netcdf")
    np.testing.assert_array_equal(kept["asked"].values, shown.shown.maps["asked"])
    assert kept["latitude"].values[0] == 30 and kept["apart"].attrs["units"] == "1"
    page.controls["guide"].value = "enkf"
    assert "beyond the bounds" in shown.prompt.object and 'data-status="ready"' in page.status.object
    assert page.state.query() == to_query(Choice(view="paint", guide="enkf", painted="1250.1310.900", seed=2))


def test_clicks_lines_and_lists_place_observations(session):
    page = session("&guide=enkf")
    shown, canvas = page.paint, Canvas.make()
    shown.stations.place(-20.2, 50.3)  # there is one already
    assert page.state.painted == "1310.900"
    shown.stations.place(-30.0, 40.0)
    assert page.state.choice().stations[-1] == canvas.near(-30, 40)
    shown.stations.place(120.0, 50.0)  # outside
    assert len(page.state.choice().stations) == 3
    shown.maps.path.data = {"xs": [[-40, -20, 0]], "ys": [[60, 50, 42]]}
    track = canvas.along([-40, -20, 0], [60, 50, 42])
    assert set(track) <= set(page.state.choice().stations) and not shown.maps.path.data["xs"]
    shown.places.value = "50 -20, 55.5 -10"
    assert page.state.choice().stations == (canvas.near(-20, 50), canvas.near(-10, 55.5))
    shown.places.value = "50 -20, 55"
    assert "degrees north" in page.messages.object and len(page.state.choice().stations) == 2
    shown.line([-50, 10, -50, 10], [30, 70, 70, 30])  # longer than there is room for
    assert len(page.state.choice().stations) == PAINTED and "no more can be placed" in shown.stations.words.object
    shown.maps.take(True)
    assert shown.maps.figures["truth"].toolbar.active_drag is shown.maps.pens["truth"]


def test_nothing_observed_is_the_prior_and_links_are_checked(session, paintings):
    picture = paintings.picture(Paint(painted=""))
    assert picture.scores["asked"] == picture.scores["prior"] == picture.scores["kalman"] and not picture.certificate
    assert "nothing is observed" in view.script(picture) and "prior" in view.answer(picture)
    for wrong in ("painted=2501", "painted=3.3", "guide=ddpm", "sigma=1", "painted=" + ".".join(map(str, range(41)))):
        choice, _, problems = parse_query("?view=paint&" + wrong)
        assert len(problems) == 1 and choice == Choice(view="paint")


def test_asking_can_be_stopped(session):
    page = session("&seed=5")
    pages.stop_and_go_on(page, page.paint, "asked")
