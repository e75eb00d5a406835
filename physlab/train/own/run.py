"""``physlab train METHOD TRUTH OUT``: the whole of it, from the files to the folder with its report.

>>> result = train_own("edsr", Request("era5.nc", ("t2m",), factor=4), "models/mine", constraint="mult")
>>> fine = physlab.load_model("models/mine").downscale(coarse)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from physlab.errors import PhysLabError
from physlab.train.devices import processes, rank
from physlab.train.own.compare import controls, gain, rows_of, spectrum
from physlab.train.own.data import OwnData
from physlab.train.own.fit import check_constraint, fitted
from physlab.train.own.methods import Method, method_of
from physlab.train.own.reading import own_data
from physlab.train.own.report import add_report, page
from physlab.train.own.request import Request
from physlab.train.own.result import Result, label_of
from physlab.train.own.task import Task, Trained
from physlab.train.progress import Bar


def train_own(
    method: str,
    request: Request,
    out: str | Path,
    constraint: str | None = None,
    seeds: Sequence[int] = (0,),
    preset: str = "cpu",
    steps: int | None = None,
    start: str = "",
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
    draw: Callable[[Result], Sequence[tuple[str, str, bytes]]] | None = None,
    command: str = "",
) -> Result:
    """Train a method on data of one's own, score it beside what needs no training, and write its folder.

    Parameters
    ----------
    method : name, see :func:`physlab.train.own.methods.known_methods`.
    out : folder of the result; with several seeds that of the best on the validation block, the others beside it as
        OUT-s0, OUT-s1, ...
    constraint : None for the one that suits the variables.
    steps : of the optimiser, for a short trial.
    start : a trained network (name or folder) whose weights are the first ones.
    overwrite : train again what is finished.
    say : receives the account of the data, line by line.
    draw : gives (title, caption, PNG) of the pictures of the report, see :func:`physlab.plot.training.pictures`.

    Raises
    ------
    PhysLabError : in one line, what cannot be trained or from which nothing can be learned.
    """
    out = Path(out)
    if not seeds or len(set(seeds)) != len(seeds):
        raise PhysLabError(f"seeds {tuple(seeds)}: pass one or several different ones")
    kind = method_of(method, preset, request.factor, request.frames)
    if kind.frames != (1, 1) and request.frames == 1:
        request = replace(request, frames=kind.frames[1])
    if kind.frames == (1, 1) and request.frames > 1:
        raise PhysLabError(f"{kind.name} refines single frames: leave out --frames, or take convgru or flowgru")
    if kind.frames != (1, 1) and request.frames != kind.frames[1]:
        raise PhysLabError(
            f"{kind.name} makes {kind.frames[1]} frames of {kind.frames[0]}: leave out --frames {request.frames}"
        )
    with processes(device) as here:
        with Bar("reading", 1, enabled=progress and rank() == 0) as bar:
            data = own_data(request, 0, bar.share)
        if kind.frames == (2, 3):
            data = data.at_frames((0, 2))
        layer = check_constraint(kind, constraint, data)
        if rank() == 0:
            for line in data.account:
                say(line)
        trained: dict[int, Trained] = {}
        for seed in seeds:
            folder = out if len(seeds) == 1 else out.with_name(f"{out.name}-s{seed}")
            task = Task(kind, data, folder, seed, layer, steps, start, here, progress)
            trained[seed] = fitted(task, overwrite)
        for made in trained.values():
            if hasattr(made.model, "to"):
                made.model.to("cpu")
        if rank() != 0:
            return Result(kind, layer, data, out, trained, seeds[0], [], np.arange(0), {}, {}, {})
        result = judged(kind, layer, data, out, trained, progress)
    result.command = command or " ".join(sys.argv[:1])
    if len(seeds) > 1:
        keep_best(result, out)
    add_report(out, result, page, lines_of, draw)
    return result


def judged(
    method: Method, constraint: str, data: OwnData, out: Path, trained: dict[int, Trained], progress: bool
) -> Result:
    """Choose on the validation block, then score the test block once."""
    name = label_of(method, constraint)
    models = [(name, seed, made.model) for seed, made in trained.items()]
    rows, held = {}, controls(data, [m for *_, m in models])
    for split in ("val", "test"):
        title = "validation" if split == "val" else "test"
        with Bar(f"scores, {title}", 1, enabled=progress) as bar:
            rows[split], at = rows_of(data, models, split, None, bar.share, held)
    variables = list(rows["val"][0].scores)
    validation: dict[str, dict[str, float]] = {}
    for row in rows["val"]:
        validation[row.label] = {v: row.scores[v]["rmse"] for v in variables}
    own = [r for r in rows["val"] if r.kind == "trained"]
    known = {v: next(r for r in rows["val"] if r.name == "nearest").scores[v]["rmse"] for v in variables}
    key = "crps" if own[0].ranks else "rmse"
    chosen = min(own, key=lambda r: sum(r.scores[v][key] / max(known[v], 1e-30) for v in variables)).seed
    free = [r for r in rows["val"] if r.kind == "baseline"]
    best = {v: min(free, key=lambda r: r.scores[v]["rmse"]).name for v in variables}
    result = Result(method, constraint, data, out, trained, int(chosen or 0), rows["test"], at, best, {}, validation)
    mine = result.own
    for v in variables:
        others = [result.row(best[v]), *(r for r in result.rows if r.kind == "control")]
        result.gains[v] = {r.name: gain(mine.error[v], r.error[v]) for r in others}
    shown = result.shown
    for number, v in enumerate(variables):
        part = shown.fine["test"] if data.step is not None else shown.fine["test"][:, number]
        result.truth[v] = spectrum(part)
    return result


def keep_best(result: Result, out: Path) -> None:
    """The model that validated best in the folder of the whole."""
    import shutil

    from physlab.store import CARD, MANIFEST, WEIGHTS, new_folder

    source = out.with_name(f"{out.name}-s{result.chosen}")
    with new_folder(out, "model") as part:
        for name in (CARD, WEIGHTS, MANIFEST):
            shutil.copyfile(source / name, part / name)


COLUMNS = (
    "rmse", "mae", "bias", "pearson", "ssim", "crps", "member_rmse", "spread_skill", "conservation_error",
    "conservation_error_relative", "negative_count", "spectral_divergence", "spectral_divergence_top", "rmse_extreme",
    "bias_extreme",
)  # fmt: skip


def lines_of(result: Result) -> Iterator[tuple]:
    """The scores: a line for each method, seed and variable."""
    yield "method", "kind", "seed", "variable", "units", "samples", "rmse_val", *COLUMNS
    for row in result.rows:
        for variable, scores in row.scores.items():
            numbers = [f"{scores[c]:.6g}" if c in scores else "" for c in COLUMNS]
            val = f"{result.validation[row.label][variable]:.6g}"
            yield (row.name, row.kind, "" if row.seed is None else row.seed, variable, result.data.units_of(variable),
                   len(result.at), val, *numbers)  # fmt: skip
