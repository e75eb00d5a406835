"""What became of the rows of a table: how many were left out, why, and where the first of them stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Account:
    """Rows left out by reason, in the order in which it happened.

    Attributes
    ----------
    name : of the file, for messages.
    reasons : reason -> (rows, their lines or places as text, the first few).
    notes : what else has to be said.
    assumed : variables that came without a unit.
    """

    name: str = "observations"
    reasons: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    assumed: set[str] = field(default_factory=set)

    def leave(self, reason: str, where: Sequence[object]) -> None:
        """Count rows as left out; `where` says of each which one it is."""
        if len(where):
            before, shown = self.reasons.get(reason, (0, ()))
            shown = tuple(dict.fromkeys((*shown, *map(str, where[:9]))))[:3]  # rows of one line are said once
            self.reasons[reason] = (before + len(where), shown)

    def note(self, text: str) -> None:
        """Say something once."""
        if text and text not in self.notes:
            self.notes.append(text)

    @property
    def left(self) -> int:
        """Rows left out."""
        return sum(count for count, _ in self.reasons.values())

    def text(self) -> str:
        """Reasons with their numbers and first places, then the notes."""
        parts = []
        for reason, (count, shown) in self.reasons.items():
            at = f" ({', '.join(shown)}{', ...' if count > len(shown) else ''})" if shown and shown[0] else ""
            parts.append(f"{count} {reason}{at}")
        said = ([f"left out: {', '.join(parts)}"] if parts else []) + self.notes
        return "; ".join(said)


def lines_of(lines: np.ndarray, which: np.ndarray) -> list[str]:
    """ "line 7" of each row that is chosen; empty texts where the table has no lines."""
    return [f"line {int(n)}" if n > 0 else "" for n in lines[which]]
