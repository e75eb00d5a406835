"""PhysLab explorer: ``panel serve apps/explorer.py [--args PATH...]``. Assembly only; see state, store and session.

Paths after ``--args`` are fields and trained methods of one's own, see :mod:`physlab.views.workspace`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # panel runs this file as a script
    sys.path.insert(0, str(ROOT))

import physlab  # noqa: E402, F401, I001  (before torch: it says how threads wait)

from physlab.views.workspace import VARIABLE  # noqa: E402

if sys.argv[1:]:
    os.environ[VARIABLE] = os.pathsep.join(sys.argv[1:])

import panel as pn  # noqa: E402
import panel_material_ui as pmui  # noqa: E402

from apps import dress, language, serving, theme, tour  # noqa: E402
from apps.address import Address  # noqa: E402
from apps.drawing import drawing_in  # noqa: E402
from apps.session import Session  # noqa: E402
from apps.workers import shared, tidy  # noqa: E402


def page() -> pmui.Page:
    """One session's page."""
    store, pool, background = pn.state.as_cached("physlab-explorer", shared)
    document, location = pn.state.curdoc, pn.state.location
    dark = dress.dark(pn.state.cookies)
    if dark:
        pn.config.theme = "dark"  # type: ignore[misc]  # of this session; Panel takes it, its property says not
    drawing = drawing_in(document) if document else None
    search = (location.search or "") if location else ""
    spoken, notes = language.chosen(search, pn.state.cookies, pn.state.headers)
    if document:
        language.speak(document, spoken)
    first = tour.wanted(pn.state.cookies, search)
    session = Session(
        store.for_session(object()), pool, background, drawing or (lambda draw: draw()), search, first, notes
    )
    if document:
        document.theme = theme.BOKEH_THEME
    if drawing:
        pn.state.onload(drawing.start)
    if document and location:
        later = document.add_timeout_callback

        def follow() -> None:
            Address(session.state, location, later, session.notes.extend, session.own)

        pn.state.onload(follow)
    afterwards = tidy.soon  # the names of this module are gone when a session ends

    def leave(_) -> None:
        session.close()
        afterwards()

    pn.state.on_session_destroyed(leave)
    if document:
        serving.when_left(document, session.rest)
    whole = pmui.Page(
        title="PhysLab · Explorer",
        sidebar=[session.sidebar],
        main=[session.main],
        sidebar_width=240,
        sidebar_resizable=False,
        sidebar_variant="persistent",
        template=dress.template(dark, spoken),
        dark_theme=dark,
        sx=theme.PAGE_SX,
        theme_config=theme.MUI_THEME,
        busy_indicator=None,
    )
    return dress.quiet(whole)


pn.extension(notifications=False, browser_info=False)  # nobody asks what browser it is
page().servable()
