"""The command line: ``physlab list | fetch | simulate | train | train-latent | evaluate | benchmark | export |
downscale | assimilate``.

Each command is a few lines around one call of the library, which anyone can make from Python too. Mistakes of the user
(a :class:`~physlab.errors.PhysLabError`, a missing file) end in one line and exit status 2; set PHYSLAB_TRACEBACK=1 to
see where they came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

if TYPE_CHECKING:
    import pandas as pd

Table = Literal["downscaling", "continuous", "forecasting", "speed", "assimilation", "divergence", "ensemble"]
EXTRAS = {"dinosaur": "simulate", "jax": "simulate", "gcsfs": "cloud"}
SCORES = ("rmse", "mae", "bias", "psnr", "ssim", "pearson", "crps", "spread_skill", "spectral_divergence",
          "spectral_divergence_top", "conservation_error_relative", "negative_count")  # fmt: skip


def list_(what: Positional[Literal["all", "data", "models"]] = "all") -> None:
    """Show the data sets and the models that have a name.

    Args:
        what: data sets, models, or both.
    """
    import physlab

    if what != "models":
        show("Data sets: physlab.open_dataset(name)", physlab.list_datasets())
    if what != "data":
        show("Models: physlab.load_model(name)", physlab.list_models())


def fetch(name: Positional[str]) -> None:
    """Download a data set once and check it; afterwards it opens without the network.

    Args:
        name: a name of `physlab list data`.
    """
    from physlab.data import fetch

    for path in fetch(name):
        print(path)


def simulate(
    output: Path = Path("nature-run"),
    preset: Literal["t85", "t42", "t21"] = "t85",
    days: int = 300,
    spinup_t42: int = 120,
    spinup: int = 10,
    hourly: tuple[int, int] = (0, 10),
    piece: int = 5,
    forecasts: bool = True,
    forecast_every: Literal[24, 12, 6] = 24,
    seed: int = 0,
    file_format: Literal["nc", "zarr"] = "nc",
) -> None:
    """Make or continue a nature run: the global primitive-equation model that is the laboratory's atmosphere.

    About 1 s per model day at T42 and 6 s at T85 on two free cores. An interrupted run goes on where it was.

    Args:
        output: folder for the files; a run that is found there is continued.
        preset: resolution: T85 (128 x 256, the truth), T42 (64 x 128) or T21 (32 x 64, for the classroom).
        days: length after the spin-up.
        spinup_t42: days from rest at T42 (at T21 for that preset), thrown away.
        spinup: further days at the run's own resolution, thrown away.
        hourly: first and last day (exclusive) of the stretch of which every hour is kept.
        piece: days per file and restart.
        forecasts: 24-hour T42 forecasts.
        forecast_every: hours between their starts, from midnight on.
        seed: of the initial noise; the calendar starts in year 2001 + seed.
        file_format: NetCDF-4 or Zarr.
    """
    settings = {name: value for name, value in locals().items() if name != "output"}
    from physlab.simulate.run import NatureRun, simulate

    show_numbers(f"Budgets of the run in {output}", simulate(NatureRun(**settings), output))


def train(
    recipe: Positional[str],
    constraint: tuple[str, ...] = (),
    seed: tuple[int, ...] = (),
    preset: Literal["cpu", "full"] = "cpu",
    all: bool = False,
    workers: int = 2,
    folder: Path | None = None,
    overwrite: bool = False,
    steps: int | None = None,
) -> None:
    """Train the networks of a recipe; finished ones are skipped, interrupted ones resumed.

    Args:
        recipe: for example tcw-x4, or "all" for every recipe.
        constraint: none, soft, add, scaled_add, mult, softmax; several are allowed; without any, softmax.
        seed: one or several; without any, 0.
        preset: cpu (compact, minutes on a laptop) or full (the published size, for a GPU).
        all: every constraint and every seed of the recipe, except as named.
        workers: runs side by side.
        folder: where the checkpoint folders go; without one, beside those that ship with PhysLab.
        overwrite: train again what is finished.
        steps: another number of steps than the preset's, for a quick try.
    """
    from physlab.train import list_recipes, train

    changes = {} if steps is None else {"steps": steps}
    for name in list_recipes() if recipe == "all" else [recipe]:
        train(name, constraint or None, seed or None, preset, all, workers, folder, overwrite, **changes)


def train_latent(
    fine: Positional[str],
    output: Positional[Path],
    variable: str = "t2m",
    drivers: tuple[str, ...] = (),
    factor: int = 4,
    coarse: str = "",
    ground: str = "",
    region: tuple[float, float, float, float] | None = None,
    period: tuple[str, str] | None = None,
    held_out: float = 0.2,
    gap: float = 48.0,
    penalty: Literal["balance", "flux-ratio"] = "balance",
    weight: float = 0.0,
    steps: int | None = None,
    seed: int = 0,
    mapping: tuple[str, ...] = (),
) -> None:
    """Train latent diffusion on fields of yours: an ensemble of fine fields from coarse ones; run again to resume.

    Args:
        fine: the truth: NetCDF, Zarr or GRIB file, or a name of `physlab list data`, such as arco-era5.
        output: folder of the model, for physlab downscale.
        variable: what is refined.
        drivers: coarse fields that are given, the variable first, then the wind if there is any; without them the
            variable alone.
        factor: 2, 4 or 8.
        coarse: file with the drivers on the coarse grid; without one, block means of the truth.
        ground: file with orog (m) or land (share of land) on the fine grid; without one, what the truth has of them,
            else a land mask.
        region: south, north, west and east edge, degrees.
        period: first and last time, as in 2019-03-01 2019-03-31.
        held_out: share of the times, the last ones, on which the result is scored.
        gap: hours between training and these.
        penalty: balance of advection and diffusion (wants the wind among the fine fields), or the published flux ratio.
        weight: of the penalty; 0 for none.
        steps: of the denoiser; the other stages follow in proportion.
        seed: of the weights and of the order of the fields.
        mapping: your names and the library's, as in lat_name=latitude.
    """
    import xarray as xr

    from physlab import open_dataset
    from physlab.benchmark import compare_on
    from physlab.downscale.terrain import TerrainFields, ground_of, hold_out
    from physlab.train.latent import LatentSettings, train_in_folder

    names = dict(pair.split("=", 1) for pair in check_pairs(mapping)) or None

    def opened(name: str) -> xr.Dataset:
        ds = open_dataset(name, names)
        if region is not None:
            south, north, west, east = region
            latitude = ds["latitude"]
            ds = ds.isel(latitude=(latitude >= south) & (latitude <= north)).sel(longitude=slice(west, east))
        return ds if period is None or "time" not in ds.dims else ds.sel(time=slice(*period))

    truth = opened(fine)
    own = opened(ground) if ground else truth
    has_ground = any(name in own for name in ("orog", "land"))
    static = ground_of(own[[n for n in ("orog", "land") if n in own]].load()) if has_ground else None
    statics = ("land", "latitude") if static is None else (*static.data_vars, "latitude")
    wanted = [name for name in (drivers or (variable,)) if name in truth] if coarse else list(drivers or (variable,))
    missing = [name for name in {variable, *wanted} if name not in truth]
    if missing:
        raise ValueError(f"no {', '.join(missing)} in {fine}: found {', '.join(map(str, truth.data_vars))}")
    fields = TerrainFields.of(truth[wanted].load(), variable, drivers or None, factor,
                              opened(coarse).load() if coarse else None, statics, static)  # fmt: skip
    training, rest = hold_out(fields, held_out, gap)
    settings = LatentSettings() if steps is None else LatentSettings().scaled(steps)
    model = train_in_folder(training, output, settings, seed, weight, penalty, progress=True)
    show(f"{len(rest)} times that were held out", compare_on(model, rest))
    print(output)


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


def benchmark(
    what: Positional[Table],
    preset: Literal["paper", "full", "quick"] = "paper",
    output: Path = Path("benchmark"),
    data: Path | None = None,
    workers: int = 2,
) -> None:
    """Compare all methods of a chapter on the same test fields; run it again to resume it.

    Trains what has no checkpoint yet, with three seeds, and writes one line per run into a tidy CSV.

    Args:
        what: downscaling: interpolation, statistics, networks, generators and sequences; continuous: functions of place
            and time, with and without equations; forecasting: networks that forecast a day, fine-tuned by equations;
            speed: a day of a region by the atmosphere's own model, a forecast network and a continuous field;
            assimilation: classical and learned analyses of whole states from a few columns;
            divergence: what longer training and calmer members do for the spectra of PhyDA;
            ensemble: latent diffusion over terrain, with and without a law in its loss.
        preset: of downscaling: paper (all, sized for a CPU: hours), full (all, at the published sizes, for a GPU),
            quick (a look).
        output: folder of the table and of the checkpoints that are trained for it.
        data: continuous: another window than the one that ships; forecasting: folder of the bands of two nature runs;
            assimilation, divergence: folder of two nature runs, run-8 and run-9; ensemble: likewise, run-10 and run-11.
        workers: runs side by side.
    """
    print(BENCHMARKS[what](preset, output, data, workers))


def _downscaling(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab.benchmark import benchmark_downscaling, read_runs, summary

    path = benchmark_downscaling(preset, output, workers)
    runs = read_runs(path)
    for task, factor in runs[["task", "factor"]].drop_duplicates().itertuples(index=False):
        table = summary(runs, task, factor)
        table = table.assign(method=table["model"] + " " + table["constraint"].replace("none", ""))
        show(f"{task} x{factor}, test split", with_spread(table))
    return path


def _continuous(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab.benchmark import benchmark_continuous, continuous_summary, read_continuous

    source = {} if data is None else {"source": data}
    path = benchmark_continuous(output, workers, **source)
    table = continuous_summary(read_continuous(path))
    spread = [f" ± {s:.3f}" if s == s else "" for s in table["ratio_spread"]]
    table["cell"] = [f"{r:.3f}{s}" for r, s in zip(table["ratio"], spread, strict=True)]
    table["method"] = table["data"] + ", " + table["method"]
    shown = table.pivot(index="method", columns="variable", values="cell").reset_index()
    show("RMSE between the data, over that of the best interpolation", shown)
    return path


def _forecasting(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab.benchmark import benchmark_forecasting, forecasting_summary, read_forecasting

    path = benchmark_forecasting(data or "bands", output, workers)
    table = forecasting_summary(read_forecasting(path))
    table = table[(table["variable"] == "all") & (table["training"] != "base")]
    spread = [f" ± {s:.2%}" if s == s else "" for s in table["spread"]]
    table = table.assign(gain=[f"{g:+.2%}{s}" for g, s in zip(table["gain"], spread, strict=True)])
    shown = table[["model", "training", "lead", "seeds", "gain", "residual", "residual_control"]]
    show("Gain in RMSE of fine-tuning over the control", shown)
    return path


def _speed(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab import load_model
    from physlab.benchmark import compare, write_speed

    table = compare(load_model("forecast-unet-equations-s0"), load_model("nature-window-equations-s0"))
    show("A day of weather over the North Atlantic", table)
    return write_speed(table, output / "speed.csv")


def _assimilation(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab.benchmark import assimilation_summary, benchmark_assimilation, read_assimilation

    path = benchmark_assimilation(data or "twin", output, workers)
    names = ("mse", "crps", "specdiv", "specdiv_eddy", "rmse_z500", "rmse_u500", "residual_geostrophic")
    show(EXACT, _means(assimilation_summary(read_assimilation(path)), ("model", "seeds"), names))
    return path


def _divergence(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab.benchmark import benchmark_divergence, divergence_summary, read_divergence

    path = benchmark_divergence(data or "twin", output, workers)
    keys, names = ("model", "steps", "temperature", "seeds"), ("specdiv", "mse", "crps", "spread_skill")
    show(EXACT, _means(divergence_summary(read_divergence(path)), keys, names))
    return path


def _ensemble(preset: str, output: Path, data: Path | None, workers: int) -> Path:
    from physlab.benchmark import benchmark_ensemble, ensemble_summary, read_ensemble

    path = benchmark_ensemble(data or "terrain", output, workers)
    runs = read_ensemble(path)
    names = ("rmse", "bias", "crps", "spread_skill", "specdiv", "specdiv_top", "residual", "conservation")
    for name in runs["data"].unique():
        table = _means(ensemble_summary(runs, name), ("model", "kind", "weight", "seeds"), names)
        show(f"{name}; mean and spread over seeds", table)
    return path


EXACT = "2 % of the columns, exact; mean and spread over seeds"
BENCHMARKS = {
    "downscaling": _downscaling,
    "continuous": _continuous,
    "forecasting": _forecasting,
    "speed": _speed,
    "assimilation": _assimilation,
    "divergence": _divergence,
    "ensemble": _ensemble,
}


def _means(table: pd.DataFrame, keys: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Scores with their spread over seeds behind the mean."""
    shown = table[list(keys)].copy()
    for name in names:
        spread = [f" ± {s:.2g}" if s == s else "" for s in table[f"{name}_spread"]]
        shown[name] = [f"{x:.4g}{s}" for x, s in zip(table[name], spread, strict=True)]
    return shown


def export(model: Positional[str], output: Positional[Path]) -> None:
    """Write a trained model as ONNX, checked against torch; it runs where no torch is.

    Args:
        model: a name of `physlab list models`, or a checkpoint folder.
        output: file to write, .onnx.
    """
    from physlab import load_model
    from physlab.compact import export_onnx

    print(export_onnx(load_model(model), output))


def downscale(
    input: Positional[str],
    model: Positional[str],
    output: Positional[Path],
    mapping: tuple[str, ...] = (),
    members: int | None = None,
    seed: int = 0,
) -> None:
    """Refine a coarse field of yours and write the result.

    Args:
        input: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        model: a name of `physlab list models` (bicubic+add-x4 needs no training), or a checkpoint folder.
        output: file to write, .nc or .zarr.
        mapping: your names and the library's, as in lat_name=latitude tcwv=tcw.
        members: of the ensemble, for methods that give one; without it as many as the method thinks right.
        seed: of the ensemble.
    """
    from physlab import load_model, open_dataset
    from physlab.data.writer import write_dataset
    from physlab.downscale import GAN, LatentDownscaler
    from physlab.train.progress import Bar

    names = dict(pair.split("=", 1) for pair in check_pairs(mapping))
    method, coarse = load_model(model), open_dataset(input, names or None)
    if not isinstance(method, GAN | LatentDownscaler):
        if members is not None:
            raise ValueError(f"{model} gives one field, no ensemble: leave out --members")
        fine = method.downscale(coarse)
    else:
        options = {"seed": seed} | ({} if members is None else {"members": members})
        with Bar(model, 1, isinstance(method, LatentDownscaler)) as bar:
            if isinstance(method, LatentDownscaler):
                options["progress"] = bar.share
            fine = method.downscale(coarse, **options)
    print(write_dataset(fine, output), "with", ", ".join(f"{name} {size}" for name, size in fine.sizes.items()))


def assimilate(
    background: Positional[str],
    observations: Positional[Path],
    output: Positional[Path],
    method: str = "letkf",
    radius: float = 1000.0,
    inflation: float = 1.0,
    variable: str = "",
    level: float = float("nan"),
    time: int = 0,
    error: tuple[str, ...] = (),
    mapping: tuple[str, ...] = (),
    members: int | None = None,
    seed: int = 0,
) -> None:
    """Correct a background of yours by observations of yours and write the analysis.

    Args:
        background: NetCDF, Zarr or GRIB file, or a name of `physlab list data`; with a dimension member, except for oi.
        observations: CSV (columns lat, lon, value, error, and variable and level if they vary) or NetCDF of stations.
        output: file to write, .nc or .zarr.
        method: letkf, etkf or enkf for an ensemble; oi (optimal interpolation) for one state; or a trained method of
            `physlab list models`, such as phyda-s0, for one global state on its grid and whole columns.
        radius: km; an observation has no weight from twice this distance on.
        inflation: of the members' spread before the analysis.
        variable: of all observations, where the file has no such column.
        level: hPa, likewise.
        time: which time of the background, counted from 0.
        error: for oi: standard deviation of the background errors, as in t=1.5 z=200.
        mapping: your names and the library's, as in lat_name=latitude.
        members: of the analysis, for trained methods; without it 8 where members differ.
        seed: of what is random.
    """
    from physlab import load_model, open_dataset
    from physlab.assimilate import FieldAssimilator, Learned
    from physlab.assimilate.fields import METHODS
    from physlab.data import read_stations
    from physlab.data.writer import write_dataset
    from physlab.train.progress import Bar

    errors = {name: float(value) for name, value in (pair.split("=", 1) for pair in check_pairs(error))}
    names = dict(pair.split("=", 1) for pair in check_pairs(mapping))
    first = open_dataset(background, names or None)
    if "time" in first.dims:
        if not 0 <= time < first.sizes["time"]:
            raise ValueError(f"time {time}: the background has {first.sizes['time']} times, counted from 0")
        first = first.isel(time=[time])
    table = read_stations(observations, variable, level)
    if method in METHODS:
        made = FieldAssimilator(method, 1e3 * radius, inflation, errors, seed).analyse(first.load(), table)
    else:
        trained = load_model(method)
        if not isinstance(trained, Learned):
            known = ", ".join(METHODS)
            raise ValueError(f"{method} is not a method of data assimilation: choose {known} or a trained one")
        with Bar(method, 1) as bar:
            made = trained.analyse(first.load(), table, members, seed, progress=bar.share)
    print(f"{write_dataset(made, output)}: {made.attrs['analysis']}")


COMMANDS = {
    "list": list_,
    "fetch": fetch,
    "simulate": simulate,
    "train": train,
    "train-latent": train_latent,
    "evaluate": evaluate,
    "benchmark": benchmark,
    "export": export,
    "downscale": downscale,
    "assimilate": assimilate,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command ``physlab``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        from physlab import __version__

        print(f"physlab {__version__}")
        return
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="physlab",
            description="Physics in deep learning for the weather. Each command explains itself: physlab train --help",
            args=argv,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except (ValueError, FileNotFoundError) as error:  # PhysLabError is a ValueError
        stop(" ".join(str(error).split()), error)
    except ModuleNotFoundError as error:
        missing = str(error.name).split(".")[0]
        extra = EXTRAS.get(missing)
        advice = f"pip install 'physlab[{extra}]'" if extra else f"pip install {missing}"
        stop(f"this command needs the package '{missing}', which is not installed: {advice}", error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def stop(message: str, error: Exception) -> None:
    """End with one line on standard error and exit status 2."""
    if os.environ.get("PHYSLAB_TRACEBACK"):
        raise error
    print(f"physlab: {message}", file=sys.stderr)
    raise SystemExit(2) from None


def check_pairs(pairs: Sequence[str]) -> Sequence[str]:
    """Refuse a mapping that is not of the form NAME=NAME."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ValueError(f"'{wrong[0]}' is no mapping: write YOURS=OURS, as in lat_name=latitude")
    return pairs


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table; wide where the output is not a terminal, so that nothing is cut in a file or a pipe."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in table.columns:
        numeric = table[column].dtype.kind in "fi"
        drawn.add_column(str(column).replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in table.itertuples(index=False):
        drawn.add_row(*(escape(text(value)) for value in row))
    console.print(drawn)


def show_numbers(title: str, numbers: dict[str, float]) -> None:
    """Print named numbers as a table of two columns."""
    import pandas as pd

    show(title, pd.DataFrame({"quantity": list(numbers), "value": [text(value) for value in numbers.values()]}))


def with_spread(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a table of results that fit a screen, the spread over seeds behind the mean."""
    import pandas as pd

    shown = table[["method", "seeds"]].assign(gain=[f"{gain:+.1%}" for gain in table["gain"]])
    for name in (name for name in SCORES if name in table):
        spreads = table.get(f"{name}_spread", pd.Series(float("nan"), table.index))
        cells = zip(table[name], spreads, strict=True)
        shown[name.replace("_", " ")] = [text(m) + (f" ± {s:.1g}" if s == s else "") for m, s in cells]
    return shown


def text(value: object) -> str:
    """A cell: floats with four significant digits, yes and no, nothing for what is missing."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if str(value) in ("None", "<NA>", "nan") else str(value)
