"""What can go wrong with a request, and the answer of work that nobody cancels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("physlab.explorer")


class Unavailable(ValueError):
    """A data set or checkpoint that is not there: one sentence for the page."""


class Lost(Unavailable):
    """The process that made it is gone, or took too long: one sentence for the page."""


class Overtaken(Exception):
    """Nobody waits for this panel any more."""


def never() -> bool:
    """For work that nobody cancels."""
    return False


def silent(done: int, steps: int) -> None:
    """For work whose progress nobody watches."""


def sentence(error: Exception, work: str) -> str:
    """What the page says of work that failed; the log learns of what is not simply missing."""
    if not isinstance(error, Unavailable):
        log.error("%s failed", work, exc_info=error)
    return str(error) or type(error).__name__


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Turn errors of opening something into one sentence: `what` is the case, and why."""
    try:
        yield
    except Unavailable:
        raise
    except (ValueError, OSError) as error:
        raise Unavailable(f"{what}: {error}") from error
