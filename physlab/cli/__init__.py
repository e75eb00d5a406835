"""The command line, one file for each verb: ``physlab list | fetch | simulate | fit | train | train-latent |
train-assimilation | train-forecast | train-field | gpu-checkpoints | evaluate | explain | benchmark | export |
publish | explore | downscale | adjust | assimilate | course``.

Each command is a few lines around one call of the library, which anyone can make from Python too, and imports what it
needs when it runs. Mistakes of the user (a :class:`~physlab.errors.PhysLabError`, a missing file) end in one line and
exit status 2; set PHYSLAB_TRACEBACK=1 to see where they came from.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from physlab.cli.adjust import adjust
from physlab.cli.assimilate import assimilate
from physlab.cli.benchmark import benchmark
from physlab.cli.course import course
from physlab.cli.cycle import cycle
from physlab.cli.downscale import downscale
from physlab.cli.evaluate import evaluate
from physlab.cli.explain import explain
from physlab.cli.explore import explore
from physlab.cli.export import export
from physlab.cli.fetch import fetch
from physlab.cli.fit import fit
from physlab.cli.gpu import gpu_checkpoints
from physlab.cli.listing import list_
from physlab.cli.publish import publish
from physlab.cli.simulate import simulate
from physlab.cli.train import train
from physlab.cli.train_assimilation import train_assimilation
from physlab.cli.train_field import train_field
from physlab.cli.train_forecast import train_forecast
from physlab.cli.train_latent import train_latent
from physlab.errors import one_line

NO_MEMORY = "not enough memory: take a smaller field, fewer members or another machine"
READERS = ("cfgrib", "eccodes", "gribapi", "h5netcdf", "h5py", "netCDF4", "numcodecs", "zarr")

#: Package that the core does without -> extra that brings it.
EXTRAS = {
    "dinosaur": "simulate", "jax": "simulate", "gcsfs": "cloud", "onnx": "export", "onnxruntime": "export",
    "xsdba": "climate", "distributed": "cluster", "huggingface_hub": "hub",
    "matplotlib": "book", "cartopy": "book", "IPython": "book", "ipywidgets": "book", "contourpy": "explorer",
}  # fmt: skip

COMMANDS: dict[str, Callable[..., Any]] = {
    "list": list_,
    "fetch": fetch,
    "simulate": simulate,
    "cycle": cycle,
    "fit": fit,
    "train": train,
    "train-latent": train_latent,
    "train-assimilation": train_assimilation,
    "train-forecast": train_forecast,
    "train-field": train_field,
    "gpu-checkpoints": gpu_checkpoints,
    "evaluate": evaluate,
    "explain": explain,
    "benchmark": benchmark,
    "export": export,
    "explore": explore,
    "publish": publish,
    "downscale": downscale,
    "adjust": adjust,
    "assimilate": assimilate,
    "course": course,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command ``physlab``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        from physlab import __version__

        print(f"physlab {__version__}")
        return
    guard = sys.modules.get("physlab.data.guard")
    if guard is not None:
        guard.ACCOUNTS.clear()  # of a command before, which failed
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and argv and argv[0] in COMMANDS and "train" not in argv[0]:
            raise ValueError(f"physlab {argv[0]} is one process: start it without torchrun, which is for trainings")
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="physlab",
            description="Physics in deep learning for the weather. Each command explains itself: physlab train --help",
            args=argv,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        if "physlab.data.guard" in sys.modules:
            sys.modules["physlab.data.guard"].tell()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (ValueError, FileNotFoundError) as error:  # PhysLabError is a ValueError
        stop(one_line(error, None), error)
    except OSError as error:
        stop(said_by_the_system(error), error)
    except MemoryError as error:
        stop(NO_MEMORY, error)
    except ModuleNotFoundError as error:
        missing = str(error.name).split(".")[0]
        extra = EXTRAS.get(missing)
        advice = f"pip install 'physlab[{extra}]'" if extra else f"pip install {missing}"
        stop(f"this command needs the package '{missing}', which is not installed: {advice}", error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        if "allocate memory" in str(error):  # torch
            stop(NO_MEMORY, error)
        if not while_reading(error):
            raise
        reason = f"{type(error).__name__}: {one_line(error)}"
        stop(f"the values of a file cannot be read ({reason}): it is damaged, get it again", error)


def while_reading(error: Exception) -> bool:
    """Whether a library that decodes files raised it: values are read when they are needed, deep inside a command."""
    place = error.__traceback__
    while place is not None:
        if str(place.tb_frame.f_globals.get("__name__", "")).split(".")[0] in READERS:
            return True
        place = place.tb_next
    return False


def said_by_the_system(error: OSError) -> str:
    """One line of an error of the file system, and what to do."""
    if error.errno is None or error.strerror is None:
        return one_line(error, None)
    advice = {
        errno.ENOSPC: "free space or choose another folder",
        errno.EDQUOT: "free space or choose another folder",
        errno.EACCES: "choose a folder that you may write to",
        errno.EPERM: "choose a folder that you may write to",
        errno.EROFS: "choose a folder that you may write to",
        errno.ENAMETOOLONG: "choose a shorter name",
    }.get(error.errno, "check the path")
    place = f"'{os.fsdecode(error.filename)}': " if isinstance(error.filename, str | bytes) else ""
    return f"{place}{error.strerror}: {advice}"


def stop(message: str, error: Exception) -> None:
    """End with one line on standard error and exit status 2."""
    if os.environ.get("PHYSLAB_TRACEBACK"):
        raise error
    print(f"physlab: {message}", file=sys.stderr)
    raise SystemExit(2) from None
