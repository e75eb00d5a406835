"""Large domains in overlapping tiles, for functions of several fields on grids of different spacing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from physlab.errors import PhysLabError

TILE, HALO = 96, 24  # coarse cells; multiples of 8, so that strided convolutions meet the same cells in every tile


def in_tiles(
    apply: Callable[..., Tensor], fields: Sequence[Tensor], scales: Sequence[int], tile: int = TILE,
    periodic: bool = False, halo: int = HALO, always: bool = False,
) -> Tensor:  # fmt: skip
    """``apply(*fields)`` on overlapping tiles: equal to the whole if it looks no further than `halo` coarse cells.

    Parameters
    ----------
    apply : (B, C, s*h, s*w) each -> (B, C', r*h, r*w), r any whole number.
    fields : at scales s times the coarse grid.
    scales : s of each field.
    tile : coarse cells along an edge, a multiple of 8.
    periodic : columns wrap around.
    halo : coarse cells of overlap on each side, a multiple of 8.
    always : also where one tile is enough, for functions that do not wrap columns around themselves.

    Raises
    ------
    PhysLabError : a tile that is no multiple of 8.
    """
    if tile < 8 or tile % 8:
        raise PhysLabError(f"tiles of {tile} coarse cells: pass a multiple of 8")
    height, width = (n // scales[0] for n in fields[0].shape[-2:])
    if height <= tile and width <= tile and not always:
        return apply(*fields)
    beyond = min(halo, width) if periodic else 0
    wide = [f[..., torch.arange(-beyond * s, (width + beyond) * s, device=f.device) % (width * s)] if beyond else f
            for f, s in zip(fields, scales, strict=True)]  # fmt: skip
    rows = []
    for top in range(0, height, tile):
        low, high, row = max(top - halo, 0), min(top + tile + halo, height), []
        for left in range(0, width, tile):
            first = max(left + beyond - halo, 0)
            last = min(left + beyond + tile + halo, width + 2 * beyond)
            windows = [f[..., s * low : s * high, s * first : s * last] for f, s in zip(wide, scales, strict=True)]
            made = apply(*windows)
            r = made.shape[-2] // (high - low)
            y, x = r * (top - low), r * (left + beyond - first)
            row.append(made[..., y : y + r * min(tile, height - top), x : x + r * min(tile, width - left)])
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)
