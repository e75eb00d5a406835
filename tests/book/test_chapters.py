"""Every chapter runs to its end with the network cut, as a student opens it, and shows nothing that is loaded from
outside."""

from __future__ import annotations

import nbformat
import pytest

from .conftest import build

LIMIT = 300  # seconds for a cell


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [path.stem for path in build.chapters()])
def test_chapter_runs(chapter, tmp_path, offline):
    (path,) = build.make_notebooks(folder=tmp_path, only=chapter)
    options = ["--nbmake", f"--nbmake-timeout={LIMIT}", "--overwrite", "-p", "no:cacheprovider", "-p", "no:xdist"]
    kernel = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PLATFORM_DIRS": "1"}
    assert "1 passed" in offline(["-m", "pytest", "-q", *options, f"--rootdir={tmp_path}", str(path)], **kernel)
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert outputs
    assert shown or "explorer_link" not in path.read_text()  # short pages without maps have words and pictures
    (tmp_path / "shown.html").write_text("\n".join(map("".join, shown)))
    assert build.external_loads(tmp_path) == []
