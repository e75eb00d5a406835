"""The frame that the views of maps share: maps in cards on the left, tabs on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import panel as pn
import panel_material_ui as pmui

from apps import theme


@dataclass(frozen=True)
class Frame:
    """What a view keeps of it: the card of each map, the tabs, and the whole.

    Attributes
    ----------
    cells : name of a map -> its card.  tabs : those that the lesson does not hide.  view : maps and tabs.
    """

    cells: Mapping[str, pn.Column]
    tabs: pn.viewable.Viewable
    view: pn.Row

    @classmethod
    def of(
        cls, maps, rows: Sequence[Sequence[str]], prompt: pn.viewable.Viewable,
        tabs: Mapping[str, pn.viewable.Viewable], hide: Sequence[str], width: int,
    ) -> Frame:  # fmt: skip
        """Around maps with `captions` and `panes`, in rows of names; `width` of the tabs in pixels."""
        cells = {
            name: pn.Column(
                maps.captions[name], maps.panes[name], styles=theme.CARD_STYLE, sizing_mode="stretch_width", margin=4
            )
            for row in rows for name in row
        }  # fmt: skip
        lines = (pn.Row(*(cells[name] for name in row), sizing_mode="stretch_width", margin=0) for row in rows)
        grid = pn.Column(prompt, *lines, sizing_mode="stretch_width", margin=0)
        kept = [(name.capitalize(), tab) for name, tab in tabs.items() if name not in hide]
        shown = pmui.Tabs(*kept, sizing_mode="stretch_width", margin=0, sx=theme.TABS_SX) if kept else pn.Column()
        side = pn.Column(shown, width=width, styles=theme.CARD_STYLE, margin=4, visible=bool(kept))
        return cls(cells, shown, pn.Row(grid, side, sizing_mode="stretch_width", margin=0))
