"""Column water of the laboratory atmosphere, 32 x 32 to 128 x 128: the main comparison of the constraint layers."""

from physlab.recipes._presets import compact, full
from physlab.train.recipe import Recipe

RECIPE = Recipe(
    task="tcw",
    factor=4,
    presets={
        "cpu": compact(48, 4, steps=900, batch=16, rate=3e-3, crop=64, flips="y", validate_every=150),
        "full": full(flips="y"),
    },
    expected={"none": 1.6509, "soft": 1.851, "add": 1.6501, "scaled_add": 1.6492, "mult": 1.6502, "softmax": 1.6581},
)
