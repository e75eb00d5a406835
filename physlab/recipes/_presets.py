"""What the recipes share: the two presets."""

from __future__ import annotations

from physlab.train.recipe import Preset
from physlab.train.settings import Settings


def full(flips: str, steps: int = 6400) -> Preset:
    """The SR-CNN at its published size (64 channels, 4 blocks at fine resolution), with a bicubic skip; for a GPU."""
    settings = Settings(
        steps=steps, batch=64, rate=1e-3, ema=0.999, flips=flips, validate_every=max(1, steps // 40), patience=10
    )
    return Preset("ResNet", {"channels": 64, "blocks": 4, "skip": "bicubic", "zero_start": True}, settings)


def compact(channels: int, blocks: int, **settings) -> Preset:
    """The compact network; minutes on one CPU core."""
    return Preset("CompactResNet", {"channels": channels, "blocks": blocks}, Settings(**settings))
