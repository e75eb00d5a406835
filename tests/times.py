"""Where the processor time of the tests goes, and which of them are too long for `make check`.

    python -m pytest -p tests.times -p no:xdist tests -m "not slow and not browser" -q     # prints the longest
    ... --write-slow                                # adds those beyond LONG to tests/slow.txt, which makes them slow

Time is that of the test itself and of the processes that it starts and waits for, without its fixtures.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

LONG = 0.5  # seconds of one processor
LIST = Path(__file__).with_name("slow.txt")
_CALLS: dict[str, float] = {}


def spent() -> float:
    """Seconds of this process and of its children so far."""
    every = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in every)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-slow", action="store_true", help=f"add tests beyond {LONG} s to {LIST.name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    before = spent()
    try:
        return (yield)
    finally:
        _CALLS[item.nodeid] = spent() - before


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """The longest tests, their sum, and the list."""
    ordered = sorted(_CALLS.items(), key=lambda pair: -pair[1])
    terminalreporter.write_line(f"{sum(_CALLS.values()):.0f} s of one processor in {len(_CALLS)} tests; the longest:")
    for name, seconds in ordered[:40]:
        terminalreporter.write_line(f"{seconds:7.2f} {name}")
    if config.getoption("--write-slow"):
        known = set(LIST.read_text(encoding="utf-8").splitlines())
        found = known | {name for name, seconds in ordered if seconds > LONG}
        LIST.write_text("".join(f"{name}\n" for name in sorted(found)), encoding="utf-8")
