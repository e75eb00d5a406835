"""Work on a cluster of dask: the same results, also where a worker dies, and words for what cannot be."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import physlab
from physlab.cli import main
from physlab.cluster import ALONE, Runs, cluster, computed, present
from physlab.data import sr_pairs
from physlab.data.writer import write_dataset
from physlab.downscale.regression import QuantileRegression
from physlab.errors import PhysLabError


def coarse(times: int = 24, chunk: int = 2) -> xr.Dataset:
    rng = np.random.default_rng(0)
    coords = {
        "time": pd.date_range("2020-01-01", periods=times, freq="6h"),
        "latitude": 50.0 - np.arange(12.0),
        "longitude": np.arange(16.0),
    }
    values = 20 + rng.random((times, 12, 16)).astype(np.float32)
    attrs = {"units": "kg m-2", "standard_name": "atmosphere_mass_content_of_water"}
    return xr.Dataset({"tcw": (("time", "latitude", "longitude"), values, attrs)}, coords).chunk(time=chunk)


@pytest.fixture(scope="module")
def address():
    """Of a scheduler with two workers that are there already."""
    distributed = pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ALONE.items():
            patch.setenv(name, value)
        workers = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with workers:
        yield workers.scheduler_address


def test_without_an_address_nothing_changes():
    with cluster("") as client:
        assert client is None and present() is None
        parts = [xr.Variable("x", np.arange(3)), xr.Variable("x", np.arange(2)).chunk(x=1)]
        np.testing.assert_array_equal(np.concatenate(list(computed(parts))), [0, 1, 2, 0, 1])


@pytest.mark.parametrize("address", ["here", "local:0", "local:x", "tcp://nowhere", "local:99999"])
def test_wrong_addresses_are_named(address):
    with pytest.raises(PhysLabError, match=r"local:N|processes") as caught, cluster(address):
        pass
    assert "\n" not in str(caught.value) and address in str(caught.value)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("physlab.cluster.SECONDS", 1)
    with (
        pytest.raises(PhysLabError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1 "),
        cluster("tcp://127.0.0.1:1"),
    ):
        pass


def threads(_: int) -> tuple[int, str]:
    return torch.get_num_threads(), os.environ.get("OMP_WAIT_POLICY", "")


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_is_killed_and_the_result_is_the_same(tmp_path, monkeypatch):
    """Two workers, one thread each; one is killed after the first block that is written."""
    pytest.importorskip("distributed")
    for limit in ("SMALL", "CHUNK"):  # a block for each chunk
        monkeypatch.setattr(f"physlab.data.cfout.layout.{limit}", 1)
    method = physlab.load_model("tcw-x4-softmax-s0")
    fine = method.downscale(coarse())
    write_dataset(fine, tmp_path / "alone.zarr", belongs_to={"a": 1})
    killed = []
    with cluster("local:2") as client:
        assert client.gather(client.map(threads, range(2))) == [(1, "PASSIVE")] * 2
        pids = client.run(os.getpid)

        def kill(done: int, total: int) -> None:
            if done == 1 and not killed:
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        write_dataset(fine, tmp_path / "cluster.zarr", belongs_to={"a": 1}, progress=kill)
        assert killed and present() is client
        failed = Runs(client).submit(die, 0)
        with pytest.raises(PhysLabError, match="workers died at the same piece"):
            failed.result(120)
    alone, other = (xr.open_zarr(tmp_path / f"{name}.zarr").load() for name in ("alone", "cluster"))
    np.testing.assert_array_equal(alone["tcw"], other["tcw"])
    assert present() is None


@pytest.mark.slow
def test_commands_take_a_cluster(tmp_path, capsys, address):
    """Downscaling, and the runs of a benchmark, by the commands."""
    coarse(8).to_netcdf(tmp_path / "in.nc")
    for name, more in (("a.nc", []), ("b.nc", ["--cluster", "local:2"])):
        main(["downscale", str(tmp_path / "in.nc"), "bicubic+add-x4", str(tmp_path / name), *more])
    made = [xr.open_dataset(tmp_path / name)["tcw"].values for name in ("a.nc", "b.nc")]
    np.testing.assert_array_equal(*made)
    only = ["--preset", "quick", "--only", "trilinear", "--output", str(tmp_path), "--cluster", address]
    main(["benchmark", "continuous", *only])
    table = pd.read_csv(tmp_path / "continuous.csv")
    assert set(table["method"]) >= {"trilinear"}


@pytest.mark.slow
def test_fits_and_scores_on_a_cluster_are_the_same(tmp_path, capsys, address):
    for name, more in (("a", []), ("b", ["--cluster", address])):
        scored = ["tcw-x4-softmax-s0", "tcw-x4-softmax-s1", "--fields", "8", "--output", str(tmp_path / name), *more]
        main(["evaluate", *scored])
    tables = [pd.read_csv(tmp_path / name / "tcw-x4.csv") for name in ("a", "b")]
    pd.testing.assert_frame_equal(*tables)
    data = sr_pairs("tcw", 4)
    settings = {"bands": 2, "points": 60, "components": 2, "levels": (0.25, 0.5, 0.75)}
    alone = QuantileRegression(**settings).fit(data)
    with cluster(address):
        other = QuantileRegression(**settings).fit(data)
    assert alone.arrays.keys() == other.arrays.keys() and len({k.split("/")[0] for k in alone.arrays}) == 2
    for name, values in alone.arrays.items():
        np.testing.assert_array_equal(values, other.arrays[name])
