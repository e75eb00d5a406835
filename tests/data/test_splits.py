"""Splits by blocks of time do not leak: the smallest distance between blocks is never below the gap."""

from __future__ import annotations

import numpy as np
import pytest

from physlab.data.splits import Split, check_gaps, describe, smallest_distance, split_by_time
from physlab.errors import FieldError

HOURS = np.datetime64("2020-01-01", "ns") + np.arange(1000).astype("timedelta64[h]")


def brute_distance(a, b):
    return np.abs(a[:, None] - b[None, :]).min() / np.timedelta64(1, "h")


@pytest.mark.parametrize("gap", [1, 24, 60.5])
def test_shares_leave_the_gap(gap):
    rng = np.random.default_rng(0)
    time = rng.permutation(np.repeat(HOURS, 2))
    index = split_by_time(time, {"train": 0.7, "val": 0.15, "test": 0.15}, gap)
    blocks = [time[i] for i in index.values()]
    assert min(brute_distance(blocks[i], blocks[j]) for i in range(3) for j in range(i)) >= gap
    assert blocks[0].max() < blocks[1].min() < blocks[1].max() < blocks[2].min()
    assert 0.6 * time.size < blocks[0].size < 0.7 * time.size + 2
    assert len(set(np.concatenate(list(index.values())))) == sum(map(len, index.values()))


def test_dates():
    index = split_by_time(HOURS, {"train": ("2020-01-01", "2020-01-10T23"), "test": ("2020-01-20", "2020-01-21")}, 200)
    assert len(index["train"]) == 240
    assert len(index["test"]) == 25


@pytest.mark.parametrize(
    ("blocks", "gap", "message"),
    [
        ({"train": ("2020-01-01", "2020-01-10"), "test": ("2020-01-12", "2020-01-14")}, 49, "leak"),
        ({"train": ("2020-01-01", "2020-01-10"), "test": ("2020-01-05", "2020-01-14")}, 1, "leak"),
        ({"train": ("2020-01-01", "2020-01-10"), "test": ("2030-01-01", "2030-01-02")}, 1, "'test' holds no sample"),
        ({"train": 0.5, "val": 0.01, "test": 0.49}, 48, "holds no sample"),
    ],
)
def test_leaks_and_empty_blocks_are_refused(blocks, gap, message):
    with pytest.raises(FieldError, match=message):
        split_by_time(HOURS, blocks, gap)


def test_smallest_distance_agrees_with_all_pairs():
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = (HOURS[rng.choice(1000, 7, replace=False)] for _ in range(2))
        assert smallest_distance({"a": a, "b": b}) == brute_distance(a, b)


def test_a_random_split_of_hours_is_refused():
    order = np.random.default_rng(0).permutation(HOURS)
    with pytest.raises(FieldError, match="1 h apart"):
        check_gaps({"train": order[:800], "test": order[800:]}, 24)


def test_the_description_is_plain_json():
    import json

    split = Split({"train": ("2020-01-01", "2020-01-10"), "test": ("2020-01-20", "2020-01-21")}, 48)
    times = {name: HOURS[i] for name, i in split.indices(HOURS).items()}
    card = json.loads(json.dumps(describe(times, 48, "days")))
    assert card["smallest_distance_hours"] == 240
    assert card["blocks"]["train"] == {"first": "2020-01-01T00:00:00", "last": "2020-01-10T00:00:00", "samples": 217}


def test_a_missing_time_is_named() -> None:
    time = np.arange("2001-01-01", "2001-03-01", dtype="datetime64[D]").astype("datetime64[ns]")
    time[3] = np.datetime64("NaT")
    with pytest.raises(FieldError, match="1 of 59 times are missing"):
        split_by_time(time, {"train": 0.8, "val": 0.2}, 24.0)
