"""``physlab train-latent``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from physlab.cli.options import pairs
from physlab.cli.output import show


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
    penalty: str = "balance",
    weight: float = 0.0,
    steps: int | None = None,
    seed: int = 0,
    mapping: tuple[str, ...] = (),
    device: str = "auto",
) -> None:
    """Train latent diffusion on fields of yours, if you like with a law in the loss; run again to resume.

    Without a law `physlab train latent TRUTH OUT` does it as for every method: three blocks, baselines and a report.

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
        penalty: balance of advection and diffusion (wants the wind among the fine fields), flux-ratio (as published),
            or a law of `physlab list parts` that takes t.
        weight: of the penalty; 0 for none.
        steps: of the denoiser; the other stages follow in proportion.
        seed: of the weights and of the order of the fields.
        mapping: your names and the library's, as in lat_name=latitude.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
    """
    import xarray as xr

    from physlab.benchmark import compare_on
    from physlab.data.guard import open_checked
    from physlab.data.ingest import select
    from physlab.downscale.terrain import TerrainFields, ground_of, hold_out
    from physlab.train.devices import choose_device, processes, rank
    from physlab.train.latent import LatentSettings, train_in_folder

    names, there = pairs(mapping) or None, choose_device(device)

    def opened(name: str) -> xr.Dataset:
        ds = open_checked(name, names)
        if region is not None:
            ds = select.region(ds, *region)
        return ds if period is None or "time" not in ds.coords else select.period(ds, *period)

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
    with processes(there) as here:
        model = train_in_folder(training, output, settings, seed, weight, penalty, progress=True, device=here)
        if rank() == 0:
            show(f"{len(rest)} times that were held out", compare_on(model.to("cpu"), rest))
            print(output)
