"""What goes in and out of the explorer, in a real browser: files and pictures kept, fields and methods brought."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET

import pytest
import xarray as xr

from apps import own as own_module
from apps.screenshot import serve
from apps.state import Choice
from apps.store import Store
from physlab.train.own.request import Request
from physlab.train.own.run import train_own
from physlab.views.bring import SWITCH
from physlab.views.workspace import read
from tests.apps.pages import numbers_on, press
from tests.views.test_workspace import hill

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address():
    """The explorer on a host that takes files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, "on")
        with serve(timeout=180.0) as address:
            yield address


def test_a_field_and_a_method_are_brought_shown_and_scored(open_page, tmp_path):
    hill().to_netcdf(tmp_path / "hill.nc")
    train_own("linear", Request(str(tmp_path / "hill.nc"), ("t2m",), gap=24.0), tmp_path / "ridge", constraint="none")
    shutil.make_archive(str(tmp_path / "ridge"), "zip", tmp_path, "ridge")
    (tmp_path / "model.csv").write_text("not,stations\n1,2\n")
    page = open_page("?v=1&method=bicubic&mode=applied&constraint=none")
    page.set_input_files('input[type="file"]', [tmp_path / n for n in ("hill.nc", "ridge.zip", "model.csv")])
    page.wait_for_selector('[data-yours="3"]', state="attached")
    said = page.locator("[data-yours]:visible").inner_text()
    assert "PhysLab read hill.nc" in said and "model.csv" in said and "ridge, × 4, none" in said
    page.wait_for_function("location.search.includes('dataset=my-hill-t2m') && location.search.includes('my-ridge')")
    page.wait_for_selector('[data-status="ready"][data-key*="hill-t2m|0|4|network"]', state="attached")
    page.wait_for_selector('[data-table="test"][data-state="ready"]', state="attached")
    shown = {(m, c): value for m, c, value in numbers_on(page, "frame", "metric", "column")}
    store, choice = Store(threads=None), Choice("own-hill-t2m", 0, 4, "network", "trained", "none", network="own-ridge")
    own_module.meet(read([tmp_path]))
    panel = store.panel(choice)
    own_module.part("own-")
    assert shown["rmse", "this"] == pytest.approx(panel.scores["this"]["rmse"], rel=1e-6)
    other = open_page("?v=1&dataset=my-hill-t2m&method=bicubic&mode=applied&constraint=none")
    assert "bring its file again" in other.locator('[data-message="note"]:visible').inner_text()


def test_a_browser_keeps_file_and_pictures(open_page, tmp_path):
    page = open_page("?v=1&frame=40&constraint=add")
    wanted = {"Maps, NetCDF": "nc", "Picture, PNG": "png", "Picture, SVG": "svg"}
    for label, ending in wanted.items():
        with page.expect_download() as coming:
            press(page, label)
        coming.value.save_as(tmp_path / f"kept.{ending}")
    assert xr.load_dataset(tmp_path / "kept.nc", engine="h5netcdf")["result"].shape == (128, 128)
    assert (tmp_path / "kept.png").read_bytes().startswith(b"\x89PNG") and (
        tmp_path / "kept.png"
    ).stat().st_size > 50_000
    drawn = ET.parse(tmp_path / "kept.svg").getroot()
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text and text.startswith("Conservation residual") for text in words)
    assert sum(1 for _ in drawn.iter("{http://www.w3.org/2000/svg}image")) >= 5
