"""Recipes: one file per task and factor, each with the presets, and the scores that the shipped checkpoints reached."""
