"""Every chapter runs to its end with the network cut, as a student opens it, and shows nothing that is loaded from
outside."""

from __future__ import annotations

import pytest

from tests.times import spent

from .conftest import build

LIMIT = 300  # seconds for a cell, and of one processor for a chapter


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [path.stem for path in build.chapters()])
def test_chapter_runs(chapter, tmp_path, offline):
    (path,) = build.make_notebooks(folder=tmp_path, only=chapter)
    options = ["--nbmake", f"--nbmake-timeout={LIMIT}", "--overwrite", "-p", "no:cacheprovider"]
    options += ["-p", "nbmake.pytest_plugin"]  # and no other: half of the time of the process that waits
    kernel = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PLATFORM_DIRS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    import nbformat  # takes seconds

    before = spent()
    assert "1 passed" in offline(["-m", "pytest", "-q", *options, f"--rootdir={tmp_path}", str(path)], **kernel)
    assert spent() - before < LIMIT
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert outputs
    assert shown or "explorer_link" not in path.read_text()  # short pages without maps have words and pictures
    (tmp_path / "shown.html").write_text("\n".join(map("".join, shown)))
    assert build.external_loads(tmp_path) == []
