"""``physlab benchmark``."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from physlab.cli.output import show


def declared() -> dict[str, dict[str, str]]:
    """Name -> what a study says of itself in words, read from its file: importing all of them takes seconds."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((Path(__file__).parents[1] / "benchmark").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                if getattr(node.value.func, "id", "") == "Study":
                    words = {k.arg: getattr(k.value, "value", None) for k in node.value.keywords}
                    said = {str(k): word for k, word in words.items() if isinstance(word, str)}
                    found[said["name"]] = said
    return found


DECLARED = declared()
TITLES = "; ".join(f"{name}: {said['title']}" for name, said in DECLARED.items()) + "."
NEEDS = (
    "; ".join(f"{name}: {said['needs']} ({said['data']})" for name, said in DECLARED.items() if said.get("needs")) + "."
)


def tasks(what: str, task: str) -> str:
    """Name of the study of a task: those of one chapter share the name of their first, whose task has a name too.

    Raises
    ------
    PhysLabError : the study has no such task.
    """
    from physlab.errors import PhysLabError

    known = {"model-error": what} | {
        name.removeprefix(f"{what}-"): name for name in DECLARED if name.startswith(f"{what}-")
    }
    if not task:
        return what
    if len(known) == 1 or task not in known:
        words = f"choose one of {', '.join(known)}" if len(known) > 1 else "leave it out"
        raise PhysLabError(f"{what} has no task {task!r}: {words}")
    return known[task]


if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(DECLARED)]


def benchmark(
    what: Annotated[Positional[Name], tyro.conf.arg(help=TITLES)],
    preset: str = "paper",
    output: Path = Path("benchmark"),
    data: Annotated[Path | None, tyro.conf.arg(help=NEEDS)] = None,
    only: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    workers: int = 2,
    device: str = "auto",
    cluster: str = "",
    task: str = "",
) -> None:
    """Compare all methods of a chapter on the same test fields; run it again to resume it.

    Trains what has no checkpoint yet, with three seeds, and writes one line per run into a tidy CSV.

    Args:
        what: the study.
        preset: paper (all runs, sized for a CPU: hours), quick (a look), and for downscaling full (the published sizes,
            for a GPU) and report (the rows of the course report with its settings).
        output: folder of the table and of what is trained for it.
        data: what the study is made from.
        only: names of methods, constraints or data: the runs that have one of them, and what they are compared with.
        seeds: others than the planned ones.
        workers: runs side by side.
        device: on which is trained what has no checkpoint yet: cpu, cuda, cuda:1, mps, or auto (a CUDA device if there
            is one); scores and times are made on the processor.
        cluster: gives the runs to a dask scheduler (tcp://HOST:8786, or its file) whose workers see the same folders,
            or to local:N processes; without it, `workers` processes here.
        task: of assimilation: model-error (backgrounds that start from the truth, the default), cycled (from analyses,
            with what observations bring beside what is free of them), cycles (a month with each method), mirrored (what
            more data do for the first) or real (ERA5's ensemble and a storm).
    """
    from physlab.benchmark import studies
    from physlab.cluster import Runs
    from physlab.cluster import cluster as joined

    study = studies()[tasks(what, task)]
    with joined(cluster) as found:
        client = None if found is None else Runs(found)
        path = study.launch(
            data, output, workers, preset=preset, only=only, seeds=seeds or None, device=device, client=client
        )
    for title, table in study.shown(study.read(path)):
        show(title, table)
    print(path)
