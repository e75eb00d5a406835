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
    from physlab.train.progress import Bar

    with Bar("export", 2) as bar:
        bar.note("loading")
        found = load_model(model)
        bar.advance(1)
        bar.note("tracing, and checking against torch")
        path = export_onnx(found, output)
        bar.advance(2)
    print(path)
