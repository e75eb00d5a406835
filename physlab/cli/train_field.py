"""``physlab train-field``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from physlab.cli.options import pairs


def train_field(
    data: Positional[str],
    output: Positional[Path],
    variables: tuple[str, ...] = (),
    physics: float = 0.01,
    force: tuple[int, int, int] = (4, 4, 8),
    steps: int | None = None,
    seed: int = 0,
    mapping: tuple[str, ...] = (),
    device: str = "auto",
) -> None:
    """Fit a continuous field of place and time to gridded data and to the equations of motion; run again to resume.

    Args:
        data: (time, latitude, longitude) on one level: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        output: folder of the field.
        variables: u, v, t, z, q, tcw or some of them; without any, all of the data.
        physics: weight of the equations beside the data; 0 for data alone.
        force: waves in x, y and time of the force that the equations leave; 0 0 0 for none.
        steps: of the fit; without it 3000.
        seed: of the weights and the points.
        mapping: your names and the library's, as in lat_name=latitude.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
    """
    from physlab import open_dataset
    from physlab.phydl import FitSettings, PhyDL, SmoothForce
    from physlab.train.checkpoint import origin
    from physlab.train.devices import agreed, by_one, processes, rank
    from physlab.train.state import state_file

    with processes(device) as here:
        if agreed(output.exists):
            raise ValueError(f"{output} is there already: choose another folder, or remove it to fit again")
        ds = open_dataset(data, pairs(mapping) or None).load()
        model = PhyDL.of(ds, variables or None, force=SmoothForce(force), seed=seed).to(here)
        settings = FitSettings(physics=physics, steps=steps or FitSettings.steps)
        report = model.fit(ds, settings, seed, state_file("field", output), progress=True)
        model.card |= {**origin(here), "precision": report.precision}
        by_one(lambda: model.save(output))
        if rank() == 0:
            print(f"{output}: {report.steps} steps, misfit {report.history[-1]['data']:.3f} standard deviations")
