"""A progress bar with the time left, or nothing: the loop does not care which."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """One bar of `total` steps on standard error; silent if not enabled, or if nobody watches (a file, a pipe)."""

    def __init__(self, title: str, total: int, enabled: bool = True) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=not (enabled and console.is_terminal))
        self._task = self._progress.add_task(title, total=total, note="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
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
