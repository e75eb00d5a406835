"""``physlab explore``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tyro.conf import Positional

from physlab.errors import PhysLabError

LARGEST = 8
"""MB of a message from a browser behind a proxy; those of the page are below 1 kB."""


def explore(
    paths: Positional[tuple[str, ...]] = (), port: int = 5006, show: bool = False, host: str = "", prefix: str = ""
) -> None:
    """Serve the explorer to your browser, with fields and trained methods of your own.

    Args:
        paths: files with fields (NetCDF, Zarr, GRIB), folders that `physlab train METHOD TRUTH OUT` made, or folders
            that hold such.
        port: of the address http://localhost:PORT/explorer.
        show: open the browser.
        host: the name under which a reverse proxy on this machine offers the explorer, as in explorer.example.org: its
            pages alone may connect, and addresses are those that the proxy tells. Without one only this machine may.
        prefix: path below which the proxy offers it, as in /physlab.
    """
    from physlab.views.workspace import VARIABLE, read

    if not 0 < port < 65536:
        raise PhysLabError(f"port is {port}: pass a number from 1 to 65535")
    if host and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", host):
        raise PhysLabError(f"host is {host!r}: pass the name that browsers see, as in explorer.example.org")
    if prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
        raise PhysLabError(f"prefix is {prefix!r}: pass a path that begins with a slash, as in /physlab")
    application = Path(__file__).resolve().parents[2] / "apps" / "explorer.py"
    if not application.is_file():
        raise PhysLabError("the explorer is not part of the installed package: run physlab explore in a clone of it")
    mine = read(paths)
    for data in mine.data.values():
        print(f"data: {data.title}, {data.template.truth}")
    for model in mine.models.values():
        print(f"method: {model.folder.name}, x{model.factor}, constraint {model.constraint}, of {model.data}")
    for problem in mine.problems:
        print(f"left out: {problem}")
    environment = {**os.environ, VARIABLE: os.pathsep.join(str(Path(p).resolve()) for p in paths)}
    here = [host] if host else [f"localhost:{port}", f"127.0.0.1:{port}"]
    origins = [word for name in here for word in ("--allow-websocket-origin", name)]
    print(f"The explorer: http://localhost:{port}{prefix}/explorer   (stop it with Ctrl-C)", flush=True)
    if host:
        print(
            f"Browsers: https://{host}{prefix}/explorer, once the proxy passes it on to port {port} with its websocket"
        )
    behind = ["--use-xheaders", "--websocket-max-message-size", str(2**20 * LARGEST)] if host else []
    root = ["--prefix", prefix] if prefix else []
    command = [sys.executable, "-m", "panel", "serve", str(application), "--port", str(port), "--address", "localhost"]
    more = ["--plugins", "apps.serving", *behind, *root, *(["--show"] if show else [])]
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(application.parents[1]), os.environ.get("PYTHONPATH")])
    )
    os.execve(sys.executable, [*command, *origins, *more], environment)
