"""``physlab evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from physlab.cli.output import show, with_spread


def evaluate(
    models: Positional[tuple[str, ...]] = (),
    all: bool = False,
    split: Literal["test", "val"] = "test",
    output: Path | None = None,
) -> None:
    """Score checkpoints on data that they have not seen, beside nearest, bicubic and bicubic+add.

    Runs that differ in the seed alone share a row: mean, and behind it the standard deviation over the seeds.

    Args:
        models: names of `physlab list models`, or checkpoint folders.
        all: all checkpoints that ship with PhysLab.
        split: of the data.
        output: folder for one CSV table per task and factor.
    """
    from physlab.benchmark import benchmark
    from physlab.train import write_results

    for name, table in benchmark(None if all else models, split).items():
        show(f"{name}, {split} split", with_spread(table))
        if output is not None:
            print(write_results(table, output / f"{name}.csv"))
