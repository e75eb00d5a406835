"""``physlab fetch``."""

from __future__ import annotations

from tyro.conf import Positional


def fetch(name: Positional[str]) -> None:
    """Download a data set once and check it; afterwards it opens without the network.

    Args:
        name: a name of `physlab list data`.
    """
    from physlab.data import fetch

    for path in fetch(name):
        print(path)
