"""Where a network and its .onnx file can be compared: behind each layer, and wherever int8 rounds.

The file has no names to go by, and keeps the order in which the network computes: the n-th place of
one is the n-th of the other. Bytes that are only moved (max-pool, concatenation, a flattened map)
are no place of their own, since the rewrites of the graph leave out their rounding.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx, nn

from slimline.targets.onnxruntime.graph import DEQUANTIZE, QUANTIZE, only_user, scale_and_zero

_aten = torch.ops.aten

LAYERS = {
    _aten.conv2d.default,
    _aten.conv2d.padding,
    _aten.conv1d.default,
    _aten.conv1d.padding,
    _aten.linear.default,
}
BATCHNORM = _aten.batch_norm.default
ACTIVATIONS = {
    BATCHNORM,
    _aten.relu.default,
    _aten.relu_.default,
    _aten.relu6.default,
    _aten.relu6_.default,
    _aten.hardtanh.default,
    _aten.hardtanh_.default,
    _aten.hardsigmoid.default,
    _aten.hardsigmoid_.default,
}
"""What the file computes together with a layer, BatchNorm as part of its weights."""

MOVES = {
    _aten.max_pool2d.default,
    _aten.adaptive_max_pool2d.default,
    _aten.amax.default,
    _aten.flatten.using_ints,
    _aten.view.default,
    _aten.reshape.default,
    _aten.transpose.int,
    _aten.permute.default,
    _aten.contiguous.default,
    _aten.dropout.default,
    _aten.dropout_.default,
    _aten.feature_dropout.default,
    _aten.feature_dropout_.default,
    _aten.alpha_dropout.default,
    _aten.alpha_dropout_.default,
    _aten.squeeze.dim,
    _aten.unsqueeze.default,
    _aten.slice.Tensor,
    _aten.chunk.default,
    _aten.split.Tensor,
    _aten.split_with_sizes.default,
    _aten.cat.default,
    operator.getitem,
}

_OF_SIZES = {
    _aten.new_zeros.default,
    _aten.new_ones.default,
    _aten.new_full.default,
    _aten.zeros_like.default,
    _aten.ones_like.default,
    _aten.full_like.default,
}
"""What makes a constant as large as what it is given, whose values it does not read."""

_ONNX_LAYERS = {"Conv", "Gemm"}
_SEQUENCE_LAYER = "MatMul"
"""A linear layer on more than [images, features], in float; its bias is added behind."""
_ONNX_BATCHNORM = "BatchNormalization"
"""Part of a layer's weights, but where several layers share them."""
_ONNX_ACTIVATIONS = ("Relu", "Clip", "HardSigmoid")
_ONNX_MOVES = {
    "MaxPool", "Flatten", "Concat", "Split", "Transpose", "Reshape", "Squeeze", "Unsqueeze",
    "Slice", "Expand", "ReduceMax",
}  # fmt: skip
_BEHIND_ROUNDING = ("Reshape", "Transpose", "Clip")
"""What `slimline.targets.onnxruntime.passes` puts after a layer's bytes: `grey_stem` and
`shared_ranges`."""


@dataclass(frozen=True)
class Place:
    """A value that both forms have, in fake-quant or float and in the file."""

    name: str
    """Of the layer, as in the network's weights without `.weight`; of another operator, what it
    does and which layer is before it."""
    layer: fx.Node | None
    """None where it is no layer's."""
    end: fx.Node
    """Has the network's value, behind activation and fake-quant."""
    value: ir.Value
    """Has the file's."""
    quantize: ir.Node | None
    """What made the file's bytes, if they are bytes."""


@dataclass(frozen=True)
class Places:
    """All that can be compared, in order of execution."""

    places: list[Place]
    every_rounding: bool
    """Whether each value that int8 rounds is among them, or layers alone."""


def find(network: fx.GraphModule, model: ir.Model) -> Places | None:
    """Return where an exported network and its file meet; None if not even their layers do."""
    layers = [each for each in network.graph.nodes if each.target in LAYERS]
    own, files = list(_torch_ends(network)), list(_onnx_ends(model.graph, layers))
    if len(own) == len(files) and all(map(partial(_are_alike, network), own, files)):
        return Places(_join(own, files), every_rounding=True)
    own = [each for each in own if each[1] is not None]
    files = [each for each in files if each[2]]
    return Places(_join(own, files), every_rounding=False) if len(own) == len(files) else None


_TorchEnd = tuple[fx.Node, fx.Node | None, str]
_OnnxEnd = tuple[ir.Value, ir.Node | None, bool]


def _join(own: list[_TorchEnd], files: list[_OnnxEnd]) -> list[Place]:
    return [
        Place(name, layer, end, value, quantize)
        for (end, layer, name), (value, quantize, _) in zip(own, files, strict=True)
    ]


def _are_alike(network: fx.GraphModule, own: _TorchEnd, file: _OnnxEnd) -> bool:
    """Are both a layer's, or else rounded in the same steps?"""
    (end, layer, _), (_, quantize, is_layer) = own, file
    if layer is not None or is_layer:
        return layer is not None and is_layer
    step: Any = network.get_submodule(str(end.target)).scale
    found = scale_and_zero(quantize)
    return found is not None and bool(np.allclose(found[0], step.numpy(), rtol=1e-3, atol=0))


def _torch_ends(network: fx.GraphModule) -> Iterator[_TorchEnd]:
    """Yield nodes that have a layer's or a rounded value, the layer if it is one, and a name."""
    layers = {_torch_end(network, n): n for n in network.graph.nodes if n.target in LAYERS}
    before, weights = "the input", _weights(network.graph)
    twins = set(again_rounded(network))
    for node in network.graph.nodes:
        if node in layers:
            before = _name(layers[node])
            yield node, layers[node], before
        elif node in twins:
            continue
        elif is_fake_quant(network, node) and _is_computed(network, node.args[0], weights):
            kind = _kind(node.args[0])
            is_input = node.args[0].op == "placeholder"
            yield node, None, before if is_input else f"{kind} after {before}"


def is_fake_quant(network: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether a node rounds as int8 will."""
    # An exported network calls modules for fake-quant, and for checks of shapes.
    return node.op == "call_module" and hasattr(
        network.get_submodule(str(node.target)), "zero_point"
    )


def again_rounded(network: fx.GraphModule) -> dict[fx.Node, fx.Node]:
    """Return where a value is rounded in the same steps a second time, with the first time.

    So it is for each linear layer that reads it, as queries, keys and values of attention do; the
    file does it once.
    """
    first: dict[tuple[str, float, int], fx.Node] = {}
    found = {}
    for node in network.graph.nodes:
        fake_quant: Any = network.get_submodule(str(node.target)) if node.op == "call_module" else 0
        if rounds_activations(fake_quant):
            step, zero = float(fake_quant.scale), int(fake_quant.zero_point)
            read = node.args[0]
            # Each layer on sequences flattens them for itself.
            value = f"{read.target}{read.args}" if read.target in MOVES else read.name
            before = first.setdefault((value, step, zero), node)
            if before is not node:
                found[node] = before
    return found


def rounds_activations(module: nn.Module) -> bool:
    """Return whether a module is the fake-quant of activations: those of weights are symmetric."""
    return getattr(module, "qscheme", None) == torch.per_tensor_affine


def _is_computed(network: fx.GraphModule, node: fx.Node, weights: set[fx.Node]) -> bool:
    """Is it an activation that is new here, and neither a weight nor bytes that were moved?"""
    if node.target in MOVES:
        return any(_is_computed(network, each, weights) for each in _tensors(node))
    return node not in weights and not is_fake_quant(network, node)


def _weights(graph: fx.Graph) -> set[fx.Node]:
    """Return what depends on weights and sizes alone: the file may have it rounded already."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        reads_sizes = node.target in _OF_SIZES or found.issuperset(_tensors(node))
        if node.op != "placeholder" and reads_sizes:
            found.add(node)
    return found


def _tensors(node: fx.Node) -> list[fx.Node]:
    return [
        each for each in node.all_input_nodes if not isinstance(each.meta.get("val"), torch.SymInt)
    ]


def _kind(node: fx.Node) -> str:
    """Return what an operator does, of moves what was done before."""
    while node.target in MOVES and _tensors(node):
        node = _tensors(node)[0]
    return str(node.target).removeprefix("aten.").partition(".")[0].strip("_")


def _torch_end(network: fx.GraphModule, node: fx.Node) -> fx.Node:
    users = list(node.users)
    while len(users) == 1 and users[0].target in ACTIVATIONS:
        if users[0].target is BATCHNORM and node.target not in LAYERS | {BATCHNORM}:
            break  # behind an activation no weights take it up
        node, users = users[0], list(users[0].users)
    return next((each for each in users if is_fake_quant(network, each)), node)


def _name(layer: fx.Node) -> str:
    weight = layer.args[1]
    assert isinstance(weight, fx.Node)
    while weight.op != "get_attr" and weight.all_input_nodes:
        weight = weight.all_input_nodes[0]
    return str(weight.target).removesuffix(".weight")


def _onnx_ends(graph: ir.Graph, own: list[fx.Node]) -> Iterator[_OnnxEnd]:
    """Yield values, the node that quantized them, if any did, and whether they are a layer's.

    `own` are the network's layers: of a linear one on sequences, only it knows whether the sum
    behind is with its bias.
    """
    layers = {}
    nodes = [node for node in graph if _is_layer(node)]
    if len(nodes) != len(own):  # a product with a constant may be a parameter's, and no layer
        nodes = [node for node in nodes if node.op_type in _ONNX_LAYERS]
    for node, layer in zip_longest(nodes, own):
        if node is None:
            break
        value = node.outputs[0]
        if node.op_type == _SEQUENCE_LAYER and _has_bias(layer):
            value = _with_bias(value)
        value = _follow(_follow(value, (_ONNX_BATCHNORM,)), _ONNX_ACTIVATIONS)
        quantize = only_user(value, QUANTIZE)
        layers[quantize or value.producer()] = value
    seen, of_images = set(), _of_images(graph)
    for node in graph:
        if node in layers:
            is_rounded = node.op_type == QUANTIZE
            value = _follow(node.outputs[0], _BEHIND_ROUNDING) if is_rounded else layers[node]
            yield value, node if is_rounded else None, True
        elif node.op_type == QUANTIZE and node.outputs[0] in of_images and _is_new(node.inputs[0]):
            rounding = node.inputs[0], str(scale_and_zero(node))
            if rounding not in seen:
                yield node.outputs[0], node, False
            seen.add(rounding)


def _of_images(graph: ir.Graph) -> set[ir.Value]:
    """Return values that hang on the images, and not on weights and sizes alone."""
    found = set(graph.inputs)
    for node in graph:
        if node.op_type != "Shape" and not found.isdisjoint(filter(None, node.inputs)):
            found.update(node.outputs)
    return found


def _is_layer(node: ir.Node) -> bool:
    """Return whether a node is a layer: of matrix products, those with a constant."""
    if node.op_type != _SEQUENCE_LAYER:
        return node.op_type in _ONNX_LAYERS
    weight = node.inputs[1]
    return weight is not None and weight.const_value is not None


def _has_bias(layer: fx.Node) -> bool:
    return len(layer.args) > 2 and layer.args[2] is not None


def _is_new(value: ir.Value | None) -> bool:
    """Is what is quantized no constant, and no bytes that were moved?"""
    if value is None or value.const_value is not None:
        return False
    maker = value.producer()
    if maker is not None and maker.op_type in _ONNX_MOVES:
        moved = maker.inputs if maker.op_type == "Concat" else maker.inputs[:1]
        return any(map(_is_new, moved))
    return maker is None or maker.op_type != DEQUANTIZE


def _with_bias(value: ir.Value) -> ir.Value:
    """Return the sum of a value and a constant, if that is what it is used for."""
    user = only_user(value, "Add")
    if user is None or all(each is None or each.const_value is None for each in user.inputs):
        return value
    return user.outputs[0]


def _follow(value: ir.Value, kinds: tuple[str, ...]) -> ir.Value:
    user = only_user(value, *kinds)
    return value if user is None else _follow(user.outputs[0], kinds)
