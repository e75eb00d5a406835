"""When results are drawn: on the event loop of their session, once the browser is connected."""

from __future__ import annotations

from collections.abc import Callable


class Drawing:
    """Runs on the session's event loop what workers hand over, but nothing before the browser is connected.

    Panel drops changes that are made after it has sent the page and before the browser is connected, for it takes them
    to be in the page already: maps of a slow first panel would stay empty.
    """

    def __init__(self, next_tick: Callable[[Callable[[], None]], object]) -> None:
        self.next_tick, self.connected = next_tick, False
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, draw: Callable[[], None]) -> None:
        self.next_tick(lambda: draw() if self.connected else self.waiting.append(draw))

    def start(self) -> None:
        """The browser is connected."""
        self.connected = True
        while self.waiting:
            self.waiting.pop(0)()
