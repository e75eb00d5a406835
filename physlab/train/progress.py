"""A progress bar with the time left, or nothing: the loop does not care which."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from dask.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """One bar of `total` steps on standard error; silent if not enabled, if nobody watches (a file, a pipe), or within
    the block of another bar."""

    shown: ClassVar[Bar | None] = None

    def __init__(self, title: str, total: int, enabled: bool = True) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        console = Console(stderr=True)
        self._progress = Progress(
            *columns,
            console=console,
            disable=not (enabled and console.is_terminal),
            redirect_stdout=sys.stdout.isatty(),  # what goes to a file or a pipe is for that
        )
        self._task = self._progress.add_task(title, total=total, note="")

    def __enter__(self) -> Bar:
        if Bar.shown is None:
            Bar.shown = self
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if Bar.shown is self:
            Bar.shown = None
            self._progress.stop()

    def advance(self, step: int) -> None:
        """Show that `step` steps are done."""
        self._progress.update(self._task, completed=step)

    def share(self, done: int, total: int) -> None:
        """Show that `done` of `total` steps are done, for work that finds out how many there are."""
        self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        """A remark behind the bar."""
        self._progress.update(self._task, note=text)


class Tasks(Callback):
    """What dask computes within the block, on a bar: tasks that are done, of those that are known.

    >>> with Bar("adjusting", 1) as bar, Tasks(bar):
    ...     ds.to_zarr("out.zarr")
    """

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self.bar, self.done = bar, 0

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        self.done += 1
        left = sum(len(state[kind]) for kind in ("ready", "waiting", "running"))
        self.bar.share(self.done, self.done + left)
