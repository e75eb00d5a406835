"""What ships is what it was; the whole of it by `python -m tests.reference.golden --check`."""

from __future__ import annotations

import copy
import json

import pytest

from tests.reference.golden import RECORD, check, differences

SOME = ("tcw-x4-softmax-s0", "tcw-x8-mult-s0", "era5-uk-t2m-x4-add-s1", "tcw-t1-x4-motion", "tcw-t2-x4-flowgru",
        "tcw-x4-gan-add", "bicubic+add-x4", "nature-window", "forecast-unet", "adas", "phyda")  # fmt: skip


@pytest.fixture(scope="module")
def recorded() -> dict:
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_what_ships_has_not_changed(recorded: dict) -> None:
    assert not check(recorded, only=SOME)


@pytest.mark.parametrize(
    "path, value",
    [
        (("files", "results/tcw-x4.csv"), "0"),
        (("recipes", "tcw-x4", "presets", "cpu", "settings", "steps"), 901),
        (("recipes", "tcw-x4", "constraints"), ["none"]),
        (("links", "?frame=700", "choice", "frame"), 0),
        (("links", "?frame=700", "round trip"), False),
        (("public", "load_model"), False),
        (("outputs", "tcw-x4-softmax-s0", "tcw", "units"), "mm"),
        (("outputs", "tcw-x4-softmax-s0", "tcw", "shape"), [1, 128, 127]),
    ],
)
def test_a_change_is_seen(recorded: dict, path: tuple[str, ...], value) -> None:
    changed = copy.deepcopy(recorded)
    at = changed
    for key in path[:-1]:
        at = at[key]
    assert at[path[-1]] != value
    at[path[-1]] = value
    found = list(differences(recorded, changed))
    assert found and all(": ".join(path) in line for line in found)
    del at[path[-1]]
    assert list(differences(recorded, changed)) == [": ".join(path) + ": is gone"]


def test_rounding_is_no_change_and_more_is(recorded: dict) -> None:
    for factor, count in ((1 + 1e-7, 0), (1 + 1e-3, 1)):
        changed = copy.deepcopy(recorded)
        changed["outputs"]["phyda-s0"]["t_low"]["mean"] *= factor
        assert len(list(differences(recorded, changed))) == count


def test_what_has_come_since_is_no_change(recorded: dict) -> None:
    changed = copy.deepcopy(recorded)
    changed["recipes"]["tcw-x4"]["later"] = 1
    changed["recipes"]["tcw-x16"] = {}
    assert not list(differences(recorded, changed))
