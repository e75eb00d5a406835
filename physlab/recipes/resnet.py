"""SR-CNN (Harder et al. 2023), the network of the paper and of the course report, with a bicubic skip and as published.

Without the skip ("plain") an unconstrained network has to rebuild the coarse field from scratch, while a constraint
layer hands it over for free: most of the gain that published tables credit to the constraint is this gift.
"""

from physlab.recipes._presets import PLAIN, SKIP, as_reported, large, published, small
from physlab.train.recipe import Recipe

FULL = {"channels": 64, "blocks": 4}


def recipe(factor: int, label: str, size: dict, steps: int, constraints: tuple[str, ...], **settings) -> Recipe:
    skip = {name: size[name] for name in ("skip", "zero_start") if name in size}
    presets = {
        "cpu": small("ResNet", size, steps=steps, **settings),
        "full": large("ResNet", {**FULL, **skip}),
    }
    if size["skip"] == "none":
        presets["report"] = as_reported("ResNet", {**FULL, **PLAIN})
        presets["published"] = published("ResNet", {**FULL, **PLAIN})
    title = "SR-CNN as published" if size["skip"] == "none" else "SR-CNN"
    return Recipe("tcw", factor, presets, constraints, label=label, title=title)


TINY = {"channels": 16, "blocks": 2, **PLAIN}  # 400 steps: the report's networks had 320
RECIPES = [
    recipe(2, "srcnn-plain", TINY, 400, ("none", "softmax"), crop=48),
    recipe(4, "srcnn-plain", TINY, 400, ("none", "softmax")),
    recipe(4, "srcnn", {"channels": 24, "blocks": 3, **SKIP}, 800, ("none", "add")),
]
