"""The speed table: a small comparison that runs, and the one that ships."""

from __future__ import annotations

import functools

import pytest

import physlab
from physlab.benchmark import compare, ratios, read_speed
from physlab.benchmark.samplers import ring
from physlab.benchmark.study import studies
from physlab.errors import PhysLabError


@pytest.mark.slow
def test_networks_are_faster_than_the_integration_even_at_half_its_resolution():
    models = physlab.load_model("forecast-unet-data"), physlab.load_model("nature-window-equations")
    found = compare(*models, repeats=1, resolutions=("t42",)).set_index("method")
    assert list(found.index) == ["integration, T42", "forecast, unet", "continuous field"]
    assert found.loc["integration, T42", "ratio"] == 1 and (found["ratio"].iloc[1:] > 3).all()
    assert found["ratio"].iloc[1] == pytest.approx(found["seconds"].iloc[0] / found["seconds"].iloc[1])
    assert "64 x 128 points, 8 layers, 30 min steps" in found.loc["integration, T42", "settings"]
    with pytest.raises(PhysLabError, match="at least 1"):
        compare(*models, repeats=0)


def test_shipped_table_names_settings_and_machine():
    table = read_speed().set_index("method")
    assert table.loc["integration, T85", "ratio"] == 1
    assert table.loc["forecast, unet", "ratio"] > 100 and table.loc["continuous field", "ratio"] > 30
    assert table["machine"].nunique() == 1 and table["settings"].str.len().min() > 20


@pytest.mark.slow
def test_streaming_keeps_most_of_the_throughput_of_data_in_memory(monkeypatch):
    """A loose bound on the best of eight rounds, since other tests may run beside this one; the shipped table has that
    of a quiet machine."""
    monkeypatch.setitem(ratios.PARTS, "streaming", functools.partial(ratios.streaming, repeats=8))
    found = ratios.one(ratios.Run("streaming", "here"), None)[0]
    assert found["ratio"] == pytest.approx(found["other_s"] / found["ours_s"]) and found["ratio"] > 0.5
    table = studies()["ratios"].read().set_index("what")
    assert table.loc["streaming", "ratio"] >= 0.8


def test_the_sampler_of_several_steps_is_closer_with_the_same_calls():
    found = ratios.sampling(ring(), 8, "a ring", repeats=1, seeds=2)
    assert found["ratio"] == found["other_distance"] / found["ours_distance"] > 2.7
    table = studies()["ratios"].read().set_index("what")
    rows = table[table.index.str.startswith("samplers")]
    assert len(rows) == 4 and (rows["ratio"] > 1).all() and table["machine"].nunique() == 1
    assert table.loc["streaming", "ours_distance"] != table.loc["streaming", "ours_distance"]
