"""Every kind of model through one store: what goes in comes out, and what was tampered with is refused in one line."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open
from safetensors.numpy import save

import physlab
from physlab.assimilate import Adas, GlobalVar3D, PhyDA, StateSpace
from physlab.data.patches import make_pairs
from physlab.downscale import LatentDownscaler, make_downscaler, make_statistical
from physlab.downscale.generator import WeatherGenerator
from physlab.errors import CheckpointError, PhysLabError, StoreError
from physlab.nn import CompactResNet, NoiseResNet
from physlab.nn.stored import Stored, subclasses
from physlab.phydl import Forecaster, PhyDL
from physlab.store import CARD, MANIFEST, WEIGHTS


def fields(times: int = 60, rows: int = 16, columns: int = 32, names: tuple[str, ...] = ("u", "v")) -> xr.Dataset:
    """Smooth hourly fields over the globe."""
    rng = np.random.default_rng(0)
    t, y, x = np.meshgrid(np.arange(times), np.arange(rows), np.arange(columns), indexing="ij")
    made = {n: 9 + np.sin(0.2 * t + 0.3 * k + x / 3) + np.cos(y / 2) for k, n in enumerate(names)}
    noisy = {n: (v + 0.1 * rng.standard_normal(v.shape)).astype(np.float32) for n, v in made.items()}
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(1, "h"),
        "latitude": np.linspace(-80.0, 80.0, rows), "longitude": np.arange(columns) * 360.0 / columns,
    }  # fmt: skip
    return xr.Dataset(
        {n: (("time", "latitude", "longitude"), v, {"units": "kg m-2"}) for n, v in noisy.items()}, coords
    )


def states() -> StateSpace:
    truth = fields(4, names=("tcw", "sp")).isel(time=slice(0, 4))
    return StateSpace.of(truth, truth + 0.1 * fields(4, names=("tcw", "sp")), ("tcw", "sp"))


def network(kind: str) -> object:
    torch.manual_seed(0)
    if kind == "generator":
        return make_downscaler(NoiseResNet(2, channels=8, blocks=1), "add", 30.0, "tcw", "generator")
    return make_downscaler(CompactResNet(2, channels=8, blocks=1), "softmax", 30.0, "tcw", "network")


def statistical(name: str) -> object:
    pairs = make_pairs(fields(60, names=("tcw",))["tcw"], 4, {"train": 0.7, "test": 0.3}, gap=2.0)
    return make_statistical(name, pairs).fit(pairs)


def generator() -> WeatherGenerator:
    rng = np.random.default_rng(0)
    rain = np.maximum(rng.normal(size=(90, 2)), 0.0)
    return WeatherGenerator(memory=False).fit_series(rng.normal(size=(90, 3)), rain)


KINDS: dict[str, Callable[[], object]] = {
    "network": lambda: network("network"),
    "generator": lambda: network("generator"),
    "latent diffusion": lambda: LatentDownscaler("t", ["t"], ["latitude"], 2, np.linspace(-80, 80, 16), unet=(8,),
                                                 vae=(8,), levels=(8, 8), features=4),
    "forecaster": lambda: Forecaster.of("unet", fields(), ("u", "v")),
    "continuous": lambda: PhyDL.of(fields(12, 6, 8).sel(longitude=slice(0, 90)), network={"width": 8, "depth": 2},
                                   equations=()),
    "assimilation": lambda: Adas(states(), width=16),
    "assimilation, latent": lambda: PhyDA(states(), latent=3, vae_width=8, width=8, levels=(8, 16)),
    "linear": lambda: statistical("linear"),
    "bcsd": lambda: statistical("bcsd"),
    "random forest": lambda: statistical("random forest"),
    "weather generator": generator,
}  # fmt: skip
EACH = pytest.mark.parametrize("kind", KINDS)
SIZES = {"network": "channels", "generator": "channels", "latent diffusion": "latent", "continuous": "width",
         "assimilation": "width", "assimilation, latent": "latent"}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a kind, made once."""
    parent, known = tmp_path_factory.mktemp("kinds"), {}

    def folder(kind: str) -> Path:
        if kind not in known:
            known[kind] = physlab.save(KINDS[kind](), parent / kind.replace(" ", "-"))
        return known[kind]

    return folder


@pytest.fixture
def copied(saved, tmp_path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(saved(kind), tmp_path / "model"))


def refused(folder: Path, *words: str) -> str:
    with pytest.raises(CheckpointError) as error:
        physlab.load_model(folder)
    message = str(error.value)
    assert ("\n" not in message and len(message) < 500 and str(folder) in message) or message.startswith("checkpoint ")
    assert any(word in message for word in words) or not words, message
    return message


def arrays_of(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(folder / WEIGHTS, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))


def test_every_class_that_can_be_stored_is_of_a_kind_here() -> None:
    made = {type(make()) for make in KINDS.values()}
    assert {base.__name__ for base in Stored.__subclasses__()} >= {"Forecaster", "Learned", "LatentDownscaler"}
    for base in (Forecaster, LatentDownscaler, PhyDL):
        assert base in made
    assert {GlobalVar3D, Adas, PhyDA} <= set(subclasses(Stored))


@EACH
def test_what_goes_in_comes_out(kind, saved) -> None:
    folder = saved(kind)
    assert sorted(p.name for p in folder.iterdir()) == sorted([CARD, MANIFEST, WEIGHTS])
    one, two = KINDS[kind](), physlab.load_model(folder)
    assert type(one) is type(two)
    again = physlab.save(two, folder.with_name(folder.name + "-again"))
    (mine, header), (yours, other) = arrays_of(folder), arrays_of(again)
    assert header == other and mine.keys() == yours.keys()
    assert all(mine[n].dtype == yours[n].dtype and np.array_equal(mine[n], yours[n]) for n in mine)
    assert json.loads((again / CARD).read_text()) == json.loads((folder / CARD).read_text())


@EACH
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers(kind, value, copied) -> None:
    folder = copied(kind)
    arrays, header = arrays_of(folder)
    name = max((n for n in arrays if arrays[n].dtype.kind == "f"), key=lambda n: arrays[n].size)
    arrays[name] = arrays[name].copy()
    arrays[name].flat[0] = value
    (folder / WEIGHTS).write_bytes(save(arrays, header))
    refused(folder, "NaN or infinite values")
    (folder / MANIFEST).unlink()  # nor in a folder without digests
    refused(folder, "NaN or infinite values")


@EACH
def test_another_name_on_the_card(kind, copied) -> None:
    """Of the class, of the network or of the constraint: one that is known, and one that is not."""
    folder = copied(kind)
    text = (folder / CARD).read_text()
    card = json.loads(text)
    if "class" in card:
        known = {"Adas": "PhyDA", "PhyDA": "Adas", "MultipleRegression": "Analog"}.get(
            card["class"], "MultipleRegression"
        )
        changes = [lambda c, v=v: c.update({"class": v}) for v in (known, "Transformer")]
    else:
        changes = [
            lambda c: c.update(constraint="mult"),
            lambda c: c.update(constraint="exact"),
            lambda c: c["network"].update({"class": "ResNet"}),
            lambda c: c["network"].update({"class": "Transformer"}),
        ]
    if kind == "latent diffusion":
        changes += [lambda c: c.update(constraint="add"), lambda c: c.update(constraint="exact")]
    for change in changes:
        (folder / CARD).write_text(text)
        edit(folder, change)
        refused(folder)


@EACH
def test_a_truncated_file_and_a_pickle_in_disguise(kind, copied, tmp_path) -> None:
    folder = copied(kind)
    whole = (folder / WEIGHTS).read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        (folder / WEIGHTS).write_bytes(whole[:size])
        refused(folder)

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"weight": Bomb()}, folder / WEIGHTS)
    refused(folder)
    (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    refused(folder)
    assert not (tmp_path / "executed").exists()


@EACH
def test_flipped_bits(kind, copied) -> None:
    folder = copied(kind)
    whole, rng = bytearray((folder / WEIGHTS).read_bytes()), np.random.default_rng(0)
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in rng.integers(start, len(whole), 5):
        changed = whole.copy()
        changed[at] ^= 1
        (folder / WEIGHTS).write_bytes(changed)
        refused(folder, "is not what was saved", "NaN or infinite")
    (folder / WEIGHTS).write_bytes(whole)
    physlab.load_model(folder)


@EACH
def test_a_number_on_the_card_times_ten(kind, copied) -> None:
    """Scales decide the units of what comes out; they and all other numbers are under the digest."""
    folder = copied(kind)

    def tenfold(card: dict) -> None:
        for key in ("scaling", "std", "space", "arguments", "latitude", "shape", "seed", "parameters", "sites"):
            if key in card:
                card[key] = json.loads(json.dumps(card[key]), parse_float=lambda x: 10 * float(x))
        card["note"] = 10

    edit(folder, tenfold)
    refused(folder)


@EACH
def test_a_scale_that_is_no_scale(kind, copied) -> None:
    folder = copied(kind)
    (folder / MANIFEST).unlink()
    text = (folder / CARD).read_text()
    for key, bad in (("scaling", {"offset": [0], "scale": [-1.0]}), ("scaling", {"scale": [0.0]}), ("std", [0.0, 1.0])):
        if key in json.loads(text):
            edit(folder, lambda card, key=key, bad=bad: card.update({key: bad}))
            refused(folder)
    (folder / CARD).write_text(text.replace("{", '{"extra": 1e999,', 1))
    refused(folder)


@EACH
def test_a_card_that_is_too_deep(kind, copied) -> None:
    folder = copied(kind)
    (folder / CARD).write_text('{"class": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001)
    refused(folder, "nested more than")


@EACH
def test_a_card_that_asks_for_too_much_is_refused_before_it_is_allocated(kind, copied) -> None:
    folder = copied(kind)
    text = (folder / CARD).read_text()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for size in (4000, 100_000, 10**9, -5):
        for digests in (True, False):
            (folder / CARD).write_text(text)

            def larger(card: dict, size: int = size) -> None:
                place = card["network"] if kind in ("network", "generator", "continuous") else card
                place = place.get("arguments", place)
                place[SIZES.get(kind, "kind")] = size

            edit(folder, larger)
            if not digests and kind not in SIZES:  # nothing on this card decides a size
                continue
            refused(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_a_method_without_weights_has_no_folder(tmp_path) -> None:
    with pytest.raises(PhysLabError, match="bicubic-x4 has learned nothing"):
        physlab.save(physlab.load_model("bicubic-x4"), tmp_path / "m")


@EACH
def test_saving_onto_a_folder_of_something_else(kind, saved, tmp_path) -> None:
    model = physlab.load_model(saved(kind))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"holds thesis\.tex"):
        physlab.save(model, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "mine" and len(list(tmp_path.rglob("*"))) == 2


def test_a_damaged_folder_of_any_kind_is_listed_with_its_reason(saved, tmp_path, monkeypatch) -> None:
    from physlab.zoo import PLACES

    for kind, place in PLACES.items():
        for name, content in (("deep", "[" * 100_000), ("empty", "{"), ("text", '{"seed": "x", "network": 3}')):
            folder = tmp_path / place / f"{name}-{place}"
            folder.mkdir(parents=True)
            (folder / CARD).write_text(content)
            (folder / WEIGHTS).write_bytes(b"")
        source = {"continuous": "continuous", "forecast": "forecaster", "statistical": "bcsd"}.get(kind, kind)
        good = Path(shutil.copytree(saved(source), tmp_path / place / f"good-{place}"))
        edited = Path(shutil.copytree(good, tmp_path / place / f"edited-{place}"))
        (edited / CARD).write_text((edited / CARD).read_text().replace("{", '{"seed": 7,', 1))
    monkeypatch.setenv("PHYSLAB_ASSETS", str(tmp_path))
    table = physlab.list_models().set_index("name")
    assert "tcw-x4-softmax-s0" in table.index  # what ships is listed behind them
    for place in PLACES.values():
        for name in ("deep", "empty", "edited"):
            assert "unusable" in table.loc[f"{name}-{place}", "kind"], (name, place)
        assert f"text-{place}" in table.index
        assert "unusable" not in table.loc[f"good-{place}", "kind"]
