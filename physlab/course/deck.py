"""A deck of slides as one HTML page, shown by the reveal.js and the MathJax that lie beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """
:root{--r-block-margin:.5rem;--r-background-color:#fff;--r-heading-font:inherit}
body{background:#fff;color:#1d2733;font:28px/1.35 system-ui,-apple-system,"Segoe UI",sans-serif;margin:0}
.reveal .slides{text-align:left;line-height:1.35}
.reveal mjx-container[display]{font-size:85%!important}.reveal .slides section{padding:0 1rem;box-sizing:border-box}
.reveal h1{font-size:2em;line-height:1.15;margin:.2em 0}.reveal h2{font-size:1.35em;margin:0 0 .5em;color:#0b4f6c}
.reveal p{margin:.4em 0}.reveal ul{padding-left:1.2em}.reveal li{margin:.25em 0}.reveal a{color:#0b4f6c}
.reveal figure{margin:0;text-align:center}.reveal figure img{max-width:100%;max-height:560px;object-fit:contain}
.reveal figcaption{font-size:.7em;color:#4a5765;margin-top:.4em}
.reveal .ask{border-left:.3em solid #d97706;padding-left:.8em}
.reveal table{border-collapse:collapse;font-size:.62em;margin:.4em auto}.reveal th,.reveal td{padding:.25em .6em;
border-bottom:1px solid #cdd5de;text-align:right}.reveal th:first-child,.reveal td:first-child{text-align:left}
.reveal .foot{font-size:.65em;color:#4a5765}.reveal .controls,.reveal .progress{color:#0b4f6c}
.physlab-slider label{display:block;font-size:.7em}
.physlab-slider img{max-width:100%;max-height:530px;object-fit:contain}
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="reveal/reveal.css"><style>{style}</style>
<script>window.MathJax = {{tex: {{inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEnvironments: true}},
options: {{enableMenu: false}}}};</script>
<script defer src="mathjax/tex-mml-chtml.js"></script>
<script defer src="reveal/reveal.js"></script><script defer src="reveal/notes.js"></script></head>
<body><div class="reveal"><div class="slides">
{slides}
</div></div>
<script>window.addEventListener("load", () => MathJax.startup.promise.then(() => Reveal.initialize({{width: 1180,
height: 760, margin: 0.04, center: false, hash: true, slideNumber: "c/t", transition: "none",
plugins: [RevealNotes]}})));
</script></body></html>
"""


@dataclass
class Slide:
    """One slide: heading (Markdown), HTML of its body, and what the speaker may say (Markdown)."""

    heading: str
    body: str
    notes: list[str] = field(default_factory=list)


def markdown(text: str) -> str:
    """Markdown as HTML; formulas are left to MathJax, links inside the book become plain words."""
    from nbconvert.filters import markdown2html_mistune

    text = re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    return markdown2html_mistune(text)


def inline(text: str) -> str:
    """One line of Markdown without the paragraph around it."""
    html = markdown(text).strip()
    return re.sub(r"^<p>(.*)</p>$", r"\1", html, flags=re.S)


def page(title: str, slides: Sequence[Slide]) -> str:
    """The whole deck; the first slide is its title."""
    parts = []
    for k, slide in enumerate(slides):
        level = "h2" if k else "h1"
        notes = f'<aside class="notes">{markdown(chr(10).join(slide.notes))}</aside>' if slide.notes else ""
        parts.append(f"<section><{level}>{inline(slide.heading)}</{level}>\n{slide.body}\n{notes}</section>")
    return PAGE.format(title=escape(title), style=STYLE, slides="\n".join(parts))
