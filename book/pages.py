"""The Sphinx extension of the book's own pages: alt texts for the pictures of sliders.

A slider shows several pictures in one cell; the cell has one alt text. Every picture gets it, with its own value.
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


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("doctree-read", describe)
    return {"parallel_read_safe": True}
