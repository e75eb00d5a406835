"""What stands above maps that take long: what is being made, how far it is, and the button that stops it."""

from __future__ import annotations

import html
import time
from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from apps import theme
from apps.language import word
from apps.views import said_pane

EVERY = 0.2  # s between two reports of progress


class Strip:
    """One line: words, a bar, and a button that stops or starts again.

    Parameters
    ----------
    stop, again : called by the buttons.
    """

    def __init__(self, stop: Callable[[], None], again: Callable[[], None]) -> None:
        self.words = said_pane(margin=(6, 8))
        self.bar = pmui.LinearProgress(value=0, max=100, variant="determinate", margin=(14, 8), visible=False,
                                       sizing_mode="stretch_width")  # fmt: skip
        button = {"size": "small", "variant": "outlined", "margin": (3, 8), "width": 90, "visible": False}
        self.stop = pmui.Button(label=word("Stop"), icon="stop", on_click=lambda _: stop(), **button)
        self.again = pmui.Button(label=word("Again"), icon="refresh", on_click=lambda _: again(), **button)
        parts = (self.words, self.bar, self.stop, self.again)
        style = {**theme.CARD_STYLE, "flex-wrap": "wrap"}
        self.view = pn.Row(*parts, styles=style, sizing_mode="stretch_width", min_height=40, margin=4)

    def say(self, sentence: str, percent: float = 0.0, busy: bool = False, stopped: bool = False) -> None:
        """Words, and the bar and the button that belong to work that goes on or was stopped."""
        state = "busy" if busy else "stopped" if stopped else "still"
        self.words.object = f'<span data-progress="{state}">{html.escape(sentence)}</span>'
        self.bar.param.update(value=round(percent), visible=busy)
        self.stop.visible, self.again.visible = busy, stopped


def now_and_then(tell: Callable[[int, int], None], cancelled: Callable[[], bool]) -> Callable[[int, int], None]:
    """`tell(done, steps)` at most every `EVERY` seconds, and not once it was cancelled."""
    last = 0.0

    def report(done: int, steps: int) -> None:
        nonlocal last
        if time.monotonic() - last > EVERY and not cancelled():
            last = time.monotonic()
            tell(done, steps)

    return report
