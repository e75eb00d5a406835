"""Pages are made beside the event loop, one after the other, so that nobody waits while a class arrives.

Making a page takes some tenths of a second of Python. A thread of its own does it: the loop goes on with clicks, files
and messages of all others, and takes turns with it every millisecond. Bokeh makes a document before it knows a
session, and asks an application's hook in between; that is where the thread works. What Bokeh and Panel keep for "the
document of now" is kept for each thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bokeh.application import Application
from bokeh.document import Document
from bokeh.io import doc as current
from bokeh.server.contexts import ApplicationContext
from panel.io.state import state

SLICE = 0.001  # s that a thread works while another wants to
_maker = ThreadPoolExecutor(1, "pages")


class _Stack(threading.local):
    """A list for each thread, as far as Bokeh uses it."""

    def __init__(self) -> None:
        self.items: list[weakref.ref[Document]] = []
        self.append, self.pop = self.items.append, self.items.pop

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> weakref.ref[Document]:
        return self.items[at]


class Aside:
    """An application that makes its documents in the thread for pages; else it is the one that it was given."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    async def on_session_created(self, context: Any) -> None:
        """The hooks of a session, then its document."""
        await self._application.on_session_created(context)
        loop, here, ran = asyncio.get_running_loop(), threading.get_ident(), contextvars.copy_context()

        async def make(document: Document) -> None:
            await loop.run_in_executor(_maker, ran.run, self._application.initialize_document, document)
            state._thread_id_[document] = here  # from now on the loop draws in it

        await context.with_locked_document(make)

    def initialize_document(self, document: Document) -> None:
        """It is made."""


def made_aside(context: ApplicationContext) -> None:
    """From now on the pages of an application are made so."""
    if not isinstance(context._application, Aside):
        sys.setswitchinterval(SLICE)
        if not isinstance(current._PATCHED_CURDOCS, _Stack):
            current._PATCHED_CURDOCS = _Stack()  # type: ignore[assignment]
        context._application = Aside(context._application)  # type: ignore[assignment]
