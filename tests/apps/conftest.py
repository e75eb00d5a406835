"""A small laboratory for the explorer's tests: two tiny data sets, networks that are interpolation, no files."""

from __future__ import annotations

import random
import string
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the apps are not an installed package

import physlab
from apps import store as store_module
from apps.state import Choice
from physlab.data.patches import Frames, pair
from physlab.downscale import Interpolate
from physlab.errors import CheckpointError, FieldError
from physlab.fields import Scaling
from physlab.zoo import load_model

FRAMES = {"tcw": 7, "era5-uk-t2m": 5}


class PretendNetwork(Interpolate):
    """Bicubic plus a ripple, then the layer: violates conservation unless constrained, as a network does."""

    def __init__(self, name: str, factor: int, constraint: str) -> None:
        super().__init__("bicubic", factor, "none" if constraint == "soft" else constraint)
        self.name, self.variable = name, None
        self.card = {
            "name": name,
            "constraint": constraint,
            "seed": 0,
            "scores": {},
            "network": {"class": "PretendNetwork"},
        }

    def predict(self, coarse, weights=None):
        fine = Interpolate("bicubic", self.factor).predict(coarse, weights)
        fine = fine + 0.1 * torch.sin(torch.arange(fine.shape[-1]) / 2.0)
        if self.constraint == "softmax":
            fine = torch.log(fine.clamp_min(1e-6))
        return self.layer(fine, coarse, weights)


def frames(task: str) -> Frames:
    """Smooth random fields on a 32 x 32 grid (tropics to pole) or 16 x 24 grid (north first, as ERA5 is stored)."""
    rng = np.random.default_rng(5)
    n = FRAMES[task]
    shape = (32, 32) if task == "tcw" else (16, 24)
    y, x = np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij")
    waves = sum(
        rng.normal(size=(n, 1, 1)) / k * np.sin(2 * np.pi * (k * x + (k % 3) * y) + rng.uniform(0, 6, (n, 1, 1)))
        for k in range(1, 9)
    )
    field = 3.0 + np.exp(1.0 + 0.8 * waves) if task == "tcw" else 280.0 + 4.0 * waves
    latitude = np.linspace(-80, 80, shape[0]) if task == "tcw" else np.linspace(58, 50, shape[0])
    start = np.arange(n) * 50.0 if task == "tcw" else np.full(n, -10.0)
    step = 360.0 / 64 if task == "tcw" else 0.5
    time = np.datetime64("2001-01-01", "ns") + np.arange(n) * np.timedelta64(6, "h")
    return Frames(
        task=task, variable="tcw" if task == "tcw" else "t2m", units="kg m-2" if task == "tcw" else "K",
        non_negative=task == "tcw", values={"test": field.astype(np.float32)}, time={"test": time},
        longitude={"test": start[:, None] + step * np.arange(shape[1])}, latitude=latitude, gap=48.0, rule="made up",
        statistics=Scaling((0.0,), (20.0,)) if task == "tcw" else Scaling((280.0,), (4.0,)),
    )  # fmt: skip


@pytest.fixture
def lab(monkeypatch):
    """Replaces data and zoo by the small laboratory; networks for UK temperature exist at factor 4 only."""

    def pretend_pairs(task, factor, splits=("test",)):
        if task not in FRAMES:
            raise FieldError(f"unknown task '{task}'")
        return pair(frames(task), factor)

    def pretend_zoo(name, device=None):
        task, _, _ = name.rpartition("-x")
        if task in FRAMES:
            raise CheckpointError(f"no model {name!r}")
        for known in FRAMES:
            if name.startswith(f"{known}-x"):
                factor, _, constraint = name.removeprefix(f"{known}-x").partition("-")
                if known == "era5-uk-t2m" and factor != "4":
                    raise CheckpointError(f"no model {name!r}")
                return PretendNetwork(name, int(factor), constraint)
        return load_model(name, device)

    monkeypatch.setattr(store_module, "sr_pairs", pretend_pairs)
    monkeypatch.setattr("physlab.data.sr_pairs", pretend_pairs, raising=False)
    monkeypatch.setattr(physlab, "load_model", pretend_zoo, raising=False)
    return pretend_pairs


@pytest.fixture
def store(lab):
    """A store on the small laboratory."""
    return store_module.Store(threads=None)


def random_link(rng: random.Random) -> str:
    """A link gone wrong: good entries, bad values, repeated names, foreign letters, broken escapes."""
    names = [*asdict(Choice()), "v", "hide", "view", "", "constructor", "__class__", "frame[]"]
    values = [
        "",
        "tcw",
        "era5-uk-t2m",
        "4",
        "16",
        "-1",
        "1e3",
        "NaN",
        "inf",
        "99999999999999999999",
        "²",
        "٣",
        "softmax",
        "soft,add",
        "<script>alert(1)</script>",
        "%00",
        "%ff%fe",
        "../../etc/passwd",
        "None",
        "true",
        "truth,scores",
        "'; drop table",
        "\u202e",
    ]
    parts = []
    for _ in range(rng.randrange(0, 12)):
        value = (
            rng.choice(values) if rng.random() < 0.8 else "".join(rng.choices(string.printable, k=rng.randrange(60)))
        )
        parts.append(rng.choice(names) + rng.choice(["=", "=", "=", "", "=="]) + value)
    link = rng.choice(["?", "", "??", "#"]) + rng.choice(["&", "&", ";", "&&"]).join(parts)
    return link * (200 if rng.random() < 0.03 else 1)


@pytest.fixture
def broken_links():
    """Many links gone wrong: broken_links(number, seed)."""

    def make(number: int, seed: int) -> list[str]:
        rng = random.Random(seed)
        return [random_link(rng) for _ in range(number)]

    return make
