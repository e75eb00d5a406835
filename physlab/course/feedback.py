"""The page that a student gets back: points, the grader's sentence on each exercise, what the notebook did wrong."""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.5rem;border-bottom:1px solid #cdd5de;text-align:left;"
    "vertical-align:top}td:nth-child(-n+2){white-space:nowrap}.full{color:#0b6b3a}.none{color:#9c1c1c}"
    "pre{background:#f3f5f8;padding:.7rem;overflow:auto;white-space:pre-wrap}.note{background:#fff4d6;padding:.5rem}"
)


def _chapter(part: dict[str, Any]) -> list[str]:
    got, most = (sum(e[key] for e in part["exercises"]) for key in ("points", "most"))
    lines = [f"<h2>{escape(part['chapter'])}: {got} of {most} points</h2>"]
    lines += [f'<p class="note">{escape(note)}</p>' for note in part["notes"]]
    lines.append("<table><tr><th>Exercise</th><th>Points</th><th>What was found</th></tr>")
    for e in part["exercises"]:
        kind, mark = ("full", "✔") if e["points"] else ("none", "✘")
        lines.append(
            f'<tr><td>{escape(e["name"])}</td><td class="{kind}">{mark} {e["points"]} of {e["most"]}</td>'
            f"<td>{escape(e['message'])}</td></tr>"
        )
    lines.append("</table>")
    if part["errors"]:
        lines.append("<p>Cells that ended with an error:</p><ul>")
        lines += [f"<li>{escape(text)}</li>" for text in part["errors"][:20]]
        lines.append("</ul>")
    if part.get("said"):
        lines.append(f"<details><summary>What it printed</summary><pre>{escape(part['said'])}</pre></details>")
    return lines


def feedback(result: dict[str, Any]) -> str:
    """The page, complete in one file."""
    parts = result["chapters"]
    got = sum(e["points"] for part in parts for e in part["exercises"])
    most = sum(e["most"] for part in parts for e in part["exercises"])
    name = escape(result["student"])
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}: {got} of {most} points</title><style>{STYLE}</style></head><body>",
        f"<h1>{name}: {got} of {most} points</h1>",
        "<p>Answers were graded by physics, on inputs that no notebook has seen. Open tasks are read by a person.</p>",
    ]
    for part in parts:
        lines += _chapter(part)
    return "\n".join([*lines, "</body></html>"]) + "\n"
