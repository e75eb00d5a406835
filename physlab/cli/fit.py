"""``physlab fit``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def fit(
    method: Positional[str],
    task: Positional[str],
    seed: int = 0,
    output: Path | None = None,
) -> None:
    """Fit a statistical method to the pairs of a task, and keep it.

    Args:
        method: a statistical method of `physlab list models`, for example bcsd.
        task: what is refined, and how much: tcw-x4, era5-uk-t2m-x4.
        seed: which frames of the training block are used, and of what is random.
        output: folder of the fitted method; without one, beside the checkpoints, where `physlab list` finds it.
    """
    from physlab.data import sr_pairs
    from physlab.data.assets import writable_folder
    from physlab.downscale import make_statistical, score_against
    from physlab.train.progress import Bar

    name, _, factor = task.rpartition("-x")
    if not name or not factor.isdigit():
        raise ValueError(f"'{task}' is no task with a factor: write tcw-x4, for example")
    with Bar(f"fit {method}", 3) as bar:
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
