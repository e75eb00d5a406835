"""The words and tables around the maps: each function turns a `Panel`, or a part of it, into HTML, and no more."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import panel as pn

from apps import theme
from apps.language import page
from apps.store import BASELINES

OF_ENSEMBLES = ("crps", "spread_skill")
METRICS = (  # key, label, format, which value is best, and below which two values are equal (rounding of float32)
    ("rmse", "RMSE", "{:.3f}", "low", 0.0),
    ("mae", "MAE", "{:.3f}", "low", 0.0),
    ("bias", "Bias", "{:+.3f}", "zero", 5e-4),
    ("psnr", "PSNR, dB", "{:.1f}", "high", 0.0),
    ("ssim", "SSIM", "{:.3f}", "high", 0.0),
    ("pearson", "Correlation", "{:.4f}", "high", 0.0),
    ("crps", "CRPS, fair", "{:.3f}", "low", 0.0),
    ("spread_skill", "Spread / skill", "{:.2f}", "one", 0.0),
    ("conservation_error", "Conservation", "{:.1e}", "low", 2e-4),
    ("negative_count", "Negatives", "{:.0f}", "low", 0.0),
    ("law_relative", "Law / truth's", "{:.2f}", "one", 0.0),
    ("spectral_divergence", "Spectrum", "{:.1e}", "low", 0.0),
    ("spectral_divergence_top", "… finest tenth", "{:.1e}", "low", 0.0),
)


class Words(pn.pane.HTML):
    """Words of the page, in its language; `object` is English."""

    def _transform_object(self, obj: Any) -> dict[str, Any]:
        return super()._transform_object(page(obj) if isinstance(obj, str) else obj)


class Said(Words):
    """Words that a screen reader says when they change: how far the work is, and what did not go as asked."""

    def _get_model(self, doc, root=None, parent=None, comm=None):
        model: Any = super()._get_model(doc, root, parent, comm)
        model.html_attributes = {"role": "status", "aria-live": "polite"}
        return model


def said_pane(**layout) -> pn.pane.HTML:
    """A pane of words that are said aloud."""
    layout.setdefault("margin", 0)
    return Said("", stylesheets=[theme.SHEET], sizing_mode="stretch_width", **layout)


def text_pane(content: str = "", english: bool = False, **layout) -> pn.pane.HTML:
    """A pane of words in the explorer's style, in the language of the page unless they are `english` in all."""
    layout.setdefault("margin", (0, 10))
    kind = pn.pane.HTML if english else Words
    return kind(content, stylesheets=[theme.SHEET], sizing_mode="stretch_width", **layout)


def label_pane(words: str) -> pn.pane.HTML:
    """The name of a group of controls."""
    return Words(words, stylesheets=[theme.LABEL_SHEET], margin=(4, 10, 0, 10))


def scores_html(
    name: str,
    heading: str,
    scores: Mapping[str, Mapping[str, float]] | None,
    units: str,
    words: str = "",
    selection: str = "",
) -> str:
    """One row per metric, this result beside the baselines; full numbers in the ``data-value`` attributes, the
    selection that they belong to in ``data-key``."""
    columns = ("this", *BASELINES)
    if scores is None:
        return f'<h3>{heading}</h3><p class="quiet" data-table="{name}" data-state="computing">computing …</p>'
    heading = f'{heading} <span class="quiet">in {html.escape(units)} where it has a unit</span>'
    labels = {"this": "this<br>result", "bicubic+add": "bicubic<br>+ add"}
    head = "".join(f'<th class="{c if c == "this" else ""}">{labels.get(c, c)}</th>' for c in columns)
    rows = []
    ensemble = "spread_skill" in scores["this"]
    for key, label, pattern, better, equal in METRICS:
        values = {c: float(scores[c][key]) for c in columns if key in scores[c]}
        if not values or (key in OF_ENSEMBLES and not ensemble):
            continue
        best = _best(values, better, equal)
        cells = []
        for c in columns:
            classes = " ".join(filter(None, ["this" if c == "this" else "", "best" if c in best else ""]))
            number = f'data-metric="{key}" data-column="{c}" data-value="{values.get(c, float("nan"))!r}"'
            text = pattern.format(values[c]) if c in values else "–"
            cells.append(f'<td class="{classes}" {number}>{"0.000" if text in ("-0.000", "+0.000") else text}</td>')
        rows.append(f"<tr><td>{label}</td>{''.join(cells)}</tr>")
    body = f"<tr><th></th>{head}</tr>{''.join(rows)}"
    words = f'<p class="quiet">{words}</p>' if words else ""
    which = f'data-table="{name}" data-key="{selection}" data-state="ready"'
    return f"<h3>{heading}</h3><table {which}>{body}</table>{words}"


def _best(values: Mapping[str, float], better: str, equal: float) -> set[str]:
    """Columns that hold the best value, or one as good within `equal`; none if that is all of them."""
    ranks = {"low": lambda v: v, "high": lambda v: -v, "zero": abs, "one": lambda v: abs(v - 1.0)}
    rank = {c: ranks[better](v) for c, v in values.items() if np.isfinite(v)}
    if not rank:
        return set()
    best = {c for c, r in rank.items() if r <= max(min(rank.values()), equal if better != "high" else -np.inf)}
    return best if len(best) < len(rank) else set()


def prompt_html(question: str, answer: str) -> str:
    """The question before looking, and what there is to see."""
    details = f"<details><summary>What you see</summary><div>{answer}</div></details>"
    return f'<div class="prompt"><b>Predict first.</b> {question} {details}</div>'


def code_html(code: str, what: str = "This script prints the scores of this frame") -> str:
    """The script with its copy button."""
    copy = (
        "navigator.clipboard.writeText(this.getRootNode().querySelector('pre').innerText); this.textContent = 'copied'"
    )
    button = f'<button onclick="{copy}">copy</button>'
    words = f"<p>{what} from the library alone. {button}</p>"
    return f'{words}<pre data-code="ready">{html.escape(code)}</pre>'
