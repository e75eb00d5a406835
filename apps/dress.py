"""The page around the views: Panel's own, with the script of `page.js` in its head; light or dark from the start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from apps import theme

SCRIPT = Path(__file__).with_name("page.js")
COOKIE = "physlab-theme"


def dark(cookies: Mapping[str, str]) -> bool:
    """Whether the reader's last page was dark, so that the next one is so from the beginning."""
    return cookies.get(COOKIE) == "dark"


def template(dark: bool = False) -> str:
    """A Jinja template that extends that of Material pages; no file has to be fetched for it."""
    colours, served = {"light": theme.LIGHT, "dark": theme.DARK}, "dark" if dark else "light"
    script = SCRIPT.read_text(encoding="utf-8")
    for name, value in {"COLOURS": colours, "SERVED": served}.items():
        script = script.replace(name, json.dumps(value))
    body = f"<script>{{% raw %}}\n{script}\n{{% endraw %}}</script>"
    return f'{{% extends "base.html" %}}{{% block postamble %}}{{{{ super() }}}}{body}{{% endblock %}}'
