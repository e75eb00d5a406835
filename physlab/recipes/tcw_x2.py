"""Column water of the laboratory atmosphere, 64 x 64 to 128 x 128."""

from physlab.recipes._presets import compact, full
from physlab.train.recipe import Recipe

RECIPE = Recipe(
    task="tcw",
    factor=2,
    presets={
        "cpu": compact(32, 4, steps=900, batch=16, rate=3e-3, crop=48, flips="y", validate_every=225),
        "full": full(flips="y"),
    },
    expected={"none": 0.3948, "soft": 0.5098, "add": 0.3944, "scaled_add": 0.3943, "mult": 0.3954, "softmax": 0.3996},
)
