"""Layers that act on several variables at once: the laws that tie one to another, beside the block mean of each."""
