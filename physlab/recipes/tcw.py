"""Column water of the laboratory atmosphere, to 128 x 128: factor 4 is the main comparison of the constraint layers."""

from physlab.recipes._presets import compact, full
from physlab.train.recipe import Recipe

SCORES = {  # factor -> RMSE that each constraint reached, kg m-2
    2: {"none": 0.3948, "soft": 0.5098, "add": 0.3944, "scaled_add": 0.3943, "mult": 0.3954, "softmax": 0.3996},
    4: {"none": 1.6509, "soft": 1.851, "add": 1.6501, "scaled_add": 1.6492, "mult": 1.6502, "softmax": 1.6581},
    8: {"none": 3.6748, "soft": 3.8999, "add": 3.6853, "scaled_add": 3.6876, "mult": 3.6852, "softmax": 3.6846},
}
CPU = {  # factor -> what a compact network needs
    2: {"channels": 32, "crop": 48, "validate_every": 225},
    4: {"channels": 48, "crop": 64, "validate_every": 150},
    8: {"channels": 48, "validate_every": 100},
}
RECIPES = [
    Recipe(
        task="tcw",
        factor=factor,
        presets={
            "cpu": compact(blocks=4, steps=900, batch=16, rate=3e-3, flips="y", **CPU[factor]),
            "full": full(flips="y"),
        },
        expected=expected,
    )
    for factor, expected in SCORES.items()
]
