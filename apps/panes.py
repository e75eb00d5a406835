"""What the views of maps besides Downscale have in common: words and numbers around the maps, and how they fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import panel as pn

from apps.frame import Frame
from apps.problems import Overtaken, sentence
from apps.state import Choice, State
from apps.views import text_pane


class Panes:
    """Base of such views; `cells` are the panels of its frame.

    Parameters
    ----------
    state : the session's selections.
    say : shows sentences above the maps, by kind: note or error.
    status : tells how far a selection is.
    """

    def __init__(
        self, state: State, say: Callable[[list[str], str], None], status: Callable[[Choice, str, str], None]
    ) -> None:
        self.state, self.say, self.status = state, say, status
        self.shown: Any = None  # the picture
        self.moment, self.prompt = text_pane(""), text_pane("", margin=(0, 4))
        self.numbers = text_pane("", margin=(0, 10))
        self.card, self.code = (text_pane("", True, margin=(0, 10)) for _ in range(2))

    def lay_out(
        self, maps, rows: Sequence[Sequence[str]], scores: pn.viewable.Viewable, help_page: str,
        top: Sequence[pn.viewable.Viewable] = (),
    ) -> None:  # fmt: skip
        """Put maps, question and tabs into the frame; `top` above the question."""
        self.maps = maps
        tabs = {
            "scores": scores,
            "card": self.card,
            "code": self.code,
            "help": text_pane(help_page, True, margin=(0, 10)),
        }
        frame = Frame.of(maps, rows, pn.Column(*top, self.prompt, margin=0), tabs, self.state.hide, 320)
        self.frame, self.cells, self.tabs, self.view = frame, frame.cells, frame.tabs, frame.view

    @property
    def panels(self) -> Mapping[str, pn.viewable.Viewable]:
        """What a lesson may hide."""
        return {**self.cells, "prompt": self.prompt}

    def request(self, choice: Choice) -> None:
        """Draw what is known, or ask for it."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Another selection or view, or the browser tab is gone."""
        raise NotImplementedError

    def hide(self, hidden: set[str]) -> None:
        """Leave out the panels that a lesson does not need."""
        for name, part in self.panels.items():
            part.visible = name not in hidden

    def _show(self, value, choice: Choice) -> None:
        raise NotImplementedError

    def _failed(self) -> None:
        """What else to do when work failed."""

    def _deliver(self, choice: Choice, value) -> None:
        with pn.io.hold():
            if isinstance(value, Overtaken):
                return
            if isinstance(value, Exception):
                self._failed()
                self.say([sentence(value, f"{type(self).__name__} {choice}")], "error")
                self.status(choice, "failed", "")
                return
            self._show(value, choice)
