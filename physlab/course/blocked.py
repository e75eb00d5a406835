"""Library functions that give an exercise away: each refuses while that exercise is called, and only then."""

from __future__ import annotations

import functools
import inspect
import sys
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any

LAYERS = ("physlab.constrain:make_constraint", "physlab.constrain:*.forward")
BLOCKED: dict[str, tuple[str, ...]] = {
    "coarsen": ("physlab.grid:coarsen", *LAYERS),
    "block-mean": LAYERS,
    "positive-layer": LAYERS,
    "weighted-projection": LAYERS,
    "mend-the-ratio": LAYERS,
    "ridge-detail": ("sklearn.linear_model:Ridge.fit", "sklearn.linear_model:Ridge.predict"),
    "quantile-map": ("physlab.downscale.quantile:map_fields", "physlab.downscale.quantile:quantile_table"),
    "pixel-shuffle": (
        "torch:pixel_shuffle", "torch.nn.functional:pixel_shuffle", "torch.nn:PixelShuffle.forward",
    ),
    "member-score": ("physlab.score:crps",),
    "fair-crps": ("physlab.score:crps",),
    "parameter-count": ("physlab.nn:count_parameters",),
    "attention": ("torch.nn.functional:scaled_dot_product_attention",),
}  # fmt: skip
"""Exercise -> what is closed for it, as MODULE:NAME; `*.forward` means that of every class of the package.

Nothing of :mod:`physlab.teach` is among it: it is not in the process of a submission at all."""

_REASON = "this library function gives the answer away: it is blocked while this exercise is graded, write it yourself"


def _refuse(*arguments: Any, **keywords: Any) -> Any:
    raise PermissionError(
        "this library function gives the answer away: it is blocked while this exercise is graded, write it yourself"
    )


def targets(place: str) -> list[tuple[Any, str]]:
    """(owner, attribute) of everything that an entry names."""
    module, _, name = place.partition(":")
    owner: Any = import_module(module)
    if not name.startswith("*."):
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        return [(owner, last)]
    inside = [m for key, m in sys.modules.items() if key == module or key.startswith(module + ".")]
    classes = {c for m in inside for c in vars(m).values() if inspect.isclass(c) and c.__module__.startswith(module)}
    return [(c, name[2:]) for c in classes if name[2:] in vars(c)]


class Gate:
    """Closes and opens the functions of one exercise in this process."""

    def __init__(self) -> None:
        self.codes: list[tuple[FunctionType, CodeType]] = []
        self.now: set[str] = set()
        for name, places in BLOCKED.items():
            for place in places:
                for owner, attribute in targets(place):
                    value = getattr(owner, attribute)
                    if not isinstance(inspect.unwrap(value), FunctionType):
                        setattr(owner, attribute, self._wrapped(value, name))

    def _wrapped(self, value: Any, name: str) -> Any:
        """A function written in C has no code to exchange: it is wrapped, before the student's code can hold it."""

        @functools.wraps(value)
        def gated(*arguments: Any, **keywords: Any) -> Any:
            if name in self.now:
                raise PermissionError(_REASON)
            return value(*arguments, **keywords)

        return gated

    def shut(self, name: str) -> None:
        """Close what the exercise blocks; whoever holds one of the functions holds the closed one."""
        self.now.add(name)
        for place in BLOCKED.get(name, ()):
            for owner, attribute in targets(place):
                function = inspect.unwrap(getattr(owner, attribute))
                if isinstance(function, FunctionType) and not function.__code__.co_freevars:
                    if function.__code__ is not _refuse.__code__:
                        self.codes.append((function, function.__code__))
                        function.__code__ = _refuse.__code__

    def reopen(self) -> None:
        """Open everything again."""
        self.now.clear()
        while self.codes:
            function, code = self.codes.pop()
            function.__code__ = code
