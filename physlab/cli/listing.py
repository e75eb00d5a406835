"""``physlab list``."""

from __future__ import annotations

from typing import Literal

from tyro.conf import Positional

from physlab.cli.output import show

PARTS = {
    "constraints": "Constraint layers: physlab train RECIPE --constraint NAME",
    "couplings": "Constraint layers of several variables: physlab train NAME TRUTH OUT --variable A B --constraint",
    "networks": "Networks: physlab train NAME TRUTH OUT, or TASK-xN-NAME (lower case)",
    "methods": "Methods: physlab train NAME TRUTH OUT, physlab.load_model(name), or registered for training",
    "laws": "Laws: physlab.equations",
}


def list_(what: Positional[Literal["all", "data", "models", "parts"]] = "all") -> None:
    """Show what has a name: data sets, models, and the parts that models are made of.

    Args:
        what: data sets, models, or parts: constraint layers, networks, methods and laws, those of other packages too.
    """
    from physlab import registry
    from physlab.data.assets import missing_assets

    if what in ("all", "data"):
        from physlab.data.catalog import dataset_rows

        show("Data sets: physlab.open_dataset(name)", dataset_rows())
    if what in ("all", "models"):
        from physlab.zoo import COLUMNS, model_rows

        show("Models: physlab.load_model(name)", [{key: row.get(key) for key in COLUMNS} for row in model_rows()])
    if what in ("all", "parts"):
        for group, title in PARTS.items():
            show(title, [_part(spec) for spec in registry.specs(group).values()])
    if hint := missing_assets():
        print(f"Not everything is at hand: {hint}")


def _part(spec) -> dict[str, str]:
    own = "" if spec.place.startswith("physlab.") else spec.place
    return {"name": spec.name, "title": spec.title, "kind": spec.kind, "reference": spec.reference,
            "from": own, "note": f"unusable: {spec.problem}" if spec.problem else spec.summary}  # fmt: skip
