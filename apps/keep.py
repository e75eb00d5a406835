"""Keep what is shown: a NetCDF file of the maps, made beside the server; pictures and tables, made by the browser."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import panel as pn
import panel_material_ui as pmui

from apps.language import word
from apps.problems import sentence
from apps.views import label_pane, text_pane

PICTURES = {"png": "Picture, PNG", "svg": "Picture, SVG", "csv": "Table, CSV"}
FIELDS = ("downscale", "assimilate", "ensemble", "paint", "continuous")
"""Views that have maps; the others have tables."""


class Download(pmui.FileDownload):
    """One that is made when it is asked for; nothing comes if there is nothing."""

    async def _async_sync_data(self) -> None:
        self.data = None  # so that the same file comes again when it is asked for again
        assert self.callback is not None  # given when it was made
        made = await self.callback()
        if made is not None:
            self._sync_data(made)


class Keep:
    """The group of the sidebar.

    Parameters
    ----------
    make : gives what makes the file of what is shown, on a worker; None if nothing is shown yet.
    pool : threads that wait for it.
    say : takes sentences for the page.
    """

    def __init__(self, make: Callable[[], Callable[[], bytes] | None], pool: Executor, say: Callable) -> None:
        self.make, self.pool, self.say = make, pool, say
        look: dict[str, Any] = {"auto": True, "size": "small", "margin": (0, 4), "icon": "download"}
        name = word("Maps, NetCDF")
        self.file = Download(callback=self.fetch, filename="physlab.nc", label=name, **look)
        self.file.param.update(variant="text", color="primary")
        self.pictures = text_pane(margin=(0, 10, 4, 10))
        label = label_pane("Keep what is shown")
        self.group = pn.Column(label, self.file, self.pictures, sizing_mode="stretch_width", margin=0)
        self.follow("downscale")

    def follow(self, view: str) -> None:
        """Offer what a view has."""
        self.file.param.update(visible=view in FIELDS, filename=f"physlab-{view}.nc")
        kinds = ("png", "svg") if view in FIELDS else ("png", "svg", "csv")
        buttons = (f'<button data-save="{kind}" data-view="{view}">{PICTURES[kind]}</button>' for kind in kinds)
        self.pictures.object = " ".join(buttons)

    async def fetch(self) -> io.BytesIO | None:
        """The file, once a worker has made it, while the page goes on; None if there is none, and the page says why."""
        make, problem = self.make(), "There is nothing to keep yet: wait until the maps are drawn."
        if make is not None:
            try:
                return io.BytesIO(await asyncio.get_running_loop().run_in_executor(self.pool, make))
            except Exception as error:
                problem = f"The file could not be made: {sentence(error, 'NetCDF')}"
        self.say([problem], "error")
        return None
