"""Column water of the laboratory atmosphere, 16 x 16 to 128 x 128."""

from physlab.recipes._presets import compact, full
from physlab.train.recipe import Recipe

RECIPE = Recipe(
    task="tcw",
    factor=8,
    presets={
        "cpu": compact(48, 4, steps=900, batch=16, rate=3e-3, flips="y", validate_every=100),
        "full": full(flips="y"),
    },
    expected={"none": 3.6748, "soft": 3.8999, "add": 3.6853, "scaled_add": 3.6876, "mult": 3.6852, "softmax": 3.6846},
)
