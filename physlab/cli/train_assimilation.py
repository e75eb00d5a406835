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
) -> None:
    """Train a method of data assimilation on nature runs, for physlab assimilate; run again to resume.

    Args:
        method: adas, convcnp, fnp, sda or vaevar; slam and phyda, which build on a vaevar; 3dvar and static letkf are
            estimated, not trained.
        output: folder of the method.
        runs: folders of nature runs with forecasts, made by physlab simulate; their days are the training block.
        autoencoder: folder of a trained vaevar, for slam and phyda.
        steps: of the training; without it 700 for vaevar and 400 for the others.
        batch: pairs a step.
        seed: of the weights, the order of the pairs and the stations.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
    """
    from physlab.train.assimilation import AssimilationSettings, train_by_name
    from physlab.train.devices import speaks

    settings = AssimilationSettings(steps=steps or (700 if method == "vaevar" else 400), batch=batch)
    made = train_by_name(method, runs, output, settings, seed, autoencoder, progress=True, device=device)
    if speaks():
        took = made.card.get("training")
        print(output, "estimated" if took is None else f"trained on {took['pairs']} pairs, {took['steps']} steps")
