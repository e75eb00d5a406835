"""``physlab explore``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tyro.conf import Positional

from physlab.errors import PhysLabError


def explore(paths: Positional[tuple[str, ...]] = (), port: int = 5006, show: bool = False) -> None:
    """Serve the explorer to your browser, with fields and trained methods of your own.

    Args:
        paths: files with fields (NetCDF, Zarr, GRIB), folders that `physlab train METHOD TRUTH OUT` made, or folders
            that hold such.
        port: of the address http://localhost:PORT/explorer.
        show: open the browser.
    """
    from physlab.views.workspace import VARIABLE, read

    if not 0 < port < 65536:
        raise PhysLabError(f"port is {port}: pass a number from 1 to 65535")
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
    here = [f"localhost:{port}", f"127.0.0.1:{port}"]
    origins = [word for name in here for word in ("--allow-websocket-origin", name)]
    print(f"The explorer: http://localhost:{port}/explorer   (stop it with Ctrl-C)", flush=True)
    command = [sys.executable, "-m", "panel", "serve", str(application), "--port", str(port), "--address", "localhost"]
    os.execve(sys.executable, [*command, *origins, *(["--show"] if show else [])], environment)
