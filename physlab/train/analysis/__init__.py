"""Methods of data assimilation trained on pairs of truth and background of one's own."""

from physlab.train.analysis.pairs import PairRequest, own_pairs
from physlab.train.analysis.run import train_on_pairs

__all__ = ["PairRequest", "own_pairs", "train_on_pairs"]
