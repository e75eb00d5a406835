"""Right and known-wrong answers of the page, for tests and instructors: never installed."""

from __future__ import annotations

import torch

from physlab.teach.answers import Submission, answer

answer(
    "attention",
    lambda q, k, v: torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v,
    Submission("no scale", lambda q, k, v: torch.softmax(q @ k.mT, -1) @ v, "root of d"),
    Submission("over queries", lambda q, k, v: torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, 0) @ v, "over the queries"),
    Submission("no softmax", lambda q, k, v: q @ k.mT / q.shape[-1] ** 0.5 @ v, "add up to one"),
    Submission("divided by d", lambda q, k, v: torch.softmax(q @ k.mT / q.shape[-1], -1) @ v, "instead of its root"),
)
