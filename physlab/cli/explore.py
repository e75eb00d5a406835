"""``physlab explore``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from physlab.errors import PhysLabError

HERE = ("localhost", "127.0.0.1", "::1")
DEVICE = "PHYSLAB_DEVICE"  # as in apps.machine, which the explorer's processes ask
CLUSTER = "PHYSLAB_CLUSTER"  # as in apps.remote
LARGEST = 8
"""MB of a message from a browser behind a proxy; those of the page are below 1 kB."""


def explore(
    paths: Positional[tuple[str, ...]] = (), port: int = 5006, show: bool = False, host: str = "", prefix: str = "",
    upload: Literal["auto", "on", "off"] = "auto", listen: str = "localhost", device: str = "",
    cluster: str = "",
) -> None:  # fmt: skip
    """Serve the explorer to your browser, with fields and trained methods of your own.

    Args:
        paths: files with fields (NetCDF, Zarr, GRIB), folders that `physlab train METHOD TRUTH OUT` made, or folders
            that hold such.
        port: of the address http://localhost:PORT/explorer.
        show: open the browser.
        host: the name under which a reverse proxy on this machine offers the explorer, as in explorer.example.org: its
            pages alone may connect, and addresses are those that the proxy tells. Without one only this machine may.
        prefix: path below which the proxy offers it, as in /physlab.
        upload: whether pages take files from the browser, each for itself; auto: where only this machine may connect.
        listen: the address to listen on, as 0.0.0.0 in a container; any but this machine's own needs --host.
        device: where trained networks compute: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one; without
            it what PHYSLAB_DEVICE says, else cpu. The page says it with each result.
        cluster: a scheduler of dask, tcp://HOST:8786 or its file, whose workers compute what is sampled; they run where
            this clone of PhysLab is on the PYTHONPATH. local:N for N more processes of this machine.
    """
    from physlab.views.bring import SWITCH
    from physlab.views.workspace import VARIABLE, read

    if not 0 < port < 65536:
        raise PhysLabError(f"port is {port}: pass a number from 1 to 65535")
    if host and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", host):
        raise PhysLabError(f"host is {host!r}: pass the name that browsers see, as in explorer.example.org")
    if prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
        raise PhysLabError(f"prefix is {prefix!r}: pass a path that begins with a slash, as in /physlab")
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", listen) or (listen not in HERE and not host):
        raise PhysLabError(
            f"listen is {listen!r}: pass {' or '.join(HERE)}, or another address with --host NAME, as browsers see it"
        )
    application = Path(__file__).resolve().parents[2] / "apps" / "explorer.py"
    if not application.is_file():
        raise PhysLabError("the explorer is not part of the installed package: run physlab explore in a clone of it")
    device = device or os.environ.get(DEVICE, "cpu")
    if device != "cpu":
        from physlab.train.devices import choose_device

        device = str(choose_device(device))
    mine = read(paths)
    for data in mine.data.values():
        print(f"data: {data.title}, {data.template.truth}")
    for model in mine.models.values():
        print(f"method: {model.folder.name}, x{model.factor}, constraint {model.constraint}, of {model.data}")
    for problem in mine.problems:
        print(f"left out: {problem}")
    takes = upload == "on" or (upload == "auto" and not host)
    environment = {
        **os.environ,
        SWITCH: "on" if takes else "off",
        DEVICE: device,
        CLUSTER: cluster or os.environ.get(CLUSTER, ""),
        VARIABLE: os.pathsep.join(str(Path(p).resolve()) for p in paths),
    }
    here = [host] if host else [f"localhost:{port}", f"127.0.0.1:{port}"]
    origins = [word for name in here for word in ("--allow-websocket-origin", name)]
    if cluster:
        from physlab.cluster import cluster as connected

        with connected(cluster) as client:  # whether it answers, before anything is served
            count = len(client.scheduler_info(n_workers=-1)["workers"])
        print(f"Sampling is computed by the cluster at {cluster} ({count} workers)")
    if device != "cpu":
        print(f"Trained networks compute on {device}")
    print(f"The explorer: http://localhost:{port}{prefix}/explorer   (stop it with Ctrl-C)", flush=True)
    if takes:
        print("Pages take files from the browser, each for itself (--upload off: none)")
    if host:
        print(
            f"Browsers: https://{host}{prefix}/explorer, once the proxy passes it on to port {port} with its websocket"
        )
    behind = ["--use-xheaders", "--websocket-max-message-size", str(2**20 * LARGEST)] if host else []
    root = ["--prefix", prefix] if prefix else []
    command = [sys.executable, "-m", "panel", "serve", str(application), "--port", str(port), "--address", listen]
    more = ["--plugins", "apps.serving", *behind, *root, *(["--show"] if show else [])]
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(application.parents[1]), os.environ.get("PYTHONPATH")])
    )
    sys.stdout.flush()  # what follows takes the place of this process
    os.execve(sys.executable, [*command, *origins, *more], environment)
