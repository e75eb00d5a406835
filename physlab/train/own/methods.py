"""Which method a name means: those of the registry and of the recipes, under the names that people use."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from physlab.errors import PhysLabError
from physlab.registry import names, specs
from physlab.train.recipe import Preset, Recipe, list_recipes
from physlab.train.settings import Settings

ALIASES = {
    "linear regression": "linear", "multiple regression": "linear", "ols": "linear", "ridge regression": "ridge",
    "quantile mapping": "eqm", "quantile map": "eqm", "quantile-map": "eqm", "quantile delta mapping": "qdm",
    "latent diffusion": "latent", "latent-diffusion": "latent", "diffusion": "latent", "ldm": "latent",
    "compactresnet": "compact", "analogue": "analog", "analogs": "analog", "forest": "random forest",
    "sr-cnn": "resnet",
    "flowconvgru": "flowgru", "voxel flow": "flowgru", "voxelflow": "flowgru", "esrgan": "esrgan",
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """What is trained.

    Attributes
    ----------
    name : as it is shown.
    family : "statistical", "network" or "latent"; see :data:`physlab.train.own.fit.FAMILIES`.
    part : name in the registry.
    options : of a statistical method.
    preset : network, its size and its settings.
    frames : coarse frames in, fine frames out.
    """

    name: str
    family: str
    part: str
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: Preset | None = None
    frames: tuple[int, int] = (1, 1)


def known_methods() -> dict[str, str]:
    """Name -> family of all that ``physlab train METHOD TRUTH OUT`` takes."""
    found = {name: "statistical" for name, spec in specs("methods").items() if spec.kind == "statistical"}
    found |= {"ridge": "statistical", "latent": "latent"}
    for label in labels():
        found.setdefault(label, "network")
    for name in names("networks"):
        found.setdefault(name.lower(), "network")
    return found


def labels() -> dict[str, list[Recipe]]:
    """Label of a network in the recipes -> its recipes; "compact" for the one without."""
    found: dict[str, list[Recipe]] = {}
    for recipe in list_recipes().values():
        if not (recipe.teacher or recipe.start):
            found.setdefault(recipe.label or "compact", []).append(recipe)
    return found


def method_of(name: str, preset: str = "cpu", factor: int = 4, frames: int = 1) -> Method:
    """The method of a name.

    Parameters
    ----------
    preset : of a network: "cpu" (minutes on a laptop) or "full" (the published size).
    factor, frames : what it is wanted for, where a name has several recipes.

    Raises
    ------
    PhysLabError : unknown, with the near names.
    """
    text = " ".join(name.strip().lower().split())
    text = ALIASES.get(text, text)
    known = known_methods()
    if text not in known:
        titles = {spec.title.lower(): spec for group in ("methods", "networks") for spec in specs(group).values()}
        if text in titles:
            text = titles[text].name if titles[text].kind == "statistical" else titles[text].name.lower()
    if text not in known:
        near = difflib.get_close_matches(text, [*known, *ALIASES], n=4, cutoff=0.5)
        near += [k for k in known if text and text in k and k not in near][: 4 - len(near)]
        near = list(dict.fromkeys(ALIASES.get(k, k) for k in near))
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
        raise PhysLabError(f"unknown method {name!r} for data of your own: {hint}")
    if known[text] == "statistical":
        return Method(
            text, "statistical", "linear" if text == "ridge" else text, {"alpha": 10.0} if text == "ridge" else {}
        )
    if known[text] == "latent":
        return Method("latent", "latent", "latent")
    return network_of(text, preset, factor, frames)


def network_of(label: str, preset: str, factor: int, frames: int) -> Method:
    """A network by the label of its recipes, or by its own name."""
    found = labels().get(label, [])
    if not found:
        part = next(n for n in names("networks") if n.lower() == label)
        found = [r for rs in labels().values() for r in rs if r.presets["cpu"].network == part]
    if not found:  # a network that no recipe suits
        part = next(n for n in names("networks") if n.lower() == label)
        spec = specs("networks")[part]
        given = dict(spec.facts.get("recipe", {}))
        chosen = Preset(part, given.pop("arguments", {}), Settings(steps=given.pop("steps", 400), **given))
        return Method(label, "network", part, preset=chosen, frames=spec.frames)
    best = sorted(
        found, key=lambda r: (_frames(r) != (frames, frames), r.factor != factor, not r.task.startswith("tcw"))
    )[0]
    if preset not in best.presets:
        raise PhysLabError(f"{label} has no preset {preset!r}: choose one of {', '.join(best.presets)}")
    chosen = best.presets[preset]
    return Method(label, "network", chosen.network, preset=chosen, frames=_frames(best))


def _frames(recipe: Recipe) -> tuple[int, int]:
    return {"tcw-t1": (3, 3), "tcw-t2": (2, 3)}.get(recipe.task, (1, 1))


def suited(preset: Preset, shape: tuple[int, int], factor: int, samples: int, fixed: bool, steps: int | None) -> Preset:
    """The preset for fields of a shape (H, W): windows that fit, batches that are there, no mirror images of a "
    "place."""
    settings = preset.settings
    crop = settings.crop
    if crop is not None:
        largest = min(shape) // factor * factor
        crop = None if fixed or crop >= largest else crop // factor * factor
    changes: dict[str, Any] = {"crop": crop, "flips": "" if fixed else settings.flips.replace("y", "")}
    changes["batch"] = max(1, min(settings.batch, samples))
    if steps is not None:
        changes |= {"steps": steps, "validate_every": max(1, min(settings.validate_every, steps // 8 or 1))}
    adversarial = preset.adversarial
    if adversarial is not None:
        adversarial = replace(adversarial, physics=False)
        if steps is not None:
            adversarial = replace(adversarial, steps=max(1, steps * adversarial.steps // max(1, settings.steps)))
    return replace(preset, settings=replace(settings, **changes), adversarial=adversarial)
