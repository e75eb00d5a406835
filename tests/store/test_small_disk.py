"""Every command that writes, on a disk of 1 MB that is full or nearly so: one line, status 2, nothing left behind."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import physlab

pytestmark = pytest.mark.slow

ROOM = 64 << 10  # bytes left for those that write more than that; the others find none
COMMANDS = {
    "downscale, NetCDF": (["downscale", "{work}/coarse.nc", "bicubic+add-x4", "{disk}/fine.nc"], ROOM),
    "downscale, Zarr": (["downscale", "{work}/coarse.nc", "bicubic+add-x4", "{disk}/fine.zarr"], ROOM),
    "downscale, onto an old store": (["downscale", "{work}/coarse.nc", "bicubic+add-x4", "{disk}/old.zarr"], ROOM),
    "assimilate": (["assimilate", "{work}/members.nc", "{work}/stations.csv", "{disk}/analysis.nc",
                    "--method", "etkf"], 0),
    "export": (["export", "tcw-x4-softmax-s0", "{disk}/deep/er/model.onnx"], ROOM),
    "evaluate": (["evaluate", "tcw-x4-espcn-add-s0", "--fields", "2", "--output", "{disk}/tables"], 0),
    "benchmark": (["benchmark", "downscaling", "--preset", "quick", "--only", "nearest", "--workers", "1",
                   "--output", "{disk}/study"], 0),
    "simulate": (["simulate", "--output", "{disk}/run", "--preset", "t21", "--days", "1", "--spinup-t42", "5"], 0),
    "fetch": (["fetch", "era5-uk-t2m"], ROOM),
    "train": (["train", "tcw-x4-espcn", "--steps", "1", "--folder", "{disk}/zoo"], ROOM),
    "train-latent": (["train-latent", "{work}/fine.nc", "{disk}/latent", "--variable", "t2m", "--steps", "1",
                      "--gap", "1"], ROOM),
}  # fmt: skip
RUN = """
import contextlib, io, json, os, sys
from pathlib import Path
from physlab.cli import main
disk = Path(os.environ["DISK"])
for name, (command, room) in json.loads(sys.argv[1]).items():
    (disk / "filler").write_bytes(b"")
    space = os.statvfs(disk)
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as file:
        size = space.f_bavail * space.f_frsize - room
        while size > 0:
            size -= file.write(bytes(min(size, 4096)))
    said, code = io.StringIO(), 0
    before = sorted(str(p) for p in disk.rglob("*"))
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            main(command)
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        code = repr(error)[:500]
    left = sorted(set(map(str, disk.rglob("*"))) ^ set(before))
    cache = str(disk / "cache")  # matplotlib and onnxruntime put things of their own there
    left = [p for p in left if not p.startswith(cache) or p.startswith(cache + "/physlab")]
    lines = [line for line in said.getvalue().splitlines() if line.startswith("physlab:")]
    print("RESULT", json.dumps([name, code, lines, left]), flush=True)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def field(times: int, rows: int, columns: int, name: str, unit: str, low: float) -> xr.Dataset:
    rng = np.random.default_rng(0)
    coords = {
        "time": ("time", np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(1, "h")),
        "latitude": ("latitude", np.linspace(40.0, 60.0, rows), {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(columns) * 0.5, {"units": "degrees_east"}),
    }
    values = low + rng.random((times, rows, columns), dtype=np.float32)
    return xr.Dataset({name: (("time", "latitude", "longitude"), values, {"units": unit})}, coords)


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A file of 4 MB."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(4 << 20))
    handler.end_headers()
    with contextlib.suppress(OSError):
        handler.wfile.write(bytes(4 << 20))


def test_every_command_on_a_full_disk(disk, tmp_path, monkeypatch) -> None:
    coarse = field(6, 32, 48, "tcw", "kg m-2", 20.0)
    coarse.to_netcdf(tmp_path / "coarse.nc")
    field(30, 32, 32, "t2m", "K", 280.0).to_netcdf(tmp_path / "fine.nc")
    members = xr.concat([coarse.isel(time=[0]) + 0.1 * k for k in range(8)], "member", data_vars="all")
    members["tcw"].attrs = coarse["tcw"].attrs
    members.to_netcdf(tmp_path / "members.nc")
    (tmp_path / "stations.csv").write_text("lat,lon,value,error,variable\n45.0,4.0,21.0,0.5,tcw\n")
    coarse.isel(time=[0], latitude=slice(4), longitude=slice(4)).to_zarr(disk / "old.zarr", zarr_format=2)
    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "do_GET", endless, raising=False)
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    commands = {
        name: ([part.format(work=tmp_path, disk=disk) for part in command], room)
        for name, (command, room) in COMMANDS.items()
    }
    environment = {**os.environ, "DISK": str(disk), "XDG_CACHE_HOME": str(disk / "cache"), "PHYSLAB_TRACEBACK": ""}
    environment["PYTHONPATH"] = str(Path(physlab.__file__).parents[1])  # this library, not an installed one
    environment["PHYSLAB_MIRROR"] = f"http://127.0.0.1:{httpd.server_address[1]}"
    environment.pop("PHYSLAB_DATA", None)
    done = subprocess.run([sys.executable, "-c", RUN, json.dumps(commands)], capture_output=True, text=True,
                          env=environment, timeout=900)  # fmt: skip
    httpd.shutdown()
    found = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert [name for name, *_ in found] == list(commands), done.stderr[-2000:]
    said = ("No space left on device", "cannot store")
    bad = [entry for entry in found if not (entry[1] == 2 and len(entry[2]) == 1 and not entry[3]
                                            and any(words in entry[2][0] for words in said))]  # fmt: skip
    assert not bad, "\n".join(map(str, bad))
    with xr.open_dataset(disk / "old.zarr", engine="zarr") as old:
        assert old.sizes["latitude"] == 4
