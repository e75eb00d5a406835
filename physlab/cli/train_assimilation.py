"""``physlab train-assimilation``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def train_assimilation(
    method: Positional[str],
    output: Positional[Path],
    runs: tuple[Path, ...],
    autoencoder: Path | None = None,
    steps: int | None = None,
    batch: int = 8,
    seed: int = 0,
    device: str = "auto",
    days: tuple[float, float] | None = None,
) -> None:
    """Train a method of data assimilation on nature runs, for physlab assimilate; run again to resume.

    Args:
        method: adas, convcnp, fnp, sda or vaevar; slam and phyda, which build on a vaevar; 3dvar and static letkf are
            estimated, not trained.
        output: folder of the method.
        runs: folders of nature runs with forecasts, made by physlab simulate, or of cycles, made by physlab cycle.
        autoencoder: folder of a trained vaevar, for slam and phyda.
        steps: of the training; without it 700 for vaevar and 400 for the others.
        batch: pairs a step.
        seed: of the weights, the order of the pairs and the stations.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
        days: first and last day of the runs that are the training block, such as 4 60 without the start of a cycle and
            what is kept for a test; all days without it.
    """
    from physlab.train.assimilation import AssimilationSettings, train_by_name
    from physlab.train.devices import speaks

    settings = AssimilationSettings(steps=steps or (700 if method == "vaevar" else 400), batch=batch)
    made = train_by_name(method, runs, output, settings, seed, autoencoder, progress=True, device=device, days=days)
    if speaks():
        took = made.card.get("training")
        print(output, "estimated" if took is None else f"trained on {took['pairs']} pairs, {took['steps']} steps")
