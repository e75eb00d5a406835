"""``physlab fetch``."""

from __future__ import annotations

from tyro.conf import Positional


def fetch(name: Positional[str], largest: int = 2048) -> None:
    """Download a data set or a published model once and check it; afterwards it opens without the network.

    Args:
        name: a name of `physlab list data`; or the address of a model, https://SERVER/NAME, the same with .zip, or
            hf://ORGANISATION/NAME. Given again, it asks for a new version.
        largest: MB of a model that are taken at most.
    """
    from physlab.data.published import fetch_model, is_address

    if is_address(name):
        print(fetch_model(name, again=True, largest=largest << 20))
        return
    from physlab.data import fetch

    for path in fetch(name):
        print(path)
