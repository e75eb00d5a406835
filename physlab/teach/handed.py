"""What is handed in, as graders see it: any number type made comparable, and the student's failures told from ours."""

from __future__ import annotations

import functools
import math
import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


class Stopped(Exception):
    """The student's own code ended with an error or tried to leave; the text says with which."""


def shown(value: object) -> str:
    """A value in at most one short line, whatever it is."""
    try:
        if isinstance(value, torch.Tensor | np.ndarray) and math.prod(value.shape) > 1:
            return f"{type(value).__name__} of shape {tuple(value.shape)}"
        return " ".join(reprlib.repr(value).split())[:120]
    except Exception:
        return f"a {type(value).__name__}"


def plain(value: Any) -> Any:
    """Arrays as tensors, every real tensor in float64, NumPy scalars as Python's; parts of tuples, lists, dicts too."""
    if isinstance(value, torch.Tensor):
        return value if value.is_complex() else value.double()
    if isinstance(value, np.generic):
        return value.item()
    if type(value).__module__.startswith("xarray"):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            return value
        return torch.from_numpy(np.array(value, dtype=np.float64))
    if type(value) in (tuple, list):
        return type(value)(plain(part) for part in value)
    if type(value) is dict:
        return {key: plain(part) for key, part in value.items()}
    return value


def finite(value: Any) -> bool:
    """Whether every number in it is finite; what is no number counts as finite."""
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, tuple | list):
        return all(finite(part) for part in value)
    return True


class Handed:
    """A student's function as graders call it.

    Attributes
    ----------
    undefined : bool
        Whether NaN or infinity came back for finite inputs.
    last : object
        What came back last.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.undefined, self.last = function, False, None
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *inputs: Any) -> Any:
        good = finite(inputs)
        try:
            out = self.function(*inputs)
            self.last = out
            out = plain(out)
        except (Exception, SystemExit) as error:
            first = (str(error).splitlines() or [""])[0]
            kind = "" if getattr(error, "in_words", False) else f"{type(error).__name__}: "
            raise Stopped(kind + first[:300]) from error
        self.undefined |= good and not finite(out)
        return out
