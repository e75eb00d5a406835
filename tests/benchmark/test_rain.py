"""Real rain and other worlds: tiles by blocks of space, scores with intervals, networks of one world in another."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from physlab import score
from physlab.benchmark import rain, transfer
from physlab.data import rain as tiles
from physlab.errors import FieldError
from physlab.grid import coarsen
from physlab.score.extremes import fractions_skill_score

REAL = Path(os.environ.get("PHYSLAB_DATA", "nowhere")) / "mrms-rain"


def storm(generator: np.random.Generator) -> np.ndarray:
    """Cells of rain of some mm/h in dry air."""
    y, x = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    field = np.zeros((128, 128))
    for row, column, size, peak in generator.uniform((0, 0, 3, 2), (128, 128, 14, 40), (14, 4)):
        field += peak * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))
    return np.where(field > 0.5, field, 0.0).astype(np.float32)


@pytest.fixture
def event(monkeypatch):
    """Two instants of a few places in each region."""
    generator = np.random.default_rng(0)
    found = {
        name: [
            (storm(generator), np.datetime64("2019-06-10T00:00", "ns") + np.timedelta64(24 * k, "m"), 128 * place, 0)
            for k in range(2)
            for place in range(count)
        ]
        for name, count in (("train", 4), ("val", 2), ("test", 3))
    }
    monkeypatch.setattr(tiles, "rain_tiles", lambda: found)
    caches = (rain.pairs, rain.fitted, rain.references, transfer.world)
    for cache in caches:
        cache.cache_clear()
    yield found
    for cache in caches:
        cache.cache_clear()


def test_regions_of_different_splits_are_apart() -> None:
    tiles.check_regions(tiles.REGIONS)
    with pytest.raises(FieldError, match="train and val leak: less than 1 tile apart"):
        tiles.check_regions({"train": ((0, 4, 0, 9),), "val": ((4, 6, 0, 9),)})
    assert tiles.corners((1, 3, 2, 3), 64) == [(128, 256), (192, 256), (256, 256)]


def test_rows_of_the_table(event, tmp_path) -> None:
    """Baselines, a regression, a network and an ensemble, resumed; the reference gains nothing over itself."""
    which = (("bicubic", "none", None), ("bicubic", "mult", None), ("linear", "mult", 0), ("compact", "softmax", 0),
             ("noise", "none", 0))  # fmt: skip
    runs = [rain.Run(4, *names) for names in which]
    changes = {"steps": 2, "batch": 2, "crop": 32, "validate_every": 1}
    path = rain.STUDY.launch(None, tmp_path, 1, runs, lambda line: None, device="cpu", **changes)
    table = rain.STUDY.read(path).set_index(["model", "constraint"])
    own = table.loc[("bicubic", "mult")]
    assert own["crps_gain_bicubic"] == own["crps_low_bicubic"] == own["fss_high_bicubic"] == 0
    assert table.loc[("linear", "mult"), "fss_gain_regression"] == 0 and own["negative_count"] == 0
    assert table.loc[("bicubic", "none"), "negative_count"] > 0 > table.loc[("bicubic", "none"), "crps_high_bicubic"]
    kept = table["conservation_error"]
    assert kept[("bicubic", "mult")] < 1e-6 and kept[("compact", "softmax")] < 1e-6 < kept[("bicubic", "none")]
    assert table.loc[("noise", "none"), "members"] == rain.MEMBERS and (table["fss_8"] < 1).all()
    data = rain.pairs(4)
    field = rain.make(runs[1], data, rain.Context()).predict(data.coarse["test"], data.weights)
    assert own["fss_8"] == pytest.approx(float(fractions_skill_score(field, data.fine["test"], 8.0, rain.WINDOW)), 1e-4)
    said: list[str] = []
    rain.STUDY.launch(None, tmp_path, 1, runs, said.append, device="cpu", **changes)
    assert said == [f"5 runs, 5 of them known from {path}"]
    assert {run.factor for run in rain.quick()} == {8} and len(set(map(str, rain.paper()))) == len(rain.paper())


def test_the_table_that_ships_compares_what_is_comparable() -> None:
    """Every network has all seeds, members conserve, and what the layers promise holds on real rain."""
    table = rain.STUDY.read()
    assert set(table["factor"]) == {8}
    learned = table[table["model"].isin(list(rain.NETWORKS))]
    assert (learned.groupby(["model", "constraint"])["seed"].agg(set) == {0, 1, 2}).all() and len(learned) >= 21
    kept = table[table["constraint"].isin(["add", "mult", "softmax"])]
    assert kept["conservation_error"].max() < 1e-6
    assert (table[table["constraint"].isin(["mult", "softmax"])]["negative_count"] == 0).all()
    best = table[(table["model"] == "noise") & (table["constraint"] == "softmax")]
    assert best[[f"{s}_low_{r}" for s in ("crps", "fss") for r in ("bicubic", "regression")]].min(axis=None) > 0


def test_other_worlds(event, tmp_path) -> None:
    """Layers beside the same network without one; scale drops out for what has none of its own."""
    runs = [
        transfer.Run(transfer.UNTRAINED, transfer.RADAR, 8, "bicubic"),
        transfer.Run(transfer.LABORATORY, transfer.RADAR, 8, "compact"),
    ]
    path = transfer.STUDY.launch(None, tmp_path, 1, runs, lambda line: None, device="cpu")
    table = transfer.STUDY.read(path)
    mine = table[table["train"] == transfer.LABORATORY].set_index("constraint")
    assert set(mine.index) == {*transfer.LAYERS, transfer.AFTERWARDS} and mine.loc["none", "layer"] == 0
    assert (mine["layer_low"] <= mine["layer"]).all() and (mine["layer"] <= mine["layer_high"]).all()
    assert mine.loc[transfer.AFTERWARDS, "layer"] > 0, "a projection cannot hurt"
    place = transfer.world(transfer.RADAR)
    model = transfer.models(runs[1], transfer.Context())["softmax"][0]
    coarse = coarsen(place.fine, 8, place.weights)
    one, ten = (transfer.predict(model, k * coarse, place, True) / k for k in (1.0, 10.0))
    torch.testing.assert_close(one, ten, rtol=1e-3, atol=1e-4)
    titles = [title for title, _ in transfer.STUDY.shown(table)]
    assert titles == ["x8: gained over no layer, and over bicubic+add"]
    assert {(run.train, run.test) for run in transfer.plan()} >= {
        (train, test) for train in (transfer.LABORATORY, transfer.RADAR) for test in transfer.WORLDS
    }


def test_intervals_of_a_known_gain() -> None:
    """Half of the error everywhere is a gain of a half without any doubt."""
    base = np.random.default_rng(0).uniform(1, 2, 40)
    found = transfer.compared([base / 4, base / 4], [base, base], base, np.arange(40) // 4)
    assert found["layer"] == found["layer_low"] == pytest.approx(0.5) == found["gain_high"] and found["blocks"] == 10
    assert found["rmse_spread"] == found["layer_spread"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="wants PHYSLAB_DATA with mrms-rain")
@pytest.mark.parametrize("factor", [4])
def test_the_whole_radar_field_keeps_its_water(factor: int) -> None:
    """3,500 x 7,000 cells: none negative, every block to 1e-6 of its rain, by interpolation and by a network."""
    import physlab

    rate = physlab.open_dataset("mrms-rain")["rain_rate"].isel(time=0).fillna(0.0).values
    fine = torch.from_numpy(rate)[None, None]
    area = torch.from_numpy(np.cos(np.deg2rad(54.995 - 0.01 * np.arange(3500)))).float()[:, None].expand(3500, 7000)
    coarse = coarsen(fine.double(), factor, area.double()).float()
    for name in (f"bicubic+mult-x{factor}", f"tcw-x{factor}-espcn-add-s0"):
        model = physlab.load_model(name)
        made = model.predict(coarse, area)
        kept = score.conservation_error(made.double(), coarse.double(), factor, area.double(), relative=True)
        water = [float((x.double() * area).sum()) for x in (made, fine)]
        assert float(kept) < 1e-6 and abs(water[0] / water[1] - 1) < 1e-6 and made.shape == fine.shape
        if name.startswith("bicubic"):
            assert float(made.min()) >= 0
