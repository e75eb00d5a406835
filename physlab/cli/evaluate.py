"""``physlab evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from physlab.cli.output import show


def evaluate(
    models: Positional[tuple[str, ...]] = (),
    all: bool = False,
    split: Literal["test", "val"] = "test",
    output: Path | None = None,
    fields: int | None = None,
    device: str = "cpu",
    cluster: str = "",
) -> None:
    """Score checkpoints on data that they have not seen, beside nearest, bicubic and bicubic+add.

    Runs that differ in the seed alone share a row: mean, and behind it the standard deviation over the seeds.

    Args:
        models: names of `physlab list models`, or checkpoint folders.
        all: all checkpoints that ship with PhysLab; those that are for something else are listed with the study that
            scores them.
        split: of the data.
        output: folder for one CSV table per task and factor.
        fields: only the first ones of the split, for a quick look.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
        cluster: gives the models to a dask scheduler (tcp://HOST:8786, or its file) whose workers see the same folders,
            or to local:N processes here.
    """
    from physlab.benchmark.checkpoints import benchmark, listed
    from physlab.benchmark.downscaling import SHOWN
    from physlab.cluster import Runs
    from physlab.cluster import cluster as joined
    from physlab.train import write_results
    from physlab.train.devices import choose_device
    from physlab.train.progress import Bar
    from physlab.train.tables import percent, with_spread

    with joined(cluster) as found, Bar("scores", max(1, len(models))) as bar:
        client = None if found is None else Runs(found)
        tables = benchmark(None if all else models, split, fields, choose_device(device), bar.share, client)
    for name, table in tables.items():
        shown = table.assign(gain=percent(table["gain"]))
        show(f"{name}, {split} split", with_spread(shown, ("method", "seeds", "gain"), SHOWN))
        if output is not None:
            print(write_results(table, output / f"{name}.csv"))
    if all:
        others = listed()[1]
        show("Not scored here", others[others["kind"] != "baseline"])
