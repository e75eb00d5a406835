"""The one place that writes files, folders and checkpoints, and that reads cards: whole or absent, ours or refused."""

from physlab.store.cards import CARD, WEIGHTS, parse_card, read_card
from physlab.store.files import lock, new_folder, recover, write_file
from physlab.store.manifest import MANIFEST, verify

__all__ = [
    "CARD",
    "MANIFEST",
    "WEIGHTS",
    "lock",
    "new_folder",
    "parse_card",
    "read_card",
    "recover",
    "verify",
    "write_file",
]
