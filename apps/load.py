"""How the explorer bears a class: ``python -m apps.load [--sessions 30] [--seconds 60] [--sampling 2]``.

Serves it in a process of its own, opens sessions over real websockets (:mod:`apps.client`), toggles in each every five
seconds, lets some of them sample, and prints what a person would notice: seconds from a toggle to all maps for what was
made before and for what is new, seconds of opening, of a stop until the worker is free, of a static file while thirty
pages are fetched; processor time and memory for each page, and memory after open-and-close cycles.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tornado.httpclient import AsyncHTTPClient

from apps.client import Tab
from apps.screenshot import serve
from apps.state import Choice, to_query

EVERY = 5.0  # s between two toggles of a session
TOGGLES = list(itertools.product(("network", "bicubic"), ("none", "add", "softmax"), (2, 4)))


def metrics(address: str) -> dict[str, float]:
    """What the server says of itself."""
    with urllib.request.urlopen(f"{address.rsplit('/', 1)[0]}/metrics", timeout=60) as told:
        lines = told.read().decode().split("\n")
    return {name.removeprefix("physlab_"): float(value) for name, value in (x.split() for x in lines if x)}


async def told(address: str) -> dict[str, float]:
    """The same, while other things go on."""
    return await asyncio.to_thread(metrics, address)


@dataclass
class Measured:
    """Seconds and bytes; `cached` and `fresh` are of toggles."""

    opened: list[float] = field(default_factory=list)
    cached: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Medians, 95th percentiles, counts."""

        def of(values: Sequence[float]) -> dict[str, float]:
            if not values:
                return {"count": 0}
            p50, p95 = np.percentile(values, [50, 95])
            return {"count": len(values), "p50_s": round(float(p50), 3), "p95_s": round(float(p95), 3)}

        return {"opened": of(self.opened), "cached": of(self.cached), "feed_forward": of(self.fresh),
                "failed": len(self.failed), **self.more}  # fmt: skip


async def toggling(address: str, number: int, until: float, seen: set, found: Measured) -> None:
    """One person who looks at one frame after the other."""
    rng, tab = random.Random(number), Tab(address)
    choice = Choice(frame=rng.randrange(40))
    try:
        await asyncio.sleep(rng.uniform(0, EVERY))
        found.opened.append(await tab.open(to_query(choice)))
        await tab.drawn(choice.key())
        while time.monotonic() < until:
            await asyncio.sleep(EVERY * rng.uniform(0.8, 1.2))
            method, constraint, factor = rng.choice(TOGGLES)
            mode = "trained" if method == "network" else "applied"
            frame = rng.choice((choice.frame, rng.randrange(40)))
            other = choice.with_(method=method, constraint=constraint, factor=factor, mode=mode, frame=frame)
            if other == choice:
                continue
            choice, known = other, other in seen
            start = time.monotonic()
            await tab.choose(to_query(choice))
            await tab.drawn(choice.key(), 60)
            (found.cached if known else found.fresh).append(time.monotonic() - start)
            seen.add(choice)
    except Exception as error:
        found.failed.append(f"{type(error).__name__}: {error}")
    finally:
        tab.close()


async def sampling(address: str, number: int, until: float, found: Measured) -> None:
    """One person who has members drawn, again and again."""
    tab, seed = Tab(address), 0
    choice = Choice(view="assimilate", members=16, seed=number)
    try:
        await tab.open(to_query(choice))
        while time.monotonic() < until:
            await tab.drawn(choice.key(), 300)
            found.more["samplings"] = found.more.get("samplings", 0) + 1
            seed += 1
            choice = choice.with_(seed=(number + 3 * seed) % 20)
            await tab.choose(to_query(choice))
    except Exception as error:
        found.failed.append(f"sampling {type(error).__name__}: {error}")
    finally:
        tab.close()


async def stopping(address: str) -> float:
    """Seconds from leaving a sampling until the worker is free."""
    tab, choice = Tab(address), Choice(view="assimilate", members=16, seed=19)
    await tab.open(to_query(choice))
    while not (await told(address))["queue_running"]:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)
    start = time.monotonic()
    await tab.choose(to_query(Choice(view="benchmark")))
    while (await told(address))["queue_running"]:
        await asyncio.sleep(0.02)
    tab.close()
    return time.monotonic() - start


async def static_beside_pages(address: str, pages: int) -> float:
    """Longest wait for a static file while pages are fetched."""
    client, worst = AsyncHTTPClient(max_clients=pages + 5, force_instance=True), 0.0
    fetching = [asyncio.ensure_future(client.fetch(address, request_timeout=300)) for _ in range(pages)]
    file = f"{address.rsplit('/', 1)[0]}/static/js/bokeh.min.js"
    while not all(task.done() for task in fetching):
        start = time.monotonic()
        await client.fetch(file, request_timeout=300)
        worst = max(worst, time.monotonic() - start)
        await asyncio.sleep(0.05)
    return worst


async def cycles(address: str, number: int) -> dict[str, float]:
    """Processor time and memory of a page, and memory after pages were closed."""

    async def one(count: int) -> None:
        for _ in range(count):
            tab = Tab(address)
            await tab.open()
            await tab.drawn(Choice().key())
            tab.close()

    await one(8)
    await asyncio.sleep(40)  # pages are given back after half a minute
    before = await told(address)
    await one(number)
    open_ = await told(address)
    await asyncio.sleep(40)
    after = await told(address)
    grown = after["server_memory_bytes"] / before["server_memory_bytes"] - 1
    cpu = open_["server_cpu_seconds_total"] - before["server_cpu_seconds_total"]
    held = (open_["server_memory_bytes"] - before["server_memory_bytes"]) / number / 1e6
    found = {"cpu_s_per_page": cpu / number, "memory_growth": grown, "cycles": number, "mb_per_page_open": held}
    return {name: round(value, 4) for name, value in found.items()}


async def measure(address: str, sessions: int, seconds: float, samplers: int, opens: int) -> Measured:
    """All of it."""
    found = Measured(more={"load_average": os.getloadavg()[0], "cores": os.cpu_count()})
    if opens:
        found.more |= await cycles(address, opens)
    seen: set[Choice] = set()
    until = time.monotonic() + seconds
    people = [toggling(address, n, until, seen, found) for n in range(sessions - samplers)]
    await asyncio.gather(*people, *(sampling(address, n, until, found) for n in range(samplers)))
    now = await told(address)
    found.more["server_mb"] = round(now["server_memory_bytes"] / 1e6)
    found.more["workers_mb"] = round(now["workers_memory_bytes"] / 1e6)
    if samplers:
        found.more["stop_s"] = round(await stopping(address), 2)
    if sessions:
        found.more["static_s"] = round(await static_beside_pages(address, 30), 2)
    found.more["load_average_after"] = os.getloadavg()[0]
    return found


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default, words in (
        ("sessions", 30, "browsers at once"),
        ("seconds", 60.0, "of toggling"),
        ("sampling", 2, "of the sessions sample"),
        ("opens", 50, "open-and-close cycles"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=words)
    given = parser.parse_args()
    with serve(timeout=300) as address:
        found = asyncio.run(measure(address, given.sessions, given.seconds, given.sampling, given.opens))
    print(json.dumps(found.summary(), indent=1))
    for failure in found.failed:
        print(failure)


if __name__ == "__main__":
    main()
