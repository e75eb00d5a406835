"""The climate benchmark: scores with known answers, and what the shipped table says."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab.benchmark.climate import METHODS, SCORES, STUDY, Run, climate_summary, read_climate, spell, together
from physlab.benchmark.study import Context
from physlab.errors import PhysLabError


def test_dry_spells_and_the_temperature_of_wet_days():
    wet = np.array([[0, 0, 1, 0, 0, 0, 1, 0.0]])
    assert spell(wet) == 2.0 and spell(np.zeros((2, 5))) == 5.0
    rain = np.tile([0.0, 5.0], (3, 120))
    assert together(rain, np.where(rain > 1, 278.0, 280.0)) == pytest.approx(-2.0)


def test_the_shipped_table_is_whole_and_says_what_the_chapter_says():
    table = read_climate()
    assert set(table["model"]) == {"raw", "SDSM", *METHODS} and set(table["score"]) == set(SCORES)
    assert (
        len(table) == 8 * 3 * len(SCORES)
        and ((table["low"] <= table["bias"] + 0.5) & (table["high"] >= table["low"])).all()
    )
    np.testing.assert_allclose(table["value"] - table["observed"], table["bias"], atol=2e-3)
    of_raw = climate_summary(table).pivot(index="score", columns="model", values="of_raw")
    assert (of_raw.loc["wet days", list(METHODS)] < 0.3).all() and of_raw.loc["wet minus dry", "QDM"] > 0.9
    assert of_raw.loc["wet minus dry", "MBCn"] < 0.5 and of_raw.loc["q99 of wet days", "SDSM"] > 1


@pytest.mark.real_data
@pytest.mark.slow
def test_rows_are_made_anew(monkeypatch):
    from physlab.benchmark import climate

    monkeypatch.setattr(climate, "DRAWS", 20)
    rows = {(r["location"], r["score"]): r for r in STUDY.work(Run("raw", None), Context("xclim-stations"))}
    shipped = read_climate().query("model == 'raw'").set_index(["location", "score"])
    for at, row in rows.items():
        assert row["bias"] == pytest.approx(shipped.loc[at, "bias"], rel=1e-4, abs=1e-4)


def test_other_data_are_refused(tmp_path):
    time = xr.date_range("1950-01-01", periods=5)
    xr.Dataset(
        {"pr": ("time", np.ones(5))}, {"time": time, "latitude": ("latitude", [1.0]), "longitude": ("longitude", [2.0])}
    ).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(PhysLabError, match=r"pass xclim-stations|at least 2 rows"):
        STUDY.check([], Context(str(tmp_path / "a.nc")))
