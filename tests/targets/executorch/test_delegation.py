from types import SimpleNamespace
from typing import Any

import pytest
import torch

from slimline.targets.executorch import delegation


@pytest.mark.parametrize(
    ("operator", "outputs", "weight", "expected"),
    [
        ("convolution", [1, 16, 14, 14], [16, 8, 3, 3], 14 * 14 * 16 * 8 * 9),
        ("linear", [1, 10], [10, 64], 10 * 64),
        ("addmm", [197, 768], [768, 192], 197 * 768 * 192),
        ("linear", [1, 197, 768], [768, 192], 197 * 768 * 192),
        ("linear", [1, 56, 56, 384], [384, 96], 56 * 56 * 384 * 96),
    ],
)
def test_a_weight_is_used_once_a_place(
    operator: str, outputs: list[int], weight: list[int], expected: int
) -> None:
    node: Any = SimpleNamespace(
        target=SimpleNamespace(__name__=f"aten.{operator}.default"),
        meta={"val": torch.empty(outputs, device="meta")},
    )
    assert delegation._macs(node, torch.empty(weight, device="meta")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("aten.convolution.default", "convolution"),
        ("quantized_decomposed.dequantize_per_tensor.default", "dequantize_per_tensor"),
        (torch.ops.aten.native_group_norm.out.__name__, "native_group_norm"),
        ("executorch_call_delegate", "executorch_call_delegate"),
    ],
)
def test_operators_go_by_their_plain_name(name: str, expected: str) -> None:
    node: Any = SimpleNamespace(target=SimpleNamespace(__name__=name))
    assert delegation._operator(node) == expected
