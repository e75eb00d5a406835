"""Sequences: ConvGRU (after Leinonen et al. 2021), voxel flow with ConvGRU, and a residual U-Net with flow (ERU-Net).

"convgru-plain" on single frames and on triplets are the rows of the course report; there it was called FlowConvGRU
once, but held no flow: the preset "report" of "flowgru" is what the name meant. The report had 300 triplets, 100 steps
in 20 epochs; here there are 160, and the number of steps is kept. "pid-gan" trains a ConvGRU of triplets against a
discriminator that sees the residual of the water budget.
"""

from physlab.recipes._presets import PLAIN, SKIP, as_reported, large, published, small
from physlab.train.adversarial import Adversarial
from physlab.train.recipe import Recipe

GRU = {"channels": 32, "blocks": 2, "state_blocks": 2, "upsample": "shuffle"}
PUBLISHED = {"channels": 64, "blocks": 4}


def recipe(task: str, label: str, network: str, size: dict, sizes: dict, steps: int, constraints, **settings) -> Recipe:
    presets = {"cpu": small(network, size, steps, **settings), "full": large(network, sizes, batch=16)}
    if label in ("convgru-plain", "flowgru"):
        chosen = {**sizes, **PLAIN}, 320 if task == "tcw" else 100
        presets |= {"report": as_reported(network, *chosen), "published": published(network, *chosen)}
    return Recipe(
        task, 4, presets, constraints, label=label, title="ConvGRU as reported" if label == "convgru-plain" else ""
    )


PHYSICS = Adversarial(steps=100, weight=3e-3, rate=3e-4, rate_d=5e-4, physics=True, channels=16)
RECIPES = [
    recipe(
        "tcw",
        "convgru-plain",
        "ConvGRU",
        {"frames": 1, **GRU, **PLAIN},
        {"frames": 1, **PUBLISHED, **PLAIN},
        350,
        ("none", "soft", "softmax"),
    ),
    recipe(
        "tcw-t1",
        "convgru-plain",
        "ConvGRU",
        {**GRU, **PLAIN},
        {**PUBLISHED, **PLAIN},
        350,
        ("none", "softmax"),
        batch=8,
    ),
    recipe(
        "tcw-t1",
        "convgru",
        "ConvGRU",
        {**GRU, "channels": 48, **SKIP},
        {**PUBLISHED, **SKIP},
        600,
        ("none",),
        batch=8,
    ),
    recipe(
        "tcw-t2",
        "flowgru",
        "FlowConvGRU",
        {**GRU, "flow_channels": [16, 32, 48], "norm": False, **SKIP},
        {**PUBLISHED, **SKIP},
        400,
        ("add",),
        batch=8,
    ),
    recipe("tcw-t2", "erunet", "ERUNet", {"channels": 24, **SKIP}, {"channels": 64, **SKIP}, 700, ("add",), batch=8),
    Recipe(
        "tcw-t1",
        4,
        {
            "cpu": small("ConvGRU", {**GRU, **SKIP}, 200, PHYSICS, batch=4, crop=None, flips=""),
            "full": large("ConvGRU", {**PUBLISHED, **SKIP}, "", adversarial=PHYSICS, batch=16),
        },
        ("none",),
        label="pid-gan",
        title="PID-GAN",
    ),
]
