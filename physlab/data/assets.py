"""Where the files that ship with the package lie: data, checkpoints, results and pictures under ``physlab/assets``.

The environment variable ``PHYSLAB_ASSETS`` names a folder of the same layout that is looked at first: with it, the
full set made by ``physlab simulate`` (or a sample of your own) takes the place of the shipped one, file by file,
without any other change.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGED = Path(__file__).resolve().parents[1] / "assets"
"""The assets folder of the installed package."""


def asset_folders() -> list[Path]:
    """Folders in which assets are looked for, first hit first."""
    override = os.environ.get("PHYSLAB_ASSETS")
    return [Path(override).expanduser(), PACKAGED] if override else [PACKAGED]


def asset(relative: str | Path) -> Path:
    """Path of a shipped file or folder, for example ``asset("data/nature-tcw.nc")``.

    Raises
    ------
    FileNotFoundError : no such asset; the message names the folders that were looked at.
    """
    folders = asset_folders()
    for folder in folders:
        if (folder / relative).exists():
            return folder / relative
    looked = " and ".join(str(folder) for folder in folders)
    raise FileNotFoundError(
        f"asset '{relative}' is not in {looked}: reinstall physlab, or set PHYSLAB_ASSETS to a folder that holds it"
    )
