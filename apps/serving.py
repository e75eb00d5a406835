"""Beside the page: ``/health`` for whoever keeps the server running, ``/metrics`` and ``/admin`` for whoever watches.

A plugin of ``panel serve`` (``--plugins apps.serving``). Metrics are numbers in the format of Prometheus, the page of
the operator has the same in words. They are told to the machine itself alone, for they say how many people are here; to
others with the token of ``PHYSLAB_ADMIN_TOKEN`` (``/admin?token=...``), metrics also with ``PHYSLAB_METRICS=open``.

It also has pages made beside the event loop (:class:`Pages`), so that a class that arrives at once stops nobody, and
stops the work of a tab the moment that it is closed (:class:`Tabs`).
"""

from __future__ import annotations

import asyncio
import hmac
import html
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from bokeh.document import Document
from bokeh.server.session import ServerSession
from bokeh.server.urls import per_app_patterns
from panel.io.server import DocHandler, WSHandler
from tornado.web import RequestHandler, StaticFileHandler

from apps.aside import made_aside
from apps.language import COOKIE as LANGUAGE
from apps.language import languages
from apps.lighter import lighten

STARTED = time.time()
OPEN, TOKEN = "PHYSLAB_METRICS", "PHYSLAB_ADMIN_TOKEN"
DEVICE = "PHYSLAB_DEVICE"  # as in apps.machine, which takes longer to import
HERE = ("127.0.0.1", "::1")
SOON = 500  # ms after a tab was closed
lighten()


class Pages(DocHandler):
    """The page, whose document is made beside the event loop."""

    async def get(self, *args: Any, **kwargs: Any) -> None:
        from apps.workers import unheard

        asyncio.get_running_loop().set_exception_handler(unheard)
        made_aside(self.application_context)
        lateness.begin()
        wish = self.get_query_argument("lang", "").strip().lower()
        if wish in languages():
            self.set_cookie(LANGUAGE, wish, path="/", max_age=31536000, samesite="lax")
        made: Any = super().get(*args, **kwargs)
        await made


def whole(cls: type[StaticFileHandler], path: str, start: int | None = None, end: int | None = None) -> bytes:
    """A static file in one piece: in many small ones, as Tornado reads it, each of them waits for its turn."""
    with Path(path).open("rb") as file:
        file.seek(start or 0)
        return file.read() if end is None else file.read(end - (start or 0))


StaticFileHandler.get_content = classmethod(whole)  # type: ignore[assignment, method-assign]


class Tabs(WSHandler):
    """The connection of a tab. Its session ends half a minute after it; nobody waits for its work until then."""

    def on_close(self) -> None:
        session = self.connection.session if self.connection is not None else None
        super().on_close()
        if session is not None:  # a little later: what was sent before the end is still being read
            session.document.add_timeout_callback(partial(_left, session), SOON)


def _left(session: ServerSession) -> None:
    rest = vars(session.document).get(_REST)
    if rest is not None and not session.connection_count:
        rest()


def when_left(document: Document, rest: Callable[[], None]) -> None:
    """What to do when the last tab that shows a document is closed; it is kept with the document, and goes with it."""
    vars(document)[_REST] = rest


_REST = "physlab_rest"
_OURS: dict[Any, Any] = {DocHandler: Pages, WSHandler: Tabs}
_patterns: Any = per_app_patterns
_patterns[:] = [(path, _OURS.get(handler, handler), *more) for path, handler, *more in _patterns]


class Lateness:
    """How long the event loop let others wait: the longest of the last minute or two."""

    EVERY, KEPT = 0.05, 60.0  # s

    def __init__(self) -> None:
        self.task: asyncio.Task | None = None
        self._now, self._before, self._since = 0.0, 0.0, time.monotonic()

    @property
    def longest(self) -> float:
        """Seconds."""
        return max(self._now, self._before)

    def begin(self) -> None:
        """Watch the loop that runs, if nobody does."""
        if self.task is None or self.task.done():
            self.task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while True:
            start = time.monotonic()
            await asyncio.sleep(self.EVERY)
            now = time.monotonic()
            self._now = max(self._now, now - start - self.EVERY)
            if now - self._since > self.KEPT:
                self._before, self._now, self._since = self._now, 0.0, now


lateness = Lateness()


def numbers() -> dict[str, float]:
    """What is measured: sessions, queue, seconds and memory of the server and its workers."""
    from panel import state

    from apps.workers import working

    workers = working()
    sessions = state.session_info
    own = psutil.Process()
    alive = [worker.pid for worker in workers.all if worker.pid]
    found: dict[str, float] = {
        "uptime_seconds": time.time() - STARTED,
        "sessions_live": sessions["live"],
        "sessions_total": sessions["total"],
        "workers": len(alive),
        "workers_lost_total": sum(worker.lost for worker in workers.all),
        "server_cpu_seconds_total": sum(own.cpu_times()[:2]),
        "server_memory_bytes": own.memory_info().rss,
        "memory_together_bytes": _together(own),
        "loop_wait_seconds_max": lateness.longest,
        "workers_memory_bytes": 0,
        "workers_cpu_seconds_total": 0,
    }
    for pid in alive:
        try:
            process = psutil.Process(pid)
            found["workers_memory_bytes"] += process.memory_info().rss
            found["workers_cpu_seconds_total"] += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    names = {"waiting": "queue_waiting", "running": "queue_running", "served": "jobs_total",
             "refused": "jobs_refused_total", "seconds": "jobs_seconds_total", "lanes": "queue_sessions"}  # fmt: skip
    return found | {names.get(key, f"queue_{key}"): value for key, value in workers.line.counts().items()}


def _together(own: psutil.Process) -> int:
    """Memory of the server and all its processes; what they share counts once, where the system tells it."""
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss
        except psutil.Error:
            continue
    return total


class Health(RequestHandler):
    """Whether the server answers and its workers are there."""

    def get(self) -> None:
        from apps.workers import working

        workers = working().all
        there = sum(worker.pid is not None for worker in workers)
        told = {"status": "ok", "workers": there, "of": len(workers), "uptime": round(time.time() - STARTED)}
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(told))


def admitted(handler: RequestHandler, variable: str = "") -> bool:
    """Whether whoever asks is on this machine, has the token, or `variable` says "open"; else it is refused."""
    request, token = handler.request, os.environ.get(TOKEN, "")
    near = request.remote_ip in HERE and "X-Forwarded-For" not in request.headers
    given = handler.get_query_argument("token", "") or request.headers.get("Authorization", "").removeprefix("Bearer ")
    known = bool(token) and hmac.compare_digest(token.encode(), given.encode())
    if near or known or (variable and os.environ.get(variable) == "open"):
        return True
    handler.set_status(403)
    ways = f"pass the token of {TOKEN}" + (f", or set {variable}=open to tell them to others" if variable else "")
    handler.finish(f"these numbers are for this machine: {ways}\n")
    return False


class Metrics(RequestHandler):
    """Numbers for the operator."""

    async def get(self) -> None:
        if not admitted(self, OPEN):
            return
        found = await asyncio.to_thread(numbers)  # it reads the memory of all processes
        self.set_header("Content-Type", "text/plain; version=0.0.4")
        self.set_header("Cache-Control", "no-store")
        self.finish("".join(f"physlab_{name} {value:.10g}\n" for name, value in found.items()))


class Admin(RequestHandler):
    """The same as a page that looks again every five seconds."""

    async def get(self) -> None:
        if not admitted(self):
            return
        found = await asyncio.to_thread(numbers)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.finish(admin_html(found, os.environ.get(DEVICE) or "cpu"))


def admin_html(found: dict[str, float], device: str = "cpu") -> str:
    """The page of the operator; `device` that networks were asked to compute on."""

    def megabytes(name: str) -> str:
        return f"{found[name] / 1e6:,.0f} MB"

    def seconds(name: str) -> str:
        return f"{found[name]:,.0f} s"

    jobs = found["jobs_total"]
    running = {name.removeprefix("queue_running_"): n for name, n in found.items() if name.startswith("queue_running_")}
    groups: dict[str, dict[str, object]] = {
        "People": {
            "Pages that are open": f"{found['sessions_live']:.0f}",
            "Pages since the start": f"{found['sessions_total']:.0f}",
        },
        "Queue": {
            "Requests that wait": f"{found['queue_waiting']:.0f}",
            "Being computed": ", ".join(f"{n:.0f} {kind}" for kind, n in running.items() if n) or "nothing",
            "Computed since the start": f"{jobs:.0f}",
            "Mean time of one": f"{found['jobs_seconds_total'] / jobs:.2f} s" if jobs else "–",
            "Refused, because too many waited": f"{found['jobs_refused_total']:.0f}",
        },
        "Processes": {
            "Networks compute on": device,
            "Workers": f"{found['workers']:.0f}",
            "Workers that were lost and replaced": f"{found['workers_lost_total']:.0f}",
            "Longest wait of the event loop, last minute": f"{1000 * found['loop_wait_seconds_max']:.0f} ms",
            "Processor time of the server": seconds("server_cpu_seconds_total"),
            "Processor time of the workers": seconds("workers_cpu_seconds_total"),
            "Memory of the server": megabytes("server_memory_bytes"),
            "Memory of all together": megabytes("memory_together_bytes"),
            "Running for": seconds("uptime_seconds"),
        },
    }  # fmt: skip
    tables = "".join(
        f"<h2>{title}</h2><table>"
        + "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(str(v))}</td></tr>" for n, v in rows.items())
        + "</table>"
        for title, rows in groups.items()
    )
    sheet = (
        "body{font:15px/1.5 Roboto,Helvetica,Arial,sans-serif;max-width:36em;margin:2em auto;padding:0 1em;"
        "color:#22303c;background:#fff}h1{font-size:22px}h2{font-size:15px;margin:1.4em 0 .3em}"
        "table{width:100%;border-collapse:collapse}"
        "th{font-weight:400;text-align:left;color:#5a6772}td{text-align:right;font-variant-numeric:tabular-nums}"
        "th,td{padding:3px 0;border-bottom:1px solid #edf1f3}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        '<meta name="viewport" content="width=device-width"><title>PhysLab · Server</title>'
        f"<style>{sheet}</style></head><body><h1>PhysLab · Server</h1>{tables}</body></html>"
    )


ROUTES = [("/health", Health), ("/metrics", Metrics), ("/admin", Admin)]
