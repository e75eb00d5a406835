"""``physlab fit``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from physlab.cli.options import pairs


def fit(
    method: Positional[str],
    task: Positional[str],
    seed: int = 0,
    output: Path | None = None,
    model: str = "",
    calibrate: tuple[str, str] | None = None,
    variables: tuple[str, ...] = (),
    mapping: tuple[str, ...] = (),
    option: tuple[str, ...] = (),
    cluster: str = "",
) -> None:
    """Fit a statistical method to the pairs of a task, or an adjustment to a climate model, and keep it.

    Args:
        method: a statistical method of `physlab list models`, for example bcsd; or an adjustment: EQM, DQM, QDM, MBCn,
            BCSD, which `physlab adjust` applies.
        task: what is refined, and how much: tcw-x4, era5-uk-t2m-x4; of an adjustment the file of the observations.
        seed: which frames of the training block are used, and of what is random.
        output: folder of the fitted method; without one, beside the checkpoints, where `physlab list` finds it. An
            adjustment wants one.
        model: of an adjustment: the file of the climate model in the calibration.
        calibrate: of an adjustment: first and last time, as in 1950 1980; without it what both have.
        variables: of an adjustment: of the observations; without it all that the model has too.
        mapping: of an adjustment: your names and the library's, as in lat_name=latitude.
        option: of an adjustment, as in seasons=month window=31.
        cluster: address of a dask scheduler (tcp://HOST:8786), its file, or local:N for N processes here: bands that
            are fitted one by one (quantile regression, support vectors) are then fitted side by side, with the same
            result.
    """
    from physlab import registry
    from physlab.cluster import cluster as joined
    from physlab.data import sr_pairs
    from physlab.data.assets import writable_folder
    from physlab.downscale import make_statistical, score_against
    from physlab.train.progress import Bar

    if method in registry.specs("methods") and registry.specs("methods")[method].kind == "adjustment":
        print(_adjustment(method, task, seed, output, model, calibrate, variables, mapping, option))
        return
    name, _, factor = task.rpartition("-x")
    if not name or not factor.isdigit():
        raise ValueError(f"'{task}' is no task with a factor: write tcw-x4, for example")
    with joined(cluster), Bar(f"fit {method}", 3) as bar:
        bar.note("reading")
        data = sr_pairs(name, int(factor))
        bar.advance(1)
        bar.note("fitting")
        fitted = make_statistical(method, data).fit(data, seed=seed)
        bar.advance(2)
        bar.note("scores")
        scores = score_against(fitted, data, "test")
        bar.advance(3)
    slug = method.replace(" ", "-")
    folder = output or writable_folder() / "statistical" / f"{task}-{slug}-s{seed}"
    print(f"{fitted.save(folder)}: test RMSE {scores['rmse']:.4g} {data.units}, "
          f"bicubic+add {scores['rmse_bicubic_add']:.4g}")  # fmt: skip


def _adjustment(method, observed, seed, output, model, calibrate, variables, mapping, option) -> Path:
    """Fit and keep an adjustment."""
    from physlab.data.series import open_series
    from physlab.downscale.calibration import calibrated
    from physlab.errors import PhysLabError

    if not model or output is None:
        raise PhysLabError(
            f"{method} is fitted to two records: physlab fit {method} OBSERVED --model MODEL --output FOLDER"
        )
    names = pairs(mapping) or None
    truth, past = (open_series(name, names) for name in (observed, model))
    options = {**({"seed": str(seed)} if seed else {}), **pairs(option)}
    return calibrated(method, truth, past, calibrate, variables, options).save(output)
