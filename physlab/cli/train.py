"""``physlab train``."""

from __future__ import annotations

import importlib
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from physlab.cli.options import pairs


def train(
    what: Positional[str],
    truth: Positional[str] = "",
    out: Positional[Path | None] = None,
    constraint: tuple[str, ...] = (),
    seed: tuple[int, ...] = (),
    preset: Literal["cpu", "full", "report", "published"] = "cpu",
    all: bool = False,
    workers: int = 2,
    folder: Path | None = None,
    overwrite: bool = False,
    steps: int | None = None,
    device: str = "auto",
    variable: tuple[str, ...] = (),
    factor: int = 4,
    coarse: str = "",
    predictors: tuple[str, ...] = (),
    statics: str = "",
    frames: int = 1,
    region: tuple[float, float, float, float] | None = None,
    period: tuple[str, str] | None = None,
    level: float | None = None,
    held_out: float = 0.2,
    gap: float | None = None,
    patch: int | None = None,
    patches: int = 1500,
    start_from: Annotated[str, tyro.conf.arg(aliases=["--start"])] = "",
    background: str = "",
    member: int = 0,
    autoencoder: str = "",
    batch: int = 8,
    mapping: tuple[str, ...] = (),
) -> None:
    """Train a method on fields of yours, METHOD TRUTH OUT, or the networks of a RECIPE of the book.

    Run it again to resume it; what is finished is skipped.

    Args:
        what: a method, such as linear, eqm, edsr, gan, convgru, latent, adas or phydl (`physlab list parts`); or,
            alone, a recipe, such as tcw-x4, or "all" for every recipe.
        truth: fine fields: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        out: folder of the model, for physlab downscale and the others, with report.html and scores.csv.
        constraint: none, soft, add, scaled_add, mult, softmax; of a recipe several; without any what suits the
            variable, of a recipe softmax.
        seed: one or several; without any, 0.
        preset: cpu (compact, minutes on a laptop), full (the published size, 200 epochs, for a GPU), or of recipes that
            are rows of the course report report: exactly its settings, or published: its networks, optimiser and steps
            with smaller batches, some ten minutes on one core.
        all: of a recipe: every constraint and every seed, except as named.
        workers: of a recipe: runs side by side; under torchrun they come one after the other, each over all processes.
        folder: of a recipe: where the checkpoint folders go; without one, beside those that ship with PhysLab.
        overwrite: train again what is finished.
        steps: another number of steps than the preset's, for a quick try.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
        variable: what is refined; several are refined jointly.
        factor: of the refinement, 2 to 16.
        coarse: a coarse file at the same times, of another model, say; without one, block means of the truth.
        predictors: further coarse fields that are given.
        statics: file with orog (m), land (share) or other fine fields that do not change.
        frames: successive times of a sample, for sequence networks.
        region: south, north, west and east edge, degrees.
        period: first and last time, as in 2019-03-01 2019-03-31.
        level: hPa, of variables with levels.
        held_out: share of the times of the test block, and of the validation block.
        gap: hours between the blocks; without it 48, or blocks of space where there are too few times.
        patch: edge of patches in fine cells, 0 for whole fields; without it whichever suits the data.
        patches: at most so many.
        start_from: a trained network whose weights are the first ones: a name or a folder; under torchrun, which has an
            option of that name, the long form.
        background: for adas, convcnp, fnp, vaevar, sda, diffda, slam and phyda: forecasts at the same times and grid,
            or an ensemble whose members are backgrounds; the truth itself, if that is an ensemble.
        member: of a truth with members, counted from 0; the others learn from each other.
        autoencoder: of slam and phyda: folder of a trained vaevar; without one it is trained too.
        batch: of these: pairs a step.
        mapping: your names and the library's, as in lat_name=latitude.
    """
    if bool(truth) != (out is not None):
        raise ValueError(f"physlab train {what} {truth}: OUT is missing; write METHOD TRUTH OUT, or a recipe alone")
    if not truth:
        recipe(what, constraint, seed, preset, all, workers, folder, overwrite, steps, device)
        return
    if len(constraint) > 1 or all or folder is not None:
        raise ValueError(
            "--all, --folder and several constraints are for recipes: write METHOD TRUTH OUT with one each"
        )
    if what == "phydl":
        assert out is not None
        continuous(
            truth, out, variable, factor, level, region, period, mapping, steps, seed, start_from, device, overwrite
        )
        return
    from physlab.train.analysis.run import METHODS

    if what in METHODS:
        assert out is not None
        levels = () if level is None else (level,)
        analysis(what, truth, out, background, variable, levels, member, region, period, held_out, gap, mapping,
                 steps, batch, seed, autoencoder, start_from, device, overwrite)  # fmt: skip
        return
    if background:
        raise ValueError(f"--background is for {', '.join(METHODS)}: leave it out with {what}")
    from physlab.train.own.request import Request
    from physlab.train.own.run import train_own

    request = Request(
        truth, variable, factor, coarse, predictors, statics, frames, region, period, level, held_out, gap, patch,
        patches, tuple(pairs(mapping).items()),
    )  # fmt: skip
    assert out is not None
    command = "physlab " + shlex.join(sys.argv[1:]) if sys.argv[1:2] == ["train"] else ""
    result = train_own(
        what, request, out, constraint[0] if constraint else None, seed or (0,), preset, steps, start_from, device,
        overwrite, True, lambda line: print(line, file=sys.stderr), drawing(), command,
    )  # fmt: skip
    from physlab.train.devices import speaks

    if speaks():
        told(result)


def analysis(
    what: str, truth: str, out: Path, background: str, variable: tuple[str, ...], levels: tuple[float, ...],
    member: int, region: tuple[float, float, float, float] | None, period: tuple[str, str] | None, held_out: float,
    gap: float | None, mapping: tuple[str, ...], steps: int | None, batch: int, seed: tuple[int, ...],
    autoencoder: str, start: str, device: str, overwrite: bool,
) -> None:  # fmt: skip
    """A method of data assimilation, and the table of its scores."""
    from physlab.cli.output import show
    from physlab.train.analysis.compare import SHARES, verdicts
    from physlab.train.analysis.pairs import PairRequest
    from physlab.train.analysis.run import train_on_pairs
    from physlab.train.assimilation import AssimilationSettings
    from physlab.train.devices import speaks

    if len(seed) > 1:
        raise ValueError(f"seeds {seed}: {what} is trained with one seed at a time")
    request = PairRequest(truth, background, variable, levels, member, region, period, held_out, gap,
                          tuple(pairs(mapping).items()))  # fmt: skip
    settings = AssimilationSettings(steps=steps or (700 if what == "vaevar" else 400), batch=batch)
    result = train_on_pairs(what, request, out, settings, (seed or (0,))[0], autoencoder or None, start, device,
                            overwrite, True, lambda line: print(line, file=sys.stderr),
                            draw=drawing("analyses"))  # fmt: skip
    if speaks():
        rows = [{"method": r.name, **{f"{s:.1%}": r.scores[s] for s in SHARES}} for r in result.rows]
        show("Mean square error over that of the background, by share of observed points", rows)
        for line in verdicts(result.rows):
            print(line)
        print(out, "with report.html and scores.csv")


def continuous(
    truth: str, out: Path, variable: tuple[str, ...], factor: int, level: float | None,
    region: tuple[float, float, float, float] | None, period: tuple[str, str] | None, mapping: tuple[str, ...],
    steps: int | None, seed: tuple[int, ...], start: str, device: str, overwrite: bool,
) -> None:  # fmt: skip
    """A continuous field, and the table of its scores."""
    from physlab.cli.output import show
    from physlab.phydl.fit import FitSettings
    from physlab.phydl.own import FieldRequest, train_phydl, units_of, verdicts
    from physlab.train.devices import speaks

    if len(seed) > 1:
        raise ValueError(f"seeds {seed}: phydl is fitted with one seed at a time")
    request = FieldRequest(truth, variable, factor, level, region, period, tuple(pairs(mapping).items()))
    result = train_phydl(request, out, FitSettings(steps=steps or 1500), (seed or (0,))[0], start=start, device=device,
                         overwrite=overwrite, progress=True, say=lambda line: print(line, file=sys.stderr),
                         draw=drawing("fields"))  # fmt: skip
    if speaks():
        for at, title in enumerate(("times that were given", "times that were withheld")):
            rows = [{"method": r.name, **{f"{n} ({units_of(result.data, n)})": p[at] for n, p in r.rmse.items()}}
                    for r in result.rows]  # fmt: skip
            if all(v == v for row in rows for v in row.values()):
                show(f"RMSE on the fine grid, {title}", rows)
        for line in verdicts(result.rows):
            print(line)
        print(out, "with report.html and scores.csv")


def drawing(what: str = "training") -> Any:
    """What draws the pictures of a report: a module of physlab.plot; None without matplotlib."""
    try:
        return importlib.import_module(f"physlab.plot.{what}").pictures
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("physlab"):
            raise
        return None


def told(result: Any) -> None:
    """The scores, and where everything is."""
    from physlab.cli.output import show
    from physlab.train.own.report import verdicts

    for name in result.own.scores:
        rows = []
        for row in result.rows:
            scores = row.scores[name]
            label = row.name if len(result.trained) == 1 or row.seed is None else f"{row.name}, seed {row.seed}"
            rows.append({"method": label, **{k: scores.get(k) for k in ("rmse", "mae", "bias", "crps", "spread_skill",
                         "spectral_divergence", "conservation_error_relative", "negative_count")}})  # fmt: skip
        show(f"{name}, {len(result.at)} test samples", rows)
    for line in verdicts(result):
        print(line)
    print(result.folder, "with report.html and scores.csv")


def recipe(
    name: str,
    constraint: tuple[str, ...],
    seed: tuple[int, ...],
    preset: str,
    all: bool,
    workers: int,
    folder: Path | None,
    overwrite: bool,
    steps: int | None,
    device: str,
) -> None:
    """Train the networks of a recipe; finished ones are skipped, interrupted ones resumed."""
    from physlab.train import list_recipes, train
    from physlab.train.devices import processes

    changes: dict[str, Any] = {} if steps is None else {"steps": steps}
    with processes(device) as here:
        for one in list_recipes() if name == "all" else [name]:
            train(
                one, constraint or None, seed or None, preset, all, workers, folder, overwrite, device=here, **changes
            )
