"""The zoo: every method by name, whether it was trained here, ships, or needs no training.

Folders of trained methods lie under ``assets/``, those of each kind in a place of their own (:data:`PLACES`). Methods
without a folder are those of the registry: interpolation, statistical methods, and assimilation of your own fields.
Lists are made from the cards and from the registry alone, so that they need neither torch nor a healthy folder.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physlab import registry
from physlab.data.assets import asset_folders, missing_assets
from physlab.data.published import fetch_model, is_address
from physlab.errors import CheckpointError, PhysLabError, one_line
from physlab.store import CARD, WEIGHTS, published, read_card, recover, verify
from physlab.store.published import Published

if TYPE_CHECKING:
    import pandas as pd
    import torch

#: Kind of the trained methods -> folder below the assets; downscaling networks say on their card which kind they are.
PLACES = {
    "network": "checkpoints",
    "continuous": "fields",
    "forecast": "forecasts",
    "assimilation": "assimilators",
    "latent diffusion": "ensembles",
    "statistical": "statistical",
}
COLUMNS = (
    "name", "kind", "task", "factor", "constraint", "seed", "preset", "units", "rmse_val", "rmse_test", "parameters",
)  # fmt: skip
BASELINE = re.compile(r"(nearest|bicubic)(?:\+([\w-]+))?-x([0-9]{1,2})")
FACTORS = (2, 4, 8)  # of the baselines in the list; any other may be asked for
PRESETS = "full|report|published"  # that stand in the names of checkpoints; "cpu" does not
METHODS = (
    "statistical",
    "field assimilation",
    "adjustment",
)  # kinds of the registry that have a name of their own in the zoo


def folders_of(kind: str) -> dict[str, Path]:
    """Name -> folder of the trained methods of a kind of :data:`PLACES`.

    A folder that PHYSLAB_ASSETS names comes before the package.
    """
    found: dict[str, Path] = {}
    for parent in asset_folders():
        for folder in sorted((parent / PLACES[kind]).glob("*")):
            if not folder.name.startswith(".") and (folder / CARD).is_file() and (folder / WEIGHTS).is_file():
                found.setdefault(folder.name, folder)
    return dict(sorted(found.items()))


def checkpoint_folders() -> dict[str, Path]:
    """Name -> folder of the downscaling networks that are here."""
    return folders_of("network")


def assimilator_folders() -> dict[str, Path]:
    """Name -> folder of the trained methods of data assimilation (:class:`physlab.assimilate.Learned`)."""
    return folders_of("assimilation")


def parts(name: str) -> dict[str, str | None] | None:
    """Task, factor, label, constraint, preset (None for "cpu") and seed in the name of a network that a recipe made;
    None for another name."""
    layers = "|".join(sorted(map(re.escape, registry.specs("constraints")), key=len, reverse=True))
    form = (
        rf"(?P<task>.+?)-x(?P<factor>\d+)(?:-(?P<label>.+?))?-(?P<constraint>{layers})"
        rf"(?:-(?P<preset>{PRESETS}))?(?:-s(?P<seed>\d+))?"
    )
    match = re.fullmatch(form, name)
    return match.groupdict() if match else None


def preferred(name: str, known: Mapping[str, Path]) -> str | None:
    """The checkpoint that a name without seed and preset stands for: of the first seed, the best on validation.

    Those of other presets count if they were validated on the same data as the one of "cpu", or if there is none.
    """
    wanted = parts(f"{name}-s0")
    if wanted is None or wanted["preset"] is not None:
        return f"{name}-s0" if f"{name}-s0" in known else None
    names = [n for n in (f"{name}-s0", *(f"{name}-{p}-s0" for p in PRESETS.split("|"))) if n in known]
    if len(names) < 2:
        return names[0] if names else None
    found: list[tuple[float, str]] = []
    data = None
    for one in names:
        with contextlib.suppress(PhysLabError, TypeError, KeyError, AttributeError):
            card = read_card(known[one])
            own = (card.get("split_hashes") or {}).get("val")
            data = own if data is None else data
            if own == data:
                found.append((float(card["scores"]["val"]["rmse"]), one))
    return min(found)[1] if found else names[0]


def baselines() -> Iterator[tuple[str, int, str]]:
    """Name, factor and constraint of the methods without training."""
    layers = [name for name, spec in registry.specs("constraints").items()
              if name != "none" and spec.facts.get("layer", True) and spec.facts.get("by_name", True)]  # fmt: skip
    for factor in FACTORS:
        yield f"nearest-x{factor}", factor, "none"
        yield f"bicubic-x{factor}", factor, "none"
        for layer in layers:
            yield f"bicubic+{layer}-x{factor}", factor, layer


def model_rows() -> list[dict[str, Any]]:
    """The rows of :func:`list_models`."""
    rows: list[dict[str, Any]] = []
    for kind in PLACES:
        for name, folder in folders_of(kind).items():
            try:
                row = {"name": name, "kind": kind, **_row(kind, read_card(folder))}
                verify(folder, (CARD,))
                rows.append(_checked(row))
            except (PhysLabError, TypeError, KeyError, AttributeError) as error:
                line = one_line(error, 200)
                rows.append({"name": name, "kind": f"unusable: {line}"})
    for name, factor, constraint in baselines():
        row = {"task": "any", "factor": factor, "constraint": constraint, "parameters": 0}
        rows.append({"name": name, "kind": "baseline", **row})
    for spec in registry.specs("methods").values():
        if spec.problem:
            rows.append({"name": spec.name, "kind": f"unusable: {spec.problem}"})
        elif spec.kind in METHODS:
            rows.append({"name": spec.name, "kind": spec.kind, "task": "any"})
    return rows


def _row(kind: str, card: Mapping) -> dict[str, Any]:
    """What a card says of a trained method; a KeyError or the like for what it does not say."""
    made = str(card.get("class", ""))
    if kind == "network" and made not in ("", "Informed"):  # any kind of method may lie there
        kind = "latent diffusion" if made == "LatentDownscaler" else "statistical"
        return {"kind": kind, **_row(kind, card)}
    if kind != "network":
        known = (
            ("task", "factor", "seed", "units", "parameters")
            if kind == "statistical"
            else ("task", "seed", "parameters")
        )
        return {key: card.get(key) for key in known}
    missing = [key for key in ("name", "task", "factor", "constraint", "network") if key not in card]
    if missing:
        raise CheckpointError(f"the card lacks {', '.join(missing)}: restore it, or train again")
    scores = card.get("scores", {})
    return {
        "kind": kind_of(card), "task": card["task"], "factor": card["factor"], "constraint": card["constraint"],
        "seed": card.get("seed"), "preset": card.get("preset"), "units": card.get("units"),
        "rmse_val": scores.get("val", {}).get("rmse"), "rmse_test": scores.get("test", {}).get("rmse"),
        "parameters": card["network"].get("parameters"),
    }  # fmt: skip


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """Refuse a card on which a number is none: it would spoil the whole list."""
    for key in ("factor", "seed", "parameters", "rmse_val", "rmse_test"):
        value, whole = row.get(key), not key.startswith("rmse")
        good = type(value) is int and abs(value) < 2**53 if whole else isinstance(value, int | float)
        if value is not None and not good:
            raise CheckpointError(f"the card says {key} {value!r}, which is no {'whole ' * whole}number: restore it")
    return row


def list_models() -> pd.DataFrame:
    """One row per method: name, kind, task, factor, constraint, seed, preset, test and validation RMSE with unit,
    parameters.

    A folder whose card cannot be read, and a method that cannot be loaded, is listed with the reason in `kind`.
    """
    import pandas as pd

    table = pd.DataFrame(model_rows(), columns=list(COLUMNS))
    return table.astype({"factor": "Int64", "seed": "Int64", "parameters": "Int64"})


def kind_of(card: Mapping) -> str:
    """Network, ensemble (it takes noise) or sequence, from the card of a downscaling network."""
    if card["task"] in ("tcw-t1", "tcw-t2"):
        return "sequence"
    network = card["network"]
    known = registry.specs("networks").get(network["class"])
    if card["task"] == "own" and known is not None and known.frames != (1, 1):
        return "sequence"
    noisy = (known is not None and known.ensemble) or network["arguments"].get("noise_channels")
    return "ensemble" if noisy else "network"


def loaders() -> dict[str, Callable[[Path], Any]]:
    """Class on the card -> what opens the folder."""
    from physlab.downscale.adjusters import Adjustment
    from physlab.downscale.informed import Informed
    from physlab.downscale.statistical import Statistical
    from physlab.nn.stored import Stored, subclasses
    from physlab.phydl import PhyDL

    for name in registry.names("methods"):  # a class is known once its file is imported
        with contextlib.suppress(PhysLabError):  # a broken one says so when it is asked for by name
            registry.load("methods", name)
    fitted = {kind.__name__: Statistical.load for kind in subclasses(Statistical)}
    return {
        "PhyDL": PhyDL.load,
        "Informed": Informed.load,
        **fitted,
        **{kind.__name__: kind.load for kind in subclasses(Adjustment)},
        **{kind.__name__: kind.load for kind in subclasses(Stored)},
    }


def load_model(name_or_path: str | Path, device: torch.device | str | None = None, precision: str | None = None) -> Any:
    """A method by name, or from the folder of a trained one.

    Parameters
    ----------
    name_or_path : a trained method, "tcw-x4-softmax-s0"; without seed the first one, "tcw-x4-softmax", in the preset
        that is best on validation (:func:`preferred`); a baseline
        "nearest-x4", "bicubic-x4", "bicubic+add-x4" for any factor and layer; a statistical method, "bcsd", which then
        wants ``fit(data)``; assimilation of your own fields, "letkf"; adjustment of a climate model, "QDM"; or
        the path of a folder; or the address of a published one, "https://.../NAME" or "hf://ORGANISATION/NAME", which
        is fetched once, see :mod:`physlab.data.published`.
    device : where the weights go; None for the CPU.
    precision : of networks that refine, "fp32", "bf16" or "auto", see :attr:`physlab.downscale.CNN.precision`; None as
        they are.

    Returns
    -------
    A :class:`~physlab.downscale.Downscaler`, a method of :mod:`physlab.assimilate`, a
    :class:`~physlab.phydl.PhyDL` or a :class:`~physlab.phydl.Forecaster`.

    Raises
    ------
    CheckpointError : no such method; a folder that is damaged or contradicts its card.
    """
    if precision is not None:
        return in_precision(load_model(name_or_path, device), precision)
    text = str(name_or_path)
    if is_address(text):
        return _open(fetch_model(text), device)
    baseline = BASELINE.fullmatch(text)
    if baseline and int(baseline[3]) > 0:
        from physlab.downscale import Interpolate

        try:
            return Interpolate(baseline[1], int(baseline[3]), baseline[2] or "none")
        except PhysLabError as error:
            if baseline[2] in registry.specs("constraints"):  # "soft", which is no layer
                raise CheckpointError(str(error)) from None
    known = {name: folder for kind in PLACES for name, folder in folders_of(kind).items()}
    name = text if text in known else preferred(text, known)
    folder = Path(text) if name is None else known[name]
    recover(folder)
    if folder.is_dir():
        return _open(folder, device)
    methods = {name: spec for name, spec in registry.specs("methods").items() if spec.kind in METHODS}
    if text in methods:
        return registry.load("methods", text)()
    names = [*{re.sub(r"-s\d+$", "", name): None for name in known}, *(name for name, *_ in baselines()), *methods]
    hint = missing_assets()
    raise CheckpointError(registry.unknown("model", text, names) + (f"; {hint}" if hint else ""))


def in_precision(model: Any, precision: str) -> Any:
    """The method with its network in a precision of :mod:`physlab.nn.precision`.

    Raises
    ------
    PhysLabError : an unknown one; "bf16" for a method that has no such choice.
    """
    from physlab.nn.precision import check_precision

    check_precision(precision)
    if hasattr(model, "precision"):
        model.precision = precision
    elif precision == "bf16":
        raise PhysLabError(f"{getattr(model, 'name', model)} has no network that runs in bf16: leave out the precision")
    return model


def save(model: Any, folder: str | Path) -> Path:
    """Write a trained method of any kind into a folder, for :func:`load_model`.

    Parameters
    ----------
    model : what was trained or fitted.
    folder : a new one, or that of a model, which is replaced.

    Raises
    ------
    PhysLabError : a method that has learned nothing: it is loaded by its name.
    StoreError : the folder holds something else.
    """
    from physlab.downscale import CNN
    from physlab.downscale.informed import Informed
    from physlab.train.checkpoint import card_of, save_checkpoint

    if isinstance(model, CNN) and not isinstance(model, Informed):
        return save_checkpoint(folder, model, card_of(model))
    if not hasattr(model, "save"):
        name = getattr(model, "name", "") or type(model).__name__
        raise PhysLabError(f"{name} has learned nothing that could be saved: load it by its name")
    return model.save(folder)


def publish(folder: str | Path, out: str | Path) -> Published:
    """Pack the folder of a trained method for a web server, after it was loaded once.

    Parameters
    ----------
    out : a folder to write, or an archive if it ends in ``.zip``.

    Returns
    -------
    Path, SHA-256 and form of the address for :func:`load_model`.

    Raises
    ------
    CheckpointError : no model that can be loaded.  StoreError : `out` holds something else.
    """
    _open(Path(folder), None)
    return published.publish(folder, out)


def _open(folder: Path, device: torch.device | str | None) -> Any:
    """The method of a folder."""
    from physlab.train.checkpoint import load_checkpoint

    made = str(read_card(folder).get("class", ""))
    loader = loaders().get(made) if made else None
    if loader is None:
        return load_checkpoint(folder, device)
    model = loader(folder)
    return model.to(device) if device is not None and hasattr(model, "to") else model
