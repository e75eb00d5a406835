"""The how-to pages: each block of Python and each command runs, in the order of the page, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "book" / "howto").glob("*.md"))
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", flags=re.M | re.S)
RUN = {"physlab": ["-m", "physlab"], "torchrun": ["-m", "torch.distributed.run"]}


def command(line: str) -> str:
    """A line of a page as a line of Python: the command in this process, or in one of its own if it starts others."""
    program, *arguments = shlex.split(line)
    values = dict(zip(arguments, arguments[1:], strict=False))
    if program == "physlab" and "--cluster" not in values and values.get("--workers", "1") == "1":
        return f"physlab.cli.main({arguments!r})"
    return f"subprocess.run({[sys.executable, *RUN[program], *arguments]!r}, check=True)"


def script(page: Path) -> str:
    """The page as one program: its Python, and its commands in between."""
    parts = ["import subprocess, physlab.cli"]
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "sh":
            text = "\n".join(command(line) for line in text.splitlines())
        parts.append(text)
    return "\n".join(parts)


def test_there_is_a_page_for_each_kind_of_extension():
    assert {page.stem for page in PAGES} >= {"data", "method", "law", "course", "machines", "climate"}
    toc = (ROOT / "book" / "_toc.yml").read_text()
    assert all(f"howto/{page.stem}" in toc for page in PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_runs(page, tmp_path):
    assert len(BLOCK.findall(page.read_text())) >= 3
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    (tmp_path / "page.py").write_text(script(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
