"""NetCDF of any size: blocks are packed and kept as parts, and put together into the file when all are there.

A file of HDF5 that is cut short while it is written cannot be read again. So each block is filtered and compressed as
HDF5 would, and kept in a part of its own; the file is made from them without computing or compressing anything.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr

from physlab.data.cfout.attributes import safe
from physlab.data.cfout.layout import Plan, chunks_of
from physlab.data.cfout.template import FILL

LEVEL = 1  # of the compression: most of what there is to gain, at a third of the time of level 4


def small_bytes(ds: xr.Dataset) -> bytes:
    """A data set as a NetCDF file in memory, all at once."""
    with io.BytesIO() as stream:
        with h5netcdf.File(stream, "w") as file:
            write_frame(file, ds, dict(ds.sizes))
        return stream.getvalue()


def write_frame(file: h5netcdf.File, ds: xr.Dataset, sizes: Mapping) -> None:
    """Dims, global attributes and whole variables into a new file.

    Written without xarray, whose attributes of text are of a type that NCO and CDO do not take for links.
    """
    file.dimensions = {str(dim): int(size) for dim, size in sizes.items()}
    for key, value in of_characters(ds.attrs).items():
        file.attrs[key] = value
    for name, da in ds.variables.items():
        variable = da.load()
        if variable.dtype.kind in "OU":
            variable = as_characters(variable)
            file.dimensions.setdefault(variable.dims[-1], variable.shape[-1])
        values = np.asarray(variable.values)
        floats = values.dtype.kind == "f" and name in ds.data_vars
        made = create(file, str(name), variable, None, links(ds, str(name)), floats)
        fill: Any = FILL.get(values.dtype.str[1:])
        made[...] = np.where(np.isnan(values), fill, values).astype(values.dtype) if floats else values


def create(
    file: h5netcdf.File,
    name: str,
    variable: xr.Variable,
    chunks: tuple[int, ...] | None,
    coordinates: str,
    floats: bool,
) -> h5netcdf.Variable:
    """A variable without values: floats compressed without loss, with the fill value of NetCDF; nothing is missing in
    coordinates."""
    options: dict = {}
    if floats:
        options["fillvalue"] = FILL.get(variable.dtype.str[1:])
    if variable.ndim and (chunks is not None or (floats and variable.size > 64)):
        options |= {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True, "chunks": chunks}
    made = file.create_variable(name, tuple(map(str, variable.dims)), variable.dtype, **options)
    own = {key: value for key, value in variable.attrs.items() if key != "_Encoding"}
    for key, value in of_characters(own | ({"coordinates": coordinates} if coordinates else {})).items():
        made.attrs[key] = value
    if variable.dtype == "S1" and "_Encoding" in variable.attrs:  # with it readers join the characters to text again
        made.attrs["_Encoding"] = np.bytes_(variable.attrs["_Encoding"].encode())
    return made


def links(ds: xr.Dataset, name: str) -> str:
    """The coordinates of a variable beside its dims, as CF names them."""
    if name not in ds.data_vars:
        return ""
    dims = set(ds[name].dims)
    others = {
        word
        for n in ds.variables
        for key in ("bounds", "grid_mapping", "cell_measures", "ancillary_variables")
        for word in str(ds[n].attrs.get(key, "")).split()
    }
    return " ".join(
        sorted(str(c) for c in ds.coords if c not in ds.dims and c not in others and set(ds[c].dims) <= dims)
    )


def as_characters(variable: xr.Variable) -> xr.Variable:
    """Text of fixed length, which readers of the classic model know."""
    text = np.asarray(variable.values).astype(str)
    code = np.char.encode(text, "utf-8") if text.size else text.astype("S1")
    code = code.astype(f"S{max(1, code.dtype.itemsize)}")
    letters = code.reshape(*code.shape, 1).view("S1").reshape(*code.shape, -1)
    dims = (*variable.dims, f"string{code.dtype.itemsize}")
    return xr.Variable(dims, letters, {**variable.attrs, "_Encoding": "utf-8"})


def of_characters(attrs: Mapping) -> dict:
    """Safe attributes, text as characters where it is plain, which readers of the classic model know."""
    made = safe(attrs)
    return {key: np.bytes_(v.encode()) if isinstance(v, str) and v and v.isascii() else v for key, v in made.items()}


def packed(values: np.ndarray, plan: Plan, block: tuple[slice, ...]) -> bytes:
    """The chunks of a block as HDF5 stores them, one after the other, with a table in front.

    Chunks that are cut by the end of the variable are filled up, as HDF5 does.
    """
    table, content = [], []
    fill: Any = FILL.get(values.dtype.str[1:])
    for chunk in chunks_of(plan, block):
        inside = tuple(slice(part.start - b.start, part.stop - b.start) for part, b in zip(chunk, block, strict=True))
        whole = np.zeros(plan.chunks, dtype=values.dtype) if fill is None else np.full(plan.chunks, fill, values.dtype)
        part = values[inside]
        if fill is not None:
            part = np.where(np.isnan(part), fill, part)
        whole[tuple(slice(0, n) for n in part.shape)] = part
        shuffled = whole.reshape(-1).view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
        data = zlib.compress(shuffled, LEVEL)
        table.append([[part.start for part in chunk], len(data)])
        content.append(data)
    head = json.dumps(table).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *content])


def assemble(
    path: Path,
    frame: xr.Dataset,
    large: Mapping[str, tuple[xr.Variable, Plan]],
    coordinates: Mapping[str, str],
    parts: Mapping[str, list[Path]],
) -> None:
    """The file: coordinates and small variables as they are, large ones from their parts.

    Parameters
    ----------
    frame : all that is small, by :func:`physlab.data.cfout.template.template`, with the dims of all.
    large : name -> variable (its values are not looked at) and plan.
    coordinates : name -> :func:`links`.
    parts : name -> files by :func:`packed`.
    """
    sizes = dict(frame.sizes)
    for variable, _ in large.values():
        sizes |= variable.sizes
    with h5netcdf.File(path, "w") as file:
        write_frame(file, frame, sizes)
        for name, (variable, plan) in large.items():
            made = create(file, name, variable, plan.chunks, coordinates[name], variable.dtype.kind == "f")
            for part in parts[name]:
                with open(part, "rb") as stream:
                    table = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
                    for at, length in table:
                        made._h5ds.id.write_direct_chunk(tuple(at), stream.read(length))
