"""The store shows what the library computes, remembers it under scalar keys, and copes with what is missing."""

from __future__ import annotations

import contextlib
import io
import threading

import numpy as np
import pytest
import torch

from apps.cache import Cache
from apps.state import CONSTRAINTS, FACTORS, Choice
from apps.store import SPLIT, Store, Unavailable
from physlab.downscale import Interpolate
from physlab.grid import coarsen
from physlab.score import table

TASKS = ("tcw", "era5-uk-t2m")


def every_choice():
    for dataset in TASKS:
        for factor in FACTORS:
            for constraint in CONSTRAINTS:
                for method, mode in (
                    ("network", "trained"),
                    ("network", "applied"),
                    ("bicubic", "applied"),
                    ("nearest", "applied"),
                ):
                    yield Choice(dataset, 2, factor, method, mode, constraint)


def test_every_selection_gives_a_panel_that_agrees_with_the_library(store, lab):
    for choice in every_choice():
        panel = store.panel(choice)
        data = lab(choice.dataset, choice.factor)
        truth, coarse = data.fine[SPLIT][2:3], data.coarse[SPLIT][2:3]
        north_first = data.latitude[0] > data.latitude[-1]
        result = torch.from_numpy(panel.maps["result"][:: -1 if north_first else 1].copy())[None, None]
        assert panel.maps["truth"].shape == data.shape
        assert panel.scores["this"] == table(result, truth, coarse, choice.factor, data.data_range(SPLIT), data.weights)
        hard = panel.choice.constraint not in ("none", "soft")
        scale = float(coarse.abs().max())
        violation = (coarsen(result, choice.factor, data.weights) - coarse).abs().max()
        assert not hard or violation < 2e-6 * scale, choice
        if panel.choice.constraint in ("mult", "softmax"):
            assert panel.maps["result"].min() >= 0
        np.testing.assert_allclose(panel.maps["error"], panel.maps["result"] - panel.maps["truth"], atol=1e-6 * scale)


def test_baseline_columns_are_the_interpolations(store, lab):
    panel = store.panel(Choice(frame=1, factor=4))
    data = lab("tcw", 4)
    truth, coarse = data.fine[SPLIT][1:2], data.coarse[SPLIT][1:2]
    for name, parts in {"nearest": ("nearest",), "bicubic": ("bicubic",), "bicubic+add": ("bicubic", "add")}.items():
        method = Interpolate(parts[0], 4, *parts[1:])
        expected = table(method.predict(coarse, data.weights), truth, coarse, 4, data.data_range(SPLIT), data.weights)
        assert panel.scores[name] == expected


def test_rows_run_from_south_to_north(store, lab):
    panel = store.panel(Choice("era5-uk-t2m", 0))
    stored = lab("era5-uk-t2m", 4).fine[SPLIT][0, 0].numpy()
    np.testing.assert_array_equal(panel.maps["truth"][0], stored[-1])
    west, east, south, north = panel.window
    assert (west, east) == pytest.approx((-10.25, 1.75))
    assert south < 50 < 58 < north


def test_windows_lie_around_greenwich_and_span_the_patch(store):
    for frame in range(7):
        west, east, south, north = store.panel(Choice(frame=frame)).window
        assert east - west == pytest.approx(180.0)
        assert -180 <= (west + east) / 2 < 180
        assert -90 <= south < north <= 90


def test_missing_network_falls_back_and_says_so(store):
    panel = store.panel(Choice("era5-uk-t2m", 0, 8, "network", "trained", "add"))
    assert (panel.choice.method, panel.choice.mode, panel.choice.constraint) == ("bicubic", "applied", "add")
    assert "No trained network" in panel.note
    assert panel.scores["this"] == panel.scores["bicubic+add"]


def test_soft_penalty_cannot_be_applied_afterwards(store):
    panel = store.panel(Choice(method="bicubic", mode="applied", constraint="soft"))
    assert panel.choice.constraint == "none"
    assert "penalty" in panel.note


def test_frame_beyond_the_end_is_the_last_one(store):
    assert store.panel(Choice(frame=9999)).choice.frame == 6


def test_missing_data_set_is_one_sentence(lab, monkeypatch):
    def gone(*_, **__):
        raise FileNotFoundError("asset 'data/nature-tcw.nc' is not in assets")

    monkeypatch.setattr("apps.store.sr_pairs", gone)
    store = Store(threads=None)
    with pytest.raises(Unavailable, match="tcw is not available: asset"):
        store.panel(Choice())
    assert store.frames("tcw") == 1


def test_limits_do_not_depend_on_frame_method_or_constraint(store):
    panels = [
        store.panel(Choice(frame=f, method=m, constraint=c))
        for f in (0, 3)
        for m in ("bicubic", "network")
        for c in ("none", "add")
    ]
    assert all(panel.limits == panels[0].limits for panel in panels)
    low, high = panels[0].limits["residual"]
    assert low == -high < 0


def test_panels_are_made_once(store):
    assert store.cached(Choice()) is None
    panel = store.panel(Choice())
    assert store.panel(Choice()) is panel is store.cached(Choice())


def test_test_set_scores_agree_with_evaluate(store, lab):
    from physlab.train import evaluate

    choice = Choice(method="bicubic", mode="applied", constraint="mult", frame=3)
    scores = store.test_scores(choice)
    expected = evaluate(Interpolate("bicubic", 4, "mult"), lab("tcw", 4), SPLIT)
    assert scores["this"]["rmse"] == pytest.approx(expected["rmse"], rel=1e-5)
    assert scores["nearest"]["rmse"] == pytest.approx(
        evaluate(Interpolate("nearest", 4), lab("tcw", 4), SPLIT)["rmse"], rel=1e-6
    )
    assert store.cached_test_scores(choice) == scores


def test_test_set_scores_stop_when_overtaken(store):
    assert store.test_scores(Choice(), cancelled=lambda: True) is None
    assert store.test_scores(Choice()) is not None


@pytest.mark.parametrize(
    "choice",
    [
        Choice("tcw", 3, 4, "network", "trained", "softmax"),
        Choice("tcw", 0, 2, "network", "applied", "scaled_add"),
        Choice("tcw", 5, 8, "bicubic", "applied", "mult"),
        Choice("era5-uk-t2m", 1, 4, "network", "applied", "softmax"),
        Choice("era5-uk-t2m", 4, 8, "nearest", "applied", "scaled_add"),
    ],
)
def test_copied_code_gives_the_same_numbers(store, choice):
    panel = store.panel(choice)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(store.code(panel.choice), "copied", "exec"), {})
    numbers = {name: float(value) for name, value in (line.split() for line in printed.getvalue().splitlines())}
    assert numbers.keys() == panel.scores["this"].keys()
    for name, value in panel.scores["this"].items():
        assert numbers[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_cache_makes_each_key_once_and_forgets_the_oldest():
    cache, made = Cache(2), []

    def slow(key):
        made.append(key)
        threading.Event().wait(0.05)
        return f"value {key}"

    threads = [threading.Thread(target=cache.get, args=(1, lambda: slow(1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    cache.get(2, lambda: slow(2))
    cache.get(3, lambda: slow(3))
    assert cache.peek(1) is None
    assert cache.peek(3) == "value 3"
