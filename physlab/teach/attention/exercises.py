"""The exercise of the page on attention: the weighted mean, written out."""

from __future__ import annotations

import torch

from physlab.teach.check import call, exercise, normal, require, same_shape, unlike


@exercise("attention", wants="function")
def _grade_attention(answer, generator: torch.Generator) -> str:
    """a function attention(query (n, d), key (m, d), value (m, c)) -> (n, c)"""
    n, m, d, c = 5, 7, 16, 3
    query, key, value = normal((n, d), generator), normal((m, d), generator), normal((m, c), generator)
    out = same_shape(call(answer, query, key, value), (n, c), "the result")
    product = query @ key.mT
    known = {
        "the products are not divided by the root of d: with long rows the softmax picks one token and has no slope": (
            torch.softmax(product, -1) @ value
        ),
        "the softmax runs over the queries: each query must share out a weight of one among the keys": (
            torch.softmax(product / d**0.5, 0) @ value
        ),
        "the weights are the products themselves: they may be negative, and do not add up to one": (
            product / d**0.5 @ value
        ),
        "divided by d instead of its root: the products of random rows have the size of the root": (
            torch.softmax(product / d, -1) @ value
        ),
    }
    unlike(out, known)
    ones = same_shape(call(answer, query, key, torch.ones_like(value)), (n, c), "the result")
    require(
        torch.allclose(ones, torch.ones_like(ones), atol=1e-4),
        "if all tokens say one, the answer must be one: a mean has weights that add up to one",
    )
    order = torch.randperm(m, generator=generator)
    mixed = same_shape(call(answer, query, key[order], value[order]), (n, c), "the result")
    require(torch.allclose(mixed, out, atol=1e-4), "the order of the tokens changes the answer: a set has no order")
    right = torch.softmax(product / d**0.5, -1) @ value
    require(torch.allclose(out, right, atol=1e-4), "weights that add up to one, but not the softmax of scaled products")
    return "weights add up to one, the order of the tokens does not matter, and products are scaled by the root of d"
