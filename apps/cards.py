"""Cards on the page: where the numbers of a trained method come from; what a card does not say is left out."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps import theme
from apps.options import OWN_DATA, STATISTICS
from apps.state import Choice


def card_table(rows: Mapping[str, object], title: object, name: str = "", words: str = "") -> str:
    """A table of what is known under a title; `name` for whoever looks for the card on the page, `words` above it."""
    known = {key: html.escape(str(value)) for key, value in rows.items() if value not in (None, "", 0)}
    body = "".join(f"<tr><td>{key}</td><td>{value}</td></tr>" for key, value in known.items())
    mark = f' data-card="{name}"' if name else ""
    return f'<h3>{html.escape(str(title))}</h3>{words}<table class="card-table"{mark}>{body}</table>'


def missing_html(title: str, name: str) -> str:
    """Instead of the card of what is not installed."""
    return f'<h3>{title}</h3><p class="quiet" data-card="{name}">It is not installed here.</p>'


def provenance(card: Mapping, seconds: float | None) -> dict[str, object]:
    """What the cards of all kinds say of their making."""
    seed = card.get("seed")
    return {
        "Seed": None if seed is None else str(seed),
        "Made on": card.get("device"),
        "Wall time": seconds and f"{seconds:.0f} s",
        "Code": card.get("commit") and f"commit {card['commit'][:12]}",
        "Versions": ", ".join(f"{k} {v}" for k, v in (card.get("versions") or {}).items()),
    }


def checkpoint_html(choice: Choice, card: Mapping | None) -> str:
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
    after = understood(card)
    if choice.mode == "applied" and choice.constraint != "none":
        layer = f"<code>{choice.constraint}</code>"
        after = f"<p>On this page the layer {layer} is put on top of this unconstrained network.</p>"
    if choice.dataset in OWN_DATA and not after.startswith("<p>Of the"):
        after += "<p>Trained on other data: it has never seen these.</p>"
    elif card.get("task", choice.dataset) != choice.dataset and choice.dataset not in OWN_DATA:
        after += "<p>Trained on single frames: here it refines each hour on its own.</p>"
    return f"{card_table(card_rows(card), card.get('name', 'checkpoint'), words=after)}{discriminator_html(card)}"


def understood(card: Mapping) -> str:
    """What a training on data of one's own understood of them."""
    told = card.get("data")
    account = told.get("account") if isinstance(told, Mapping) else None
    sentences = " ".join(str(line) for line in account or ())
    return f"<p>Of the data: {html.escape(sentences)}</p>" if sentences else ""


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
    ends = steps[:1] + steps[-1:] * (len(steps) > 1)
    told = ", ".join(f"{row['d_right']:.2f} at step {row.get('step')}" for row in ends)
    words = (
        f"Share of fields that it judged rightly: {told}, the first steps without it counted. At 0.5 (dashed) it is at "
        "chance and teaches nothing; at 1 it has won."
    )
    return f'<h3>Discriminator</h3><p data-discriminator="{share[-1]!r}">{html.escape(words)}</p>{curve}'


def _adversarial(card: Mapping) -> str:
    """Steps against a discriminator, after those without it."""
    settings = card.get("settings")
    more = settings.get("adversarial") if isinstance(settings, Mapping) else None
    steps = more.get("steps") if isinstance(more, Mapping) else None
    return f", then {steps} against the discriminator" if steps else ""


def _dot(point: str) -> str:
    x, y = point.split(",")
    return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{theme.CURVES["members"]}"/>'


def card_rows(card: Mapping) -> dict[str, object]:
    """The entries of a checkpoint's card that a reader needs, in words."""

    def at(*path, default=None):
        value: Any = card
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
    return {
        "Recipe": at("recipe"),
        "Constraint": f"{at('constraint', default='?')}{f' ({options})' if options else ''}",
        "Network": at("network", "class"),
        "Parameters": at("network", "parameters") and f"{at('network', 'parameters'):,}",
        "Preset": at("preset"),
        "Training": at("settings", "steps")
        and f"{at('settings', 'steps')} steps of {at('settings', 'batch')} patches{_adversarial(card)}",
        "RMSE": "; ".join(scores),
        "Split": "; ".join(blocks),
        "Least gap": at("split", "gap_hours") and f"{at('split', 'gap_hours'):g} h",
        "Scale": at("scaling", "scale")
        and f"{', '.join(f'{v:.4g}' for v in at('scaling', 'scale'))} {units}, no offset",
        "Data": at("data_hash") and f"SHA-256 {at('data_hash')[:16]}…",
        **provenance(card, at("wall_time_s")),
    }
