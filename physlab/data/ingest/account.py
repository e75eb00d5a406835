"""What was understood, converted and left out of a file: said once, kept in the data set's history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import xarray as xr

MARK = "PhysLab read "
MOST = 12  # notes of a kind in the account


@dataclass
class Account:
    """Notes that are taken while a file is read.

    Attributes
    ----------
    file : its name, as errors and the account call it.
    understood, changed : in the order in which they came; `changed` is what was converted, sorted or left out.
    """

    file: str
    understood: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def took(self, text: str) -> None:
        """Note how something was understood."""
        if text not in self.understood:
            self.understood.append(text)

    def did(self, text: str) -> None:
        """Note a conversion, a repair, or what was left out."""
        if text not in self.changed:
            self.changed.append(text)

    @property
    def line(self) -> str:
        """The account in one line."""
        parts = []
        for words, texts in (("", self.understood), ("changed: ", self.changed)):
            more = f"; and {len(texts) - MOST} more" if len(texts) > MOST else ""
            parts.append(words + "; ".join(texts[:MOST]) + more if texts else "nothing changed" if words else "fields")
        return f"{MARK}{Path(self.file).name}: " + " | ".join(" ".join(part.split()) for part in parts)

    def keep(self, ds: xr.Dataset) -> xr.Dataset:
        """The data set with the account as the last line of its history."""
        before = str(ds.attrs.get("history") or "").rstrip()
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.line}"
        return ds.assign_attrs(history=f"{before}\n{line}" if before else line)


def account(ds: xr.Dataset | xr.DataArray) -> str:
    """What PhysLab understood of a file, converted and left out: one line, from the history; "" for a set by name."""
    for line in reversed(str(ds.attrs.get("history", "")).splitlines()):
        if MARK in line:
            return line[line.index(MARK) :]
    return ""


def told(ds: xr.Dataset) -> str:
    """The account in two lines, for people: what was understood, and what was changed or left out."""
    return account(ds).replace(" | ", "\n  ", 1)
