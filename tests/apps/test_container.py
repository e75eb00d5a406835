"""The steps of the container file run as scripts in an empty folder, and the health check is green."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest


def test_the_container_file_runs_the_scripts_and_asks_debian_and_pypi_alone(repository):
    text = (repository / "container" / "Containerfile").read_text()
    steps = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    assert re.findall(r"^FROM (\S+)", steps, re.MULTILINE) == ["docker.io/library/debian:bookworm-slim"]
    for script in re.findall(r"container/\w+\.sh", text):
        assert (repository / script).is_file()
    assert {"install", "serve", "health"} <= set(re.findall(r"container/(\w+)\.sh", steps))
    assert not re.search(r"https?://", steps) and "USER lab" in steps
    scripts = "".join(path.read_text() for path in (repository / "container").glob("*.sh"))
    assert re.findall(r"https?://[^\s\"{]+", scripts) == ["http://127.0.0.1:"]
    left_out = (repository / ".dockerignore").read_text().split("\n")
    assert {"tests", ".git"} <= set(left_out) and not {"apps", "physlab", "container"} & set(left_out)


@pytest.mark.slow
def test_its_steps_run_in_an_empty_folder_with_a_green_health_check(repository, tmp_path):
    """What pip would fetch is taken from this environment; all else is as in the container."""
    here = tmp_path / "copy"
    left_out = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", ".*_cache", "tests", "book", "wheels", "*.egg-info"
    )
    shutil.copytree(repository, here, ignore=left_out, symlinks=True)
    others = tmp_path / "others"  # all that pip would fetch, and no PhysLab: that is the copy's
    others.mkdir()
    for part in Path(sysconfig.get_path("purelib")).iterdir():
        if "physlab" not in part.name:
            (others / part.name).symlink_to(part)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "VENV": str(tmp_path / "venv"), "PORT": port,
        "PYTHON": sys.executable, "VENV_ARGS": "--without-pip", "LISTEN": "127.0.0.1",
        "PIP_ARGS": "--no-index --no-deps --no-build-isolation", "PYTHONPATH": str(others),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip

    def step(name: str) -> subprocess.CompletedProcess:
        return subprocess.run(["sh", here / "container" / f"{name}.sh"], env=environment, cwd=tmp_path,
                              capture_output=True, text=True)  # fmt: skip

    installed = step("install")
    assert installed.returncode == 0, installed.stderr
    assert "The explorer is installed" in installed.stdout
    where = [tmp_path / "venv" / "bin" / "python", "-c", "import physlab; print(physlab.__file__)"]
    assert subprocess.check_output(where, env=environment, cwd=tmp_path, text=True).startswith(str(here))
    assert step("health").returncode == 1
    serving = subprocess.Popen(["sh", here / "container" / "serve.sh"], env=environment, cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        start = time.monotonic()
        while (asked := step("health")).returncode and serving.poll() is None and time.monotonic() - start < 240:
            time.sleep(1.0)
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["status"] == "ok"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/explorer", timeout=120) as page:
            assert page.status == 200
        with (
            contextlib.suppress(urllib.error.HTTPError),
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"X-Forwarded-For": "192.0.2.1"}),
                timeout=30,
            ),
        ):
            raise AssertionError("numbers are for this machine alone")
    finally:
        serving.send_signal(signal.SIGTERM)
        said = serving.communicate(timeout=30)[0]
    assert f"https://localhost:{port}/explorer" in said and "take files" not in said  # a host that is named forbids it
    assert not list(Path(tmp_path).glob("physlab-brought-*"))
