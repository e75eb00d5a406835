"""The one place that writes files, folders and checkpoints, and that reads cards: whole or absent, ours or refused."""

from physlab.store.cards import parse_card, read_card
from physlab.store.checkpoint import Checkpoint, add_files, open_checkpoint, reading, refuse_sizes, write_checkpoint
from physlab.store.files import lock, new_folder, recover, write_file
from physlab.store.manifest import CARD, MANIFEST, WEIGHTS, verify
from physlab.store.parts import Parts, parts_of

__all__ = [
    "CARD",
    "MANIFEST",
    "WEIGHTS",
    "Checkpoint",
    "Parts",
    "add_files",
    "lock",
    "new_folder",
    "open_checkpoint",
    "parse_card",
    "parts_of",
    "read_card",
    "recover",
    "reading",
    "refuse_sizes",
    "verify",
    "write_checkpoint",
    "write_file",
]
