"""What passes between grader and student is data: it comes back as it went, and what is damaged is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.course.values import LARGEST, Damaged, Foreign, Packer, unpack


def there_and_back(value):
    packer = Packer(lambda f: 7)
    tree = packer.pack(value)
    return unpack(tree, b"".join(packer.blobs), lambda k: ("function", k))


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -(10**30), 2.5, float("inf"), 1 + 2j, "ä\n", [1, (2, "x")], {"a": [1.0], 2: None}, ..., (), {}],
    ids=repr,
)
def test_plain_values_come_back(value):
    back = there_and_back(value)
    assert back == value and type(back) is type(value)


def test_nan_numpy_tensors_generators_and_functions_come_back():
    assert np.isnan(there_and_back(float("nan")))
    assert there_and_back(np.float32(1.5)) == 1.5
    array = there_and_back(np.arange(6, dtype=np.int16).reshape(2, 3))
    assert array.dtype == np.int16 and array.tolist() == [[0, 1, 2], [3, 4, 5]]
    for dtype in (torch.float64, torch.float32, torch.int64, torch.bool, torch.complex128):
        tensor = torch.ones(2, 0, 3).to(dtype), torch.arange(4).to(dtype).reshape(2, 2).T
        for one in tensor:
            back = there_and_back(one)
            assert back.dtype == dtype and torch.equal(back, one)
    assert there_and_back(torch.ones(2, requires_grad=True)).requires_grad
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(torch.rand(3, generator=there_and_back(generator)), torch.rand(3, generator=generator))
    assert there_and_back(len) == ("function", 7)


def test_objects_are_named_and_never_made():
    class Verdict:
        def __reduce__(self):
            raise AssertionError("pickled")

    back = there_and_back({"x": Verdict()})["x"]
    assert isinstance(back, Foreign) and repr(back) == "a Verdict"


def test_too_much_and_too_deep_is_refused():
    with pytest.raises(Damaged, match="MB"):
        Packer().pack(torch.empty(LARGEST // 8 + 1, dtype=torch.float64))
    deep: list = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(Damaged, match="inside"):
        Packer().pack(deep)
    with pytest.raises(Damaged, match="too many"):
        Packer().pack(list(range(200_000)))


@pytest.mark.parametrize(
    "tree",
    [
        None, [], {}, {"t": "class"}, {"t": "plain", "v": [1]}, {"t": "tensor", "d": "float64", "s": [2], "at": [0, 8]},
        {"t": "tensor", "d": "float64", "s": [-1], "at": [0, 8]},
        {"t": "tensor", "d": "object", "s": [1], "at": [0, 8]},
        {"t": "array", "d": "O", "s": [1], "at": [0, 8]}, {"t": "array", "d": "d", "s": [1], "at": [4, 8]},
        {"t": "tensor", "d": "float64", "s": [1], "at": [-8, 8]}, {"t": "generator", "at": [0, 8]},
        {"t": "float", "v": "x"}, {"t": "int", "v": "1e5"}, {"t": "list", "v": 3}, {"t": "dict", "v": [[1]]},
    ],
    ids=repr,
)  # fmt: skip
def test_a_damaged_message_is_refused(tree):
    with pytest.raises(Damaged):
        unpack(tree, b"\0" * 8)
