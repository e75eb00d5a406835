"""Two hundred damaged files: each is read or refused in one line; no traceback, no hang, no end of the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import physlab

from . import mutations
from .test_kinds import KINDS

COUNTS = {"nc": 40, "grib": 35, "zarr": 35, "csv": 30, "model": 20, "card": 20, "other": 20}
OTHERS = ("latent diffusion", "forecaster", "continuous", "assimilation", "linear", "weather generator")


def fields(times: int = 3, rows: int = 8, columns: int = 12) -> xr.Dataset:
    rng = np.random.default_rng(0)
    coords = {
        "time": ("time", np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h")),
        "latitude": ("latitude", np.linspace(30.0, 60.0, rows), {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(columns) * 2.0, {"units": "degrees_east"}),
    }
    values = 20 + rng.random((times, rows, columns), dtype=np.float32)
    return xr.Dataset({"tcw": (("time", "latitude", "longitude"), values, {"units": "kg m-2"})}, coords)


def write_grib(path: Path) -> None:
    import eccodes

    with open(path, "wb") as file:
        for step in range(2):
            handle = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
            for key, value in {
                "Ni": 12, "Nj": 8, "latitudeOfFirstGridPointInDegrees": 60.0, "latitudeOfLastGridPointInDegrees": 39.0,
                "longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 33.0,
                "iDirectionIncrementInDegrees": 3.0, "jDirectionIncrementInDegrees": 3.0, "shortName": "t",
                "level": 850, "dataDate": 20200101 + step,
            }.items():  # fmt: skip
                eccodes.codes_set(handle, key, value)
            eccodes.codes_set_values(handle, 270.0 + np.random.default_rng(step).random(96))
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)


def sources(work: Path) -> dict[str, list[Path]]:
    """Healthy files of every kind."""
    ds = fields()
    ds.to_netcdf(work / "coarse.nc", encoding={"tcw": {"zlib": True}})
    ds.isel(time=[0]).to_netcdf(work / "plain.nc", engine="h5netcdf")
    members = xr.concat([ds.isel(time=[0]) + 0.1 * k for k in range(4)], "member", data_vars="all")
    members["tcw"].attrs = ds["tcw"].attrs
    members.to_netcdf(work / "members.nc")
    ds.to_zarr(work / "coarse.zarr", zarr_format=2)
    write_grib(work / "coarse.grib")
    rows = "\n".join(f"{lat},{lon},21.0,0.5,tcw" for lat, lon in ((35.0, 4.0), (45.0, 10.5), (52.5, 20.0)))
    (work / "stations.csv").write_text("lat,lon,value,error,variable\n" + rows + "\n")
    for kind in ("network", "generator", *OTHERS):
        physlab.save(KINDS[kind](), work / kind.replace(" ", "-"))
    models = [work / "network", work / "generator"]
    return {
        "nc": [work / "coarse.nc", work / "plain.nc"], "grib": [work / "coarse.grib"], "zarr": [work / "coarse.zarr"],
        "csv": [work / "stations.csv"], "model": models, "card": models,
        "other": [work / kind.replace(" ", "-") for kind in OTHERS],
    }  # fmt: skip


@pytest.mark.slow
def test_damaged_files_end_in_one_line(tmp_path) -> None:
    torch.manual_seed(0)
    healthy, cases, seed = sources(tmp_path), [], 0
    for kind, files in healthy.items():
        for k in range(COUNTS[kind] + 1):
            source = files[k % len(files)]
            name = f"case-{len(cases):03d}{source.suffix}"
            if k == 0:  # the file itself: the harness must see a success
                name = source.name
            else:
                seed += 1
                mutations.apply(source, tmp_path / name, seed)
                if kind in ("card", "other") and k % 2:  # a folder from before there were digests
                    (tmp_path / name / "manifest.json").unlink()
            cases.append({"kind": kind, "file": name, "healthy": k == 0})
    assert len(cases) == 200 + len(COUNTS)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    found: list[dict] = []
    environment = {**os.environ, "PHYSLAB_TRACEBACK": "", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    environment["PYTHONPATH"] = str(Path(physlab.__file__).parents[1])  # this library, not an installed one
    while len(found) < len(cases):
        command = [sys.executable, mutations.__file__, str(tmp_path), str(len(found))]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        found += [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        if len(found) < len(cases):
            found.append({"number": len(found), "code": ended.returncode, "said": ended.stderr[-800:], "lines": 0})
    bad = []
    for case, end in zip(cases, found, strict=True):
        good = end["code"] == 0 and end["finite"] if case["healthy"] else end["code"] in (0, 2)
        if good and end["code"] == 0:
            good = end["finite"]
        elif good:
            good = end["lines"] == 1 and not end["left"]
        if not good:
            bad.append((case, end))
    assert not bad, f"{len(bad)} of {len(cases)}: " + "\n".join(map(str, bad[:12]))
    refused = sum(end["code"] == 2 for end in found)
    print(f"{refused} of {len(cases) - len(COUNTS)} damaged files were refused, the others read as finite fields")
    assert refused > 100
