"""Bring your own: files from the browser into the folder of this session, and what was understood of them.

Chunks are written as they come; a file that is too large, or one too many, is not taken. What came is looked at in a
process of its own (:func:`physlab.views.bring.receive`). All of it is removed when the page is closed.
"""

from __future__ import annotations

import html
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui

from apps.apart import apart
from apps.globe import nearest
from apps.language import word
from apps.options import OWN
from apps.own import NOTHING, Own, new_mark
from apps.problems import sentence
from apps.state import Choice
from apps.views import label_pane, said_pane
from physlab.views.bring import FILES, LARGEST, WHOLE, Brought, receive
from physlab.views.workspace import Workspace

log = logging.getLogger("physlab.explorer")
CHUNK = 2 << 20
"""Bytes of a message: below what servers behind proxies take."""
SECONDS = 60.0
MOST_SAID = 20
FREE = 1 << 30
"""Bytes of the disk that are left alone."""
ACCEPT = ".nc,.nc4,.grib,.grib2,.grb,.grb2,.csv,.txt,.zip"
WORDS = (
    f"Fields (NetCDF, GRIB, or Zarr as .zip), trained methods (the folder of <code>physlab train</code> as .zip), "
    f"stations (.csv). At most {LARGEST >> 20} MB a file. Nobody else sees them; they are removed with this page."
)


def first_of(choice: Choice, found: Workspace, new: list[str], offers: Callable) -> Choice:
    """The selection with what came last: a method on its data, else fields refined by what there is for them.

    Parameters
    ----------
    new : names of the data that were not here before.
    offers : data, factor -> networks and their constraints.
    """
    plain: dict[str, Any] = {"view": "downscale", "frame": 0, "hour": 0, "show": "mean"}
    models = [model for model in found.models.values() if not new or model.data in new]
    if models:
        own = models[-1]
        more = {"dataset": own.data, "factor": own.factor, "network": own.key, "constraint": own.constraint}
        return choice.with_(**plain, **more, method="network", mode="trained")
    if not new:
        return choice
    there = offers(new[0], choice.factor).get("compact", [])
    if there:  # a shipped network knows this variable
        return choice.with_(**plain, dataset=new[0], method="network", mode="trained", network="compact",
                            constraint=there[-1])  # fmt: skip
    return choice.with_(**plain, dataset=new[0], method="bicubic", mode="applied", constraint="add")


def placed(stations: Sequence[tuple[float, float]], latitudes: np.ndarray, longitudes: np.ndarray) -> tuple[str, str]:
    """Grid points next to stations, as a selection has them, and a sentence."""
    points = list(dict.fromkeys(nearest(east, north, latitudes, longitudes) for north, east in stations))
    more = f"; the first {OWN} of them are used" if len(points) > OWN else ""
    said = f"{len(stations)} stations lie at {len(points)} grid points{more}. They observe the laboratory's truth."
    return ".".join(map(str, points[:OWN])), said


class Inbox(pmui.FileInput):
    """A button that takes files, in chunks, straight onto the disk.

    Parameters
    ----------
    own : whose folder they come into.
    came : takes the files that are complete, (path, name) each, and a sentence for each that was not taken.
    """

    def __init__(self, own: Own, came: Callable[[list[tuple[str, str]], list[str]], None], **params: Any) -> None:
        super().__init__(multiple=True, accept=ACCEPT, chunk_size=CHUNK, max_file_size=LARGEST, **params)
        self._own, self._came = own, came
        self._open: dict[str, tuple[Path, int]] = {}  # name -> where its chunks are, and how many there were
        self._whole: list[tuple[str, str]] = []
        self._refused: dict[str, str] = {}

    def _handle_msg(self, msg: Any) -> None:
        """A message of the browser: garbage is left alone."""
        try:
            if msg["status"] in ("upload_event", "finished"):
                super()._handle_msg(msg)
        except (KeyError, TypeError, ValueError):
            log.info("a message that is no part of a file was left out")

    def _process_chunk(self, msg: dict) -> None:
        """One chunk; what it says of itself is not trusted."""
        name, number, total = str(msg["name"])[:200], int(msg["chunk"]), int(msg["total_chunks"])
        if name in self._refused or isinstance(msg["data"], int | str):
            return
        if name not in self._open:
            if why := self._full():
                if len(self._refused) < MOST_SAID:
                    self._refused[name] = f"{name} {why}"
                return
            with tempfile.NamedTemporaryFile(dir=self._own.folder, prefix=".part-", delete=False) as file:
                self._open[name] = Path(file.name), 0
        path, there = self._open[name]
        data = bytes(msg["data"])
        if number != there + 1 or path.stat().st_size + len(data) > LARGEST:
            why = f"is larger than {LARGEST >> 20} MB" if number == there + 1 else "came in the wrong order"
            self._refused[name] = f"{name} {why}: it was not taken."
            path.unlink(missing_ok=True)
            del self._open[name]
            return
        with path.open("ab") as file:
            file.write(data)
        self._open[name] = path, number
        if number == total:
            self._whole.append((str(path), name))
            del self._open[name]

    def _full(self) -> str:
        """Why no other file can come; "" if it can."""
        if len(self._open) + len(self._whole) >= FILES:
            return f"is one too many: {FILES} at a time."
        coming = [path for path, _ in self._open.values()] + [Path(path) for path, _ in self._whole]
        if sum(path.stat().st_size for path in coming) > WHOLE:
            return f"is too much: {WHOLE >> 20} MB at a time."
        if shutil.disk_usage(self._own.folder).free < FREE:
            return "was not taken: the disk of this server is full."
        return ""

    def _flush_buffer(self) -> None:
        """All files have come."""
        for path, _ in self._open.values():
            path.unlink(missing_ok=True)
        whole, refused = self._whole, list(self._refused.values())
        self._open, self._whole, self._refused = {}, [], {}
        self._came(whole, refused)


class Yours:
    """The group of the sidebar.

    Parameters
    ----------
    own : what this session has brought.
    pool, schedule : threads that wait, and what runs a function on the session's event loop.
    arrived : called with what came, how its names begin, and the grid points of stations with a sentence.
    grid : latitudes and longitudes of these grid points, asked for on a thread.
    """

    def __init__(
        self, own: Own, pool: Executor, schedule: Callable, arrived: Callable, grid: Callable[[], Sequence[np.ndarray]]
    ) -> None:
        self.own, self.pool, self.schedule, self.arrived, self.grid = own, pool, schedule, arrived, grid
        self.words, self.closed, self.busy = said_pane(margin=(0, 10, 4, 10)), False, False
        look = {"size": "small", "variant": "text", "color": "primary"}
        self.inbox = Inbox(
            own, self.receive, label=word("Bring files"), uploaded_label=word("Bring files"), margin=(0, 4), **look
        )
        self.away = pmui.Button(label=word("Remove"), icon="delete", on_click=lambda _: self.clear(), visible=False,
                                margin=(0, 4), **look)  # fmt: skip
        label = label_pane("Yours")
        row = pn.Row(self.inbox, self.away, margin=0, styles={"flex-wrap": "wrap"})
        self.group = pn.Column(label, row, self.words, sizing_mode="stretch_width", margin=0)
        self.tell()

    def receive(self, files: list[tuple[str, str]], refused: list[str]) -> None:
        """Files have come: look at them on a thread, beside the server."""
        if self.busy:
            refused = [*refused, *(f"{name} came while others are being read: bring it again." for _, name in files)]
            files = []
        if not files:
            self.tell(problems=refused)
            return
        self.busy = True
        self.words.object = '<span class="quiet" data-yours="busy">reading …</span>'
        self.pool.submit(self._look, files, refused)

    def _look(self, files: list[tuple[str, str]], refused: list[str]) -> None:
        mark, value, points = new_mark(), None, None
        try:
            value = apart(receive, files, str(self.own.folder), mark.rstrip("-"), seconds=SECONDS)
            points = placed(value.stations, *self.grid()) if value.stations else None
        except Exception as error:
            refused = [*refused, sentence(error, "files that were brought")]
        for path, _ in files:
            Path(path).unlink(missing_ok=True)
        if self.closed:  # its event loop may be gone
            self.own.clear()
            return
        self.schedule(lambda: self._deliver(value, mark, refused, points))

    def _deliver(self, value: Brought | None, mark: str, refused: list[str], points: tuple[str, str] | None) -> None:
        self.busy = False
        if self.closed:
            self.own.clear()
            return
        if value is not None:
            self.arrived(value, mark, points)
        said, problems = (value.said, value.problems) if value is not None else ((), ())
        self.tell(said, [*refused, *problems])

    def clear(self) -> None:
        """The button: remove all of it."""
        self.arrived(Brought(NOTHING), "", None)
        self.tell()

    def close(self) -> None:
        """The page is closed: so are its files."""
        self.closed = True
        if not self.busy:
            self.own.clear()

    def tell(self, said: tuple[str, ...] = (), problems: list[str] | tuple[str, ...] = ()) -> None:
        """What is here, what was understood, and what was refused."""
        found = self.own.found
        things = [data.title for data in found.data.values()]
        things += [f"{model.folder.name}, × {model.factor}, {model.constraint}" for model in found.models.values()]
        self.away.visible = bool(things)
        listed = "".join(f"<li>{html.escape(thing)}</li>" for thing in things)
        account = "".join(f"<p>{html.escape(line)}</p>" for line in said)
        refused = "".join(f'<div class="error" data-message="error">{html.escape(line)}</div>' for line in problems)
        here = f"<ul>{listed}</ul>" if things else f'<p class="quiet">{WORDS}</p>'
        understood = f"<details open><summary>What was understood</summary>{account}</details>" if said else ""
        self.words.object = f'<div data-yours="{len(things)}">{refused}{here}{understood}</div>'
