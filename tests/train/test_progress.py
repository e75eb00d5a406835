"""Progress: what takes long tells how far it is; a bar within a bar is silent; what goes to a file stays there."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from physlab.cli import main
from physlab.train import progress
from physlab.train.parallel import collect
from physlab.train.progress import Bar, Tasks


@pytest.fixture
def told(monkeypatch) -> list[tuple[int, int]]:
    """(done, in all) of every bar."""
    seen: list[tuple[int, int]] = []
    made = Bar.__init__

    def begin(self, title: str, total: int, enabled: bool = True) -> None:
        self.total = total
        made(self, title, total, enabled)

    monkeypatch.setattr(Bar, "__init__", begin)
    monkeypatch.setattr(Bar, "advance", lambda self, step: seen.append((step, self.total)))
    monkeypatch.setattr(Bar, "share", lambda self, done, total: seen.append((done, total)))
    return seen


@pytest.fixture
def screen(monkeypatch) -> io.StringIO:
    """A terminal."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=text, force_terminal=True, width=100))
    return text


def test_a_bar_says_how_far_it_is_and_when_it_ends(screen) -> None:
    with Bar("reading", 4) as bar:
        bar.advance(2)
        bar.note("half")
        with Bar("inner", 9) as inner:
            inner.advance(9)
    assert "reading" in screen.getvalue() and "2/4" in screen.getvalue() and "half" in screen.getvalue()
    assert "inner" not in screen.getvalue() and Bar.shown is None
    with Bar("next", 1):
        assert "next" in screen.getvalue()


def test_what_is_printed_to_a_file_stays_there(screen, capsys) -> None:
    with Bar("runs", 2):
        print("a row of the table")
    assert capsys.readouterr().out == "a row of the table\n" and "a row" not in screen.getvalue()


def test_tasks_of_dask_are_counted(told, tmp_path) -> None:
    field = xr.DataArray(np.ones((6, 4)), dims=("x", "y"), name="a").chunk(x=1)
    with Bar("writing", 1) as bar, Tasks(bar):
        (field + 1).to_dataset().to_zarr(tmp_path / "a.zarr", zarr_format=2)
    done = [d for d, _ in told]
    assert len(done) >= 6 and done == sorted(done) and told[-1][0] == told[-1][1]


def test_runs_side_by_side_are_counted(told) -> None:
    said: list[str] = []
    collect(iter([("a", 1), ("b", 2)]), 2, lambda run, result: "kept", said.append)
    assert told == [(1, 2), (2, 2)] and len(said) == 2


@pytest.mark.parametrize(("command", "end"), [
    (["evaluate", "tcw-x4-softmax-s0", "tcw-x4-add-s0", "--fields", "1"], (2, 2)),
    (["export", "tcw-x4-softmax-s0", "OUT.onnx"], (2, 2)),
])  # fmt: skip
def test_commands_tell(told, tmp_path, command: list[str], end: tuple[int, int], capsys) -> None:
    main([str(tmp_path / word) if word.startswith("OUT") else word for word in command])
    assert told[-1] == end
