"""``physlab downscale``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from physlab.cli.options import pairs


def downscale(
    input: Positional[str],
    model: Positional[str],
    output: Positional[Path],
    mapping: tuple[str, ...] = (),
    statics: Path | None = None,
    members: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Refine a coarse field of yours and write the result.

    Args:
        input: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        model: a name of `physlab list models` (bicubic+add-x4 needs no training), or a checkpoint folder.
        output: file to write, .nc or .zarr.
        mapping: your names and the library's, as in lat_name=latitude tcwv=tcw.
        statics: file with orog (m) or land (share of land) on the fine grid, for methods that ask for them.
        members: of the ensemble, for methods that give one; without it as many as the method thinks right.
        seed: of the ensemble.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
    """
    from physlab import load_model
    from physlab.data.guard import open_checked
    from physlab.data.writer import write_dataset
    from physlab.downscale.base import GriddedDownscaler
    from physlab.downscale.terrain import ground_of
    from physlab.train.devices import choose_device
    from physlab.train.progress import Bar

    names = pairs(mapping) or None
    method, coarse = load_model(model, choose_device(device)), open_checked(input, names)
    if not isinstance(method, GriddedDownscaler):
        raise ValueError(f"{model} is a {type(method).__name__}: choose a method that refines fields by a factor")
    ground = None if statics is None else ground_of(open_checked(statics, names))
    with Bar(model, 1) as bar:
        fine = method.downscale(coarse, statics=ground, members=members, seed=seed, progress=bar.share)
    print(write_dataset(fine, output), "with", ", ".join(f"{name} {size}" for name, size in fine.sizes.items()))
