"""``physlab export``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def export(model: Positional[str], output: Positional[Path]) -> None:
    """Write a trained model as ONNX, checked against torch; it runs where no torch is.

    Args:
        model: a name of `physlab list models`, or a checkpoint folder.
        output: file to write, .onnx.
    """
    from physlab import load_model
    from physlab.compact import export_onnx

    print(export_onnx(load_model(model), output))
