"""The residual of an equation in the Downscale view, beside that of the truth; on maps that move with the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import panel as pn

from apps import theme
from apps.linked import NOTHING, LinkedMaps, coloured
from apps.store import Panel

NAMES = ("law", "of_truth")


class LawMaps(LinkedMaps):
    """Two maps on one scale.

    Attributes
    ----------
    cells : name -> its card in the view, given by whoever puts it there.
    """

    def __init__(self, maps: LinkedMaps) -> None:
        colours = coloured({"law": theme.FORCE_PALETTE}, NOTHING)
        super().__init__(dict.fromkeys(NAMES, "law"), colours, maps.aspect, maps.wheel, maps)
        self._frame()
        self.cells: Mapping[str, pn.Column] = {}

    def update(self, panel: Panel, hidden: Collection[str] = ()) -> None:
        """Draw them; nothing is shown of data without a law."""
        for name, cell in self.cells.items():
            cell.visible = bool(panel.law) and name not in hidden
        if not panel.law:
            return
        self.set_limits(panel.limits)
        ratio = f"{panel.scores['this']['law_relative']:.2f} × truth's"
        heads = {"law": ("Equation residual", ratio), "of_truth": ("Truth's residual", panel.law.lower())}
        for name, (head, words) in heads.items():
            self.paint(name, panel.maps[name], panel.window)
            self.caption(name, head, f"{words} · {panel.law_units}")
            self.tip(name, "0.0e+0", panel.law_units)
        self.describe()
