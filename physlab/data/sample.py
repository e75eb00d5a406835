"""Make ``era5-uk-t2m-sample.nc``, the validation and test hours of `era5-uk-t2m` that ship with the package.

Run ``python -m physlab.data.sample [FOLDER]`` to write it again from the download (default: the package's assets
folder). The values are packed to int16 in steps of 0.002 K, so they differ from the download by at most 0.001 K (plus
float32 rounding). Mean and standard deviation of the training block travel along as attributes, so that models can be
applied without the download.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data.assets import PACKAGED
from physlab.data.frames import UK_SPLIT, uk_field
from physlab.data.writer import write_dataset
from physlab.errors import FieldError
from physlab.fields import Scaling

STEP = 0.002
"""Packing step in K."""
OFFSET = 280.0
"""Value in K that is packed as zero: the range is 214.5 to 345.5 K."""
ATTRIBUTION = "Contains modified Copernicus Climate Change Service information 2019"


def make_sample(folder: Path = PACKAGED / "data") -> Path:
    """Write the sample to `folder` and return its path; an existing file is replaced only by a complete one."""
    field = uk_field()
    index = UK_SPLIT.indices(field["time"].values)
    train = Scaling.fit(torch.from_numpy(field.isel(time=index["train"]).values)[:, None], non_negative=False)
    held_out = np.concatenate([index["val"], index["test"]])
    part = field.isel(time=held_out)
    if not float(abs(part - OFFSET).max()) < 32767 * STEP:
        raise FieldError(
            f"2-m temperature lies outside {OFFSET} +/- {32767 * STEP:g} K: the download is not the expected file"
        )
    label = np.concatenate([np.full(index[name].size, name, dtype=object) for name in ("val", "test")])
    attrs = {**VARIABLES["t2m"], "train_mean": train.offset[0], "train_std": train.scale[0]}
    ds = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), part.values, attrs)},
        coords={
            "time": part["time"].values,
            "split": ("time", label, {"long_name": "block of the split by time"}),
            "latitude": ("latitude", part["latitude"].values, {"standard_name": "latitude", "units": "degrees_north"}),
            "longitude": (
                "longitude",
                part["longitude"].values,
                {"standard_name": "longitude", "units": "degrees_east"},
            ),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "ERA5 hourly 2-metre temperature over the British Isles: validation and test hours of March 2019",
            "source": "ERA5 (Hersbach et al. 2020, doi 10.1002/qj.3803), file era5-2mt-2019-03-uk.grib of "
            "pydata/xarray-data",
            "attribution": ATTRIBUTION,
            "comment": f"First 32 rows and 48 columns of the 33 x 49 grid, packed in steps of {STEP} K by "
            "physlab.data.sample; neither the European Commission nor ECMWF is responsible for any use of it. "
            "train_mean and train_std: 1 to 18 March.",
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "era5-uk-t2m-sample.nc"
    packing: dict[str, object] = {
        "dtype": "int16",
        "scale_factor": STEP,
        "add_offset": OFFSET,
        "_FillValue": -32768,
        "zlib": True,
        "complevel": 9,
    }
    encoding: dict[str, dict[str, object]] = {
        "t2m": {**packing, "shuffle": True, "chunksizes": (24, *part.shape[1:])},
        "time": {"units": "hours since 2019-03-01", "dtype": "int32"},
    }
    return write_dataset(ds, target, encoding)


if __name__ == "__main__":
    print(make_sample(*map(Path, sys.argv[1:2])))
