"""``physlab train-forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from physlab.cli.options import pairs


def train_forecast(
    data: Positional[str],
    output: Positional[Path],
    network: Literal["unet", "convlstm", "afno"] = "unet",
    variables: tuple[str, ...] = ("u", "v", "t", "z", "q", "tcw"),
    trained: Path | None = None,
    physics: float = 0.0,
    steps: int | None = None,
    batch: int = 16,
    width: int = 33,
    seed: int = 0,
    mapping: tuple[str, ...] = (),
    device: str = "auto",
) -> None:
    """Train a network that forecasts a day, or fine-tune one by equations that are learned from the same data.

    Args:
        data: every hour of whole circles of latitude: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        output: folder of the forecaster.
        network: kind of a new one.
        variables: of a new one, on one level.
        trained: folder of a trained forecaster to go on from, instead of a new one.
        physics: weight of the equations beside the data, for example 0.01; 0 for data alone.
        steps: of the training; without it 900, and 250 from a trained one.
        batch: windows a step.
        width: columns of a window.
        seed: of the weights and the windows.
        mapping: your names and the library's, as in lat_name=latitude.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
    """
    from physlab import open_dataset
    from physlab.phydl import Forecaster, ForecastSettings, GridResidual, Windows, finetune
    from physlab.train.checkpoint import origin
    from physlab.train.devices import agreed, by_one, processes, rank
    from physlab.train.state import state_file

    with processes(device) as here:
        if agreed(output.exists):
            raise ValueError(f"{output} is there already: choose another folder, or remove it to train again")
        model = None if trained is None else Forecaster.load(trained)
        names = variables if model is None else model.variables
        ds = open_dataset(data, pairs(mapping) or None)
        missing = [name for name in names if name not in ds]
        if missing:
            raise ValueError(f"no {', '.join(missing)} in {data}: found {', '.join(map(str, ds.data_vars))}")
        ds = ds[list(names)].load()
        model = Forecaster.of(network, ds, names, seed) if model is None else model
        equations = GridResidual.learn(ds, names, hours=model.leads[1] - model.leads[0]) if physics else None
        default = {"steps": 900} if trained is None else {"steps": 250, "rate": 1e-3}
        chosen = {"physics": physics, "batch": batch, "width": min(width, ds.sizes["longitude"])}
        settings = ForecastSettings(**default | chosen | ({} if steps is None else {"steps": steps}))
        state = state_file("forecast", output)
        report = finetune(model.to(here), Windows(ds, model), settings, equations, seed, True, state=state)
        model.card |= {"seed": seed, "train_s": report.wall_time_s, **origin(here), "precision": report.precision}
        by_one(lambda: model.save(output))
        if rank() == 0:
            print(f"{output}: {report.steps} steps, misfit {report.history[-1]['data']:.3f} of the change of a day")
