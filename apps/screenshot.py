"""A picture of the explorer: ``python apps/screenshot.py book/images/explorer.png [query]``.

Serves the explorer on a free port, opens it in an installed Chromium through Playwright and waits until everything is
drawn. The browser tests use the same two context managers.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
VIEWPORT = {"width": 1400, "height": 900}
QUERY = "?v=1&dataset=tcw&frame=40&factor=4&method=network&mode=trained&constraint=softmax"


def find_browser() -> str | None:
    """Path of an installed Chromium or Chrome: PHYSLAB_CHROMIUM, or the first on the PATH."""
    named = os.environ.get("PHYSLAB_CHROMIUM")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def serve(timeout: float = 120.0, said: IO[str] | None = None, more: Sequence[str] = ()) -> Iterator[str]:
    """The explorer in a process of its own on a free port; yields its address.

    Parameters
    ----------
    timeout : s until it answers.  said : a file for what the server prints; None to forget it.
    more : options of ``panel serve``.

    Raises
    ------
    RuntimeError : it did not answer in time; the message ends with what it printed.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "panel",
        "serve",
        str(ROOT / "apps" / "explorer.py"),
        "--port",
        str(port),
        "--address",
        "localhost",
        "--plugins",
        "apps.serving",
    ]
    kept, said = said, said or tempfile.TemporaryFile("w+", encoding="utf-8")  # not a pipe: a full one stops the server
    server = subprocess.Popen(
        [*command, "--allow-websocket-origin", f"localhost:{port}", *more],
        cwd=ROOT,
        stdout=said,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = f"http://localhost:{port}/explorer"
    try:
        start = time.monotonic()
        while True:
            with suppress(OSError), urllib.request.urlopen(address, timeout=timeout) as page:
                if page.status == 200:
                    break
            if server.poll() is not None or time.monotonic() - start > timeout:
                said.seek(0)
                raise RuntimeError(f"the explorer did not start within {timeout:.0f} s:\n{said.read()[-4000:]}")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
        server.kill()
        if kept is None:
            said.close()


@contextmanager
def browse(executable: str):
    """A headless browser of Playwright; yields it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def telling(page) -> Iterator[None]:
    """What the page says of itself, in the message of a wait that was too long."""
    try:
        yield
    except Exception as error:
        marked = page.locator("[data-status], [data-table], [data-progress]")
        seen = marked.evaluate_all("all => all.map(one => JSON.stringify(one.dataset))")
        raise TimeoutError(f"{error}\n{page.url} says: {'; '.join(seen) or 'nothing'}") from error


def wait_until_drawn(page, timeout: float = 60.0, tests: bool = False) -> None:
    """Wait until the panel is drawn, and with `tests` what comes later: scores of the test split, coefficients, or
    those of an analysis or an ensemble."""
    names = ("test", "coefficients", "analysis", "ensemble")
    later = ", ".join(f'[data-table="{name}"][data-state="ready"]' for name in names)
    with telling(page):
        for what in ['[data-status="ready"]', later] if tests else ['[data-status="ready"]']:
            page.wait_for_selector(what, state="attached", timeout=1000 * timeout)


def main(output: str, query: str = QUERY) -> None:
    """Serve, look, save."""
    executable = find_browser()
    if executable is None:
        raise SystemExit(
            f"no browser found among {', '.join(BROWSERS)}: install chromium, or set PHYSLAB_CHROMIUM to its path"
        )
    with serve() as address, browse(executable) as browser:
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(address + query)
        wait_until_drawn(page, timeout=180.0, tests=True)
        page.wait_for_timeout(1500)  # fonts, transitions
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=output)
    print(f"wrote {output}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python apps/screenshot.py OUTPUT.png [QUERY]")
    main(*sys.argv[1:])
