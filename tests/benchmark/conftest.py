"""A single thread, and the two nature runs in small that studies of assimilation are made from."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quick(one_thread):
    """All tests here."""


@pytest.fixture(scope="session")
def twin_runs(twin, tmp_path_factory) -> str:
    """Folder of runs of three and of 27 days: the test split is from day 23 on, every two days."""
    folder = tmp_path_factory.mktemp("twin")
    twin.write(folder / "run-8", times=8, seed=8)
    twin.write(folder / "run-9", times=104, seed=9)
    return str(folder)
