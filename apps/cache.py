"""A small cache for threads: keys are scalars, never arrays; each value is made once; the oldest is forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Cache:
    """Least recently used first out, `size` values; None is not a value."""

    size: int
    _values: OrderedDict = field(default_factory=OrderedDict)
    _locks: dict = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def peek(self, key: Hashable) -> Any:
        """The value if it is there, else None."""
        with self._guard:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        return None

    def clear(self) -> None:
        """Forget all of them."""
        with self._guard:
            self._values.clear()

    def drop(self, part: str) -> None:
        """Forget what has a text in its key."""
        with self._guard:
            for key in [key for key in self._values if part in repr(key)]:
                del self._values[key]

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value, made on first use; others who ask meanwhile wait for it."""
        value = self.peek(key)
        if value is not None:
            return value
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        try:
            with lock:
                value = self.peek(key)
                if value is None:
                    value = make()
                    with self._guard:
                        self._values[key] = value
                        while len(self._values) > self.size:
                            self._values.popitem(last=False)
        finally:
            with self._guard:
                self._locks.pop(key, None)
        return value
