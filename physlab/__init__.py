"""PhysLab: how to put physics into deep learning for the weather.

>>> import physlab
>>> data = physlab.open_dataset("nature-tcw")
>>> model = physlab.load_model("tcw-x4-softmax")

Importing the package is cheap: modules, and with them torch and xarray, are loaded when they are first used.

Import it before torch: OpenMP reads, when torch is loaded, what is said here about its threads. Those that wait for
work sleep. By default they spin, and two programs on the same cores (two notebooks, the explorer and a training) take
four times as long as one. The processes that a program starts inherit it, and what you set yourself stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker cannot see in __getattr__
    from physlab.data.catalog import list_datasets as list_datasets
    from physlab.data.catalog import open_dataset as open_dataset
    from physlab.downscale.influence import explain as explain
    from physlab.zoo import list_models as list_models
    from physlab.zoo import load_model as load_model
    from physlab.zoo import publish as publish
    from physlab.zoo import save as save

try:
    __version__ = version("physlab")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The allocator of Linux gives the memory of each large tensor back to the system, which has to clear it for the next
# one: half of the time of a convolution. So blocks up to 256 MiB, and 512 MiB of what is free, are kept for reuse. Your
# own setting (MALLOC_... of glibc) stays.
if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
    with contextlib.suppress(AttributeError, OSError):  # another library of C than glibc
        _MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**28)
        ctypes.CDLL(None).mallopt(_TRIM_THRESHOLD, 2**29)

_FUNCTIONS = {
    "explain": "physlab.downscale.influence",
    "open_dataset": "physlab.data",
    "list_datasets": "physlab.data",
    "list_models": "physlab.zoo",
    "load_model": "physlab.zoo",
    "publish": "physlab.zoo",
    "save": "physlab.zoo",
}
_MODULES = tuple(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))

__all__ = ["__version__", *_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    """Load a public function or module on first use (PEP 562)."""
    if name in _FUNCTIONS:
        value = getattr(import_module(_FUNCTIONS[name]), name)
    elif name in _MODULES:
        value = import_module(f"physlab.{name}")
    else:
        raise AttributeError(f"module 'physlab' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
