"""ERA5 2-metre temperature over the British Isles, 8 x 12 to 32 x 48; the network learns a map of the fixed domain."""

from physlab.recipes._presets import compact, full
from physlab.train.recipe import Recipe

RECIPE = Recipe(
    task="era5-uk-t2m",
    factor=4,
    presets={
        "cpu": compact(32, 2, steps=400, batch=16, rate=3e-3, flips="", validate_every=25, patience=8),
        "full": full(flips="", steps=1600),
    },
    geography=True,
    expected={"none": 0.3988, "soft": 0.482, "add": 0.39, "scaled_add": 0.3912, "mult": 0.3902, "softmax": 0.3905},
)
