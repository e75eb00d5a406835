"""``physlab downscale``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from physlab.cli.options import pairs

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


def downscale(
    input: Positional[str],
    model: Positional[str],
    output: Positional[Path],
    mapping: tuple[str, ...] = (),
    statics: Path | None = None,
    members: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    zarr_format: Literal[2, 3] | None = None,
    precision: Literal["fp32", "bf16", "auto"] = "fp32",
    cluster: str = "",
    stations: Path | None = None,
    learn: Path | None = None,
    how: Literal["step", "guide", "both"] = "step",
    std: tuple[str, ...] = (),
    units: tuple[str, ...] = (),
    window: float = 1.5,
    check: float = 5.0,
    orography: str = "",
    lapse: float = 6.5,
    height: float = 500.0,
) -> None:
    """Refine a coarse field of yours and write the result.

    Large files are computed and written step by step; a run that was killed goes on where it was when the same command
    is given again. Cells without a value stay without one.

    Args:
        input: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        model: a name of `physlab list models`, or a checkpoint folder. Without training: bicubic+mult-x4 for what
            cannot be negative (rain, humidity, cloud), bicubic+add-x4 for the rest (temperature, pressure, wind).
        output: file to write, .nc or .zarr.
        mapping: your names and the library's, as in lat_name=latitude tcwv=tcw.
        statics: file with orog (m) or land (share of land) on the fine grid, for methods that ask for them.
        members: of the ensemble, for methods that give one; without it as many as the method thinks right.
        seed: of the ensemble.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
        zarr_format: of a Zarr output, 2 or 3; without it that of a Zarr input, else 2.
        precision: of a network: fp32; bf16, up to three times as fast where the processor multiplies in it, with a
            rounding of some 0.2 % of the largest value; auto, bf16 on such processors.
        cluster: address of a dask scheduler (tcp://HOST:8786), its file, or local:N for N processes here.
        stations: what was measured, as CSV or NetCDF (see `physlab assimilate`), of one time or many: the fine field,
            or each member, is corrected by it. Block means that the method keeps stay kept. All is held in memory.
        learn: fine fields of the same grid and other times, whose truth teaches how large the errors of the method are
            and how far they are alike; without it the stations themselves have to say.
        how: step, the best linear correction; guide, for latent diffusion: members drawn given the stations; both.
        std: of the errors of stations where the file has none, as in t2m=0.5, or one number; in SI units.
        units: of the stations where the file does not say, as in t2m=degC, or one for all.
        window: hours; stations count for a field no further than this from its time.
        check: reject what is further from the field than so many standard deviations of the difference; 0: none.
        orography: file with the height of the fine surface, to bring temperatures of stations to it; without it orog of
            the statics.
        lapse: K per km, by which that is done.
        height: m; stations further above or below the fine surface are left out.
    """
    from physlab import load_model
    from physlab.cluster import cluster as joined
    from physlab.data.cfout.provenance import command_line, digest_of, remember
    from physlab.data.guard import open_checked
    from physlab.data.writer import check_target, write_dataset
    from physlab.downscale.base import GriddedDownscaler
    from physlab.downscale.blocks import in_blocks, takes_blocks
    from physlab.downscale.steps import in_steps
    from physlab.downscale.suited import suited
    from physlab.downscale.terrain import ground_of
    from physlab.train.devices import choose_device
    from physlab.train.progress import Bar

    names = pairs(mapping) or None
    check_target(output)
    if stations is None and (learn is not None or how != "step"):
        raise ValueError("--learn and --how are about stations: pass --stations FILE, too")
    method, coarse = load_model(model, choose_device(device), precision), open_checked(input, names)
    if not isinstance(method, GriddedDownscaler):
        raise ValueError(f"{model} is a {type(method).__name__}: choose a method that refines fields by a factor")
    ground = None if statics is None else ground_of(open_checked(statics, names))
    zarr_format = zarr_format or (3 if coarse.encoding.get("format") == "zarr3" else 2)
    card = getattr(method, "card", None) or {}
    chosen, notes = suited(method, coarse)
    if stations is not None:
        from physlab.cli.downscale_stations import told_by, with_stations

        checks = {"window": window, "sigmas": check, "lapse": lapse, "height": height}
        heights = orography or (str(statics) if statics is not None else "")
        chosen = with_stations(
            chosen, coarse.load(), stations, learn, how, std, units, checks, heights, bool(orography), names, ground
        )
    with joined(cluster), Bar(model, 1) as bar:
        plain = chosen if stations is None and isinstance(chosen, GriddedDownscaler) else None
        in_parts = plain is not None and takes_blocks(plain, coarse, members)
        if plain is not None and in_parts:
            fine = in_blocks(plain, coarse, statics=ground, members=members, seed=seed)
        else:
            given = in_steps(coarse, method.factor) if plain is not None and plain.lazy else coarse
            in_parts = given is not coarse
            fine = chosen.downscale(given, statics=ground, members=members, seed=seed, progress=bar.share)
        if stations is not None:
            notes = [*notes, told_by(fine)]
        for line in notes:
            print(line, file=sys.stderr)
        known = command_line() or f"downscaled with {model}"
        ensemble = "member" in fine.dims and "member" not in coarse.dims
        fine = remember(
            fine, known, *notes, model=model, card_sha256=digest_of(card) if card else None, factor=method.factor,
            members=fine.sizes["member"] if ensemble else None, seed=seed if ensemble else None,
        )  # fmt: skip
        belongs = {
            "input": digest_of(input), "mapping": sorted(mapping), "model": model, "card": digest_of(card),
            "seed": seed, "statics": digest_of(statics), "members": members, "format": zarr_format, "notes": notes,
            "precision": precision,
        }  # fmt: skip
        tally = Tally(fine)
        write_dataset(
            fine, output, zarr_format=zarr_format, belongs_to=belongs if in_parts else None,
            progress=bar.share, seen=tally.see,
        )  # fmt: skip
    for line in tally.notes(method.factor):
        print(line, file=sys.stderr)
    print(output, "with", ", ".join(f"{name} {size}" for name, size in fine.sizes.items() if name != "bnds"))


class Tally:
    """Counts while fields are written: cells without a value, and negative ones of what cannot be negative."""

    def __init__(self, fine: xr.Dataset) -> None:
        from physlab.cf import kind, non_negative

        self.cells: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self.negative: dict[str, int] = {}
        self.positive = {str(name) for name, da in fine.data_vars.items() if non_negative(da)}
        self.shares = {str(name): 1.0 for name, da in fine.data_vars.items() if kind(da) == "fraction"}
        self.shares |= {n: 100.0 for n in self.shares if str(fine[n].attrs.get("units")) in ("%", "percent")}
        self.above: dict[str, int] = {}

    def see(self, name: str, values: np.ndarray) -> None:
        """Count a block."""
        import numpy as np

        self.cells[name] = self.cells.get(name, 0) + values.size
        if values.dtype.kind == "f":
            self.missing[name] = self.missing.get(name, 0) + int(np.isnan(values).sum())
        if name in self.positive:
            self.negative[name] = self.negative.get(name, 0) + int((values < 0).sum())
        if name in self.shares:
            self.above[name] = self.above.get(name, 0) + int((values > self.shares[name] * (1 + 1e-6)).sum())

    def notes(self, factor: int) -> list[str]:
        """What is to be said."""
        made = []
        for name, count in self.missing.items():
            if count:
                made.append(
                    f"{_percent(count, self.cells[name])} of the cells of '{name}' have no value, as in the input"
                )
        for name, count in self.negative.items():
            if count:
                made.append(
                    f"{_percent(count, self.cells[name])} of the cells of '{name}' are negative, which it cannot be: "
                    f"bicubic+mult-x{factor} conserves and keeps the sign"
                )
        for name, count in self.above.items():
            if count:
                made.append(
                    f"{_percent(count, self.cells[name])} of the cells of the share '{name}' are above "
                    f"{self.shares[name]:g}: bicubic+add-x{factor} keeps a share within its bounds here"
                )
        return made


def _percent(count: int, cells: int) -> str:
    return f"{100 * count / cells:.3g} %"
