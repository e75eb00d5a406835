"""What is shown of a result of the Downscale view when it stands beside another, and what a brush takes parts of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps import lessons
from apps.beside import Side
from apps.brush import Of
from apps.cards import card_rows
from apps.controls import TITLES
from apps.options import COMPARED, own_names
from apps.state import Choice
from apps.store import Panel
from apps.views import METRICS


def chosen(choice: Choice) -> dict[str, object]:
    """The selections that may differ, by the titles of their controls."""
    return {TITLES[name]: own_names(str(getattr(choice, name))) for name in COMPARED[choice.view]}


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


CODE = """north = slice(None, None, 1 if data.latitude[0] < data.latitude[-1] else -1)  # southernmost row first
result, truth = (x[0, 0].numpy()[north] for x in (result, truth))
"""


def parts_of(panel: Panel) -> Of:
    """A panel for the brush."""
    return Of(panel.maps["truth"], panel.maps["result"], panel.window, panel.units, code=CODE)
