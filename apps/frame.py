"""The frame that the views of maps share: maps in cards on the left, tabs on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import panel as pn
import panel_material_ui as pmui

from apps import theme
from apps.language import word


@dataclass(frozen=True)
class Frame:
    """What a view keeps of it: the card of each map, the tabs, and the whole.

    Attributes
    ----------
    cells : name of a map -> its card.  tabs : those that the lesson does not hide.  view : maps and tabs.
    grid : the cards.  tops : name of a tab -> what may be put above its words.
    """

    cells: dict[str, pn.Column]
    tabs: pn.viewable.Viewable
    view: pn.Column
    grid: pn.Column
    tops: Mapping[str, pn.Column]

    @classmethod
    def of(
        cls, maps, rows: Sequence[Sequence[str]], prompt: pn.viewable.Viewable,
        tabs: Mapping[str, pn.viewable.Viewable], hide: Sequence[str], width: int,
    ) -> Frame:  # fmt: skip
        """Around maps with `captions` and `panes`, in rows of names; `width` of the tabs in pixels, at least."""
        cells = {name: card(maps, name) for row in rows for name in row}
        sheet = theme.maps_sheet(theme.least_width(maps.aspect))
        grid = pn.Column(*cells.values(), stylesheets=[sheet], sizing_mode="stretch_width", margin=0)
        tops = {name: pn.Column(margin=0, sizing_mode="stretch_width") for name in ("scores", "card", "code")}
        kept = [
            (
                word(name.capitalize()),
                pn.Column(tops[name], tab, margin=0, sizing_mode="stretch_width") if name in tops else tab,
            )
            for name, tab in tabs.items()
            if name not in hide
        ]
        shown = pmui.Tabs(*kept, sizing_mode="stretch_width", margin=0, sx=theme.TABS_SX) if kept else pn.Column()
        side = pn.Column(
            shown, styles=theme.CARD_STYLE, margin=4, visible=bool(kept), sizing_mode="stretch_width", min_width=0
        )
        left = pn.Column(prompt, grid, stylesheets=[theme.WHOLE_SHEET], sizing_mode="stretch_width", margin=0)
        sheets = [theme.view_sheet(width)] if kept else []
        both = pn.Row(left, side, stylesheets=sheets, sizing_mode="stretch_width", margin=0)
        view = pn.Column(both, sizing_mode="stretch_width", margin=0)  # a grid cannot be hidden itself
        return cls(cells, shown, view, grid, tops)

    def add(self, maps, behind: int = 3) -> dict[str, pn.Column]:
        """The cards of more maps, behind the first ones."""
        more, there = {name: card(maps, name) for name in maps.figures}, list(self.grid)
        self.grid.objects = [*there[:behind], *more.values(), *there[behind:]]
        return more


def card(maps, name: str) -> pn.Column:
    """A map with its caption."""
    style = {"styles": theme.CARD_STYLE, "sizing_mode": "stretch_width", "margin": 0}
    return pn.Column(maps.captions[name], maps.panes[name], **style)
