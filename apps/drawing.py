"""When results are drawn: on the event loop of their session, once the browser is connected."""

from __future__ import annotations

from collections.abc import Callable

from bokeh.document import Document


class Drawing:
    """Runs on the session's event loop what workers hand over, but nothing before the browser is connected.

    Panel drops changes that are made after it has sent the page and before the browser is connected, for it takes them
    to be in the page already: maps of a slow first panel would stay empty.

    Parameters
    ----------
    next_tick : runs a function on the session's event loop, and is called there: what another thread adds to a document
        in the moment in which Bokeh sends what it has held back is lost, and the page would compute for ever.
    loop : runs a function with its arguments on the event loop, called by any thread.
    """

    def __init__(self, next_tick: Callable[[Callable[[], None]], object], loop: Callable[..., object]) -> None:
        self.next_tick, self.loop, self.connected = next_tick, loop, False
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, draw: Callable[[], None]) -> None:
        self.loop(self.next_tick, lambda: draw() if self.connected else self.waiting.append(draw))

    def start(self) -> None:
        """The browser is connected."""
        self.connected = True
        while self.waiting:
            self.waiting.pop(0)()


def drawing_in(document: Document) -> Drawing | None:
    """Of a document that a server shows, None elsewhere."""
    session = document.session_context
    context = getattr(session.server_context, "application_context", None) if session else None
    if context is None or context.io_loop is None:
        return None

    def next_tick(draw: Callable[[], None]) -> None:
        if document.session_context is not None:  # else the tab was closed meanwhile
            document.add_next_tick_callback(draw)

    return Drawing(next_tick, context.io_loop.add_callback)
