"""``physlab cycle``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def cycle(
    truth: Positional[Path],
    output: Positional[Path],
    method: str = "3d-var",
    share: tuple[float, float] = (0.02, 0.1),
    noise: float = 0.25,
    first: int = 0,
    days: int = 100,
    every: int = 12,
    window: float = 6.0,
    seed: int = 0,
    members: int = 20,
    prior: str = "3d-var",
    forecasts: int = 0,
    forecasts_every: int = 4,
) -> None:
    """Analyse and forecast in turn: a method of data assimilation lives with the laboratory atmosphere.

    The truth (T85) is observed in columns, the model (T42) starts again from each analysis. A cycle that was
    interrupted goes on where it was.

    Args:
        truth: folder of a nature run: physlab simulate --output FOLDER --hourly 0 0.
        output: folder for backgrounds and analyses; a cycle that is found there is continued.
        method: a trained method of `physlab list models` or a folder: 3d-var, phyda-s0, ...; or one that lives with the
            model: 4d-var (the gradient through 12 hours of it) or letkf (members that it carries).
        share: least and largest share of the grid points that are observed; each time draws between them.
        noise: of the observations, in units of the background error that the method knows.
        first: day of the truth that the cycle starts on.
        days: length.
        every: hours between analyses: 6, 12 or 24.
        window: hours over which the change of an analysis is added to the model.
        seed: of places and errors of the observations.
        members: of letkf.
        prior: 3D-Var whose units 4d-var and letkf take, and whose covariance 4d-var begins with: its name, or a folder
            of physlab train-assimilation 3dvar.
        forecasts: days of forecasts from the analyses, kept in ahead-*.nc; 0 for none.
        forecasts_every: every so many analyses starts one.
    """
    from physlab import load_model
    from physlab.assimilate import Learned
    from physlab.assimilate.ahead import Ahead
    from physlab.assimilate.global_cycle import GlobalCycle, run_cycle
    from physlab.errors import PhysLabError
    from physlab.train.progress import Bar

    plan, ahead = GlobalCycle(share, noise, first, days, every, window, seed), Ahead(forecasts, forecasts_every)
    if method in ("4d-var", "letkf"):
        from physlab.assimilate.global3d import GlobalVar3D
        from physlab.assimilate.model_cycle import LETKFSettings, run_model_cycle

        known = load_model(prior)
        if not isinstance(known, GlobalVar3D):
            raise PhysLabError(f"{prior} is no 3D-Var: pass 3d-var, or a folder of physlab train-assimilation 3dvar")
        settings = LETKFSettings(members=members) if method == "letkf" else None
        with Bar(f"cycle with {method}", days * 24 // every) as bar:
            print(run_model_cycle(plan, truth, output, method, known, settings, progress=bar.share, name=prior,
                                  ahead=ahead))  # fmt: skip
        return
    chosen = load_model(method)
    if not isinstance(chosen, Learned):
        raise ValueError(f"{method} is no method for whole states of the globe: choose one of `physlab list models`, "
                         "such as 3d-var")  # fmt: skip
    with Bar(f"cycle with {method}", days * 24 // every) as bar:
        print(run_cycle(plan, truth, output, chosen, method, progress=bar.share, ahead=ahead))
