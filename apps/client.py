"""A browser tab without a browser: opens the explorer over its real websocket, chooses, and waits for what is drawn.

It costs next to nothing, so that thirty of them load a server and not the machine that they run on. It understands of
Bokeh's protocol what it needs: documents are pulled, selections are made through the address of the page.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

_STATUS = re.compile(r'data-status="(\w+)" data-key="([^"]*)"')


class Tab:
    """One tab; `open` it, `choose` and `close`.

    Parameters
    ----------
    address : of the explorer, without a query.
    """

    def __init__(self, address: str) -> None:
        self.address, self.location = address, ""
        self.ws: Any = None
        self.status: tuple[str, str] = ("", "")
        self.said: list[str] = []
        self._news = asyncio.Event()
        self._reader: asyncio.Task | None = None
        self.received = 0  # bytes

    async def open(self, query: str = "", timeout: float = 120.0) -> float:
        """Seconds until the document was here."""
        start = time.monotonic()
        page = await AsyncHTTPClient().fetch(self.address + query, request_timeout=timeout, connect_timeout=timeout)
        token = re.search(r'"token":"([^"]+)"', page.body.decode())
        assert token, "the page has no token"
        origin = "/".join(self.address.split("/")[:3])
        request = HTTPRequest(self.address.replace("http", "ws", 1) + "/ws", headers={"Origin": origin},
                              connect_timeout=timeout)  # fmt: skip
        self.ws = await websocket_connect(request, subprotocols=["bokeh", token[1]], max_message_size=2**27)
        await self._receive()  # its greeting
        await self._send("PULL-DOC-REQ", {})
        kind, body = await self._receive()
        while kind != "PULL-DOC-REPLY":
            kind, body = await self._receive()
        found = re.search(r'"name":"panel.models.location.Location","id":"([^"]+)"', body)
        assert found, "the document has no address"
        self.location = found[1]
        self._look(body)
        self._reader = asyncio.ensure_future(self._read())
        await self._send("PATCH-DOC", {"events": [{"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {
            "type": "event", "name": "document_ready", "values": {"type": "map"}}}]})  # fmt: skip
        return time.monotonic() - start

    async def choose(self, query: str) -> None:
        """Another address, as the back button gives it."""
        event = {"kind": "ModelChanged", "model": {"id": self.location}, "attr": "search", "new": query}
        await self._send("PATCH-DOC", {"events": [event]})

    async def drawn(self, key: str, timeout: float = 120.0) -> float:
        """Seconds until the panel of a selection is on the page."""
        return await self.reached("ready", key, timeout)

    async def reached(self, status: str, key: str, timeout: float = 120.0) -> float:
        """Seconds until a selection has a status: ready, failed, stopped."""
        start = time.monotonic()
        while self.status != (status, key):
            left = timeout - (time.monotonic() - start)
            self._news.clear()
            if self.status == (status, key):
                break
            await asyncio.wait_for(self._news.wait(), max(left, 0.01))
        return time.monotonic() - start

    def close(self) -> None:
        """Shut the tab."""
        if self._reader:
            self._reader.cancel()
        if self.ws:
            self.ws.close()

    async def _send(self, kind: str, content: Any) -> None:
        assert self.ws is not None
        header = {"msgid": f"{time.monotonic_ns()}", "msgtype": kind}
        for part in (header, {}, content):
            await self.ws.write_message(json.dumps(part))

    async def _receive(self) -> tuple[str, str]:
        header = json.loads(await self._part())
        await self._part()
        body = await self._part()
        for _ in range(header.get("num_buffers", 0)):
            await self._part()
            await self._part()
        return header["msgtype"], body

    async def _part(self) -> Any:
        assert self.ws is not None
        part = await self.ws.read_message()
        if part is None:
            raise WebSocketClosedError
        self.received += len(part)
        return part

    async def _read(self) -> None:
        try:
            while True:
                self._look((await self._receive())[1])
        except WebSocketClosedError:
            self.status = ("closed", "")
            self._news.set()

    def _look(self, body: str) -> None:
        """What the page says."""
        if "data-status" in body:
            text = html.unescape(body.replace('\\"', '"'))
            for status in _STATUS.findall(text):
                self.status = status
            self._news.set()
        for said in re.findall(r"(?=(data-(?:message|progress)=.{0,300}))", body):  # one may stand close behind another
            self.said = [*self.said[-20:], said]
