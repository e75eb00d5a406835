"""What is shown can be kept: files of every view with places and units; pictures and tables out of the browser."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
import xarray as xr

from apps.front import Front
from apps.state import Choice, Draw, Look, Setup
from physlab.views.keep import cf_units, squared
from tests.apps.pages import session


class Asked:
    """A queue that remembers what it is asked for, and has it at once."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def put(self, job) -> None:
        self.calls.append((job.kind, job.method))
        job.finish(("made", []))


def test_tables_comparisons_and_files_are_made_beside_the_server():
    line = Asked()
    front = Front(line)
    assert front.chapter("published") == front.chapter("published") == "made"
    front.paired(Choice(frame=3), Choice(frame=3, constraint="none"))
    front.netcdf("what is shown")
    assert line.calls == [("panel", "chapter"), ("tests", "paired"), ("panel", "netcdf")]


def opened(content: bytes) -> xr.Dataset:
    return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")


def test_the_file_of_a_panel_holds_its_maps_spectra_and_scores(store):
    page = session(store, "?dataset=era5-uk-t2m&frame=2&constraint=add")
    kept = opened(asyncio.run(page.keep.fetch()).getvalue())
    panel = page.shown
    for name, image in panel.maps.items():
        assert kept[name].values == pytest.approx(image, rel=1e-6) and kept[name].attrs["units"] == "K"
    assert kept["latitude"][0] < kept["latitude"][-1] and kept["residual"].dims == (
        "latitude_coarse",
        "longitude_coarse",
    )
    assert list(kept["spectrum_result"].values) == list(panel.spectra["result"])
    assert "dataset=era5-uk-t2m" in kept.attrs["comment"] and repr(panel.scores["this"]["rmse"]) in kept.attrs["scores"]
    assert page.keep.file.filename == "physlab-downscale.nc" and 'data-save="csv"' not in page.keep.pictures.object
    page.state.view = "benchmark"
    assert not page.keep.file.visible and 'data-save="csv"' in page.keep.pictures.object
    assert asyncio.run(page.keep.fetch()) is None and "nothing to keep" in page.messages.object


@pytest.mark.slow
def test_other_views_keep_all_their_maps_too(store):
    shown = {
        "assimilate": store.analyses.started(Setup(share=0.0)),
        "ensemble": store.ensembles.started(Draw(day=1)),
        "continuous": store.moments.moment(Look(zoom=2)),
    }
    for view, picture in shown.items():
        kept = opened(store.netcdf(picture))
        assert set(picture.maps) <= set(kept.data_vars) and f"view={view}" in kept.attrs["comment"]
        for name, image in picture.maps.items():
            image = image[0] if isinstance(image, tuple) else image
            assert np.array_equal(kept[name].values, image.astype("float32"), equal_nan=True)
            assert {d.split("_")[0] for d in kept[name].dims} == {"latitude", "longitude"} and kept[name].attrs["units"]
        assert any(name.startswith("spectrum_") for name in kept.data_vars)


def test_units_are_written_as_files_have_them():
    assert cf_units("10⁻⁴ m s⁻²") == "1e-4 m s-2" and cf_units("kg m⁻²") == "kg m-2" and cf_units("K") == "K"
    assert squared("m s-1") == "(m s-1)2" and squared("K") == "K2" and squared("") == "1"
