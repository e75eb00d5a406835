"""The LETKF beside that of DAPPER, in one run on one machine, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from physlab.assimilate import LETKF, gaspari_cohn, ring_distance
from physlab.assimilate.experiments.lorenz96_sakov2008 import ONE, TAPER

from .conftest import normal


def best(*runs: Callable[[], object], repeats: int = 10, calls: int = 20) -> list[float]:
    """Seconds for a call of each, in turns; the least of `repeats` means, so that other work counts least."""
    found = []
    for _ in range(repeats):
        row = []
        for run in runs:
            run()
            start = time.perf_counter()
            for _ in range(calls):
                run()
            row.append((time.perf_counter() - start) / calls)
        found.append(row)
    return [min(column) for column in zip(*found, strict=True)]


@pytest.fixture(scope="module")
def dapper() -> Callable[[np.ndarray, np.ndarray, int, float, bool], np.ndarray]:
    """DAPPER's local analysis of Lorenz-96, taper of 4 points: (ensemble, y, points in a batch, inflation, turn)."""
    ensemble = pytest.importorskip(
        "dapper.da_methods.ensemble", reason="DAPPER is not installed: pip install dapper (checks only)"
    )
    localisation = pytest.importorskip("dapper.tools.localization")
    observation = pytest.importorskip("dapper.mods.Lorenz96.sakov2008").HMM.Obs(1)

    def analyse(E: np.ndarray, y: np.ndarray, edge: int, inflation: float, rotation: bool) -> np.ndarray:
        batches, taper = localisation.nd_Id_localization((40,), (edge,))(4, "x2y", "GC")
        members = E.copy()
        found, _ = ensemble.local_analyses(
            members, observation(members), observation.noise.C, y, batches, taper, map, None, 0
        )
        return ensemble.post_process(found, inflation, rotation)

    return analyse


def test_same_analysis_as_dapper(dapper) -> None:
    """Point by point, no inflation, no rotation; it leaves out weights below 1e-3 and has 1.82 for sqrt(10 / 3)."""
    E, y = normal(0, 7, 40), normal(1, 40)
    found = LETKF(taper=gaspari_cohn(ring_distance(40), 4 * 1.82)).analyse(E, y, ONE, ONE)
    theirs = dapper(E.numpy(), y.numpy(), 1, 1.0, False)
    assert np.abs(found.numpy() - theirs).max() < 1e-3
    assert (found - E).abs().max() > 1


@pytest.mark.slow
def test_five_times_faster_than_dapper(dapper) -> None:
    """40 variables, 7 members, every variable observed; DAPPER takes two points at a time, as its settings say."""
    E, y = normal(0, 7, 40), normal(1, 40)
    method = LETKF(1.04, rotation=True, taper=TAPER)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours, theirs = best(lambda: method.analyse(E, y, ONE, ONE), lambda: dapper(E.numpy(), y.numpy(), 2, 1.04, True))
    finally:
        torch.set_num_threads(threads)
    print(f"LETKF, 40 variables, 7 members: {1e3 * ours:.2f} ms; DAPPER {1e3 * theirs:.2f} ms: x {theirs / ours:.1f}")
    assert theirs / ours > 5
