"""``physlab publish``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def publish(folder: Positional[Path], out: Positional[Path]) -> None:
    """Pack a trained model, so that any static web server can host it and others load it by its address.

    Args:
        folder: of the model.
        out: folder to write, or an archive if it ends in .zip; its name becomes that of the model.
    """
    from physlab import publish

    made = publish(folder, out)
    print(made.path)
    print(f"put it on a web server; then: physlab.load_model({made.address!r})")
