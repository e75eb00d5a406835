"""Every error that PhysLab raises on purpose.

All of them say in one line what came, what is allowed and what to do, and all of them are ``ValueError``, so that code
which knows nothing of PhysLab can still catch them. The command line prints the line without a traceback.
"""


class PhysLabError(ValueError):
    """Base class: the input, not the program, is at fault."""


class FieldError(PhysLabError):
    """A dataset lacks a coordinate, holds NaN or infinity, or has a shape that a method cannot take."""


class CoarseningError(PhysLabError):
    """A coarse field is not the block mean of the fine field that it is said to come from."""


class DownloadError(PhysLabError):
    """A file could not be fetched, or what arrived is not the file that was asked for."""


class CheckpointError(PhysLabError):
    """A checkpoint folder is incomplete, or its card and its weights contradict each other."""


class StoreError(PhysLabError):
    """A file or folder cannot be written where it was asked for: something else is there, or another process writes."""


class Cancelled(PhysLabError):
    """Work that takes long was stopped because its caller asked for it."""


def one_line(error: object, most: int | None = 160) -> str:
    """What an error of somebody else says, on one line of so many characters at most."""
    return " ".join(str(error).split())[:most]
