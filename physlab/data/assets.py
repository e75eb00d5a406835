"""Where the files that ship lie: data, checkpoints, results and pictures.

In the repository they are the folder ``physlab/assets``. The same folder is a distribution of its own,
``physlab-assets``, which installs as the package ``physlab_assets``: the code stays small without it. The environment
variable ``PHYSLAB_ASSETS`` names a folder of the same layout that is looked at first: with it, the full set made by
``physlab simulate`` (or a sample of your own) takes the place of the shipped one, file by file, without any other
change.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import platformdirs

PACKAGED = Path(__file__).resolve().parents[1] / "assets"
"""The assets folder beside the code: all of them in a source tree, the coastline alone in an installed package."""

MARK = "data/nature-tcw.nc"
"""The file by which a folder is known to hold the shipped assets."""


def asset_folders() -> list[Path]:
    """Folders in which assets are looked for, first hit first: the one that PHYSLAB_ASSETS names, the one beside the
    code, the installed package ``physlab_assets``, and the user's own, where installed code writes checkpoints."""
    override = os.environ.get("PHYSLAB_ASSETS")
    named = [Path(override).expanduser()] if override else []
    return [*named, PACKAGED] if _is_source_tree() else [*named, PACKAGED, *_installed(), _own()]


def writable_folder() -> Path:
    """Where new checkpoints go: the folder that PHYSLAB_ASSETS names, that of a source tree, or the user's own."""
    folders = asset_folders()
    return folders[0] if os.environ.get("PHYSLAB_ASSETS") or _is_source_tree() else folders[-1]


def asset(relative: str | Path) -> Path:
    """Path of a shipped file or folder, for example ``asset("data/nature-tcw.nc")``.

    Raises
    ------
    FileNotFoundError : no such asset; the message says what to install, or names the folders that were looked at.
    """
    folders = asset_folders()
    for folder in folders:
        if (folder / relative).exists():
            return folder / relative
    looked = " and ".join(str(folder) for folder in folders)
    raise FileNotFoundError(
        f"asset '{relative}' is not here: {missing}"
        if (missing := missing_assets())
        else f"asset '{relative}' is not in {looked}: reinstall physlab-assets, "
        "or set PHYSLAB_ASSETS to a folder that holds it"
    )


def missing_assets() -> str:
    """What to do where no folder holds the shipped data and checkpoints; "" where one does."""
    if any((folder / MARK).is_file() for folder in asset_folders()):
        return ""
    return (
        "the data and trained networks of PhysLab are a package of their own, which is not installed: "
        "pip install physlab-assets"
    )


def _installed() -> list[Path]:
    """The folders of the package ``physlab_assets``; none if it is not installed."""
    spec = importlib.util.find_spec("physlab_assets")
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def _is_source_tree() -> bool:
    return (PACKAGED / MARK).is_file()


def _own() -> Path:
    return platformdirs.user_data_path("physlab") / "assets"
