"""The catalogue of data sets that have a name, and :func:`open_dataset`, which opens them and your own files alike.

What there is stands in :mod:`physlab.data.sets`, one function for each data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physlab import registry
from physlab.data.assets import asset
from physlab.data.registry import FILES, RemoteFile
from physlab.errors import FieldError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    Attributes
    ----------
    name, title : as shown by ``physlab list``.
    kind : "shipped" (comes with the package), "download" (once, then cached), "cloud" (lazy, over the network) or
        "own" (of a package of others).
    variables : short names.
    terms : licence or terms of use of the data.
    path : of a shipped file, below the assets folder.
    url : of a cloud store.
    """

    name: str
    title: str
    kind: str
    variables: tuple[str, ...]
    terms: str
    path: str = ""
    url: str = ""

    @classmethod
    def of(cls, spec: registry.Spec) -> Entry:
        """The line of a registered data set."""
        facts = spec.facts
        variables = tuple(facts.get("variables", "").split())
        kind = spec.kind or "own"
        rest = (facts.get(key, "") for key in ("terms", "path", "url"))
        return cls(spec.name, spec.title, kind, variables, *rest)

    def opener(self) -> xr.Dataset:
        """Open it."""
        return registry.load("datasets", self.name)()

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Address, SHA-256 and size of each file of a download; empty for other kinds."""
        return FILES.get(self.name, ()) if self.kind == "download" else ()

    @property
    def size(self) -> float:
        """Megabytes on disk; not a number if unknown (cloud stores, assets that are not here)."""
        if self.files:
            return sum(file.size for file in self.files) / 1e6
        try:
            return asset(self.path).stat().st_size / 1e6 if self.path else float("nan")
        except FileNotFoundError:
            return float("nan")

    @property
    def cached(self) -> bool:
        """True if it opens without the network."""
        from physlab.data.sources import is_cached

        return is_cached(self.name) if self.files else self.size == self.size or self.kind == "own"


class Catalog(Mapping[str, Entry]):
    """Name -> entry of all registered data sets, in the order of lists."""

    def __getitem__(self, name: str) -> Entry:
        return Entry.of(registry.specs("datasets")[name])

    def __iter__(self) -> Iterator[str]:
        return iter(registry.specs("datasets"))

    def __len__(self) -> int:
        return len(registry.specs("datasets"))


CATALOG = Catalog()


def open_dataset(name_or_path: str | Path, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """Open a data set of the catalogue by name, or your own NetCDF, Zarr or GRIB data by path.

    Parameters
    ----------
    name_or_path : a name of :func:`list_datasets`, or a path (see :func:`physlab.data.ingest.door.open_path`), of which
        ``FILE::step=3h,level=500`` chooses a part.
    mapping : own names -> names of the library for coordinates and variables.

    Returns
    -------
    Dataset with dims time, level (hPa), latitude, longitude (as far as present), CF names, SI units, latitude as
    stored. A field of a download is documented at its reader in :mod:`physlab.data.readers`.

    Raises
    ------
    FileNotFoundError : neither a name nor a path; the message lists near names.
    DownloadError : a download failed;  FieldError : a file without usable coordinates.
    """
    from physlab.data import readers
    from physlab.data.ingest.files import split_selection
    from physlab.fields import standardise

    if str(name_or_path) in CATALOG:
        ds = CATALOG[str(name_or_path)].opener()
        return standardise(ds, mapping) if mapping else ds
    file, _ = split_selection(name_or_path)
    if isinstance(name_or_path, Path) or Path(file).expanduser().exists() or _looks_like_path(file):
        return readers.open_path(name_or_path, mapping)
    raise FileNotFoundError(unknown_name(name_or_path))


def fetch(name: str, progress: bool = True) -> list[Path]:
    """Paths of the files of a data set of the catalogue, downloaded if they are not here.

    Parameters
    ----------
    name : a name of :func:`physlab.list_datasets`, or "natural-earth" (the coastlines).
    progress : show a progress bar on standard error.

    Raises
    ------
    FileNotFoundError : unknown name;  FieldError : a data set that has no files to fetch;  DownloadError : see
        :func:`physlab.data.sources.fetch_files`.
    """
    from physlab.data.sources import fetch_files

    if name in FILES:
        return fetch_files(name, progress)
    if name not in CATALOG:
        raise FileNotFoundError(unknown_name(name))
    entry = CATALOG[name]
    if not entry.path:
        how = "read lazily over the network" if entry.kind == "cloud" else "opened by its own package"
        raise FieldError(f"'{name}' is {how}, nothing to fetch: use physlab.open_dataset('{name}')")
    return [asset(entry.path)]


def dataset_rows() -> list[dict]:
    """The catalogue as rows: name, title, kind, size (MB), variables, terms, cached (opens without the network)."""
    return [
        {
            "name": entry.name, "title": entry.title, "kind": entry.kind, "size": round(entry.size, 1),
            "variables": " ".join(entry.variables), "terms": entry.terms, "cached": entry.cached,
        }
        for entry in CATALOG.values()
    ]  # fmt: skip


def list_datasets() -> pd.DataFrame:
    """The catalogue as a table, see :func:`dataset_rows`."""
    import pandas as pd

    return pd.DataFrame(dataset_rows())


def _looks_like_path(text: str | Path) -> bool:
    from physlab.data import readers

    suffixes = (*readers.NETCDF_SUFFIXES, *readers.GRIB_SUFFIXES, ".zarr")
    return any(mark in str(text) for mark in ("/", "\\")) or str(text).lower().endswith(suffixes)


def unknown_name(name: str | Path) -> str:
    """The line that says which names are near."""
    return registry.unknown("data set", name, CATALOG) + "; for a file of yours pass its path"
