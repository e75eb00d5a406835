"""The laboratory atmosphere (extra ``physlab[simulate]``) and, in torch alone, small models for data assimilation."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from physlab.errors import PhysLabError

_PLACES = {"NatureRun": "run", "simulate": "run", "pack": "pack", "Atmosphere": "nature", "Resolution": "nature",
           "Physics": "physics", "Lorenz63": "lorenz", "Lorenz96": "lorenz", "ShallowWater": "shallow"}  # fmt: skip
_WITHOUT_JAX = ("pack", "lorenz", "shallow")
__all__ = list(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _PLACES[name] not in _WITHOUT_JAX and find_spec("dinosaur") is None:
        raise PhysLabError("the laboratory atmosphere needs dinosaur: run `pip install 'physlab[simulate]'`")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
