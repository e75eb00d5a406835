"""Damaged files of every kind, made from a seed, and the worker that runs the command line on them.

python mutations.py WORK FIRST    runs the cases of WORK/cases.json from FIRST on, a line of JSON for each
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MEMORY = 4 << 30  # bytes beyond what the libraries take when nothing has been opened yet
SECONDS = 45
WORDS = ("NaN", "1e999", "-1", "0", "1e30", '"x"', "[]", "{}", "null", "100000", "99999999999999999999", "true")


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip, overwrite, cut, repeat or insert."""
    data, at = bytearray(content), int(rng.integers(len(content)))
    size = int(min(2 ** rng.integers(1, 10), len(data) - at))
    way = rng.integers(6)
    if way == 0:
        for place in rng.integers(len(data), size=int(rng.integers(1, 20))):
            data[place] ^= 1 << int(rng.integers(8))
    elif way == 1:
        data[at : at + size] = bytes(size)
    elif way == 2:
        data[at : at + size] = b"\xff" * size
    elif way == 3:
        del data[at:]
    elif way == 4:
        data[at:at] = data[at : at + size]
    else:
        data[at : at + size] = rng.bytes(size)
    return bytes(data)


def damage_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Another word in the place of a number or word; or as for any file."""
    import re

    words = list(re.finditer(rb'-?\d[\d.e+-]*|"[^"]*"|true|false|null|[a-z]+', content))
    if rng.random() < 0.3 or not words:
        return damage(content, rng)
    word = words[int(rng.integers(len(words)))]
    return content[: word.start()] + WORDS[int(rng.integers(len(WORDS)))].encode() + content[word.end() :]


def apply(source: Path, target: Path, seed: int) -> None:
    """A damaged copy of a file, or of a folder with one of its files damaged."""
    rng = np.random.default_rng(seed)
    if source.is_dir():
        shutil.copytree(source, target)
        inside = sorted(p for p in target.rglob("*") if p.is_file() and p.name != "manifest.json")
        victim = inside[int(rng.integers(len(inside)))]
    else:
        shutil.copy(source, target)
        victim = target
    text = victim.suffix in (".json", ".csv") or victim.name.startswith(".z")
    victim.write_bytes((damage_text if text else damage)(victim.read_bytes(), rng))


def commands(work: Path, case: dict, output: Path) -> list[str]:
    """The command line that meets the file."""
    path = str(work / case["file"])
    if case["kind"] == "csv":
        return ["assimilate", str(work / "members.nc"), path, str(output), "--method", "etkf"]
    if case["kind"] in ("model", "card"):
        return ["downscale", str(work / "coarse.nc"), path, str(output)]
    return ["downscale", path, "bicubic+add-x2", str(output)]


def run(work: Path, case: dict) -> dict:
    """What came of a case: status, lines of error, whether what was written is finite."""
    import xarray as xr

    from physlab.cli import main

    output, said, code = work / f"out-{os.getpid()}.nc", io.StringIO(), 0
    output.unlink(missing_ok=True)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            if case["kind"] == "other":  # kinds that are no downscalers: loading decides
                import physlab

                try:
                    physlab.load_model(work / case["file"])
                except physlab.errors.PhysLabError as error:
                    said.write(f"physlab: {error}\n")
                    code = 2
            else:
                main(commands(work, case, output))
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        return {"code": "traceback", "said": traceback.format_exc()[-1500:]}
    finally:
        signal.alarm(0)
    lines = [line for line in said.getvalue().splitlines() if line.startswith("physlab:")]
    finite = True
    if output.exists():
        with xr.open_dataset(output) as ds:
            finite = all(bool(np.isfinite(ds[v].values).all()) for v in ds.data_vars if ds[v].dtype.kind == "f")
    return {"code": code, "said": lines[-1] if lines else "", "lines": len(lines), "finite": finite,
            "left": output.exists() and code != 0}  # fmt: skip


def limit(work: Path) -> None:
    """No more memory than the libraries take once they have read what is healthy, and the limit.

    A copy of this process that reads a file finds them loaded.
    """
    import torch
    import xarray  # noqa: F401

    import physlab.zoo

    physlab.zoo.loaders()
    torch.set_num_threads(1)
    for name in ("coarse.nc", "plain.nc", "coarse.grib"):
        physlab.open_dataset(work / name).load()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def worker(work: Path, first: int) -> Iterator[dict]:
    """The cases from `first` on."""
    limit(work)
    for number, case in enumerate(json.loads((work / "cases.json").read_text())):
        if number >= first:
            yield {"number": number, **run(work, case)}


if __name__ == "__main__":
    for found in worker(Path(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(found), flush=True)
