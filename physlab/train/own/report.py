"""The report of a training: one page that needs nothing else, with pictures inside if there are any.

:func:`document` and its parts make the reports of all methods, those of continuous fields and of assimilation too.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from physlab.store import add_files
from physlab.train.checkpoint import commit, versions
from physlab.train.own.compare import Row
from physlab.train.own.result import Result

REPORT, SCORES = "report.html", "scores.csv"
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;background:#fff;max-width:1080px;margin:2rem auto;
padding:0 1.2rem}
h1{font-size:1.6rem;margin:0 0 .2rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid #d7dee5}
table{border-collapse:collapse;margin:.5rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .7rem;text-align:right;
border-bottom:1px solid #e6ebf0}
td:first-child,th:first-child{text-align:left}
th{font-weight:600;color:#44546a}
tr.trained td{background:#eef5fc;font-weight:600}
tr.control td{background:#f7f7f2}
code,pre{background:#f3f5f7;padding:.1rem .3rem}
pre{padding:.7rem;overflow-x:auto}
figure{margin:1rem 0}
img{max-width:100%}
figcaption,.note{color:#566573;font-size:.92rem}
.lead{font-size:1.05rem}
ul{padding-left:1.2rem}
div.wide{overflow-x:auto;font-size:.92rem}
div.wide td{white-space:nowrap}
div.wide th{max-width:6.2rem;padding:.25rem .45rem}
div.wide td{padding:.25rem .45rem}
"""
SHOWN = (
    ("rmse", "RMSE"), ("mae", "MAE"), ("bias", "bias"), ("crps", "CRPS (fair)"), ("spread_skill", "spread / skill"),
    ("ssim", "SSIM"), ("spectral_divergence", "SpecDiv"), ("spectral_divergence_top", "SpecDiv, top decile"),
    ("conservation_error_relative", "block error, relative"), ("negative_count", "negative cells"),
    ("rmse_extreme", "RMSE, highest percent"),
)  # fmt: skip


Picture = tuple[str, str, bytes]
"""Title, caption, PNG."""
Draw = Callable[[Any], Sequence[Picture]]
"""Gives the pictures of a result, see :func:`physlab.plot.training.pictures`."""


def add_report(
    folder: str | Path, result: Any, page: Callable[[Any, Sequence[Picture]], str], lines: Callable[[Any], Iterable],
    draw: Draw | None = None,
) -> None:  # fmt: skip
    """Add the page of a result, and its scores as CSV, the names of the columns first, to the folder of a method."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines(result))
    pictures = [] if draw is None else list(draw(result))  # none without something that draws them
    add_files(folder, {SCORES: stream.getvalue(), REPORT: page(result, pictures)})


def document(title: str, parts: Iterable[str]) -> str:
    """The page around its parts."""
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
        f"</head><body>{body}</body></html>\n"
    )


def opening(verdicts: Iterable[str], account: Iterable[str]) -> str:
    """What came out, in sentences, and what was understood of the data."""
    lead = "".join(f"<p class=lead>{escape(line)}</p>" for line in verdicts)
    items = "".join(f"<li>{escape(line)}</li>" for line in account)
    return f"{lead}\n<h2>What was understood of the data</h2><ul>{items}</ul>"


def methods_table(heads: Iterable[str], rows: Iterable[tuple[str, str, Iterable[str]]]) -> str:
    """A table with a row for each method: its kind, its name and its numbers; `heads` are HTML."""
    made = ["<table><tr><th>method</th>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"]
    for kind, name, numbers in rows:
        cells = "".join(f"<td>{number}</td>" for number in numbers)
        made.append(f"<tr class={kind}><td>{escape(name)}</td>{cells}</tr>")
    return "\n".join([*made, "</table>"])


def figures(pictures: Iterable[Picture]) -> str:
    """The pictures with their captions, or how to get them."""
    made = []
    for heading, caption, content in pictures:
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        image = f"<img alt='{escape(heading)}' src='{source}'><figcaption>{escape(caption)}</figcaption>"
        made.append(f"<h2>{escape(heading)}</h2><figure>{image}</figure>")
    how = "pip install 'physlab[book]', and run the command again"
    none = f"<p class=note>Without matplotlib there are no pictures: {how}.</p>"
    return "\n".join(made) or none


def page(result: Result, pictures: Sequence[Picture]) -> str:
    """The whole page.

    Parameters
    ----------
    pictures : (title, caption, PNG); none where matplotlib is missing.
    """
    data, parts = result.data, []
    title = f"{result.label} on {', '.join(data.variables)}"
    parts.append(f"<p class=note>{escape(data.request.truth)}, refined by {data.factor}</p>")
    parts.append(opening(verdicts(result), data.account))
    parts.append(f"<p class=note>{escape(split_said(data.split))}</p>")
    parts.append("<h2>Scores on the test block</h2>")
    parts.append(f"<p class=note>{len(result.at)} samples that nothing was chosen by. {escape(NOTE)}</p>")
    for name in result.own.scores:
        table, units = scores_table(result.rows, name, result), data.units_of(name) or "no units"
        parts.append(f"<h3>{escape(name)} ({escape(units)})</h3><div class=wide>{table}</div>")
    parts.append(figures(pictures))
    if not pictures:
        parts.append(ranks_table(result) + losses_table(result))
    parts.append("<h2>Settings</h2>" + settings_table(result))
    parts.append(f"<h2>To make it again</h2><pre>{escape(result.command)}</pre>")
    said = ", ".join(f"{k} {v}" for k, v in versions().items())
    parts.append(
        f"<p class=note>PhysLab {escape(commit()[:12] or 'installed')}, {escape(said)}; data {data.data_hash[:16]}.</p>"
    )
    return document(title, parts)


NOTE = (
    "Errors of an ensemble are those of its mean, spectra and block errors those of its members. The control is a "
    "linear "
    "regression on the same coarse fields. Gains are 1 - RMSE / RMSE of the other, with the interval of 95 % from "
    "resampling blocks of samples in pairs; an interval that holds zero means no difference."
)


def verdicts(result: Result) -> list[str]:
    """What came out, in a sentence for each variable and comparison."""
    lines = []
    for name, gains in result.gains.items():
        mine = result.own.scores[name]["rmse"]
        for other, (whole, low, high) in gains.items():
            theirs = result.row(other).scores[name]["rmse"]
            interval = f" ({low:+.1%} to {high:+.1%})" if low == low else " (too few samples for an interval)"
            word = "no difference" if low == low and low <= 0 <= high else ("better" if whole > 0 else "worse")
            lines.append(f"{name}: RMSE {mine:.4g}, {other} {theirs:.4g}: {whole:+.1%}{interval}, {word}.")
    return lines


def split_said(split: dict[str, Any]) -> str:
    """The blocks in words."""
    words = []
    for name, block in split["blocks"].items():
        where = (
            f"columns {block['columns'][0]} to {block['columns'][1]}"
            if "columns" in block
            else f"{block['first']} to {block['last']}"
        )
        words.append(f"{name} {where} ({block['samples']})")
    return f"Split: {split['rule']}; {', '.join(words)}."


def scores_table(rows: Iterable[Row], name: str, result: Result) -> str:
    """All methods; seeds of what was trained as mean and standard deviation."""
    rows = list(rows)
    shown = [(k, t) for k, t in SHOWN if any(k in r.scores[name] for r in rows)]
    if not any(r.ranks for r in rows):
        shown = [(k, t) for k, t in shown if k != "crps"]
    html = ["<table><tr><th>method</th><th>gain over " + escape(result.best[name]) + "</th>"
            + "".join(f"<th>{escape(t)}</th>" for _, t in shown) + "</tr>"]  # fmt: skip
    base = result.row(result.best[name]).scores[name]["rmse"]
    done: set[str] = set()
    for row in rows:
        if row.name in done:
            continue
        done.add(row.name)
        same = [r for r in rows if r.name == row.name]
        cells = []
        for key, _ in shown:
            values = [r.scores[name][key] for r in same if key in r.scores[name]]
            cells.append(f"<td>{number(values)}</td>")
        share = 1 - float(np.mean([r.scores[name]["rmse"] for r in same])) / max(base, 1e-300)
        seeds = f" ({len(same)} seeds)" if len(same) > 1 else ""
        html.append(
            f"<tr class={row.kind}><td>{escape(row.name)}{seeds}</td><td>{share:+.1%}</td>{''.join(cells)}</tr>"
        )
    return "".join(html) + "</table>"


def number(values: Sequence[float]) -> str:
    """Mean, and standard deviation over the seeds."""
    if not values:
        return ""
    text = "0" if max(map(abs, values)) < 1e-5 else f"{float(np.mean(values)):.4g}"
    return text + (f" ± {float(np.std(values, ddof=1)):.2g}" if len(values) > 1 else "")


def ranks_table(result: Result) -> str:
    """The rank histograms as numbers."""
    rows = []
    for name, ranks in result.own.ranks.items():
        share = ranks / max(ranks.sum(), 1)
        rows.append(f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{v:.1%}</td>" for v in share) + "</tr>")
    return f"<h2>Rank histogram</h2><table>{''.join(rows)}</table>" if rows else ""


def losses_table(result: Result) -> str:
    """The last entries of the training."""
    parts = []
    for stage, history in result.trained[result.chosen].stages.items():
        if history:
            last = ", ".join(f"{k} {v:.4g}" for k, v in history[-1].items())
            parts.append(f"<li>{escape(stage)}: {escape(last)}</li>")
    return f"<h2>End of the training</h2><ul>{''.join(parts)}</ul>" if parts else ""


def settings_table(result: Result) -> str:
    """Request, method and its numbers."""
    took = result.trained[result.chosen]
    lines: dict[str, Any] = {
        "method": result.method.name,
        "constraint": result.constraint,
        "network": result.method.part,
    }
    lines |= {"seeds": ", ".join(map(str, result.trained)), "seed of the folder (best on validation)": result.chosen}
    lines |= {"training took": f"{took.seconds:.0f} s"}
    lines |= {k: v for k, v in result.data.request.plain().items() if v not in (None, "", [])}
    inner = flat(took.settings)
    more = f"<details><summary>Numbers of the training</summary>{pairs_table(inner)}</details>" if inner else ""
    return pairs_table(lines) + more


def pairs_table(lines: dict[str, Any]) -> str:
    """Names and values."""
    cells = "".join(f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in lines.items())
    return f"<table>{cells}</table>"


def flat(settings: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Nested dictionaries as one."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{head} {key}".strip()
        found |= flat(value, name) if isinstance(value, dict) else {name: value}
    return found
