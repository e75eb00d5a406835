"""Beside the page: ``/health`` for whoever keeps the server running, ``/metrics`` for whoever watches it.

A plugin of ``panel serve`` (``--plugins apps.serving``). Metrics are numbers in the format of Prometheus; they are told
to the machine itself alone unless ``PHYSLAB_METRICS=open``, for they say how many people are here.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import psutil
from tornado.web import RequestHandler

STARTED = time.time()
OPEN = "PHYSLAB_METRICS"
HERE = ("127.0.0.1", "::1")


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
    return found | {names[key]: value for key, value in workers.line.counts().items()}


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


class Metrics(RequestHandler):
    """Numbers for the operator."""

    def get(self) -> None:
        near: Any = self.request.remote_ip in HERE and "X-Forwarded-For" not in self.request.headers
        if not near and os.environ.get(OPEN) != "open":
            self.set_status(403)
            self.finish(f"metrics are for this machine: set {OPEN}=open to tell them to others\n")
            return
        self.set_header("Content-Type", "text/plain; version=0.0.4")
        self.set_header("Cache-Control", "no-store")
        self.finish("".join(f"physlab_{name} {value:.10g}\n" for name, value in numbers().items()))


ROUTES = [("/health", Health), ("/metrics", Metrics)]
