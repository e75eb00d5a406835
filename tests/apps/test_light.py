"""A page holds what is looked at, and no more: its cost goes with the number of its models."""

from __future__ import annotations

import gc
import json
import re
import weakref
import zlib

import panel as pn
import panel_material_ui as pmui
import param
import pytest
from bokeh.core.has_props import HasProps
from bokeh.document import Document

from apps import dress, lighter, theme, tour
from apps.controls import IN_VIEW
from apps.options import CONSTRAINTS
from apps.session import Session
from tests.apps.pages import AtOnce, session


def test_only_the_visible_view_and_its_controls_are_made(store):
    page = session(store)
    assert set(page.groups) <= set(IN_VIEW["downscale"]) and not page._others
    root = pn.Row(page.sidebar, page.main).get_root()
    assert len(list(root.references())) < 285  # 570 when all views had their controls and maps shared nothing
    assert not {"benchmark", "of_members"} & set(vars(page))  # figures of what nobody has looked at
    before = [group.visible for group in page.groups.values()]
    assert any(before)
    page.state.view = "benchmark"
    assert page.groups["against"].visible and not page.groups["network"].visible
    assert next(group for group in page.sidebar if group.visible) is page.groups["view"]
    page.state.constraint = next(iter(CONSTRAINTS))
    page.state.view = "downscale"
    assert page.controls["constraint"].value == page.state.constraint
    assert "channel" not in page.groups  # of a view that nobody has looked at


def test_maps_share_their_tools_and_every_image_is_drawn_by_one_glyph(store):
    maps = session(store).maps
    tools = [tool for name in maps.images for tool in maps.figures[name].tools]
    assert len(set(tools)) == 5 + len(maps.images)  # a hover of each
    for name in maps.images:
        first = maps.figures[name].renderers[0]
        assert first.data_source is maps.images[name] and first.nonselection_glyph == "auto"


def test_a_browser_keeps_to_itself_how_large_its_figures_are(store):
    page = session(store)
    page.state.band = "3-9"
    figures = [*page.maps.figures.values(), *page.brush.bands.figures.values()]
    assert len(figures) == 9 and not any(fig.syncable or fig.toolbar.syncable for fig in figures)
    assert "SelectionGeometry".lower() in {name.lower() for fig in figures[:6] for name in fig.subscribed_events}
    assert page.maps.x_range.syncable


def test_a_first_visit_has_a_tour_in_the_flow_of_the_page_and_a_link_has_none(store):
    assert tour.wanted({}, "") and tour.wanted({}, "?") and not tour.wanted({tour.COOKIE: "seen"}, "")
    assert not tour.wanted({}, "?frame=3")
    page = Session(store, AtOnce(), AtOnce(), lambda draw: draw(), "", True)
    words = page.main[0].object
    assert words.count("data-step") == len(tour.STEPS) + 1 and words.count("hidden>") == len(tour.STEPS) - 1
    page._status(page.state.choice(), "failed")
    assert page.main.index(page._again) == page.main.index(page.messages) + 1
    assert session(store).main[0] is not page.main[0] and "tour" not in session(store).main[0].object


def test_a_page_that_was_closed_is_kept_by_nobody():
    page = dress.quiet(pmui.Page(title="closed soon"))
    kept = weakref.ref(page)
    del page
    gc.collect()
    assert kept() is None


def test_a_page_is_the_same_letter_by_letter_when_facts_of_classes_are_looked_up_once(store, monkeypatch):
    monkeypatch.setattr(param.parameterized, "object_count", 99_900)  # the names of its parts get a sixth digit

    def made() -> tuple[str, int]:
        document, page = Document(theme=theme.BOKEH_THEME), session(store)
        page.state.band = "3-9"
        root = pn.Row(page.sidebar, page.main).get_root(document)
        document.add_root(root)
        whole = document.to_json()
        whole = getattr(whole, "content", whole)
        text, names = json.dumps(whole, sort_keys=True, default=lambda buffer: zlib.crc32(buffer.data)), {}
        number = lambda found: names.setdefault(found[0], f"<{len(names)}>")  # noqa: E731
        text = re.sub(r"made in \d+ ms", "", text)
        return re.sub(r"\bp\d{4,}\b|(?<=[a-z])\d{5,}\b", number, text), len(list(root.references()))

    assert lighter.lighten()
    lighter_page = made()
    lighter.undo()
    try:
        assert vars(HasProps)["__init__"] is not lighter.begin
        assert made() == lighter_page
    finally:
        lighter.lighten()
    assert lighter_page[1] > 200
    assert vars(HasProps)["__init__"] is lighter.begin


@pytest.mark.parametrize("library", ["bokeh", "panel"])
def test_another_version_is_left_as_it_is(monkeypatch, library):
    lighter.undo()
    monkeypatch.setattr(getattr(lighter, library), "__version__", "4.0.0")
    try:
        assert not lighter.lighten() and vars(HasProps)["__init__"] is not lighter.begin
    finally:
        monkeypatch.undo()
        assert lighter.lighten()
