"""The benchmark on real weather: what is withheld is withheld, members are those of the background, parts follow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from physlab.benchmark import real
from physlab.benchmark.flow import mark
from physlab.benchmark.real import METHODS, SHARES, STUDY, Run, gains, read_real
from physlab.benchmark.study import Context

MEMBERS, TIMES = 5, 4


def ensemble() -> xr.Dataset:
    """Five smooth members about a smooth state, in the layout of ERA5's."""
    rng = torch.Generator().manual_seed(0)

    def smooth(*shape: int) -> torch.Tensor:
        small = torch.randn(*shape, 4, 8, generator=rng).flatten(0, -3)[:, None]
        return torch.nn.functional.interpolate(small, size=(17, 32), mode="bicubic")[:, 0].unflatten(0, shape)

    state, about = smooth(TIMES, 2), smooth(MEMBERS, TIMES, 2)
    times = np.datetime64("2017-01-01", "ns") + np.arange(TIMES) * np.timedelta64(12, "h")
    coords = {"member": np.arange(MEMBERS), "time": times, "level": [850.0, 500.0],
              "latitude": np.linspace(80, -80, 17), "longitude": np.arange(32) * 11.25}  # fmt: skip
    dims = tuple(coords)
    made = {"z": (dims, (5e4 + 1e3 * state + 50 * about).numpy()), "t": (dims, (270 + 10 * state + about).numpy())}
    ds = xr.Dataset(made, coords)
    ds["latitude"].attrs["units"], ds["longitude"].attrs["units"] = "degrees_north", "degrees_east"
    return ds


@pytest.fixture
def small(monkeypatch):
    real.parts_of.cache_clear()
    monkeypatch.setattr(real, "open_dataset", lambda name: ensemble())
    monkeypatch.setitem(METHODS, "LETKF, forecast members", ({"radius": 2e6, "static": 1.0},))
    monkeypatch.setitem(METHODS, "OI", tuple({"radius": r} for r in (1e5, 2e6)))
    monkeypatch.setattr(real, "MEMBERS", 4)
    monkeypatch.setattr(real, "STEPS", 3)
    yield
    real.parts_of.cache_clear()


def test_a_withheld_member_is_in_no_background(small) -> None:
    ds, parts = ensemble().isel(latitude=slice(0, 16)), real.parts_of("era5-ensemble")
    assert [len(parts[split].pairs) for split in ("train", "val", "test")] == [10, 5, 5]
    part = parts["test"]
    space, k, c = part.pairs.space, 2, part.pairs.space.index("t500")
    x = ds["t"].sel(level=500.0).isel(time=3)
    others = x.drop_isel(member=k)
    background = space.mean + space.std * part.pairs.background[k].float()
    assert np.allclose(background[c], others.mean("member"), atol=0.02)
    truth = background[c] + space.error[c] * part.pairs.increment[k, c].float()
    assert np.allclose(truth, x.isel(member=k), atol=0.03)
    assert part.members.shape[:2] == (5, 4) and part.members[k].mean(0).abs().max() < 1e-3
    assert np.allclose(space.error[c] * part.members[k, 3, c] + background[c], others.isel(member=3), atol=0.03)
    assert part.blocks == [f"member {k}" for k in range(5)]


def test_rows_and_their_control(small) -> None:
    rows = []
    for name, seed in (("background", None), ("OI", None), ("LETKF, forecast members", None), ("Adas", 0)):
        rows += real.one(Run("era5-ensemble", name, seed), Context(device="cpu"))
    runs = pd.DataFrame(rows)
    assert set(runs.columns) == set(STUDY.columns) and len(runs) == 4 * 5 * 3
    blind = runs[(runs["observed"] == 0)].groupby("model")["mse"].mean()
    assert blind["OI"] == blind["background"]
    assert blind["LETKF, forecast members"] == pytest.approx(blind["background"], rel=1e-4)
    assert blind["Adas"] != blind["background"]  # it corrects what it has learned, whatever was observed
    table = gains(runs, "era5-ensemble")
    assert table.loc["OI", "left"] < 60 and table.loc["OI", "versus"] == 0  # the longer distance was chosen
    members = runs[(runs["model"] == "LETKF, forecast members") & (runs["observed"] == 1)]
    assert (members["members"] == 4).all() and members["stations"].mean() < 0.3
    assert 0.5 < runs[(runs["model"] == "LETKF, forecast members") & (runs["observed"] == 0)]["spread_skill"].mean() < 2
    assert next(title for title, _ in real.display(runs)).startswith("era5-ensemble, 10 % of the points, 5 cases")


def test_parts_and_intervals_follow_from_the_rows() -> None:
    rng, rows = np.random.default_rng(0), []
    for case in range(24):
        weather = 1 + 0.3 * np.sin(case // 4)
        for name, seen, free in (("background", 1.0, 1.0), ("OI", 0.5, 1.0), ("Adas", 0.4, 0.8)):
            for observed, left in ((1, seen), (0, free)):
                rows.append({"data": "storm1996", "model": name, "seed": None, "share": SHARES[0], "observed": observed,
                             "case": case, "block": case // 4,
                             "mse": weather * left + 0.005 * rng.standard_normal()})  # fmt: skip
    table = gains(pd.DataFrame(rows), "storm1996")
    assert table.loc["OI", "left"] == pytest.approx(50, abs=1) and table.loc["OI", "free"] == pytest.approx(0, abs=0.5)
    assert table.loc["Adas", "free"] == pytest.approx(20, abs=1)
    assert table.loc["Adas", "versus"] == pytest.approx(-10, abs=1) and table.loc["Adas", "versus_high"] < 0


@pytest.mark.real_data("storm1996")
def test_the_pieces_of_the_storm_do_not_touch() -> None:
    parts = real.parts_of("storm1996")
    real.parts_of.cache_clear()
    assert [len(parts[split].pairs) for split in ("train", "val", "test")] == [19, 5, 15]
    assert parts["train"].pairs.increment.float().square().mean() == pytest.approx(1, abs=0.01)
    assert len(set(parts["test"].blocks)) == 4 and not parts["test"].pairs.increment.isnan().any()
    assert len({mark(x) for x in parts["test"].pairs.background.float()}) == 15


def test_the_shipped_table_holds_what_is_said_of_it() -> None:
    runs = read_real()
    assert set(runs["data"]) == set(real.DATA) and {"background", "OI", "Adas"} <= set(runs["model"])
    for data in real.DATA:
        table = gains(runs, data)
        own = runs[(runs["data"] == data) & (runs["share"] == SHARES[0]) & (runs["observed"] == 1)]
        mean = own.groupby("model")["mse"].mean()
        for name, row in table.iterrows():
            assert row["left"] == pytest.approx(100 * mean[name] / mean["background"], rel=1e-6)
            assert row["left_low"] <= row["left"] <= row["left_high"]
        assert table.loc["OI", "left_high"] < 100 and table.loc["OI", "free"] == pytest.approx(0, abs=1e-6)
