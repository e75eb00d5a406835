"""A session without a browser: overtaken work is dropped, links are obeyed, failures become one sentence."""

from __future__ import annotations

import runpy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import param
import pytest
from bokeh.document import Document

from apps.address import Address
from apps.drawing import Drawing
from apps.latest import Latest
from apps.state import Choice, State, parse_query
from apps.workers import Workers
from physlab.benchmark.downscaling import COSTS, SCORES
from tests.apps.pages import AtOnce, session


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("apps.session.SETTLE", 0)


class Location(param.Parameterized):
    """What the address bar is to a session."""

    search = param.String("")


def test_only_the_newest_request_is_delivered():
    gate, delivered, worked = threading.Event(), [], []

    def work(key, cancelled):
        worked.append(key)
        gate.wait(5)
        return key

    with ThreadPoolExecutor(1) as pool:
        latest = Latest(pool, work, lambda key, value: delivered.append(value), lambda draw: draw())
        for key in range(20):
            latest.request(key)
        gate.set()
    assert delivered == [19]
    assert len(worked) <= 2  # the first had started, the eighteen between were never run


def test_work_can_see_that_it_was_overtaken_and_errors_are_delivered():
    delivered = []
    latest = Latest(
        AtOnce(), lambda key, cancelled: 1 / key, lambda key, value: delivered.append(value), lambda draw: draw()
    )
    latest.request(0)
    assert isinstance(delivered[0], ZeroDivisionError)
    held = []
    late = Latest(AtOnce(), lambda key, cancelled: key, lambda key, value: delivered.append(value), held.append)
    late.request(1)
    late.request(2)
    for draw in held:
        draw()
    assert delivered[1:] == [2]


def test_a_film_that_is_faster_than_the_page_shows_what_was_under_way_and_then_the_newest():
    working, gate, delivered = threading.Event(), threading.Event(), []

    def work(key, cancelled):
        working.set()
        gate.wait(5)
        return key, cancelled()

    with ThreadPoolExecutor(1) as pool:
        latest = Latest(pool, work, lambda key, value: delivered.append(value), lambda draw: draw())
        latest.request(0)
        assert working.wait(5)
        for key in range(1, 20):
            latest.request(key, patient=True)
        gate.set()
        while len(delivered) < 2:
            time.sleep(0.01)
        assert delivered == [(0, False), (19, False)]
        gate.clear()
        working.clear()
        latest.request(20)
        assert working.wait(5)
        latest.request(21, patient=True)
        latest.request(22)  # another selection: the film is over
        gate.set()
    assert delivered[2:] == [(22, False)]


def test_a_selection_is_drawn_with_the_numbers_of_the_library(store):
    page = session(store)
    page.state.apply(Choice("tcw", 2, 8, "bicubic", "applied", "mult"))
    panel = store.panel(page.state.choice())
    assert page.shown is panel
    for metric in ("rmse", "conservation_error", "spectral_divergence_top"):
        assert (
            f'data-metric="{metric}" data-column="this" data-value="{panel.scores["this"][metric]!r}"'
            in page.scores.object
        )
    assert page.maps.images["truth"].data["image"][0] is panel.maps["truth"]
    assert 'data-state="ready"' in page.tests_pane.object
    assert f'data-key="{page.state.choice().key()}"' in page.status.object


def test_controls_and_state_move_together(store):
    page = session(store, "?factor=8&constraint=add")
    assert page.controls["factor"].value == 8
    assert page.controls["constraint"].value == "add"
    page.controls["method"].value = "nearest"
    assert page.state.method == "nearest"
    assert page.controls["mode"].disabled
    page.state.reset()
    assert page.controls["method"].value == "network"


def test_groups_and_maps_of_ensembles_and_sequences_come_and_go(store):
    page = session(store)
    assert not any(page.groups[name].visible for name in ("hour", "show", "statistic", "against"))
    assert "spread" not in page.cells  # not made before the first ensemble
    page.controls["network"].value = "gan"
    assert page.state.constraint == "add"  # softmax has no checkpoint of this network
    assert "constraint set to additive" in page.messages.object
    assert page.cells["spread"].visible and page.cells["ranks"].visible and page.groups["show"].visible
    assert page.of_members[0].images["spread"].data["image"][0] is page.shown.maps["spread"]
    assert 'data-metric="spread_skill"' in page.scores.object
    assert "data-discriminator" in page.card.object
    assert "too many for this page" in page.tests_pane.object
    page.controls["dataset"].value = "tcw-t2"
    assert page.state.network == "flowgru"
    assert page.groups["hour"].visible and not page.cells["spread"].visible
    page.controls["hour"].value = 1
    assert page.shown.choice.hour == 1
    assert "got nothing" in page.prompt.object


def test_the_benchmark_view(store, monkeypatch):
    rows = [
        {"task": "tcw", "factor": 4, "model": model, "constraint": constraint, "seed": seed, "kind": kind,
         "preset": "cpu", **dict.fromkeys((*SCORES, *COSTS), 0.5), "rmse": rmse, "conservation_error": error}
        for model, constraint, seed, kind, rmse, error in (
            ("bicubic", "add", None, "baseline", 2.0, 1e-15), ("bicubic", "none", None, "baseline", 2.2, 0.7),
            ("edsr", "add", 0, "network", 1.5, 1e-6), ("edsr", "add", 1, "network", 1.7, 1e-6),
        )
    ]  # fmt: skip
    monkeypatch.setattr("apps.store.read_runs", lambda: pd.DataFrame(rows))
    page = session(store, "?view=benchmark")
    assert page.benchmark.view.visible and not page.downscale.visible
    drawn = page.benchmark.source.data
    assert drawn["label"] == ["bicubic + add", "bicubic", "EDSR + add"]
    assert list(drawn["y"]) == pytest.approx([2.0, 2.2, 1.6])
    assert drawn["x"].min() == 1e-8  # the logarithm of rounding errors would squeeze the rest
    assert drawn["high"][2] - drawn["y"][2] == pytest.approx(0.1 * 2**0.5)
    assert "+20.0 %" in page.benchmark.table.object
    clouds = [figure.renderers[0] for figure in page.benchmark.figures]
    assert [cloud.data_source for cloud in clouds] == 2 * [page.benchmark.source]  # linked: one table, one selection
    assert [cloud.glyph.x for cloud in clouds] == ["x", "x2"]
    assert list(drawn["x2"]) == [0.5, 0.5, 0.5]  # the time, beside the conservation error
    page.benchmark.source.selected.indices = [2]
    assert page.benchmark.table.object.count("data-value") == 1 and "EDSR" in page.benchmark.table.object
    page.state.against = "spectral_divergence"
    assert list(page.benchmark.source.data["x2"])[:2] == pytest.approx([1e-8, 0.7])
    assert page.benchmark.table.object.count("data-value") == 3  # another figure: nothing is selected any more
    page.state.factor = 8
    assert "no benchmark of tcw at factor 8" in page.benchmark.heading.object
    page.controls["view"].value = "downscale"
    assert page.downscale.visible and page.shown.choice.factor == 8


def test_nothing_is_drawn_before_the_browser_is_connected():
    ticks, drawn = [], []
    drawing = Drawing(ticks.append, lambda run, *arguments: run(*arguments))
    drawing(lambda: drawn.append(1))
    ticks.pop()()
    assert not drawn
    drawing.start()
    drawing(lambda: drawn.append(2))
    ticks.pop()()
    assert drawn == [1, 2]


def test_a_worker_adds_nothing_to_a_document_by_itself():
    """What it adds while Bokeh hands out what was held back would be lost: the event loop adds it."""
    document, seen = Document(), []

    class Handing(list):
        """Events that are held back; meanwhile another thread asks for its result to be drawn."""

        def __iter__(self):
            events = list.__iter__(self)
            thread = threading.Thread(target=drawing, args=(lambda: seen.append("drawn"),))
            thread.start()
            thread.join()
            return events

    later, told = [], []
    drawing = Drawing(document.add_next_tick_callback, lambda *call: later.append(call))
    drawing.start()
    document.callbacks.on_change(lambda event: told.append(type(event).__name__))
    document.hold("collect")
    document.callbacks._held_events = Handing()
    document.unhold()
    ((run, *arguments),) = later
    run(*arguments)
    assert told == ["SessionCallbackAdded"] and not seen  # the session is told, and runs it in the next tick


def test_a_click_places_a_station_and_a_second_one_takes_it_away(store):
    page = session(store, "?method=bicubic&mode=applied&constraint=add")
    west, east, south, north = page.shown.window
    before, place = page.shown.maps["error"], (west + 0.3 * (east - west), south + 0.6 * (north - south))
    page.stations.place(*place)
    assert len(page.shown.choice.heard) == 1 and "1 of at most" in page.stations.words.object
    at = page.shown.choice.heard[0]
    rows, columns = before.shape
    assert (at // columns, at % columns) == (int(0.6 * rows), int(0.3 * columns))
    assert len(page.maps.stations.data["x"]) == 1 and "stations: 1" in page.maps.captions["result"].object
    assert abs(page.shown.maps["error"].ravel()[at]) <= abs(before.ravel()[at])
    page.stations.place(west - 1.0, south)  # beside the map
    page.stations.place(*place)
    assert not page.shown.choice.heard and (page.shown.maps["error"] == before).all()
    page.stations.place(*place)
    page.stations.clear.clicks += 1
    assert not page.state.listen
    page.state.dataset = "tcw-t1"
    assert not page.groups["listen"].visible


def test_a_lesson_hides_what_it_does_not_need(store):
    page = session(store, "?hide=truth,method,card")
    assert not page.cells["truth"].visible
    assert not page.groups["method"].visible
    assert page.cells["result"].visible
    assert page.card not in page.tabs.objects


def test_hidden_words_reach_the_page_only_as_text(store):
    page = session(store, "?constraint=<script>alert(1)</script>")
    assert "<script>" not in page.messages.object
    assert "&lt;script&gt;" in page.messages.object


def test_a_missing_data_set_leaves_the_rest_working(store, lab, monkeypatch):
    def without_tcw(task, factor, splits):
        if task == "tcw":
            raise FileNotFoundError("asset 'data/nature-tcw.nc' is not there")
        return lab(task, factor)

    monkeypatch.setattr("apps.store.sr_pairs", without_tcw)
    page = session(store)
    assert "not available" in page.messages.object
    page.state.dataset = "era5-uk-t2m"
    assert page.shown.choice.dataset == "era5-uk-t2m"
    assert "not available" not in page.messages.object


def test_two_sessions_share_the_store_and_nothing_else(store):
    first, second = session(store), session(store)
    first.state.apply(Choice("era5-uk-t2m", 1, 4, "bicubic", "applied", "add"), ("truth",))
    assert second.state.choice() == Choice()
    assert second.cells["truth"].visible
    assert second.shown.choice.dataset == "tcw"
    assert not set(first.maps.images.values()) & set(second.maps.images.values())


def test_the_address_follows_the_state_and_the_state_the_address(store):
    location, later = Location(), []
    page = session(store)
    Address(page.state, location, lambda act, wait: later.append(act), page.notes.extend)
    assert parse_query(location.search) == (Choice(), (), [])
    for frame in range(1, 4):
        page.state.frame = frame
    assert "frame=0" in location.search  # it waits until the selections have settled
    for act in later:
        act()
    assert "frame=3" in location.search
    location.search = "?v=1&factor=2&constraint=add&frame=1"
    assert (page.state.factor, page.state.constraint, page.state.frame) == (2, "add", 1)


@pytest.mark.slow
def test_200_broken_links_in_one_session(store, caplog, broken_links):
    location = Location()
    page = session(store)
    Address(page.state, location, lambda act, wait: act(), page.notes.extend)
    for link in broken_links(200, seed=3):
        location.search = link
        assert page.shown is not None
    assert "failed" not in page.status.object
    assert not caplog.records


@pytest.mark.parametrize("search", ["?frame=700", "?dataset=era5-uk-t2m&frame=6"])
def test_a_frame_beyond_the_end_is_said(store, search):
    page = session(store, search)
    assert page.state.frame == store.frames(page.state.dataset) - 1
    assert "showing the last one" in page.messages.object


def test_workers_outlive_the_session_that_made_them(lab, repository, monkeypatch):
    """Panel empties the names of the script when a session ends, and a thread may start after that."""
    monkeypatch.setattr("sys.argv", ["explorer.py"])
    monkeypatch.setattr("apps.workers.working", Workers)  # of which nobody asks anything
    monkeypatch.setattr("apps.workers.Workers.start", lambda self: None)
    script = runpy.run_path(str(repository / "apps" / "explorer.py"))
    _, pool, background = script["shared"]()
    script["page"].__globals__.clear()
    for workers in (pool, background):
        assert workers.submit(lambda: 7).result(timeout=30) == 7
        workers.shutdown()


def test_state_is_per_instance():
    assert State().param.constraint.objects is not None
    assert State() is not State()
