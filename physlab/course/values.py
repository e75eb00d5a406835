"""Values as data: what passes between the grader and a student's process, a JSON tree beside raw bytes, never pickle.

Nothing here runs what it reads: sizes, types and depths are checked before anything is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from physlab.errors import PhysLabError

LARGEST = 64 << 20
"""Bytes of all arrays of one message."""
DEEPEST = 12
"""Levels of lists, tuples and dictionaries."""
PARTS = 100_000
"""Values in one message."""

TENSORS = {str(d).removeprefix("torch."): d for d in (
    torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool, torch.complex64, torch.complex128,
)}  # fmt: skip
ARRAYS = "?bhilqBHILQefdFD"


class Damaged(PhysLabError):
    """A message that is no message: too large, too deep, or not what it says."""


class Foreign:
    """Stands for a value that cannot be sent; it has the name of its type and nothing else."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"a {self.kind}"


class Packer:
    """Python values to a JSON tree and one string of bytes.

    Parameters
    ----------
    function : callable, optional
        Called with each function that is met; returns the number under which the other side may call it.
    """

    def __init__(self, function: Callable[[Any], int] | None = None) -> None:
        self.function, self.blobs, self.size, self.count = function, [], 0, 0  # type: ignore[var-annotated]
        self.generators: list[torch.Generator] = []

    def _bytes(self, raw: bytes) -> list[int]:
        place = [self.size, len(raw)]
        self.size += len(raw)
        if self.size > LARGEST:
            raise Damaged(f"more than {LARGEST >> 20} MB in one answer")
        self.blobs.append(raw)
        return place

    def pack(self, value: Any, depth: int = 0) -> Any:
        """The JSON form of one value."""
        self.count += 1
        if depth > DEEPEST or self.count > PARTS:
            raise Damaged("too many values inside one another")
        if value is None or isinstance(value, bool | str):
            if isinstance(value, str) and len(value) > 1_000_000:
                raise Damaged("a text of more than a million letters")
            return {"t": "plain", "v": value}
        if value is Ellipsis:
            return {"t": "ellipsis"}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int) and not isinstance(value, bool):
            return {"t": "int", "v": str(int(value)) if abs(int(value)) < 10**300 else "inf"}
        if isinstance(value, float):
            return {"t": "float", "v": float(value).hex()}
        if isinstance(value, complex):
            return {"t": "complex", "v": [value.real.hex(), value.imag.hex()]}
        if isinstance(value, torch.Generator):
            self.generators.append(value)
            return {"t": "generator", "at": self._bytes(value.get_state().numpy().tobytes())}
        if isinstance(value, torch.Tensor):
            kind = str(value.dtype).removeprefix("torch.")
            if kind not in TENSORS or value.layout != torch.strided:
                return {"t": "foreign", "v": f"tensor of {kind}"}
            grad = value.requires_grad
            raw = value.detach().cpu().resolve_conj().contiguous()
            if raw.numel() * raw.element_size() > LARGEST:
                raise Damaged(f"more than {LARGEST >> 20} MB in one answer")
            at = self._bytes(raw.numpy().tobytes())
            return {"t": "tensor", "d": kind, "s": list(value.shape), "at": at, "g": grad}
        if type(value).__module__.startswith("xarray"):
            value = np.asarray(value)
        if isinstance(value, np.ndarray):
            if value.dtype.char not in ARRAYS:
                return {"t": "foreign", "v": f"array of {value.dtype}"[:60]}
            return {"t": "array", "d": value.dtype.char, "s": list(value.shape), "at": self._bytes(value.tobytes())}
        if isinstance(value, list | tuple):
            return {"t": "tuple" if isinstance(value, tuple) else "list", "v": [self.pack(x, depth + 1) for x in value]}
        if isinstance(value, dict):
            pairs = [[self.pack(k, depth + 1), self.pack(x, depth + 1)] for k, x in value.items()]
            return {"t": "dict", "v": pairs}
        if callable(value) and self.function is not None:
            return {"t": "function", "v": self.function(value)}
        return {"t": "foreign", "v": type(value).__name__[:60]}


def unpack(tree: Any, raw: bytes, function: Callable[[int], Any] | None = None) -> Any:
    """The inverse of :class:`Packer`; raises :class:`Damaged` for what it cannot be sure of."""
    try:
        return _unpack(tree, memoryview(raw), function, 0)
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"a message that cannot be read ({type(error).__name__})") from None


def _cut(at: Any, raw: memoryview) -> bytes:
    start, size = (int(x) for x in at)
    if start < 0 or size < 0 or start + size > len(raw):
        raise Damaged("bytes outside the message")
    return bytes(raw[start : start + size])


def _shape(sizes: Any, item: int, data: bytes | bytearray) -> tuple[int, ...]:
    shape = tuple(int(x) for x in sizes)
    if len(shape) > 16 or any(x < 0 for x in shape) or math.prod(shape) * item != len(data):
        raise Damaged("an array that is not as large as it says")
    return shape


def _unpack(tree: Any, raw: memoryview, function: Callable[[int], Any] | None, depth: int) -> Any:
    if depth > DEEPEST + 1:
        raise Damaged("too many values inside one another")
    kind = tree["t"]
    if kind == "plain":
        value = tree["v"]
        if value is None or isinstance(value, bool | str):
            return value
        raise Damaged("not a plain value")
    if kind == "ellipsis":
        return ...
    if kind == "int":
        return math.inf if tree["v"] == "inf" else int(tree["v"][:400])
    if kind == "float":
        return float.fromhex(tree["v"])
    if kind == "complex":
        return complex(*(float.fromhex(x) for x in tree["v"]))
    if kind == "generator":
        generator = torch.Generator()
        generator.set_state(torch.frombuffer(bytearray(_cut(tree["at"], raw)), dtype=torch.uint8))
        return generator
    if kind == "tensor":
        dtype, data = TENSORS[tree["d"]], bytearray(_cut(tree["at"], raw))
        shape = _shape(tree["s"], torch.empty(0, dtype=dtype).element_size(), data)
        value = torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
        return value.requires_grad_() if tree.get("g") is True and dtype.is_floating_point else value
    if kind == "array":
        if tree["d"] not in ARRAYS:
            raise Damaged("not an array of numbers")
        dtype_, data_ = np.dtype(tree["d"]), _cut(tree["at"], raw)
        return np.frombuffer(data_, dtype_).reshape(_shape(tree["s"], dtype_.itemsize, data_)).copy()
    if kind in ("list", "tuple"):
        parts = [_unpack(x, raw, function, depth + 1) for x in tree["v"]]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "dict":
        return {_key(_unpack(k, raw, None, depth + 1)): _unpack(x, raw, function, depth + 1) for k, x in tree["v"]}
    if kind == "function" and function is not None:
        return function(int(tree["v"]))
    if kind in ("foreign", "function"):
        return Foreign(str(tree["v"])[:60] if kind == "foreign" else "function")
    raise Damaged("a value of no known kind")


def _key(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | tuple | None) else repr(value)[:60]
