"""A small laboratory sample and a local web server that can fail in every way a download fails."""

from __future__ import annotations

import contextlib
import http.server
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import xarray as xr


def write_tcw(path: Path, size: int = 16, counts: tuple[int, int, int] = (12, 5, 5), gap_days: int = 6, seed: int = 0):
    """A file of the layout of nature-tcw.nc with `size` x `size` patches."""
    rng = np.random.default_rng(seed)
    days, labels, day = [], [], 0
    for name, count in zip(("train", "val", "test"), counts, strict=True):
        days += [day + i // 2 for i in range(count)]
        labels += [name] * count
        day = days[-1] + gap_days
    total = sum(counts)
    latitude = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(size)[0]))
    values = 20 + 8 * rng.standard_normal((total, size, size)).cumsum(1).cumsum(2) / size
    time = np.datetime64("2001-01-01", "ns") + np.array(days).astype("timedelta64[D]")
    ds = xr.Dataset(
        {"tcw": (("sample", "y", "x"), np.maximum(values, 0), {"units": "kg m-2"})},
        coords={
            "time": ("sample", time),
            "split": ("sample", np.array(labels, dtype=object)),
            "latitude": ("y", latitude, {"units": "degrees_north"}),
            "longitude0": ("sample", rng.integers(0, 256, total) * 360 / 256, {"units": "degrees_east"}),
        },
    )
    packing = {"dtype": "int16", "scale_factor": 0.0025, "add_offset": 80.0, "_FillValue": -32768}
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.to_netcdf(path, encoding={"tcw": packing})
    return path


@pytest.fixture
def tiny_tcw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a small nature-tcw.nc that takes the place of the shipped one."""
    monkeypatch.setenv("PHYSLAB_ASSETS", str(tmp_path / "assets"))
    return write_tcw(tmp_path / "assets" / "data" / "nature-tcw.nc")


@dataclass
class Server:
    """What the server delivers and what it saw.

    `cut` bytes are sent before the connection breaks (as often as `cuts` says); `code` answers with an error; `ranges`
    off ignores the Range header, as some servers do; `drip` is a pause after each byte, in seconds.
    """

    content: bytes = b""
    code: int = 200
    cut: int = 0
    cuts: int = 0
    ranges: bool = True
    drip: float = 0.0
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server():
    """A web server on 127.0.0.1."""
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            if state.code != 200:
                self.send_error(state.code)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if wanted and state.ranges and start >= len(state.content):
                self.send_error(416)
                return
            body = state.content[start:]
            self.send_response(206 if wanted and state.ranges else 200)
            if wanted and state.ranges:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.cuts > 0:
                state.cuts -= 1
                body = body[: state.cut]
            if not state.drip:
                self.wfile.write(body)
                return
            with contextlib.suppress(OSError):  # until the other side has enough
                for at in range(len(body)):
                    self.wfile.write(body[at : at + 1])
                    threading.Event().wait(state.drip)

        def log_message(self, *_args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
