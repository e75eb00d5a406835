"""What single sessions have brought: their folders, names that no other session knows, and what workers know of them.

Within the server the name of such a data set or network holds 128 random bits, new with each thing that is brought, so
that no cache mixes sessions or versions. Links and scripts have `my-` in its place, and only the page that brought a
thing reads such a link.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apps.options import BROUGHT, BROUGHT_DATA, BROUGHT_MODELS, FACTORS, INSIDE
from physlab.store.strays import alive
from physlab.views.bring import SWITCH
from physlab.views.workspace import Workspace

ROOT = "PHYSLAB_BROUGHT"
"""Environment variable: the folder of all sessions, for the workers of this server."""
NAME = "physlab-brought-"
NOTHING = Workspace({}, {})


def takes_files() -> bool:
    """Whether the host allows it."""
    return os.environ.get(SWITCH) == "on"


def root() -> Path:
    """The folder of this server's sessions; those of servers that are gone are removed when it is made."""
    if ROOT not in os.environ:
        for old in Path(tempfile.gettempdir()).glob(f"{NAME}*"):
            number = re.match(rf"{NAME}(\d+)-", old.name)
            if number and old.stat().st_uid == os.getuid() and not alive(int(number[1])):
                shutil.rmtree(old, ignore_errors=True)
        made = tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-")  # for this user alone
        os.environ[ROOT] = made
        owner = os.getpid()
        atexit.register(lambda: shutil.rmtree(made, ignore_errors=True) if os.getpid() == owner else None)
    return Path(os.environ[ROOT])


class Own:
    """What one session has brought.

    Attributes
    ----------
    mark : begins its names within the server; "" before anything came.
    found : its fields and methods, by these names.
    """

    def __init__(self) -> None:
        self.mark, self.found = "", NOTHING
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Its files, in a folder that is made with the first."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(dir=root()))
        return self._folder

    @property
    def factors(self) -> list[int]:
        """Those of all, and of its methods."""
        return sorted({*FACTORS, *(model.factor for model in self.found.models.values())})

    def take(self, found: Workspace, mark: str) -> None:
        """These fields and methods instead of those before, under names that begin with a mark."""
        self._withdraw()
        self.mark, self.found = mark, found
        if found.data or found.models:
            _card(mark).parent.mkdir(exist_ok=True)
            _card(mark).write_text(json.dumps(found.plain()), encoding="utf-8")
        meet(found)

    def inside(self, name: str, text: str) -> Any:
        """The value of a selection from a link, if it is one of these; else None."""
        if name in ("dataset", "network") and self.mark and text.startswith(BROUGHT):
            value = self.mark + text.removeprefix(BROUGHT)
            return value if value in (self.found.data if name == "dataset" else self.found.models) else None
        if name == "factor" and text.isdigit() and len(text) < 3:
            return int(text) if int(text) in self.factors else None
        return None

    def clear(self) -> None:
        """Remove all of it."""
        self._withdraw()
        self.mark, self.found = "", NOTHING
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _withdraw(self) -> None:
        if self.mark:
            part(self.mark)
            _card(self.mark).unlink(missing_ok=True)


def new_mark() -> str:
    """How the names of the next things begin."""
    return f"{BROUGHT}{secrets.token_hex(16)}-"


def meet(found: Workspace) -> None:
    """Let this process know of things."""
    BROUGHT_DATA.update(found.data)
    BROUGHT_MODELS.update(found.models)


def part(mark: str) -> None:
    """Let this process forget them."""
    for known in (BROUGHT_DATA, BROUGHT_MODELS):
        for key in [key for key in list(known) if key.startswith(mark)]:
            known.pop(key, None)


def _card(mark: str) -> Path:
    return root() / "known" / f"{mark.removeprefix(BROUGHT).rstrip('-')}.json"


class Known:
    """What a worker process knows of sessions: it looks when a call names something, and forgets what is gone."""

    def __init__(self) -> None:
        self.marks: set[str] = set()

    def look(self, arguments: Iterable[Any]) -> list[str]:
        """Meet what these arguments name; the marks of what is gone since the last call."""
        gone = [mark for mark in self.marks if not _card(mark).exists()]
        for mark in gone:
            part(mark)
            self.marks.discard(mark)
        for value in arguments:
            names = (
                (value,) if isinstance(value, str) else (getattr(value, "dataset", ""), getattr(value, "network", ""))
            )
            for name in names:
                found = INSIDE.match(name)
                if found and found[0] not in self.marks and _card(found[0]).exists():
                    meet(Workspace.of(json.loads(_card(found[0]).read_text(encoding="utf-8"))))
                    self.marks.add(found[0])
        return gone
