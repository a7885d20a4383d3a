"""What the operators of an exported graph are to int8: layers, joins, moves, or float for good.

What is in none of these sets (softmax, LayerNorm, GELU, a product of two computed matrices) has no
int8 kernel that gains, and computes in float (docs/decisions/0034-any-network-in-int8.md).
"""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

_aten = torch.ops.aten

CONVOLUTION, LINEAR = _aten.conv2d.default, _aten.linear.default
WEIGHTED = {CONVOLUTION, LINEAR}
BATCHNORM = _aten.batch_norm.default
CONCATENATION = _aten.cat.default
BINARY = {_aten.add.Tensor, _aten.add_.Tensor, _aten.mul.Tensor, _aten.mul_.Tensor}
"""Of two tensors; with a number they are float."""
HARD_SIGMOID = {_aten.hardsigmoid.default, _aten.hardsigmoid_.default}
HARD_SWISH = {_aten.hardswish.default, _aten.hardswish_.default}
SILU = {_aten.silu.default, _aten.silu_.default}
FUSED_ACTIVATIONS = {
    _aten.relu.default,
    _aten.relu_.default,
    _aten.relu6.default,
    _aten.relu6_.default,
    _aten.hardtanh.default,
    _aten.hardtanh_.default,
}
"""What a layer's kernel computes with it."""
UNARY = {
    *FUSED_ACTIVATIONS,
    *HARD_SIGMOID,
    _aten.mean.dim,
    _aten.adaptive_avg_pool2d.default,
    _aten.avg_pool2d.default,
    _aten.sigmoid.default,
    _aten.sigmoid_.default,
}
DROPOUT = {
    _aten.dropout.default,
    _aten.dropout_.default,
    _aten.feature_dropout.default,
    _aten.feature_dropout_.default,
    _aten.alpha_dropout.default,
    _aten.alpha_dropout_.default,
}
"""Nothing in an exported network: bytes go through, and are not rounded to a second range."""
RESHAPES = {_aten.view.default, _aten.reshape.default, _aten.flatten.using_ints}
MOVES = {
    *RESHAPES,
    *DROPOUT,
    _aten.max_pool2d.default,
    _aten.amax.default,
    _aten.transpose.int,
    _aten.permute.default,
    _aten.contiguous.default,
    _aten.clone.default,
    _aten.detach.default,
    _aten.detach_.default,
    _aten.squeeze.dim,
    _aten.unsqueeze.default,
    _aten.slice.Tensor,
    operator.getitem,
}
"""What hands bytes on as they are."""
SPLITS = {
    _aten.chunk.default,
    _aten.split.Tensor,
    _aten.split_with_sizes.default,
    _aten.adaptive_max_pool2d.default,  # the bytes, and from which places they are
}
"""The same, several results in one."""

_INT8 = {
    *WEIGHTED, *UNARY, *HARD_SWISH, *SILU, *MOVES, *SPLITS, CONCATENATION
}  # fmt: skip


def can_be_int8(node: Node) -> bool:
    """Return whether ONNX Runtime has an int8 form of an operator that gains."""
    value = node.meta.get("val")
    if isinstance(value, Tensor) and not value.is_floating_point():
        return False  # as the places that a largest value is from
    if node.target in BINARY:
        return len(tensor_inputs(node)) == 2
    if node.target is BATCHNORM:  # it becomes a convolution
        return rank(node) == 4
    return node.target in _INT8


def tensor_inputs(node: Node) -> list[Node]:
    """Return the nodes among the arguments that carry tensors, lists of them flattened."""
    found: list[Node] = []
    pending: list[Any] = list(node.args)
    while pending:
        argument = pending.pop(0)
        if isinstance(argument, Node) and not isinstance(argument.meta.get("val"), torch.SymInt):
            found.append(argument)
        elif isinstance(argument, list | tuple):
            pending[:0] = argument
    return found


def constants(graph: Graph) -> set[Node]:
    """Return what depends on weights alone, and not on the image."""
    found: set[Node] = set()
    for node in graph.nodes:
        inputs = tensor_inputs(node)
        is_computed = node.op in {"call_function", "call_module"} and (
            inputs or has_fixed_shape(node)
        )
        if node.op == "get_attr" or (is_computed and found.issuperset(inputs)):
            found.add(node)
    return found


def has_fixed_shape(node: Node) -> bool:
    """Return whether a node's value is a tensor, as large for any number of images."""
    value = node.meta.get("val")
    return isinstance(value, Tensor) and all(isinstance(each, int) for each in value.shape)


def rank(node: Node) -> int:
    """Return the number of dimensions of a node's value."""
    value: Any = node.meta["val"]
    return len(value.shape)


def shape(node: Node) -> Sequence[Any]:
    """Return the sizes of a node's value, symbolic ones among them."""
    value: Any = node.meta["val"]
    return tuple(value.shape)


def with_defaults(given: tuple[Any, ...], defaults: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an operator's arguments, those that it was not given as they are without."""
    return (*given, *defaults[len(given) :])
