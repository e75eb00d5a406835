"""What all tests share: where the real data and the browser are, and when a test that needs them may skip.

A test marked ``real_data`` runs whenever PHYSLAB_DATA names a folder, and fails if a file is missing there. One marked
``browser`` runs whenever a Chromium is installed. Where either is absent the test skips and says what to do.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apps.screenshot import find_browser


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot run."""
    if item.get_closest_marker("real_data") and not os.environ.get("PHYSLAB_DATA"):
        pytest.skip("PHYSLAB_DATA is not set: let it name a folder with the real files (NAME/file)")
    if item.get_closest_marker("browser") and find_browser() is None:
        pytest.skip("no Chromium found: install it (apt install chromium), or set PHYSLAB_CHROMIUM to its path")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser, for tests that are marked ``browser``."""
    path = find_browser()
    assert path, "mark the test that uses this fixture with @pytest.mark.browser"
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real files, for tests that are marked ``real_data``."""
    folder = os.environ.get("PHYSLAB_DATA")
    assert folder, "mark the test that uses this fixture with @pytest.mark.real_data"
    return Path(folder)
