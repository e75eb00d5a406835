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
    from physlab.data.assets import missing_assets

    if what != "models":
        show("Data sets: physlab.open_dataset(name)", physlab.list_datasets())
    if what != "data":
        show("Models: physlab.load_model(name)", physlab.list_models())
    if hint := missing_assets():
        print(f"Not shown as at hand: {hint}")
