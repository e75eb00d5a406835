"""The first networks: SRCNN (Dong et al. 2014), DeepSD with elevation (Vandal et al. 2017), ESPCN (Shi et al. 2016)."""

from dataclasses import replace

from physlab.recipes._presets import SKIP, large, small
from physlab.train.recipe import Recipe

BOTH = ("none", "add")
RECIPES = [
    Recipe(
        "tcw",
        4,
        {"cpu": small("SRCNN", {**SKIP}, steps=250), "full": large("SRCNN", {**SKIP})},
        ("none",),
        label="dong",
    ),
    Recipe(
        "tcw",
        4,
        {
            "cpu": small("DeepSD", {"residual": True, **SKIP}, steps=150),
            "full": large("DeepSD", {"residual": True, **SKIP}),
        },
        ("none",),
        label="deepsd",
    ),
    Recipe(  # as published: each stage against the truth averaged to its resolution
        "tcw",
        4,
        {
            "cpu": replace(small("DeepSD", {"residual": True, **SKIP}, steps=150), stagewise=True),
            "full": replace(large("DeepSD", {"residual": True, **SKIP}), stagewise=True),
        },
        ("none",),
        label="deepsd-staged",
        title="DeepSD, staged",
    ),
    Recipe(
        "tcw",
        4,
        {"cpu": small("ESPCN", {**SKIP}, steps=1500, rate=3e-3), "full": large("ESPCN", {**SKIP})},
        BOTH,
        label="espcn",
    ),
    Recipe(  # a wider ESPCN that learns from the truth and from EDSR; at most a tenth of the teacher's parameters
        "tcw",
        4,
        {
            "cpu": small("ESPCN", {"channels": [96, 48], **SKIP}, steps=1500, rate=3e-3),
            "full": large("ESPCN", {"channels": [96, 48], **SKIP}),
        },
        ("add",),
        label="espcn-distilled",
        title="ESPCN, distilled",
        teacher="tcw-x4-edsr",
    ),
]
