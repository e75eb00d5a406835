"""The student's side: runs the cells of one notebook in its cage, then answers calls, until it is told to stop or dies.

This process is the student's: it can lie, crash or vanish, and nothing that it says is run by the grader.
"""

from __future__ import annotations

import ast
import io
import os
import re
import socket
import sys
import types
from pathlib import Path
from typing import Any

import torch

from physlab.course import cage
from physlab.course.blocked import Gate
from physlab.course.pipe import receive, send
from physlab.course.values import Packer, unpack

LOUDEST = 20_000
"""Letters of output that are kept."""
ABSENT = "the graders and answers of the book are not here while an assignment is graded"


class Short(io.TextIOBase):
    """Takes all output, and keeps the first part."""

    def __init__(self) -> None:
        self.kept, self.size = "", 0

    def write(self, text: str) -> int:
        self.size += len(text)
        if len(self.kept) < LOUDEST:
            self.kept += text[: LOUDEST - len(self.kept)]
        return len(text)


def absent_book() -> None:
    """In place of `physlab.teach`: `check` says that it is not here, everything else is refused."""

    class Absent(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"{self.__name__}.{name}: {ABSENT}")

    def check(*arguments: Any, **keywords: Any) -> None:
        print(ABSENT)

    for name in [name for name in sys.modules if name.startswith("physlab.teach")]:
        del sys.modules[name]
    for name in ("physlab.teach", "physlab.teach.check"):
        module = Absent(name)
        module.__path__ = []
        module.check = check  # type: ignore[attr-defined]
        sys.modules[name] = module
    import physlab

    physlab.teach = sys.modules["physlab.teach"]


def plain_code(source: str) -> str:
    """A cell without the lines that are IPython's and not Python's."""
    if source.lstrip().startswith("%%"):
        return ""
    return "\n".join(re.sub(r"^(\s*)[%!].*$", r"\1pass", line) for line in source.splitlines())


def reason(error: BaseException) -> str:
    """The error in one short line."""
    try:
        first = (str(error).splitlines() or [""])[0]
    except Exception:
        first = ""
    return f"{type(error).__name__}: {first[:300]}"


class Pupil:
    """One student's process."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.gate = end, Gate()
        self.space: dict[str, Any] = {"__name__": "__main__"}
        self.graphs: dict[int, tuple[torch.Tensor, list[torch.Tensor]]] = {}

    def run(self, cells: list[str], skip: list[int]) -> None:
        """Run the cells in order; one that fails is named, and the next is tried."""
        errors, out = {}, Short()
        sys.stdout = sys.stderr = out
        for k, source in enumerate(cells):
            if k in skip:
                continue
            send(self.end, {"op": "cell", "k": k})
            try:
                tree = ast.parse(plain_code(source))
                exec(compile(tree, f"cell {k + 1}", "exec"), self.space)
            except BaseException as error:
                errors[k] = reason(error)
        send(self.end, {"op": "done", "errors": errors, "said": out.kept, "size": out.size})

    def fetch(self, name: str) -> None:
        """Send a variable; a function is only named as one."""
        packer = Packer(lambda _: 0)
        try:
            if name not in self.space:
                send(self.end, {"op": "missing"})
                return
            tree = packer.pack(self.space[name])
        except BaseException as error:
            send(self.end, {"op": "raise", "text": reason(error)})
            return
        send(self.end, {"op": "value", "value": tree}, b"".join(packer.blobs))

    def _callback(self, number: int) -> Any:
        def callback(*arguments: Any) -> Any:
            packer = Packer()
            tree = packer.pack(list(arguments))
            send(self.end, {"op": "callback", "f": number, "args": tree}, b"".join(packer.blobs))
            header, raw = receive(self.end)
            if header["op"] == "raise":
                raise RuntimeError(header["text"])
            return unpack(header["value"], raw)

        return callback

    def call(self, header: dict[str, Any], raw: bytes) -> None:
        """Call the student's function on what came, and send back what it returns, and which inputs it changed."""
        packer = Packer()
        self.gate.shut(header["exercise"])
        try:
            arguments = unpack(header["args"], raw, self._callback)
            tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
            before = [x.detach().clone() for x in tensors]
            inputs = [x for x in tensors if x.requires_grad]
            out = self.space[header["name"]](*arguments)
            changed = [
                [k, packer.pack(x.detach())]
                for k, (x, old) in enumerate(zip(tensors, before, strict=True))
                if x.shape != old.shape or not torch.equal(x.detach(), old)
            ]
            if inputs and isinstance(out, torch.Tensor) and out.requires_grad:
                self.graphs[header["id"]] = (out, inputs)
            states = [packer.pack(x) for x in arguments if isinstance(x, torch.Generator)]
            answer = {"op": "return", "value": packer.pack(out), "changed": changed, "generators": states}
        except BaseException as error:
            send(self.end, {"op": "raise", "text": reason(error)})
            return
        finally:
            self.gate.reopen()
        send(self.end, answer, b"".join(packer.blobs))

    def backward(self, header: dict[str, Any], raw: bytes) -> None:
        """The gradients of an earlier call."""
        packer = Packer()
        try:
            out, inputs = self.graphs.pop(header["id"])
            slopes = torch.autograd.grad(out, inputs, unpack(header["value"], raw), allow_unused=True)
            tree = packer.pack([None if x is None else x.detach() for x in slopes])
        except BaseException as error:
            send(self.end, {"op": "raise", "text": reason(error)})
            return
        send(self.end, {"op": "grads", "value": tree}, b"".join(packer.blobs))

    def serve(self) -> None:
        """Do what is asked until the grader hangs up."""
        while True:
            try:
                header, raw = receive(self.end)
            except (EOFError, OSError):
                return
            if header["op"] == "run":
                self.run(header["cells"], header["skip"])
            elif header["op"] == "fetch":
                self.fetch(header["name"])
            elif header["op"] == "call":
                self.call(header, raw)
            elif header["op"] == "backward":
                self.backward(header, raw)


def live(end: socket.socket, order: dict[str, Any]) -> None:
    """Become a student's process: own group, own folder, nothing of the environment, closed cage; then serve."""
    folder = Path(order["folder"])
    os.setsid()
    os.chdir(folder)
    os.umask(0o077)
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    os.environ.clear()
    os.environ.update(kept, OMP_NUM_THREADS="1", MPLBACKEND="agg")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    import tempfile

    tempfile.tempdir = str(folder)
    absent_book()
    sys.path[:] = [str(folder), *(p for p in sys.path if (p and "site-packages" in p) or "python3" in p)]
    pupil = Pupil(end)
    fences = cage.close(folder, order["seconds"], order["memory"], order["file"])
    send(end, {"op": "ready", "fences": fences})
    pupil.serve()
