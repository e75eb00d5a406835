"""Column water in hourly triplets, by the compact network: frame by frame, and with the motion between the frames.

There are 160 triplets of twenty days to learn from, but 1,024 single frames of 130 days (`tcw-x4`), and the number of
independent weather situations matters more than anything else. "frames" and "motion" therefore start from the network
of single frames and train its first layer only (with all layers they overfit within fifty steps); they differ only in
that "motion" sees how the coarse field changes from hour to hour. "srcnn" is the SR-CNN of the paper, frame by frame.
"""

from typing import Any

from physlab.recipes._presets import SKIP, compact, full, large, small
from physlab.train.recipe import Preset, Recipe

COMPACT = {"channels": 48, "blocks": 4}
MOVING = {**COMPACT, "amplify": 20.0}
GENTLE: dict[str, Any] = {"steps": 300, "rate": 2e-3, "batch": 8}
FROM_FRAMES: dict[str, Any] = {"start": "tcw-x4", "trains": ("head",)}


def _recipe(cpu: Preset, full: Preset, label: str = "", **more: Any) -> Recipe:
    return Recipe("tcw-t1", 4, {"cpu": cpu, "full": full}, constraints=("none",), label=label, **more)


RECIPES = [
    _recipe(
        compact(**COMPACT, steps=900, batch=16, rate=3e-3, crop=64, flips="y", validate_every=150), full(flips="y")
    ),
    _recipe(
        small("CompactResNet", COMPACT, **GENTLE),
        large("CompactResNet", COMPACT, steps=1600),
        "frames",
        title="Compact network, frame by frame",
        **FROM_FRAMES,
    ),
    _recipe(
        small("MotionResNet", MOVING, **GENTLE), large("MotionResNet", MOVING, steps=1600), "motion", **FROM_FRAMES
    ),
    _recipe(
        small("ResNet", {"channels": 24, "blocks": 3, **SKIP}, steps=250),
        large("ResNet", {"channels": 64, "blocks": 4, **SKIP}),
        "srcnn",
    ),
]
