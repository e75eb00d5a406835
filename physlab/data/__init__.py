"""Data: the catalogue of named sets, checked downloads, readers, observations, splits by time and training pairs.

Names are imported on first use, so that ``import physlab.data`` stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "open_dataset": "catalog",
    "list_datasets": "catalog",
    "fetch": "catalog",
    "open_path": "readers",
    "split_by_time": "splits",
    "Split": "splits",
    "sr_pairs": "patches",
    "make_pairs": "patches",
    "SRData": "patches",
    "asset": "assets",
    "read_stations": "observe",
    "account": "ingest.account",
    "region": "ingest.select",
    "period": "ingest.select",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
