"""What the recipes share: presets by network, and the window of each factor."""

from __future__ import annotations

from physlab.train.adversarial import Adversarial
from physlab.train.recipe import Preset
from physlab.train.settings import Settings

SKIP = {"skip": "bicubic", "zero_start": True}
"""The untrained network is bicubic interpolation."""
PLAIN = {"skip": "none"}
"""As published: the network has to find the coarse field in its input like everything else."""


def full(flips: str, steps: int = 6400) -> Preset:
    """The SR-CNN at its published size (64 channels, 4 blocks at fine resolution), with a bicubic skip; for a GPU."""
    return large("ResNet", {"channels": 64, "blocks": 4, **SKIP}, flips, steps)


def large(
    network: str,
    arguments: dict,
    flips: str = "y",
    steps: int = 6400,
    adversarial: Adversarial | None = None,
    **settings,
) -> Preset:
    """A published size, for a GPU: 6,400 steps of 32 are 200 epochs of 1,024 patches."""
    chosen = {"batch": 32, "rate": 1e-3, "ema": 0.999, "validate_every": max(1, steps // 40), "patience": 10}
    return Preset(network, arguments, Settings(steps=steps, flips=flips, **{**chosen, **settings}), adversarial)


def as_reported(
    network: str, arguments: dict, steps: int = 320, adversarial: Adversarial | None = None, **settings
) -> Preset:
    """Exactly the settings of the course report: Adam at a constant 1e-3 without warm-up, clipping or averaged weights,
    batches of 64, 20 epochs of 1,024 samples, single precision, the weights that validate best after an epoch.

    What the report got wrong by mistake is not repeated: a row that is named after a constraint has it, the penalty of
    "soft" reaches every loss, and all frames are scaled alike.
    """
    chosen = {
        "batch": 64, "rate": 1e-3, "warm_up": 0.0, "schedule": "constant", "decay": 1e-9, "clip": 1e9, "ema": 0.0,
        "precision": "fp32", "flips": "", "validate_every": max(1, steps // 20), "patience": 20,
    }  # fmt: skip
    return Preset(network, arguments, Settings(steps=steps, **{**chosen, **settings}), adversarial)


def published(network: str, arguments: dict, *stage, **settings) -> Preset:
    """The network, the optimiser and the 320 steps of the report for ten minutes of one CPU core: batches of 16 random
    windows of 64 x 64, as the compact networks have, in bfloat16 where the processor multiplies in it.

    Networks that are bound to the size of the field take 4 whole fields instead (``crop=None, batch=4``), as many
    points. Both is a sixteenth of the points of the report's batches.
    """
    chosen = {"batch": 16, "crop": 64, "precision": "auto", "validate_every": 80}
    return as_reported(network, arguments, *stage, **{**chosen, **settings})


def compact(channels: int, blocks: int, **settings) -> Preset:
    """The compact network; minutes on one CPU core."""
    return Preset("CompactResNet", {"channels": channels, "blocks": blocks}, Settings(**settings))


def small(network: str, arguments: dict, steps: int, adversarial: Adversarial | None = None, **settings) -> Preset:
    """Any network at a size for one CPU core."""
    chosen = {"batch": 16, "rate": 2e-3, "flips": "y", "crop": 64, "validate_every": max(1, steps // 4), "patience": 9}
    return Preset(network, arguments, Settings(steps=steps, **{**chosen, **settings}), adversarial)
