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
    members: int | None = None,
    seed: int = 0,
) -> None:
    """Refine a coarse field of yours and write the result.

    Args:
        input: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        model: a name of `physlab list models` (bicubic+add-x4 needs no training), or a checkpoint folder.
        output: file to write, .nc or .zarr.
        mapping: your names and the library's, as in lat_name=latitude tcwv=tcw.
        members: of the ensemble, for methods that give one; without it as many as the method thinks right.
        seed: of the ensemble.
    """
    from physlab import load_model, open_dataset
    from physlab.data.writer import write_dataset
    from physlab.downscale import GAN, LatentDownscaler
    from physlab.train.progress import Bar

    names = pairs(mapping)
    method, coarse = load_model(model), open_dataset(input, names or None)
    if not isinstance(method, GAN | LatentDownscaler):
        if members is not None:
            raise ValueError(f"{model} gives one field, no ensemble: leave out --members")
        fine = method.downscale(coarse)
    else:
        options = {"seed": seed} | ({} if members is None else {"members": members})
        with Bar(model, 1, isinstance(method, LatentDownscaler)) as bar:
            if isinstance(method, LatentDownscaler):
                options["progress"] = bar.share
            fine = method.downscale(coarse, **options)
    print(write_dataset(fine, output), "with", ", ".join(f"{name} {size}" for name, size in fine.sizes.items()))
