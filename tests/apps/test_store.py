"""The store shows what the library computes, remembers it under scalar keys, and copes with what is missing."""

from __future__ import annotations

import contextlib
import io
import runpy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import physlab
from apps import machine, options, zoo
from apps.cache import Cache
from apps.options import CONSTRAINTS, FACTORS, STATISTICS
from apps.state import Choice
from apps.store import SPLIT, Overtaken, Store, Unavailable
from physlab import score
from physlab.downscale import STATISTICAL, Interpolate
from physlab.errors import PhysLabError
from physlab.grid import coarsen
from physlab.score import table
from physlab.train.evaluate import predict_members

TASKS = ("tcw", "era5-uk-t2m")
GAN = Choice("tcw", 3, network="gan", constraint="add")
FLOW = Choice("tcw-t2", 1, network="flowgru", constraint="add")


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
        Choice("tcw", 1, network="deepsd", mode="applied", constraint="add"),
        GAN,
        GAN.with_(show="member-10", mode="applied", constraint="softmax"),
        FLOW.with_(hour=1),
        FLOW.with_(hour=1, mode="applied", constraint="mult"),
        Choice("tcw-t2", 3, 4, "nearest", "applied", "add", hour=2),
        Choice("tcw-t1", 0, network="convgru", constraint="none", hour=1),
        GAN.with_(dataset="tcw-t1", hour=2, show="member-1"),
        Choice("tcw", 3, 4, "bicubic", "applied", "add", listen="0.500"),
        GAN.with_(listen="500", show="member-2"),
        Choice("era5-uk-t2m", 1, 4, "network", "applied", "add", listen="40"),
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


def test_stations_are_heard_where_they_are_and_the_mean_of_their_cell_stays(store):
    for choice in (Choice("tcw", 3, 4, "bicubic", "applied", "add"), Choice("era5-uk-t2m", 1, 4, "network")):
        before = store.panel(choice)
        shape = before.maps["truth"].shape
        cells = [int(np.abs(before.maps["error"]).argmax()), shape[1] + 1]  # row 0 is the southernmost for both
        after = store.panel(choice.with_(listen=".".join(map(str, cells))))
        errors = [np.abs(panel.maps["error"].ravel()[cells]) for panel in (before, after)]
        assert errors[1][0] < 0.3 * errors[0][0] and not after.note
        assert np.abs(after.maps["residual"]).max() <= np.abs(before.maps["residual"]).max() + 1e-4
        assert after.scores["bicubic"] == before.scores["bicubic"]
        np.testing.assert_array_equal(after.maps["truth"], before.maps["truth"])
    assert "do not lie on this map" in store.panel(choice.with_(listen="9999999")).note
    assert "sequences" in store.panel(Choice("tcw-t1", 0, 4, "bicubic", "applied", listen="5")).note
    with pytest.raises(Unavailable, match="this frame alone"):
        store.paired(choice, choice.with_(listen="5"))


def test_members_are_those_of_the_library_and_distinct(store, lab):
    panel = store.panel(GAN)
    data, at = lab("tcw", 4), slice(3, 4)
    members = predict_members(store.model("tcw-x4-gan-add"), data, SPLIT, at, members=10, seed=0)
    truth, coarse = data.fine[SPLIT][at], data.coarse[SPLIT][at]
    np.testing.assert_array_equal(panel.maps["result"], members.mean(0)[0, 0])
    np.testing.assert_allclose(panel.maps["spread"], members.std(0)[0, 0], rtol=1e-6)
    assert panel.maps["spread"].min() > 0
    assert panel.members == 10 and panel.ranks.sum() == pytest.approx(32 * 32)
    expected = table(members.mean(0), truth, coarse, 4, data.data_range(SPLIT), data.weights)
    expected |= {
        "crps": float(score.crps(members, truth, weights=data.weights)),
        "spread_skill": float(score.spread_skill(members, truth, weights=data.weights)),
    }
    assert panel.scores["this"] == expected
    assert panel.scores["nearest"]["crps"] == panel.scores["nearest"]["mae"]
    one = store.panel(GAN.with_(show="member-4"))
    np.testing.assert_array_equal(one.maps["result"], members[3, 0, 0])
    assert one.scores["this"]["crps"] == expected["crps"]
    assert np.abs(one.maps["residual"]).max() < 1e-4


def test_the_mean_lacks_power_that_the_members_have(store):
    panel = store.panel(GAN)
    assert panel.spectra["members"][-5:].sum() > panel.spectra["result"][-5:].sum()
    assert "members" not in store.panel(Choice(network="edsr")).spectra


def test_an_ensemble_can_be_stopped_and_asked_for_again(store):
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 3

    with pytest.raises(Overtaken):
        store.panel(GAN, cancelled)
    assert len(calls) == 4
    assert store.cached(GAN) is None
    assert store.panel(GAN).members == 10


def test_layers_after_an_ensemble_act_on_each_member(store):
    panel = store.panel(GAN.with_(mode="applied", constraint="mult", show="member-2"))
    assert panel.members == 10
    assert np.abs(panel.maps["residual"]).max() < 1e-4


def test_hours_of_a_sequence(store, lab):
    data = lab("tcw-t2", 4)
    result = store.model("tcw-t2-x4-flowgru-add").predict(data.coarse[SPLIT][1:2], data.weights)
    whole = data.all_coarse(SPLIT)
    times = set()
    for hour in range(3):
        panel = store.panel(FLOW.with_(hour=hour))
        times.add(panel.time)
        assert (panel.hours, panel.given) == (3, (0, 2))
        np.testing.assert_array_equal(panel.maps["result"], result[0, hour])
        np.testing.assert_array_equal(panel.maps["truth"], data.fine[SPLIT][1, hour])
        wanted = table(
            result[:, hour : hour + 1], data.fine[SPLIT][1:2, hour : hour + 1], whole[1:2, hour : hour + 1], 4,
            data.data_range(SPLIT), data.weights,
        )  # fmt: skip
        assert panel.scores["this"] == wanted
        given = hour != 1
        assert (np.abs(panel.maps["residual"]).max() < 1e-4) == given
        between = data.coarse[SPLIT][1].mean(0)
        np.testing.assert_allclose(panel.maps["input"], whole[1, hour] if given else between, rtol=1e-6)
    assert len(times) == 3
    assert store.panel(Choice(hour=2)).choice.hour == 0


def test_interpolation_of_a_missing_hour_is_linear_in_time(store, lab):
    data = lab("tcw-t2", 4)
    panel = store.panel(Choice("tcw-t2", 0, 4, "bicubic", "applied", "add", hour=1))
    first, last = data.coarse[SPLIT][0]
    wanted = Interpolate("bicubic", 4, "add").predict((0.5 * (first + last))[None, None], data.weights)
    np.testing.assert_allclose(panel.maps["result"], wanted[0, 0], rtol=1e-6)
    assert panel.scores["this"] == panel.scores["bicubic+add"]


def test_single_frame_networks_refine_given_sequences_frame_by_frame(store, lab):
    for network in ("edsr", "deepsd"):
        choice = Choice("tcw-t1", 2, network=network, constraint="none", hour=2)
        panel = store.panel(choice)
        assert not panel.note
        alone = lab("tcw-t1", 4)
        coarse = {SPLIT: alone.coarse[SPLIT][:, 2:3]}
        wanted = predict_members(
            store.model(f"tcw-x4-{network}-none"), replace(alone, coarse=coarse), SPLIT, slice(2, 3)
        )
        np.testing.assert_allclose(panel.maps["result"], wanted[0, 0, 0], rtol=2e-6)
        assert np.isfinite(store.test_scores(choice)["this"]["rmse"])
    assert store.test_scores(GAN.with_(dataset="tcw-t1"))["this"] == {}


def test_the_fallback_is_the_compact_network_and_then_bicubic(store):
    panel = store.panel(Choice(network="edsr", constraint="mult"))
    assert (panel.choice.network, panel.choice.constraint, panel.choice.mode) == ("compact", "mult", "trained")
    assert "EDSR with this constraint is not installed" in panel.note and "none, add, softmax" in panel.note
    panel = store.panel(Choice("tcw-t2", network="gan", constraint="add"))
    assert (panel.choice.method, panel.choice.network) == ("bicubic", "compact")
    assert "Voxel flow" in panel.note
    panel = store.panel(Choice("tcw", network="flowgru", constraint="softmax"))  # a sequence network for one frame
    assert panel.choice.network == "compact"
    assert store.panel(Choice(show="member-3")).choice.show == "mean"


def test_statistical_methods_are_fitted_once(store, lab, monkeypatch):
    made = []

    class Climate(Interpolate):
        def fit(self, data, seed):
            made.append((data.task, seed))
            return self

    monkeypatch.setattr("apps.store.make_statistical", lambda name, data: Climate("nearest", data.factor))
    choice = Choice("tcw", 1, 4, "statistical", "applied", "add", statistic="bcsd")
    first, second = store.panel(choice), store.panel(choice.with_(frame=2))
    assert first.scores["this"] == first.scores["this"] and not first.note and not second.note
    assert made == [("tcw", 0)]
    panel = store.panel(choice.with_(dataset="tcw-t2"))
    assert panel.choice.method == "bicubic" and "cannot be fitted" in panel.note


def test_every_statistical_method_on_offer_exists():
    assert set(STATISTICS) <= set(STATISTICAL)


def test_offers_are_the_folders_without_a_seed_or_of_seed_0(monkeypatch):
    names = ["tcw-x4-add-s1", "tcw-x4-scaled_add-s0", "tcw-x4-gan-none-s0", "tcw-x4-gan-report-softmax-s0",
             "tcw-x2-edsr-add-s0", "tcw-t1-x4-convgru-add-s0", "own-x4-add-s0", "tcw-x4-unheard-of-add-s0"]  # fmt: skip
    monkeypatch.setattr("apps.zoo.checkpoint_folders", lambda: dict.fromkeys(names))
    assert zoo.offers("tcw", 4) == {"compact": ["scaled_add"], "gan": ["none"], "gan-report": ["softmax"]}
    assert zoo.offers("tcw-t1", 4)["convgru"] == ["add"]
    assert zoo.offers("tcw-t2", 4) == {}


def test_a_preset_is_a_network_of_its_own_beside_the_one_that_is_best(monkeypatch):
    names = ["tcw-x4-srcnn-plain-none-s0", "tcw-x4-srcnn-plain-none-large-s0", "tcw-x4-srcnn-plain-add-large-s0"]
    monkeypatch.setattr("physlab.zoo.PRESETS", "full|large")
    monkeypatch.setattr("physlab.zoo.checkpoint_folders", lambda: dict.fromkeys(names))
    monkeypatch.setattr("apps.zoo.checkpoint_folders", lambda: dict.fromkeys(names))
    found = runpy.run_path(options.__file__)
    order = list(found["NETWORKS"])
    assert order[order.index("srcnn-plain") + 1] == "srcnn-plain-large"
    assert found["NETWORKS"]["srcnn-plain-large"] == "SR-CNN as published (large)"
    monkeypatch.setattr("apps.zoo.PRESETS", found["PRESETS"])
    monkeypatch.setattr("apps.zoo.NETWORKS", found["NETWORKS"])
    assert zoo.offers("tcw", 4) == {"srcnn-plain": ["none", "add"], "srcnn-plain-large": ["none", "add"]}
    for network, name in (
        ("srcnn-plain", "tcw-x4-srcnn-plain-add"),
        ("srcnn-plain-large", "tcw-x4-srcnn-plain-add-large"),
    ):
        assert zoo.names(Choice(factor=4, network=network, constraint="add")) == [name]


def test_a_missing_benchmark_is_one_sentence(store, monkeypatch):
    def gone():
        raise FileNotFoundError("asset 'results/downscaling.csv' is not in assets")

    monkeypatch.setattr("apps.store.read_runs", gone)
    with pytest.raises(Unavailable, match="no benchmark of tcw at factor 4"):
        store.benchmark("tcw", 4)


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


def test_networks_compute_on_the_device_that_was_asked_for_and_it_is_told(store, monkeypatch):
    panel = store.panel(Choice(frame=1))
    assert panel.choice.method == "network" and panel.device == "cpu"
    assert machine.device_of(torch.nn.Linear(1, 1, device="meta")) == "meta" and machine.device_of(None) == "cpu"
    monkeypatch.delenv(machine.DEVICE, raising=False)
    assert machine.wanted().type == "cpu"
    opened = []
    monkeypatch.setattr(physlab, "load_model", lambda name, device: opened.append((name, str(device))))
    machine.opened("tcw-x4-softmax")
    assert opened == [("tcw-x4-softmax", "cpu")]
    monkeypatch.setenv(machine.DEVICE, "abacus")
    with pytest.raises(PhysLabError, match="unknown device 'abacus': choose cpu, cuda"):
        machine.opened("tcw-x4-softmax")
