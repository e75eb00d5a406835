"""What stands beside the page: health, metrics and the operator's page, for this machine or with a token; and how the
server bears people: pages in turns, a worker that is killed, a static file that does not wait."""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
import threading
import time

import psutil
import pytest
from bokeh.document import Document
from bokeh.io import curdoc
from bokeh.io import doc as current
from bokeh.models import Div
from bokeh.server.contexts import ApplicationContext
from bokeh.server.urls import per_app_patterns
from panel.io.application import Application as PanelApplication
from panel.io.handlers import FunctionHandler
from panel.io.server import DocHandler, WSHandler
from panel.io.state import state
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application, StaticFileHandler

from apps import aside, load, machine, memory, process, serving
from apps.screenshot import serve
from physlab.cli.explore import DEVICE
from tests.apps import pages

NUMBERS = {
    "uptime_seconds": 90.0, "sessions_live": 3, "sessions_total": 40, "workers": 3, "workers_lost_total": 1,
    "server_cpu_seconds_total": 12.0, "server_memory_bytes": 5e8, "memory_together_bytes": 12e8,
    "loop_wait_seconds_max": 0.032, "workers_cpu_seconds_total": 70.0, "queue_waiting": 2, "queue_running": 1,
    "queue_running_panel": 0, "queue_running_sampling": 1,
    "jobs_total": 8, "jobs_refused_total": 0, "jobs_seconds_total": 4.0,
}  # fmt: skip


def asked(path: str, **headers: str) -> tuple[int, str]:
    """Status and body of a page of the plugin."""

    async def ask():
        server = HTTPServer(Application(serving.ROUTES))
        socket, port = bind_unused_port()
        server.add_sockets([socket])
        got = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}{path}", headers=headers, raise_error=False)
        server.stop()
        return got.code, got.body.decode()

    return asyncio.run(ask())


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(serving, "numbers", lambda: NUMBERS)
    monkeypatch.delenv(serving.TOKEN, raising=False)
    monkeypatch.delenv(serving.OPEN, raising=False)
    return monkeypatch


def test_the_operator_sees_on_this_machine_what_the_server_knows(told):
    code, page = asked("/admin")
    assert code == 200 and "<td>1 sampling</td>" in page and "<td>0.50 s</td>" in page and "1,200 MB" in page
    assert "<td>32 ms</td>" in page
    assert "Networks compute on</th><td>cpu</td>" in page
    told.setenv(machine.DEVICE, "cuda:1")
    assert serving.DEVICE == DEVICE == machine.DEVICE and "<td>cuda:1</td>" in asked("/admin")[1]
    code, lines = asked("/metrics")
    assert code == 200 and "physlab_queue_waiting 2\n" in lines and len(lines.splitlines()) == len(NUMBERS)


def test_others_need_the_token(told):
    from_outside = {"X-Forwarded-For": "192.0.2.7"}
    for path in ("/admin", "/metrics", "/admin?token="):  # no token is set: an empty one is none
        assert asked(path, **from_outside)[0] == 403
    told.setenv(serving.TOKEN, "secret")
    for path in ("/admin", "/admin?token=", "/admin?token=secreT", "/metrics?token=s%C3%A9cret"):
        code, words = asked(path, **from_outside)
        assert code == 403 and serving.TOKEN in words and "secret" not in words
    assert asked("/admin?token=secret", **from_outside)[0] == 200
    assert asked("/metrics", Authorization="Bearer secret", **from_outside)[0] == 200
    told.setenv(serving.OPEN, "open")
    assert asked("/metrics", **from_outside)[0] == 200
    assert asked("/admin", **from_outside)[0] == 403


def test_pages_are_made_aside_and_tabs_are_watched():
    handlers = [handler for _, handler in per_app_patterns]
    assert serving.Pages in handlers and serving.Tabs in handlers
    assert DocHandler not in handlers and WSHandler not in handlers


def test_a_document_is_made_in_its_own_thread_while_the_loop_goes_on_and_is_drawn_in_by_the_loop():
    made: dict[str, object] = {}

    def modify(document):
        made.update(thread=threading.get_ident(), document=curdoc() is document, now=state.curdoc is document)
        until = time.monotonic() + 0.3
        while time.monotonic() < until:  # as Python works: it lets others in every millisecond
            sum(range(100))
        document.add_root(Div(text="made"))

    async def open_one():
        context = ApplicationContext(PanelApplication(FunctionHandler(modify)), IOLoop.current())
        aside.made_aside(context)
        aside.made_aside(context)
        session, turns = asyncio.ensure_future(context.create_session_if_needed("one")), 0
        while not session.done():
            await asyncio.sleep(0.005)
            turns += 1
        return session.result().document, turns

    before = sys.getswitchinterval()
    try:
        document, turns = asyncio.run(open_one())
    finally:
        sys.setswitchinterval(before)
    assert turns > 10 and document.roots[0].text == "made" and curdoc() is not document
    assert made["document"] and made["now"] and made["thread"] != threading.get_ident()
    assert state._thread_id_[document] == threading.get_ident()


def test_a_static_file_comes_in_one_piece_also_a_part_of_it(tmp_path):
    file = tmp_path / "file.js"
    file.write_bytes(bytes(range(256)) * 1000)
    content = StaticFileHandler.get_content
    assert content(str(file)) == file.read_bytes() and content(str(file), 5, 9) == bytes([5, 6, 7, 8])
    assert content(str(file), 255_998) == bytes([254, 255])


def test_what_is_the_document_of_now_is_known_to_each_thread():
    kept, one, other, seen = current._PATCHED_CURDOCS, Document(), Document(), []
    current._PATCHED_CURDOCS = aside._Stack()
    try:
        with current.patch_curdoc(one):
            thread = threading.Thread(target=lambda: seen.append(len(current._PATCHED_CURDOCS)))
            with current.patch_curdoc(other):
                thread.start()
                thread.join()
                assert curdoc() is other
            assert curdoc() is one
    finally:
        current._PATCHED_CURDOCS = kept
    assert seen == [0]


def test_a_closed_tab_stops_its_work_and_one_that_comes_back_may_begin_again(store):
    page = pages.session(store, "?view=paint&seed=9")
    page.paint.slow.pool = page.panels.pool = pages.Never()
    page.state.seed = 10
    assert page._now[1] == "computing"
    page.rest()
    assert page._now[1] == "stopped" and page.paint.strip.again.visible
    page.state.param.update(view="downscale", frame=3)
    assert page._now[1] == "computing"
    page.rest()
    assert page._now[1] == "failed" and page._again.visible


@pytest.mark.slow
def test_a_small_class_is_served_a_killed_worker_is_said_and_a_static_file_does_not_wait():
    with serve(timeout=300.0) as address:
        clock = load.Clock(120.0)
        found = asyncio.run(load.measure(address, sessions=2, seconds=8.0, samplers=0, opens=0, broken=0, clock=clock))
        static = asyncio.run(load.static_beside_pages(address, 6))
    assert not found.failed and not found.missed and len(found.opened) == 2 and found.cached + found.fresh
    assert found.more["worker_lost_said"] and found.more["worker_again_s"] < 60
    assert static < 1.0  # of seconds of work for six pages, on a machine that may be busy with something else
    assert found.more["clients_cpu_s"] < 10
    assert found.more["together_mb"] < 1600


@pytest.mark.skipif(sys.platform == "win32", reason="no process there stays after its end")
def test_a_server_is_looked_for_among_processes_of_which_some_have_ended():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    try:
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(LookupError, match="localhost:1/explorer runs on this machine"):
            asyncio.run(load._sampler("http://localhost:1/explorer"))
    finally:
        ended.wait()


def test_a_worker_gives_memory_back_when_it_rests_or_has_long_not_done_so(monkeypatch):
    given: list[float] = []
    monkeypatch.setattr(process, "give_back", lambda: given.append(time.monotonic()))
    monkeypatch.setattr(process, "REST", 0.05)
    ours, theirs = multiprocessing.Pipe()
    before = time.monotonic()
    assert process._rest(theirs, before) >= given[0] > before  # nobody asked for anything
    ours.send("work")
    assert process._rest(theirs, given[0]) == given[0] and len(given) == 1
    assert process._rest(theirs, given[0] - process.LONG) > given[0] and len(given) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="it asks glibc")
def test_free_memory_goes_back_to_the_system():
    memory.few_heaps()
    pieces = [bytes(1000) for _ in range(300_000)]
    full = psutil.Process().memory_info().rss
    kept = pieces[-1]
    del pieces
    memory.give_back()
    assert psutil.Process().memory_info().rss < full - 100e6 and len(kept) == 1000


def test_what_a_measurement_has_no_time_for_is_named(capsys):
    found = asyncio.run(load.measure("http://localhost:1/explorer", 30, 60.0, 2, 50, "", 200, clock=load.Clock(10.0)))
    assert len(found.missed) == 8 and not found.failed and "a class: 10 s were left" in found.summary()["not_measured"]
    assert "done" in capsys.readouterr().err
