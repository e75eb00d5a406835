"""A dictionary of what is made when somebody first asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Lazily(dict):
    """Makes each value when somebody first asks for it; what nobody asked for is not in it.

    Parameters
    ----------
    make : name -> value.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, name: str) -> Any:
        self[name] = value = self.make(name)
        return value
