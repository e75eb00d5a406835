"""Recipes for networks that have none of their own: any registered one can be trained at once.

A network says in its decorator what it wants to be trained with, all of it optional::

    @register("Tiny", title="A tiny network", recipe={"arguments": {"channels": 8}, "steps": 300, "batch": 16})
    class Tiny(Upscaler):
        ...

gives `tcw-x2-tiny`, `tcw-x4-tiny`, `tcw-x8-tiny` and `era5-uk-t2m-x4-tiny`.
"""

from __future__ import annotations

from physlab.recipes._presets import large, small
from physlab.registry import Spec
from physlab.train.recipe import Recipe

TASKS = {
    (1, 1): (("tcw", 2), ("tcw", 4), ("tcw", 8), ("era5-uk-t2m", 4)),
    (3, 3): (("tcw-t1", 4),),
    (2, 3): (("tcw-t2", 4),),
}
STEPS = 400


def recipes_of(spec: Spec) -> list[Recipe]:
    """A recipe for each task whose frames the network takes, and each factor that it can do.

    Raises
    ------
    PhysLabError : settings in the decorator that training does not have.
    """
    given = dict(spec.facts.get("recipe", {}))
    arguments, steps = dict(given.pop("arguments", {})), given.pop("steps", STEPS)
    made = []
    for task, factor in TASKS.get(spec.frames, ()):
        if spec.factors and factor not in spec.factors:
            continue
        fixed = {"flips": "", "crop": None} if task.startswith("era5") else {}
        presets = {
            "cpu": small(spec.name, arguments, steps, **{**fixed, **given}),
            "full": large(spec.name, arguments, **{**fixed, **given}),
        }
        made.append(Recipe(task, factor, presets, label=spec.name.lower(), title=spec.title))
    return made
