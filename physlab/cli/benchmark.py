"""``physlab benchmark``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from physlab.cli.output import show, with_spread

if TYPE_CHECKING:
    import pandas as pd


Table = Literal["downscaling", "continuous", "forecasting", "speed", "assimilation", "divergence", "ensemble"]


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
