"""The grader's side: starts a student's process, watches it, and stands in for its functions.

A call of a :class:`Remote` sends inputs and brings back outputs as data; the student's code is never imported here.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from physlab.course.pipe import Silent, receive, send
from physlab.course.values import Damaged, Foreign, Packer, unpack
from physlab.errors import PhysLabError


class Gone(Exception):
    """The student's process is no more, and why; every later call says so too."""

    in_words = True


class Raised(Exception):
    """The student's function ended with an error; the text is that of the error."""

    in_words = True


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds, processor seconds, bytes of memory, bytes of one file.

    `wall` counts processor time while the submission computes and the clock while it sleeps, so that a busy machine
    takes nothing from a student; after `PATIENCE` times as long it ends whatever it does.
    """

    wall: float = 60.0
    cpu: int = 60
    memory: int = 2 << 30
    file: int = 50 << 20


PATIENCE = 10.0
"""How many times longer than its limit a submission may take that waits for its turn on a busy machine."""
TICKS = os.sysconf("SC_CLK_TCK")


def used(pid: int) -> tuple[bool, float]:
    """Whether a process sleeps, and its processor time in seconds; (True, 0.0) where the system does not say."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return True, 0.0
    return state not in "RD", (int(rest[10]) + int(rest[11])) / TICKS


class Server:
    """A running fork server; one for each worker."""

    def __init__(self) -> None:
        self.control, other = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        kept = {k: os.environ[k] for k in ("PATH", "LANG", "LD_LIBRARY_PATH", "PHYSLAB_ASSETS") if k in os.environ}
        command = [sys.executable, "-m", "physlab.course.server", str(other.fileno())]
        self.process = subprocess.Popen(
            command,
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={**kept, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        other.close()
        if self._line() != "ready":
            raise PhysLabError("the process that runs submissions did not start; see what it said above")

    def _line(self) -> str:
        text = b""
        while not text.endswith(b"\n"):
            part = self.control.recv(1)
            if not part:
                return ""
            text += part
        return text.decode().strip()

    def fork(self, folder: Path, limits: Limits) -> tuple[int, socket.socket]:
        """A new student's process; returns its number and our end of its socket."""
        mine, theirs = socket.socketpair()
        order = {
            "op": "fork",
            "folder": str(folder),
            "seconds": limits.cpu,
            "memory": limits.memory,
            "file": limits.file,
        }
        socket.send_fds(self.control, [json.dumps(order).encode()], [theirs.fileno()])
        theirs.close()
        return int(self._line()), mine

    def wait(self, pid: int) -> int:
        """End the process group of a student and return the exit code of its leader (negative: the signal)."""
        for attempt in range(2):
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                if not attempt:
                    time.sleep(0.02)
        self.control.sendall(json.dumps({"op": "wait", "pid": pid}).encode())
        return int(self._line())

    def close(self) -> None:
        """Hang up; the server ends."""
        self.control.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Session:
    """One run of a notebook in a process of its own.

    Attributes
    ----------
    errors : dict
        Number of the cell -> its error.
    said : str
        The first part of what it printed.
    cell : int or None
        The cell that was running when the process ended, if one was.
    """

    def __init__(self, server: Server, folder: Path, limits: Limits) -> None:
        self.server, self.limits, self.left = server, limits, limits.wall
        self.patience = PATIENCE * limits.wall
        self.pid, self.end = server.fork(folder, limits)
        self.errors: dict[int, str] = {}
        self.said, self.size, self.calls = "", 0, 0
        self.cell: int | None = None
        self.gone = ""
        try:
            ready, _ = receive(self.end, 60.0)
        except (EOFError, OSError, Damaged):
            ready = {}
        if ready.get("op") != "ready":
            self.close()
            raise PhysLabError(
                f"a process for submissions could not be started: {ready.get('text', 'it ended at once')}"
            )

    def close(self) -> None:
        """End the process if it is still there."""
        if not self.gone:
            self.gone = "closed"
            self.end.close()
            self.server.wait(self.pid)

    def _end(self, why: str) -> Gone:
        late = why == "time"
        if not late:  # it closes its socket a moment before it is gone
            time.sleep(0.05)
        _, spent = used(self.pid)
        self.end.close()
        code = self._reap(late)
        names = {
            -9: "it was killed",
            -11: "it crashed (segmentation fault)",
            -24: "processor time limit",
            -6: "it aborted",
        }
        if late:
            self.gone = f"time limit: no answer within {self.limits.wall:g} s"
        elif why:
            self.gone = why
        elif code == -24 or (code == -9 and spent > self.limits.cpu - 0.5):  # the system kills at the limit
            self.gone = f"time limit: {self.limits.cpu} s of processor time"
        elif code < 0:
            self.gone = names.get(code, f"the process ended with signal {-code}")
        else:
            self.gone = f"the process ended itself with status {code} (sys.exit or os._exit)"
        return Gone(self.gone)

    def _reap(self, late: bool) -> int:
        if not late:
            for _ in range(100):
                try:
                    state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    break
                if state == "Z":
                    break
                time.sleep(0.02)
        return self.server.wait(self.pid)

    def ask(self, header: dict[str, Any], raw: bytes = b"", callbacks: list[Any] | None = None) -> tuple[dict, bytes]:
        """Send a request and wait for its answer, at most as long as the submission has left."""
        if self.gone:
            raise Gone(self.gone)
        try:
            self.end.settimeout(max(self.left, 0.1))
            send(self.end, header, raw)
            while True:
                self._await()
                start = time.monotonic()
                try:
                    answer, data = receive(self.end, max(self.left, 0.05))
                finally:
                    self.left -= time.monotonic() - start
                if answer.get("op") == "cell":
                    self.cell = int(answer["k"])
                elif answer.get("op") == "callback" and callbacks:
                    self._callback(answer, data, callbacks)
                else:
                    return answer, data
        except (Silent, TimeoutError):
            raise self._end("time") from None
        except Damaged as error:
            raise self._end(f"it sent {error}") from None
        except (EOFError, OSError):
            raise self._end("") from None
        except (KeyError, TypeError, ValueError):
            raise self._end("it sent a message that cannot be read") from None

    def _await(self) -> None:
        """Wait for the first byte of an answer, and charge what the process used meanwhile."""
        _, before = used(self.pid)
        ready = False
        while not ready:
            start = time.monotonic()
            ready = bool(select.select([self.end], [], [], min(0.25, max(self.left, 0.05)))[0])
            waited = time.monotonic() - start
            sleeps, now = used(self.pid)
            self.left -= waited if sleeps and not ready else now - before
            self.patience -= waited
            before = now
            if not ready and (self.left <= 0 or self.patience <= 0):
                raise Silent

    def _callback(self, answer: dict[str, Any], data: bytes, callbacks: list[Any]) -> None:
        packer = Packer()
        try:
            out = callbacks[int(answer["f"])](*unpack(answer["args"], data))
            reply = {"op": "value", "value": packer.pack(out)}
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            reply, packer = {"op": "raise", "text": f"{type(error).__name__}: {first}"[:300]}, Packer()
        send(self.end, reply, b"".join(packer.blobs))

    def run(self, cells: list[str], skip: list[int]) -> None:
        """Run the notebook; raises :class:`Gone` if it ends the process."""
        answer, _ = self.ask({"op": "run", "cells": cells, "skip": skip})
        if answer.get("op") != "done":
            raise self._end("it sent a message out of turn")
        self.cell = None
        self.errors = {int(k): str(v)[:400] for k, v in dict(answer["errors"]).items()}
        self.said, self.size = str(answer["said"]), int(answer["size"])

    def value(self, name: str, exercise: str) -> Any:
        """A variable of the notebook: `...` if there is none, a :class:`Remote` for a function, otherwise its value."""
        answer, raw = self.ask({"op": "fetch", "name": name})
        if answer.get("op") == "missing":
            return ...
        if answer.get("op") != "value":
            return Foreign(str(answer.get("text", "value"))[:60])
        try:
            return unpack(answer["value"], raw, lambda _: Remote(self, name, exercise))
        except Damaged as error:
            return Foreign(str(error)[:60])


class _Slope(torch.autograd.Function):
    """Gradients through a student's function: asked for in the student's process."""

    @staticmethod
    def forward(ctx, remote, arguments, *tensors):
        ctx.remote = remote
        out, ctx.number, has = remote.invoke(arguments)
        if not isinstance(out, torch.Tensor):
            remote.other = out
            out, has = torch.zeros(()), False
        if not has:
            ctx.mark_non_differentiable(out)
        return out

    @staticmethod
    def backward(ctx, slope):
        return (None, None, *ctx.remote.slopes(ctx.number, slope))


class Remote:
    """Stands for a function in a student's process."""

    def __init__(self, session: Session, name: str, exercise: str) -> None:
        self.session, self.name, self.exercise = session, name, exercise
        self.__name__, self.__doc__ = name, None
        self.other: Any = None

    def __call__(self, *arguments: Any) -> Any:
        wanted = [x for x in arguments if isinstance(x, torch.Tensor) and x.requires_grad]
        if not wanted:
            return self.invoke(arguments)[0]
        self.other = None
        out = _Slope.apply(self, arguments, *wanted)
        return out if self.other is None else self.other

    def invoke(self, arguments: tuple[Any, ...]) -> tuple[Any, int, bool]:
        """Call the function: what it returned, the number of the call, and whether it has a gradient."""
        callbacks: list[Any] = []

        def number(function: Any) -> int:
            callbacks.append(function)
            return len(callbacks) - 1

        packer = Packer(number)
        self.session.calls += 1
        count = self.session.calls
        header = {"op": "call", "name": self.name, "exercise": self.exercise, "id": count}
        header["args"] = packer.pack(list(arguments))
        answer, raw = self.session.ask(header, b"".join(packer.blobs), callbacks)
        if answer.get("op") == "raise":
            raise Raised(str(answer.get("text"))[:400])
        if answer.get("op") != "return":
            raise self.session._end("it sent a message out of turn")
        out = unpack(answer["value"], raw)
        tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
        with torch.no_grad():
            for k, tree in answer["changed"]:
                new = unpack(tree, raw)
                if new.shape == tensors[int(k)].shape:
                    tensors[int(k)].detach().copy_(new)
        for mine, tree in zip(packer.generators, answer["generators"], strict=False):
            mine.set_state(unpack(tree, raw).get_state())
        has = isinstance(out, torch.Tensor) and out.requires_grad
        return (out.detach() if isinstance(out, torch.Tensor) else out), count, has

    def slopes(self, count: int, slope: torch.Tensor) -> list[torch.Tensor | None]:
        """The gradients of a call with respect to its inputs that want them."""
        packer = Packer()
        header = {"op": "backward", "id": count, "value": packer.pack(slope)}
        answer, raw = self.session.ask(header, b"".join(packer.blobs))
        if answer.get("op") != "grads":
            raise Raised(str(answer.get("text"))[:400])
        return unpack(answer["value"], raw)
