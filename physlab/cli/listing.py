"""``physlab list``."""

from __future__ import annotations

from typing import Literal

from tyro.conf import Positional

from physlab.cli.output import show


def list_(what: Positional[Literal["all", "data", "models"]] = "all") -> None:
    """Show the data sets and the models that have a name.

    Args:
        what: data sets, models, or both.
    """
    import physlab

    if what != "models":
        show("Data sets: physlab.open_dataset(name)", physlab.list_datasets())
    if what != "data":
        show("Models: physlab.load_model(name)", physlab.list_models())
