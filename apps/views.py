"""The words and tables around the maps: each function turns a `Panel`, or a part of it, into HTML, and no more."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import panel as pn

from apps import lessons, theme
from apps.options import STATISTICS
from apps.state import Choice
from apps.store import BASELINES, Panel

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
    ("spectral_divergence", "Spectrum", "{:.1e}", "low", 0.0),
    ("spectral_divergence_top", "… finest tenth", "{:.1e}", "low", 0.0),
)


def text_pane(content: str = "", **layout) -> pn.pane.HTML:
    """A pane of words in the explorer's style."""
    layout.setdefault("margin", (0, 10))
    return pn.pane.HTML(content, stylesheets=[theme.SHEET], sizing_mode="stretch_width", **layout)


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


def prompt_html(panel: Panel) -> str:
    """The question before looking, and what there is to see."""
    seen = lessons.answer(panel)
    details = f"<details><summary>What you see</summary><div>{seen}</div></details>"
    return f'<div class="prompt"><b>Predict first.</b> {lessons.question(panel)} {details}</div>'


def card_html(choice: Choice, card: Mapping | None) -> str:
    """Provenance: the checkpoint's card, or what an interpolation is."""
    if card is None:
        text = {
            "bicubic": "Bicubic interpolation of the coarse cells.",
            "nearest": "Each coarse value is repeated in its block.",
            "statistical": f"{STATISTICS[choice.statistic]}, fitted to the training frames on this page (seed 0).",
        }
        after = (
            ""
            if choice.constraint == "none"
            else f" The constraint layer <code>{choice.constraint}</code> is applied to its output."
        )
        if choice.dataset == "tcw-t2":
            after = f" The missing hour is the mean of its neighbours.{after}"
        nothing = "" if choice.method == "statistical" else " Nothing is trained, so there is no checkpoint."
        words = f"{text[choice.method]}{after}{nothing}"
        return f"<h3>{choice.method}</h3><p>{words}</p>"
    rows = "".join(f"<tr><td>{name}</td><td>{html.escape(words)}</td></tr>" for name, words in card_rows(card))
    after = ""
    if choice.mode == "applied" and choice.constraint != "none":
        layer = f"<code>{choice.constraint}</code>"
        after = f"<p>On this page the layer {layer} is put on top of this unconstrained network.</p>"
    if card.get("task", choice.dataset) != choice.dataset:
        after += "<p>Trained on single frames: here it refines each hour on its own.</p>"
    head = html.escape(str(card.get("name", "checkpoint")))
    return f'<h3>{head}</h3>{after}<table class="card-table">{rows}</table>{discriminator_html(card)}'


def discriminator_html(card: Mapping) -> str:
    """How often the discriminator was right while a generator was trained, as a curve; empty for other networks."""
    training = card.get("training")
    history = training.get("history") if isinstance(training, Mapping) else None
    steps = [row for row in history or [] if isinstance(row, Mapping) and row.get("d_right") is not None]
    if not steps:
        return ""
    share = [float(row["d_right"]) for row in steps]
    width, height = 280, 70
    x = np.linspace(2, width - 2, len(share)) if len(share) > 1 else np.array([width / 2])
    points = " ".join(f"{a:.1f},{(1 - b) * height:.1f}" for a, b in zip(x, share, strict=True))
    curve = (
        f'<svg viewBox="0 -4 {width} {height + 8}" width="100%" role="img" aria-label="share judged rightly">'
        f'<rect width="{width}" height="{height}" fill="{theme.GROUND}"/>'
        f'<line x2="{width}" y1="{height / 2}" y2="{height / 2}" stroke="{theme.QUIET}" stroke-dasharray="4"/>'
        f'<polyline points="{points}" fill="none" stroke="{theme.CURVES["members"]}" stroke-width="2"/>'
        f"{''.join(_dot(p) for p in points.split())}</svg>"
    )
    words = (
        f"Share of fields that it judged rightly: {share[0]:.2f} at step {steps[0].get('step')}, {share[-1]:.2f} at "
        f"step {steps[-1].get('step')}. At 0.5 (dashed) it is at chance and teaches nothing; at 1 it has won."
    )
    return f'<h3>Discriminator</h3><p data-discriminator="{share[-1]!r}">{html.escape(words)}</p>{curve}'


def _dot(point: str) -> str:
    x, y = point.split(",")
    return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{theme.CURVES["members"]}"/>'


def card_rows(card: Mapping) -> list[tuple[str, str]]:
    """The entries of a card that a reader needs, in words; what a card lacks is left out."""

    def at(*path, default=None):
        value = card
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return default if value is None else value

    units = at("units", default="")
    options = ", ".join(f"{name} {value}" for name, value in at("constraint_options", default={}).items())
    blocks = [
        f"{name}: {str(block.get('first'))[:10]} to {str(block.get('last'))[:10]}, {block.get('samples')} frames"
        for name, block in at("split", "blocks", default={}).items()
    ]
    scores = [
        f"{name} {table['rmse']:.4g} {units}" for name, table in at("scores", default={}).items() if "rmse" in table
    ]
    rows = {
        "Recipe": at("recipe"),
        "Constraint": f"{at('constraint', default='?')}{f' ({options})' if options else ''}",
        "Network": at("network", "class"),
        "Parameters": at("network", "parameters") and f"{at('network', 'parameters'):,}",
        "Preset": at("preset"),
        "Training": at("settings", "steps") and f"{at('settings', 'steps')} steps of {at('settings', 'batch')} patches",
        "Seed": at("seed"),
        "Made on": at("device"),
        "Wall time": at("wall_time_s") and f"{at('wall_time_s'):.0f} s",
        "RMSE": "; ".join(scores),
        "Split": "; ".join(blocks),
        "Least gap": at("split", "gap_hours") and f"{at('split', 'gap_hours'):g} h",
        "Scale": at("scaling", "scale")
        and f"{', '.join(f'{v:.4g}' for v in at('scaling', 'scale'))} {units}, no offset",
        "Data": at("data_hash") and f"SHA-256 {at('data_hash')[:16]}…",
        "Code": at("commit") and f"commit {at('commit')[:12]}",
        "Versions": ", ".join(f"{name} {number}" for name, number in at("versions", default={}).items()),
    }
    return [(name, str(words)) for name, words in rows.items() if words not in (None, "")]


def code_html(code: str, what: str = "This script prints the scores of this frame") -> str:
    """The script with its copy button."""
    copy = (
        "navigator.clipboard.writeText(this.getRootNode().querySelector('pre').innerText); this.textContent = 'copied'"
    )
    button = f'<button onclick="{copy}">copy</button>'
    words = f"<p>{what} from the library alone. {button}</p>"
    return f'{words}<pre data-code="ready">{html.escape(code)}</pre>'
