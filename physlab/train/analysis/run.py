"""``physlab train adas TRUTH OUT --background FILE``: the whole of it, from the files to the folder with its report.

>>> request = PairRequest("truth.nc", "forecasts.nc", ("t", "z"))
>>> result = train_on_pairs("adas", request, "models/mine")
>>> analysis = physlab.load_model("models/mine").analyse(background, stations)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch

from physlab import registry
from physlab.assimilate import FNP, PhyDA
from physlab.assimilate.diffda import DiffDA
from physlab.assimilate.latent import LatentDiffusion, LatentMethod
from physlab.assimilate.learned import Learned
from physlab.assimilate.proxy import GIVEN
from physlab.assimilate.sda import SDA
from physlab.assimilate.statespace import StateSpace
from physlab.errors import CheckpointError, PhysLabError
from physlab.train.analysis.compare import SHARES, Row, held_out, rows_of, verdicts
from physlab.train.analysis.pairs import OwnPairs, PairRequest, name_of, own_pairs
from physlab.train.assimilation import AssimilationSettings, train_assimilator, untrained
from physlab.train.checkpoint import origin
from physlab.train.devices import agreed, by_one, processes, rank
from physlab.train.own.report import Draw, Picture, add_report, document, figures, methods_table, opening, pairs_table
from physlab.train.progress import Bar
from physlab.train.state import state_file

METHODS = ("adas", "convcnp", "fnp", "vaevar", "sda", "diffda", "slam", "phyda")


@dataclass(eq=False)
class Analysed:
    """What came out.

    Attributes
    ----------
    method : trained.  folder : of it.  data : pairs.  rows : scores on the test block.  notes : what was left out.
    """

    method: Learned
    folder: Path
    data: OwnPairs
    rows: list[Row]
    notes: list[str]


def train_on_pairs(
    name: str,
    request: PairRequest,
    out: str | Path,
    settings: AssimilationSettings | None = None,
    seed: int = 0,
    autoencoder: str | Path | None = None,
    start: str | Path = "",
    device: str | torch.device | None = "auto",
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
    options: dict[str, Any] | None = None,
    draw: Draw | None = None,
) -> Analysed:
    """Train a method of data assimilation on pairs of one's own, score it, and write its folder.

    Parameters
    ----------
    name : one of :data:`METHODS`.
    out : folder of the method.
    settings : None for 400 steps of 8 pairs (700 for vaevar).
    autoencoder : folder of a trained vaevar, for slam and phyda; None trains one beside `out`, as OUT-vaevar.
    start : a trained method of the same kind and channels whose weights are the first ones.
    overwrite : train again what is there.
    say : receives the account of the data, line by line.
    options : of the constructor of the method.
    draw : of the pictures of the report, see :func:`physlab.plot.analyses.pictures`.

    Raises
    ------
    PhysLabError : in one line, what cannot be trained, or from which nothing can be learned.
    """
    if name not in METHODS:
        raise PhysLabError(registry.unknown("method", name, METHODS))
    out, kind = Path(out), registry.load("methods", name)
    steps = AssimilationSettings(steps=700 if name == "vaevar" else 400)
    settings = dataclasses.replace(steps if settings is None else settings)
    with processes(device) as here:
        if agreed(out.exists) and not overwrite:
            raise PhysLabError(f"{out} is there already: choose another folder, or train again with --overwrite")
        with Bar("reading", 1, enabled=progress and rank() == 0) as bar:
            data = own_pairs(request, issubclass(kind, LatentMethod | SDA | DiffDA), seed)
            bar.share(1, 1)
        told = list(data.lines)
        vae: Learned | None = None
        if issubclass(kind, LatentDiffusion):
            vae = _autoencoder(data, out, settings, seed, autoencoder, here, progress, told)
        elif autoencoder is not None:
            raise PhysLabError(f"{name} has no autoencoder: leave it out")
        chosen = {**(_of(vae) if vae is not None else {}), **_fitting(kind, data.space, told), **(options or {})}
        if rank() == 0:
            for line in told:
                say(line)
        method = untrained(lambda space: kind(space, **chosen), data.train, seed, vae, here)
        if start:
            begin_from(method, start)
        state = state_file(f"{name}-own", out)
        report = train_assimilator(method, data.train, settings, seed, progress and rank() == 0, state=state,
                                   held_out=held_out(data.val))  # fmt: skip
        method.card |= {
            "seed": seed, "train_s": report.wall_time_s, "history": report.history, "stopped": report.stopped,
            "best_step": report.best_step, **origin(here), "precision": report.precision, "start": str(start),
            "task": "own",
            "data": {"account": told, "truth": name_of(request.truth), "background": name_of(request.background),
                     "request": dataclasses.asdict(request), "split": data.split, "units": data.units,
                     "channels": list(data.space.names), "closed": data.space.closed,
                     "pairs": {n: len(getattr(data, n)) for n in ("train", "val", "test")}},
        }  # fmt: skip
        method.to("cpu").eval()
        with Bar("scores", 1, enabled=progress and rank() == 0) as bar:
            rows, notes = rows_of(method, name, data.train, data.val, data.test, bar.share) if rank() == 0 else ([], [])
        result = Analysed(method, out, data, rows, [*told, *notes])

        def keep() -> None:
            method.card["scores"] = {r.name: {f"{s:g}": v for s, v in r.scores.items()} for r in rows}
            method.save(out)
            add_report(out, result, page, lines_of, draw)

        by_one(keep)
    return result


def begin_from(method: Learned, start: str | Path) -> None:
    """Copy the weights of a trained method of the same kind; units and grid are those of the new data.

    Raises
    ------
    CheckpointError : another kind, other channels, or another architecture.
    """
    from_folder = Learned.load(start)
    if type(from_folder) is not type(method):
        raise CheckpointError(
            f"{start} is {type(from_folder).__name__}: start {type(method).__name__} from its own kind"
        )
    if from_folder.space.channels != method.space.channels and len(from_folder.space.channels) != len(
        method.space.channels
    ):
        raise CheckpointError(
            f"{start} has the channels {', '.join(from_folder.space.names)}, the data {', '.join(method.space.names)}: "
            "choose the same variables and levels"
        )
    old, own = from_folder.state_dict(), method.state_dict()
    wrong = [k for k in own if k not in old or old[k].shape != own[k].shape]
    if wrong:
        raise CheckpointError(f"{start} differs at {wrong[0]}: start from a method with the same options")
    method.load_state_dict({k: v.to(own[k].device) for k, v in old.items()})


def _of(vae: Learned) -> dict[str, Any]:
    """Options of the autoencoder that a method on its latents must have too."""
    return {k: vae.arguments[k] for k in ("latent", "vae_width")}


def _autoencoder(
    data: OwnPairs, out: Path, settings: AssimilationSettings, seed: int, given: str | Path | None,
    here: torch.device, progress: bool, told: list[str],
) -> Learned:  # fmt: skip
    if given is not None:
        vae = Learned.load(given)
        if vae.space.names != data.space.names or vae.space.shape != data.space.shape:
            raise PhysLabError(
                f"the autoencoder {given} knows {', '.join(vae.space.names)} on {vae.space.shape[1]} x "
                f"{vae.space.shape[2]} points, the data are {', '.join(data.space.names)} on {data.space.shape[1]} x "
                f"{data.space.shape[2]}: leave it out, and one is trained"
            )
        return vae.to(here)
    folder = out.with_name(f"{out.name}-vaevar")
    if agreed((folder / "card.json").is_file):
        told.append(f"The autoencoder in {folder} is used.")
        return _autoencoder(data, out, settings, seed, folder, here, progress, told)
    kind = registry.load("methods", "vaevar")
    vae = untrained(kind, data.train, seed, None, here)
    longer = dataclasses.replace(settings, steps=max(1, round(1.75 * settings.steps)))
    train_assimilator(vae, data.train, longer, seed, progress and rank() == 0,
                      state=state_file("vaevar-own", folder), held_out=held_out(data.val))  # fmt: skip
    by_one(lambda: vae.save(folder))
    told.append(f"An autoencoder was trained first: {folder}.")
    return vae


def _fitting(kind: type, space: StateSpace, told: list[str]) -> dict[str, Any]:
    """Options that the data decide, and what has to be said of them."""
    if not space.closed:
        told.append(
            "The grid is a region, and this network takes it as closed along longitude: increments near the west and "
            "east edges see each other." if kind in (FNP, PhyDA) else
            "The grid is a region: nothing wraps around along longitude."
        )  # fmt: skip
    if kind is PhyDA and not (space.closed and set(GIVEN[:5]) <= set(space.variables) and len(space.levels) > 1):
        told.append("PhyDA without physics in the loss: its laws want u, v, t, q and z on levels of the whole globe.")
        return {"physics": 0.0}
    return {}


def lines_of(result: Analysed) -> Iterator[tuple]:
    """The scores: a line for each method and share of observed points."""
    names = result.data.space.names
    yield "method", "kind", "share", "error_over_background", *(f"rmse_{n}" for n in names)
    for row in result.rows:
        for share, score in row.scores.items():
            rmse = [f"{row.rmse[n]:.6g}" if share == SHARES[1] else "" for n in names]
            yield row.name, row.kind, share, f"{score:.6g}", *rmse


def page(result: Analysed, pictures: Sequence[Picture] = ()) -> str:
    """The report: one page that needs nothing else."""
    request = result.data.request
    parts = [f"<p class=note>truth {escape(request.truth)}, background {escape(request.background)}</p>"]
    parts.append(opening(verdicts(result.rows), result.notes))
    parts.append("<h2>Mean square error over that of the background</h2><p class=note>Test block, columns at "
                 "random grid points, observation errors of 0.3 background errors; 1 is the background, 0 the truth. "
                 "The control sees no observation.</p>")  # fmt: skip
    shares = ((row.kind, row.name, [f"{row.scores[share]:.3f}" for share in SHARES]) for row in result.rows)
    parts.append(methods_table((f"{share:.1%}" for share in SHARES), shares))
    parts.append(f"<h2>RMSE with {SHARES[1]:.0%} observed</h2>")
    names, units = result.data.space.names, result.data.units
    heads = (f"{escape(n)}<br>{escape(units.get(v, ''))}" for n, (v, _) in
             zip(names, result.data.space.channels, strict=True))  # fmt: skip
    errors = ((row.kind, row.name, [f"{row.rmse[n]:.4g}" for n in names]) for row in result.rows)
    parts.append(methods_table(heads, errors))
    blocks = {k: f"{b['first']} to {b['last']}, {b['pairs']} pairs" for k, b in result.data.split["blocks"].items()}
    took = {"seed": result.method.card["seed"], "training took": f"{result.method.card['train_s']:.0f} s",
            "ended": result.method.card["stopped"], **blocks, "gap, hours": result.data.split["gap_hours"]}  # fmt: skip
    parts.append(figures(pictures))
    parts.append("<h2>Settings</h2>" + pairs_table({**took, **result.method.card["training"]}))
    return document(f"{type(result.method).__name__} on {', '.join(result.data.space.variables)}", parts)
