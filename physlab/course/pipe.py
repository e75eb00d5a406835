"""Messages over a socket: the length of a JSON header, the length of its bytes, header and bytes; with limits of size
and time, since the other end may be anybody."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from physlab.course.values import LARGEST, Damaged

HEADER = struct.Struct("<4sIQ")
MAGIC = b"phyL"
LONGEST = 16 << 20


class Silent(TimeoutError):
    """The other end did not answer in time."""


def send(end: socket.socket, header: dict[str, Any], raw: bytes = b"") -> None:
    """Send one message."""
    text = json.dumps(header).encode()
    end.sendall(HEADER.pack(MAGIC, len(text), len(raw)) + text)
    if raw:
        end.sendall(raw)


def _exactly(end: socket.socket, size: int, until: float | None) -> bytes:
    parts, left = [], size
    while left:
        if until is not None:
            rest = until - time.monotonic()
            if rest <= 0:
                raise Silent
            end.settimeout(rest)
        else:
            end.settimeout(None)
        try:
            part = end.recv(min(left, 1 << 20))
        except TimeoutError:
            raise Silent from None
        if not part:
            raise EOFError
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def receive(end: socket.socket, seconds: float | None = None) -> tuple[dict[str, Any], bytes]:
    """One message.

    Raises
    ------
    Silent
        If it is not there in time.
    EOFError
        If the other end has closed.
    Damaged
        If it is none, or larger than allowed.
    """
    until = None if seconds is None else time.monotonic() + seconds
    magic, length, size = HEADER.unpack(_exactly(end, HEADER.size, until))
    if magic != MAGIC or length > LONGEST or size > LARGEST:
        raise Damaged("a message that is too large, or none")
    text, raw = _exactly(end, length, until), _exactly(end, size, until)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged("a message that cannot be read") from None
    if not isinstance(header, dict):
        raise Damaged("a message that cannot be read")
    return header, raw
