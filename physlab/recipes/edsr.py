"""EDSR (Lim et al. 2017): the trunk at coarse resolution, wide and deep."""

from physlab.recipes._presets import SKIP, large, small
from physlab.train.recipe import Recipe

RECIPE = Recipe(
    task="tcw",
    factor=4,
    label="edsr",
    presets={
        "cpu": small(
            "EDSR", {"channels": 64, "blocks": 8, "upsample": "single", **SKIP}, steps=1100, rate=1.5e-3, ema=0.995
        ),
        "full": large("EDSR", {"channels": 64, "blocks": 16, **SKIP}),
    },
    constraints=("none", "add", "softmax"),
)
