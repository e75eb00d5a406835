"""What is shown of a result of the Downscale view when it stands beside another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps import lessons
from apps.beside import Side
from apps.cards import card_rows
from apps.controls import TITLES
from apps.options import COMPARED
from apps.state import Choice
from apps.store import Panel
from apps.views import METRICS


def chosen(choice: Choice) -> dict[str, object]:
    """The selections that may differ, by the titles of their controls."""
    return {TITLES[name]: getattr(choice, name) for name in COMPARED[choice.view]}


def of_panel(panel: Panel, card: Mapping[str, Any] | None, script: str) -> Side:
    """A panel as one of two."""
    choice, scores = panel.choice, panel.scores["this"]
    return Side(
        title=f"{lessons.title(choice, panel.members)} · × {choice.factor}",
        result=panel.maps["result"],
        error=panel.maps["error"],
        window=panel.window,
        units=panel.units,
        digits="0.00",
        wavenumber=panel.wavenumber,
        power=panel.spectra["result"],
        scores={label: scores[key] for key, label, *_ in METRICS if key in scores},
        facts={**chosen(choice), **(card_rows(card) if card else {})},
        script=script,
    )
