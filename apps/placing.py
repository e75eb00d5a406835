"""Stations that a click on a map sets and takes away again: a selection of cells, with how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import panel as pn
import panel_material_ui as pmui

from apps.language import word
from apps.options import OWN
from apps.state import State, numbers
from apps.views import text_pane


class Placing:
    """One selection of cells.

    Parameters
    ----------
    state, name : the selection.
    cell : gives the number of the cell next to a longitude and a latitude, degrees; None where there is none.
    say : shows a sentence above the maps.
    most : stations at most.
    """

    def __init__(
        self, state: State, name: str, cell: Callable[[float, float], int | None], say: Callable[[str], None],
        most: int = OWN,
    ) -> None:  # fmt: skip
        self.state, self.name, self.cell, self.say, self.most = state, name, cell, say, most
        self.words = text_pane("", margin=(0, 10))
        small: dict[str, Any] = {"size": "small", "variant": "text", "margin": (0, 6)}
        self.clear = pmui.Button(label=word("Clear"), icon="clear", on_click=lambda _: self.set(()), **small)
        self.pane = pn.Row(self.words, self.clear, margin=0, align="center")

    @property
    def cells(self) -> tuple[int, ...]:
        """The cells that are selected."""
        return numbers(getattr(self.state, self.name))

    def follow(self) -> None:
        """Say how many there are."""
        count = len(self.cells)
        more = "" if count < self.most else ": no more can be placed"
        self.words.object = f'<span class="quiet">{count} of at most {self.most}{more}</span>'

    def place(self, east: float, north: float) -> None:
        """A click on a map: a station in the cell next to it, or none there any more."""
        cell, cells = self.cell(east, north), self.cells
        if cell is None:
            return
        if cell not in cells and len(cells) >= self.most:
            self.say(f"There are {self.most} stations: take one away first.")
            return
        self.set(tuple(c for c in cells if c != cell) if cell in cells else (*cells, cell))

    def set(self, cells: Iterable[int]) -> None:
        """Select these cells, each once, as many as there may be."""
        setattr(self.state, self.name, ".".join(map(str, list(dict.fromkeys(cells))[: self.most])))
