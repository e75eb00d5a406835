"""The Sphinx extension of the book's own pages: alt texts for the pictures of sliders, and links to the glossary.

A slider shows several pictures in one cell; the cell has one alt text. Every picture gets it, with its own value. The
first use of a term in a chapter becomes a link to the glossary, so that the sources stay readable.
"""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes

ALT = 'alt="'
"""As in :mod:`physlab.teach.frames`: there the label and the value follow."""


def describe(app: Any, tree: nodes.document) -> None:
    """Give the pictures of a slider the alt text of their cell; myst-nb gives it to the picture for print alone."""
    for bundle in list(tree.findall(nodes.container)):
        if bundle.get("nb_element") != "mime_bundle":
            continue
        alts = [image["alt"] for image in bundle.findall(nodes.image) if image.get("alt")]
        for raw in bundle.findall(nodes.raw):
            text = raw.astext()
            if alts and 'class="physlab-slider"' in text:
                text = text.replace(ALT, f"{ALT}{escape(alts[0])} ")
                raw.children[:] = [nodes.Text(text)]
                raw.rawsource = text


def link(app: Any, name: str, source: list[str]) -> None:
    """Link the first use of each term in a chapter to the glossary."""
    import terms  # beside this file, on the path of the build

    if "\nkernelspec:" in source[0]:
        source[0] = terms.linked(source[0], name)


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("doctree-read", describe)
    app.connect("source-read", link)
    return {"parallel_read_safe": True}
