"""A against B: any two results of a view side by side, on linked maps, in one spectrum, table and list of settings."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import panel as pn
import panel_material_ui as pmui

from apps.frame import Frame
from apps.language import word
from apps.linked import Edges, LinkedMaps
from apps.spectrum import Spectrum
from apps.views import label_pane, text_pane
from physlab.views.compare import Difference

CELLS = ("other", "difference", "other_error")
HEADS = {"other": "B", "difference": "A − B", "other_error": "Error of B"}


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: what is drawn and said of it.

    Attributes
    ----------
    result, error : (rows, columns) maps, row 0 southernmost, in `units`.
    scores : label -> number, of what is on the screen.
    facts : what was chosen and what the card says, label -> words.
    script : copied code.
    """

    title: str
    result: np.ndarray
    error: np.ndarray
    window: Edges
    units: str
    digits: str
    wavenumber: np.ndarray
    power: np.ndarray
    scores: Mapping[str, float]
    facts: Mapping[str, object] = field(default_factory=dict)
    script: str = ""


class BesideMaps(LinkedMaps):
    """Maps of B and of the difference, which move and are coloured with those of A."""

    def __init__(self, maps: LinkedMaps) -> None:
        keys = {"other": "field", "difference": "error", "other_error": "error"}
        super().__init__(keys, {name: maps.mappers[name] for name in ("field", "error")}, maps.aspect, maps.wheel, maps)
        self._frame()

    def update(self, a: Side, b: Side) -> None:
        """Draw B and what A has more than B."""
        images = {"other": b.result, "difference": a.result - b.result, "other_error": b.error}
        words = {"other": b.title, "difference": "positive: A is larger", "other_error": "B − truth"}
        for name, image in images.items():
            self.paint(name, np.ascontiguousarray(image, dtype=np.float32), b.window)
            self.caption(name, HEADS[name], f"{words[name]} · {b.units}")
            self.tip(name, b.digits, b.units)
        self.describe()


class Beside:
    """The panes of B in the frame of a view, made when somebody first asks for them.

    Parameters
    ----------
    maps, frame : of the view.
    spectrum : of the view, which has a curve of the name "other".
    """

    def __init__(self, maps: LinkedMaps, frame: Frame, spectrum: Spectrum) -> None:
        self.maps, self.spectrum = BesideMaps(maps), spectrum
        self.cells = frame.add(self.maps)
        self.scores, self.differs, self.code = (text_pane("", margin=(0, 10)) for _ in range(3))
        for name, pane in (("scores", self.scores), ("card", self.differs), ("code", self.code)):
            frame.tops[name].append(pane)
        self.shown: tuple[Side, Side] | None = None

    def hide(self, hidden: Sequence[str] = CELLS) -> None:
        """Leave out some of the maps; all of them when there is no B."""
        for name, cell in self.cells.items():
            cell.visible = name not in hidden
        if set(hidden) >= set(CELLS):
            self.shown = None
            self.scores.object = self.differs.object = self.code.object = ""
            self.spectrum.beside(None)

    def say(self, sentence: str) -> None:
        """Instead of a comparison: B is being made, or why there is none."""
        self.hide()
        self.scores.object = f'<h3>A against B</h3><p class="quiet" data-beside="waiting">{html.escape(sentence)}</p>'

    def show(self, a: Side, b: Side, selection: str, hidden: Sequence[str] = ()) -> None:
        """Both of them."""
        if a.result.shape != b.result.shape or a.window != b.window:
            self.say("A and B are of different times or places: there is no difference of their maps.")
            return
        self.shown = a, b
        self.hide(hidden)
        self.maps.update(a, b)
        self.spectrum.beside(b.power)
        self.scores.object = scores_html(a, b, selection)
        self.differs.object = differs_html(a, b)
        self.code.object = f"<details><summary>The script of B</summary><pre>{html.escape(b.script)}</pre></details>"

    def show_test(self, differences: Mapping[str, Difference] | None, words: str, units: str) -> None:
        """The differences over all frames, below those of the one that is shown."""
        if self.shown is not None:
            a, b = self.shown
            before = self.scores.object.partition('<div class="all">')[0]
            self.scores.object = f'{before}<div class="all">{test_html(differences, words, units)}</div>'


def scores_html(a: Side, b: Side, selection: str) -> str:
    """The numbers of both and A minus B; full numbers in the ``data-value`` attributes."""
    rows = []
    for label in a.scores:
        if label not in b.scores:
            continue
        one, other = float(a.scores[label]), float(b.scores[label])
        values = {"a": one, "b": other, "difference": one - other}
        cells = "".join(
            f'<td class="{"this" if name == "a" else ""}" data-metric="{html.escape(label)}" data-column="{name}" '
            f'data-value="{value!r}">{number(value, signed=name == "difference")}</td>'
            for name, value in values.items()
        )
        rows.append(f"<tr><td>{html.escape(label)}</td>{cells}</tr>")
    head = '<tr><td></td><th class="this">A</th><th>B</th><th>A − B</th></tr>'
    words = f"<b>A</b> {html.escape(a.title)}<br><b>B</b> {html.escape(b.title)}"
    table = f'<table data-table="beside" data-key="{selection}" data-state="ready">{head}{"".join(rows)}</table>'
    units = f'<span class="quiet">what is shown, in {html.escape(a.units)} where it has a unit</span>'
    return f"<h3>A against B {units}</h3><p>{words}</p>{table}"


LABELS = {"rmse": "RMSE", "mae": "MAE", "conservation_error": "Conservation"}


def test_html(differences: Mapping[str, Difference] | None, words: str, units: str) -> str:
    """A minus B over all frames, each with its interval and what may be said of it."""
    if differences is None:
        return f'<p class="quiet" data-table="paired" data-state="waiting">{html.escape(words)}</p>'
    rows = []
    for name, d in differences.items():
        verdict = ("A" if d.value < 0 else "B") if d.sure else "none"
        interval = f"{number(d.low, True)} … {number(d.high, True)}"
        rows.append(
            f"<tr><td>{LABELS[name]}</td><td data-metric='{name}' data-value='{d.value!r}' data-low='{d.low!r}' "
            f"data-high='{d.high!r}'>{number(d.value, True)}</td><td>{interval}</td><td>{verdict}</td></tr>"
        )
    head = "<tr><td></td><th>A − B</th><th>95 %</th><th>smaller</th></tr>"
    return (
        f'<h3>All test frames <span class="quiet">{html.escape(units)}</span></h3><table data-table="paired" '
        f'data-state="ready">{head}{"".join(rows)}</table><p class="quiet">{html.escape(words)}</p>'
    )


def differs_html(a: Side, b: Side) -> str:
    """Only what differs of what was chosen and of the two cards."""
    names = list(dict.fromkeys([*a.facts, *b.facts]))
    texts = {n: tuple(str(side.facts.get(n)) if side.facts.get(n) not in (None, "") else "–" for side in (a, b))
             for n in names}  # fmt: skip
    rows = [(n, one, other) for n, (one, other) in texts.items() if one != other]
    body = "".join(
        f"<tr><td>{html.escape(n)}</td><td>{html.escape(one)}</td><td>{html.escape(other)}</td></tr>"
        for n, one, other in rows
    )
    same = len(names) - len(rows)
    head = "<tr><td></td><td><b>A</b></td><td><b>B</b></td></tr>"
    return (
        f'<h3>What differs <span class="quiet">{same} entries are the same</span></h3>'
        f'<table class="card-table" data-table="differs">{head}{body}</table>'
    )


def number(value: float, signed: bool = False) -> str:
    """Three figures, small ones with the power of ten."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
    return f"+{text}" if signed and value > 0 else text.replace("-", "−")


def buttons(pin, swap, clear) -> tuple[pn.pane.HTML, pn.Column]:
    """Words on B, and the group with the buttons that keep the present result as B, change the two, and end it."""
    words = text_pane("", margin=(0, 10))
    look = {"size": "small", "variant": "text", "color": "primary", "margin": (0, 2)}
    keep = pmui.Button(label=word("Keep as B"), icon="push_pin", on_click=lambda _: pin(), **look)
    change = pmui.Button(label=word("Swap"), icon="swap_horiz", on_click=lambda _: swap(), **look)
    end = pmui.Button(label=word("Only A"), icon="clear", on_click=lambda _: clear(), **look)
    row = pn.Row(keep, change, end, margin=(0, 4), styles={"flex-wrap": "wrap"})
    label = label_pane("A against B")
    return words, pn.Column(label, words, row, sizing_mode="stretch_width", margin=0, visible=False)
