"""Training: the loop, checkpoints, recipes and the table of results."""

from __future__ import annotations

from physlab.train.checkpoint import load_checkpoint, save_checkpoint
from physlab.train.evaluate import evaluate, predict_members, results_table, write_results
from physlab.train.loop import Report, optimise
from physlab.train.objective import Objective
from physlab.train.pixels import fit
from physlab.train.recipe import Preset, Recipe, get_recipe, list_recipes, make_model
from physlab.train.run import train, train_all, train_one
from physlab.train.settings import Settings
from physlab.train.timing import layer_overhead

__all__ = [
    "Objective",
    "Preset",
    "Recipe",
    "Report",
    "Settings",
    "evaluate",
    "fit",
    "get_recipe",
    "layer_overhead",
    "list_recipes",
    "load_checkpoint",
    "make_model",
    "optimise",
    "predict_members",
    "results_table",
    "save_checkpoint",
    "train",
    "train_all",
    "train_one",
    "write_results",
]
