"""Runs and cycles write one file after another: all files of a kind as one Dataset, and the seed of a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import xarray as xr

from physlab.store import parse_card


def open_pieces(files: Iterable[str | Path]) -> xr.Dataset:
    """The pieces of a run in their order, (lazily) along time; what has no time is that of the first.

    Raises
    ------
    OSError : there are none.
    """
    return xr.open_mfdataset(
        list(files), combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override"
    )


def seed_of(run: str | Path) -> int | None:
    """The seed of a nature run, by its folder; None where it does not say."""
    card = Path(run) / "run.json"
    return parse_card(card).get("seed") if card.exists() else None
