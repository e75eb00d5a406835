"""The page around the views: Panel's own, with the script of `page.js` in its head; light or dark from the start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import panel_material_ui as pmui
import param
from panel.util import edit_readonly

from apps import theme
from apps.language import word

SCRIPT = Path(__file__).with_name("page.js")
COOKIE = "physlab-theme"
SAID = {"far": "How far the work is", "at": "at", "degrees": "degrees"} | {
    n: n for n in ("north", "south", "east", "west")
}
"""What the script says to those who hear the page."""


def dark(cookies: Mapping[str, str]) -> bool:
    """Whether the reader's last page was dark, so that the next one is so from the beginning."""
    return cookies.get(COOKIE) == "dark"


def template(dark: bool = False, language: str = "en") -> str:
    """A Jinja template that extends that of Material pages; no file has to be fetched for it."""
    colours, served = {"light": theme.LIGHT, "dark": theme.DARK}, "dark" if dark else "light"
    script = SCRIPT.read_text(encoding="utf-8")
    words = {key: word(english, language) for key, english in SAID.items()}
    for name, value in {"COLOURS": colours, "SERVED": served, "SPOKEN": language, "WORDS": words}.items():
        script = script.replace(name, json.dumps(value))
    body = f"<script>{{% raw %}}\n{script}\n{{% endraw %}}</script>"
    return f'{{% extends "base.html" %}}{{% block postamble %}}{{{{ super() }}}}{body}{{% endblock %}}'


class Quiet(param.Parameterized):
    """What a page follows instead of Panel's counter of all sessions."""

    busy = param.Boolean(False)


def quiet(page: pmui.Page) -> pmui.Page:
    """A page that does not follow Panel's counter of all sessions: with it each click of one redraws every page, and
    what the counter knows of is kept when it was closed."""
    with edit_readonly(page):
        page.busy = Quiet().param.busy
    return page
