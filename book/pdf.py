"""The book as one PDF, printed by Chromium from the built pages: `python book/build.py pdf`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from articles import article, title
from bs4 import NavigableString

PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="_static/pygments.css"><style>{style}</style>
<script>window.MathJax = {{options: {{enableMenu: false, ignoreHtmlClass: "never"}}}};</script>
<script defer src="mathjax/tex-mml-chtml.js"></script></head><body>
<section class="cover"><h1>{shown}</h1><p>{lead}</p></section>
<section><h1>Contents</h1><nav class="contents">{contents}</nav></section>
{articles}</body></html>
"""
SPACE = "\u00a0\u200b"
"""A space at which a heading may be broken, and which its bookmark keeps: Chromium drops a plain one there."""
WIDE = 38
"""Letters of a heading that surely fit on a line."""
FOOT = '<div style="font:8px sans-serif;width:100%;text-align:center"><span class="pageNumber"></span></div>'


class NoBrowser(RuntimeError):
    """Nothing here can print."""


def one_page(pages: Path, names: Sequence[str], name: str, lead: str) -> Path:
    """Write all chapters as one page beside the built ones; returns its path."""
    parts = [article(pages / f"{chapter}.html", names, within=True, opened=True) for chapter in names]
    for head in (h for part in parts for h in part.find_all(["h1", "h2", "h3"]) if len(h.get_text()) > WIDE):
        for text in head.find_all(string=True):
            text.replace_with(NavigableString(text.replace(" ", SPACE)))
    contents = "".join(
        f'<a href="#{n}">{escape(title(p).replace(SPACE, " "))}</a>' for n, p in zip(names, parts, strict=True)
    )
    text = PAGE.format(
        title=escape(name),
        shown=escape(name).replace(" ", SPACE),
        style=(Path(__file__).parent / "print.css").read_text(encoding="utf-8"),
        lead=escape(lead),
        contents=contents,
        articles="\n".join(map(str, parts)),
    )
    made = pages / "_print.html"
    made.write_text(text, encoding="utf-8")
    return made


def print_pdf(page: Path, output: Path, browser: str | None) -> Path:
    """Print a page that needs nothing from outside.

    Raises
    ------
    NoBrowser
        If there is no Chromium, or no playwright to drive it.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowser("a PDF is printed by a browser: pip install playwright, and install Chromium") from None
    if browser is None:
        raise NoBrowser("a PDF is printed by Chromium: install it, or name one by PHYSLAB_CHROMIUM")
    with sync_playwright() as play:
        window = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        sheet = window.new_context(offline=True).new_page()
        sheet.goto(page.resolve().as_uri(), timeout=300_000)
        sheet.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise", timeout=300_000)
        sheet.evaluate("MathJax.startup.promise.then(() => document.fonts.ready).then(() => true)")
        sheet.pdf(
            path=str(output), prefer_css_page_size=True, print_background=True, outline=True, tagged=True,
            display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
        )  # fmt: skip
        window.close()
    return output
