"""How the explorer bears a class: ``python -m apps.load [--sessions 30] [--seconds 60] [--sampling 2] [--limit 350]``.

Serves it in a process of its own, opens sessions over real websockets (:mod:`apps.client`), toggles in each every five
seconds, lets some of them sample, and prints what a person would notice: seconds from a toggle to all maps for what was
made before and for what is new, seconds of opening, of a stop until the worker is free, of a static file while thirty
pages are fetched; processor time and memory for each page and each toggle, and memory after open-and-close cycles (of
a real browser with ``--browser``). Then it does harm: ends a worker in the middle of its work, and sends broken
addresses and messages; the server has to stay, without a traceback.

It says how far it is, ends within its limit, and names what it could not measure in that time. Its own clients run on
the same machine: the processor time that they take is told beside the figures. Closed pages are given back here after
three seconds instead of half a minute, so that one need not wait for them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import string
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from tornado.httpclient import AsyncHTTPClient

from apps.client import Tab
from apps.process import SAMPLING_NICE
from apps.screenshot import browse, find_browser, serve, wait_until_drawn
from apps.state import Choice, to_query
from apps.workers import TIDY

EVERY = 5.0  # s between two toggles of a session
SOON = ("--unused-session-lifetime", "3000", "--check-unused-sessions", "1000")  # ms, of a closed page
GIVEN_BACK = 3 + 1 + TIDY + 3  # s after a page was closed
ABREAST = 3  # tabs that are opened together
TOGGLES = list(itertools.product(("network", "bicubic"), ("none", "add", "softmax"), (2, 4)))


def metrics(address: str) -> dict[str, float]:
    """What the server says of itself."""
    with urllib.request.urlopen(f"{address.rsplit('/', 1)[0]}/metrics", timeout=60) as told:
        lines = told.read().decode().split("\n")
    return {name.removeprefix("physlab_"): float(value) for name, value in (x.split() for x in lines if x)}


async def told(address: str) -> dict[str, float]:
    """The same, while other things go on."""
    return await asyncio.to_thread(metrics, address)


class Clock:
    """How much time is left, and how far the work is, on the standard error."""

    def __init__(self, limit: float) -> None:
        self.start, self.limit = time.monotonic(), limit

    def left(self) -> float:
        """Seconds."""
        return self.limit - (time.monotonic() - self.start)

    def say(self, words: str) -> None:
        """A line with the time."""
        print(f"[{time.monotonic() - self.start:4.0f} s] {words}", file=sys.stderr, flush=True)


def own_cpu() -> float:
    """Processor seconds of the clients, those of a browser included."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "panel" not in child.cmdline() and "forkserver" not in " ".join(child.cmdline()):
                total += sum(child.cpu_times()[:2])
    return total


@dataclass
class Measured:
    """Seconds and bytes; `cached` and `fresh` are of toggles."""

    opened: list[float] = field(default_factory=list)
    cached: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Medians, 95th percentiles, counts."""

        def of(values: Sequence[float]) -> dict[str, float]:
            if not values:
                return {"count": 0}
            p50, p95 = np.percentile(values, [50, 95])
            return {"count": len(values), "p50_s": round(float(p50), 3), "p95_s": round(float(p95), 3)}

        return {"opened": of(self.opened), "cached": of(self.cached), "feed_forward": of(self.fresh),
                "failed": len(self.failed), **self.more, "not_measured": self.missed}  # fmt: skip


async def toggling(address: str, number: int, until: float, seen: set, found: Measured) -> None:
    """One person who looks at one frame after the other."""
    rng, tab = random.Random(number), Tab(address)
    choice = Choice(frame=rng.randrange(40))
    try:
        await asyncio.sleep(rng.uniform(0, EVERY))
        found.opened.append(await tab.open(to_query(choice)))
        await tab.drawn(choice.key())
        seen.add(choice)
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
    """One person who has members drawn, again and again, and leaves when the others do."""
    tab, seed = Tab(address), 0
    choice = Choice(view="assimilate", members=16, seed=number)
    try:
        await tab.open(to_query(choice))
        while (left := until - time.monotonic()) > 0:
            try:
                await tab.drawn(choice.key(), left)
            except TimeoutError:
                break  # it is still being made
            found.more["samplings"] = found.more.get("samplings", 0) + 1
            seed += 1
            choice = choice.with_(seed=(number + 3 * seed) % 20)
            await tab.choose(to_query(choice))
    except Exception as error:
        found.failed.append(f"sampling {type(error).__name__}: {error}")
    finally:
        tab.close()


async def begun(address: str, seed: int, within: float = 60.0) -> tuple[Tab, Choice]:
    """A tab whose sampling goes on."""
    tab, choice = Tab(address), Choice(view="assimilate", members=16, seed=seed)
    await tab.open(to_query(choice))
    until = time.monotonic() + within
    while not (await told(address))["queue_running_sampling"]:
        if time.monotonic() > until:
            raise TimeoutError(f"no sampling began within {within:.0f} s")
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)
    return tab, choice


async def stopping(address: str, within: float = 60.0) -> float:
    """Seconds from leaving a sampling until the worker is free."""
    until = time.monotonic() + within
    while (await told(address))["queue_running_sampling"] and time.monotonic() < until:  # of those before
        await asyncio.sleep(0.1)
    tab, _ = await begun(address, 19)
    start = time.monotonic()
    await tab.choose(to_query(Choice(view="benchmark")))
    while (await told(address))["queue_running_sampling"]:
        if time.monotonic() > start + within:
            raise TimeoutError(f"a sampling that nobody waits for went on for {within:.0f} s")
        await asyncio.sleep(0.02)
    tab.close()
    return time.monotonic() - start


async def _told_of(words: str, tab: Tab, within: float = 10.0) -> bool:
    """Whether a page says it."""
    until = time.monotonic() + within
    while not any(words in said for said in tab.said) and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return any(words in said for said in tab.said)


async def ending_a_worker(address: str) -> dict[str, Any]:
    """Kill the process that samples: what the page says and after how long, and until it has made something again."""
    tab, choice = await begun(address, 18)
    start = time.monotonic()
    (await _sampler(address)).kill()
    await tab.reached("failed", choice.key(), 60)
    failed = time.monotonic() - start
    said = await _told_of("process that computed", tab)  # the words come with the next message
    other = choice.with_(assimilator="adas", members=1)
    await tab.choose(to_query(other))
    await tab.drawn(other.key(), 300)
    tab.close()
    return {"worker_lost_said": said, "worker_lost_said_s": round(failed, 2),
            "worker_again_s": round(time.monotonic() - start, 2)}  # fmt: skip


async def _sampler(address: str, within: float = 60.0) -> psutil.Process:
    """The process that samples, among the children of the server at an address: it steps back for the others.

    A server that was just started starts it with the first sampling, which takes a while."""
    port, until = urllib.parse.urlsplit(address).port, time.monotonic() + within
    lines = psutil.process_iter(["cmdline"])  # None of a process that ended and that nobody has taken note of yet
    server = next((p for p in lines if f"--port {port} " in " ".join(p.info["cmdline"] or ()) + " "), None)
    if server is None:
        raise LookupError(f"no server of {address} runs on this machine")
    while time.monotonic() < until:
        for process in server.children(recursive=True):
            with suppress(psutil.Error):  # one that was just ended
                if process.nice() == server.nice() + SAMPLING_NICE:
                    return process
        await asyncio.sleep(0.1)
    raise TimeoutError(f"no process of {address} samples")


async def harm(address: str, number: int, clock: Clock) -> dict[str, Any]:
    """Memory after broken addresses and broken messages, relative to that after half of them."""
    rng, done = random.Random(7), 0
    memory: list[float] = []
    letters = string.ascii_letters + string.digits + "=&;,.:%|<>'\"\\/+-\x00\u202e\u00b2"
    names = list(to_query(Choice())[1:].split("&"))

    async def one() -> None:
        parts = [rng.choice(names), *("".join(rng.choices(letters, k=rng.randrange(40))) for _ in range(3))]
        rng.shuffle(parts)
        tab = Tab(address)
        try:
            await tab.open("?" + urllib.parse.quote("&".join(parts), safe="=&;,%"))
            await tab.ws.write_message("".join(rng.choices(letters, k=rng.randrange(1, 200))))
            await asyncio.sleep(0.02)
        finally:
            tab.close()

    for part in (number // 2, number - number // 2):
        until, end = time.monotonic() + (clock.left() - 2 * GIVEN_BACK) / (2 if not memory else 1), done + part
        while done < end and time.monotonic() < until:
            together = min(ABREAST, end - done)
            await asyncio.gather(*(one() for _ in range(together)))
            done += together
        clock.say(f"{done} of {number} broken addresses and messages")
        await asyncio.sleep(GIVEN_BACK)
        memory.append((await told(address))["server_memory_bytes"])
    return {"broken": done, "memory_growth_broken": round(memory[-1] / memory[0] - 1, 4)}


def seconds_of(address: str, within: float) -> float:
    """How long a file takes."""
    start = time.monotonic()
    with urllib.request.urlopen(address, timeout=within) as answer:
        answer.read()
    return time.monotonic() - start


async def static_beside_pages(address: str, pages: int, within: float = 300.0) -> float:
    """Longest wait for a static file while pages are fetched; it is asked for in a thread of its own, since the loop
    here has thirty pages to take in."""
    client, worst = AsyncHTTPClient(max_clients=pages + 5, force_instance=True), 0.0
    fetching = [asyncio.ensure_future(client.fetch(address, request_timeout=within)) for _ in range(pages)]
    file = f"{address.rsplit('/', 1)[0]}/static/js/bokeh.min.js"
    while not all(task.done() for task in fetching):
        worst = max(worst, await asyncio.to_thread(seconds_of, file, within))
        await asyncio.sleep(0.05)
    for task in fetching:
        task.result()  # one that was refused says why
    return worst


class RealTabs:
    """Tabs of a browser, opened and closed a few at a time; its calls come from one thread."""

    def __init__(self, executable: str, address: str) -> None:
        self.executable, self.address = executable, address
        self.thread, self.stack = ThreadPoolExecutor(1, "browser"), ExitStack()
        self.context: Any = None  # with what all tabs of a browser share

    def _open(self, number: int, until: float) -> int:
        self.context = self.context or self.stack.enter_context(browse(self.executable)).new_context()
        done = 0
        while done < number and time.monotonic() < until:
            pages = [self.context.new_page() for _ in range(min(ABREAST, number - done))]
            for page in pages:
                page.goto(self.address, wait_until="commit")
            for page in pages:
                wait_until_drawn(page, timeout=60.0)
                page.close()
            done += len(pages)
        return done

    async def open(self, number: int, until: float) -> int:
        """Open and close them; how many there was time for."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self._open, number, until)

    async def close(self) -> None:
        """Shut the browser."""
        await asyncio.get_running_loop().run_in_executor(self.thread, self.stack.close)
        self.thread.shutdown()


class LightTabs:
    """The same without a browser."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def open(self, number: int, until: float) -> int:
        """Open and close them; how many there was time for."""
        for at in range(number):
            if time.monotonic() > until:
                return at
            tab = Tab(self.address)
            await tab.open()
            await tab.drawn(Choice().key())
            tab.close()
        return number

    async def close(self) -> None:
        """Nothing is left open."""


async def cycles(address: str, number: int, clock: Clock, browser: str = "", first: int = 8) -> dict[str, float]:
    """Processor time of a page, and memory after pages were opened and closed, relative to that after the first."""
    tabs = RealTabs(browser, address) if browser else LightTabs(address)
    try:
        await tabs.open(first, time.monotonic() + clock.left())
        await asyncio.sleep(GIVEN_BACK)
        before, own = await told(address), own_cpu()
        clock.say(f"{first} pages opened and closed to begin with")
        done = await tabs.open(number, time.monotonic() + clock.left() - GIVEN_BACK)
        open_, own = await told(address), own_cpu() - own
    finally:
        await tabs.close()
    if not done:
        raise TimeoutError(f"the first {first} took all of the time")
    clock.say(f"{done} of {number} pages opened and closed")
    await asyncio.sleep(GIVEN_BACK)
    after = await told(address)
    grown = after["server_memory_bytes"] / before["server_memory_bytes"] - 1
    cpu = open_["server_cpu_seconds_total"] - before["server_cpu_seconds_total"]
    found = {"cpu_s_per_page": cpu / done, "clients_cpu_s_per_page": own / done, "memory_growth": grown}
    return {"cycles": done, "real_tabs": bool(browser), **{name: round(x, 4) for name, x in found.items()}}


async def memory_of_pages(address: str, number: int) -> dict[str, float]:
    """Megabytes of the server for each page that is open."""
    before, tabs = await told(address), [Tab(address) for _ in range(number)]
    for tab in tabs:
        await tab.open()
        await tab.drawn(Choice().key())
    now = await told(address)
    for tab in tabs:
        tab.close()
    return {"mb_per_page": round((now["server_memory_bytes"] - before["server_memory_bytes"]) / number / 1e6, 2)}


async def warm(address: str) -> dict[str, Any]:
    """One person looks at each method once: data and networks are loaded then, which nobody measures."""
    tab, choice = Tab(address), Choice()
    try:
        await tab.open()
        await tab.drawn(choice.key())
        for method, constraint, factor in TOGGLES:
            mode = "trained" if method == "network" else "applied"
            choice = choice.with_(method=method, constraint=constraint, factor=factor, mode=mode)
            await tab.choose(to_query(choice))
            await tab.drawn(choice.key(), 120)
    finally:
        tab.close()
    return {}


async def a_class(address: str, sessions: int, seconds: float, samplers: int, found: Measured) -> dict[str, Any]:
    """People at once: seconds of their toggles, and what it takes of the machine."""
    seen: set[Choice] = set()
    before, own, start = await told(address), own_cpu(), time.monotonic()
    until = start + seconds
    people = [toggling(address, n, until, seen, found) for n in range(sessions - samplers)]
    await asyncio.gather(*people, *(sampling(address, n, until, found) for n in range(samplers)))
    now = await told(address)
    server = now["server_cpu_seconds_total"] - before["server_cpu_seconds_total"]
    took = time.monotonic() - start
    return {
        "server_cpu_s": round(server, 1),
        "server_share_of_a_core": round(server / took, 2),
        "clients_share_of_a_core": round((own_cpu() - own) / took, 2),
        "loop_wait_s_max": round(now["loop_wait_seconds_max"], 3),
        **{f"{name}_mb": round(now[f"{name}_memory_bytes"] / 1e6) for name in ("server", "workers")},
        "together_mb": round(now["memory_together_bytes"] / 1e6),
        "load_average_of_the_class": round(os.getloadavg()[0], 2),
    }


async def measure(
    address: str, sessions: int, seconds: float, samplers: int, opens: int, browser: str = "", broken: int = 0,
    harmed: bool = True, clock: Clock | None = None,
) -> Measured:  # fmt: skip
    """All of it, within the limit of the clock."""
    clock = clock or Clock(3600.0)
    found = Measured(more={"load_average": round(os.getloadavg()[0], 2), "cores": os.cpu_count()})
    began = own_cpu()

    async def part(words: str, wanted: bool, least: float, do: Callable[[], Coroutine[Any, Any, dict]]) -> None:
        """One measurement; what does not end in time, or fails, is said."""
        if not wanted:
            return
        if clock.left() < least:
            found.missed.append(f"{words}: {clock.left():.0f} s were left")
            return
        clock.say(words)
        try:
            found.more |= await asyncio.wait_for(do(), clock.left())
        except TimeoutError as error:
            found.missed.append(f"{words}: {str(error) or 'not within the limit'}")
        except Exception as error:
            found.failed.append(f"{words}: {type(error).__name__}: {error}")

    async def named(name: str, value: Coroutine[Any, Any, float]) -> dict[str, float]:
        return {name: round(await value, 2)}

    await part("each method once", sessions + opens > 0, 30, lambda: warm(address))
    await part("a class", sessions > 0, seconds + 20, lambda: a_class(address, sessions, seconds, samplers, found))
    await part("a stop", samplers > 0, 15, lambda: named("stop_s", stopping(address)))
    await part("a worker is ended", harmed, 20, lambda: ending_a_worker(address))
    await part(f"{sessions} pages at once and a static file", sessions > 0, 15,
               lambda: named("static_s", static_beside_pages(address, sessions)))  # fmt: skip
    await part("pages that stay open", opens > 0, 30, lambda: memory_of_pages(address, min(opens, 12)))
    await part("pages opened and closed", opens > 0, 40, lambda: cycles(address, opens, clock, browser))
    await part("broken addresses and messages", broken > 0, 40, lambda: harm(address, broken, clock))
    if "server_cpu_s" in found.more and "cpu_s_per_page" in found.more:
        opened = found.more["cpu_s_per_page"] * len(found.opened)
        toggles = max(len(found.cached) + len(found.fresh), 1)
        found.more["server_cpu_s_per_toggle"] = round((found.more["server_cpu_s"] - opened) / toggles, 3)
    clients = (
        own_cpu() - began + found.more.get("clients_cpu_s_per_page", 0.0) * found.more.get("cycles", 0) * bool(browser)
    )
    found.more |= {"load_average_after": round(os.getloadavg()[0], 2), "clients_cpu_s": round(clients, 1)}
    clock.say("done")
    return found


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default, words in (
        ("sessions", 30, "browsers at once"),
        ("seconds", 60.0, "of toggling"),
        ("sampling", 2, "of the sessions sample"),
        ("opens", 50, "open-and-close cycles"),
        ("broken", 200, "broken addresses, each with a broken message"),
        ("limit", 350.0, "seconds until it ends; what was not measured by then is named"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=words)
    parser.add_argument("--browser", action="store_true", help="tabs of a real browser are opened and closed")
    given = parser.parse_args()
    browser = find_browser() if given.browser else ""
    if browser is None:
        raise SystemExit("no browser found: install chromium, set PHYSLAB_CHROMIUM to its path, or leave --browser out")
    clock = Clock(given.limit)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        serve(timeout=given.limit, said=said, more=SOON) as address,
    ):
        found = asyncio.run(
            measure(
                address, given.sessions, given.seconds, given.sampling, given.opens, browser, given.broken, clock=clock
            )
        )
        said.seek(0)
        printed = said.read()
    found.more["tracebacks"] = printed.count("Traceback")
    print(json.dumps(found.summary(), indent=1))
    for failure in found.failed:
        print(failure)
    if found.more["tracebacks"]:
        print(printed[-6000:])


if __name__ == "__main__":
    main()
