"""A page holds what is looked at, and no more: its cost goes with the number of its models."""

from __future__ import annotations

import panel as pn

from apps.controls import IN_VIEW
from apps.options import CONSTRAINTS
from tests.apps.pages import session


def test_only_the_visible_view_and_its_controls_are_made(store):
    page = session(store)
    assert set(page.groups) <= set(IN_VIEW["downscale"]) and not page._others
    root = pn.Row(page.sidebar, page.main).get_root()
    assert len(list(root.references())) < 290  # 570 when all views had their controls and maps shared nothing
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
    assert len(set(tools)) == 4 + len(maps.images)  # a hover of each
    for name in maps.images:
        first = maps.figures[name].renderers[0]
        assert first.data_source is maps.images[name] and first.nonselection_glyph == "auto"
