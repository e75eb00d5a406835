"""The module that builds the book, and how it is run with the network cut."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("book_build", ROOT / "book" / "build.py")
build = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(build)

CUT = '''"""No network: every connection to another machine fails, in this process and in its kernels."""
import socket

_connect = socket.socket.connect


def connect(self, address):
    if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the network is cut: {address}")
    return _connect(self, address)


socket.socket.connect = connect
'''


@pytest.fixture(scope="session")
def offline(tmp_path_factory) -> Callable[..., str]:
    """offline(command, **environment) -> what it printed; without a network, by a namespace if the system allows, and
    by a patched socket."""
    fence = tmp_path_factory.mktemp("fence")
    (fence / "sitecustomize.py").write_text(CUT)
    inside = []
    if shutil.which("unshare") and shutil.which("ip"):
        inside = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        if subprocess.run([*inside, "true"], capture_output=True).returncode:
            inside = []

    def run(command: Sequence[str], **environment: str) -> str:
        path = os.pathsep.join([str(fence), str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        command = [*inside, sys.executable, *command]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    return run
