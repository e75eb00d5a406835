"""What can go wrong with a request, and the answer of work that nobody cancels."""

from __future__ import annotations


class Unavailable(ValueError):
    """A data set or checkpoint that is not there: one sentence for the page."""


class Overtaken(Exception):
    """Nobody waits for this panel any more."""


def never() -> bool:
    """For work that nobody cancels."""
    return False
