"""Converted networks as graphs: what targets' rewrites go by, and those that they share.

Each keeps the values:

    gate     a hard-sigmoid after a convolution, which the convolution can compute
    split    as chunk, split and unbind, whose parts are slices
    bias     in int32, in steps of input times weight, too small where a channel is all but 0
    float    layers of int8 weights whose output is used in float: their weights become float
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.ao.quantization.fx._decomposed  # declares the operators of quantized_decomposed
from torch import Tensor, fx

_aten = torch.ops.aten
_quantized = torch.ops.quantized_decomposed

QUANTIZE = _quantized.quantize_per_tensor.default
DEQUANTIZE = _quantized.dequantize_per_tensor.default
QUANTIZE_CHANNELS = _quantized.quantize_per_channel.default
DEQUANTIZE_CHANNELS = _quantized.dequantize_per_channel.default

_LAYERS = {_aten.conv2d.default, _aten.linear.default}
_ACTIVATIONS = {
    _aten.relu.default,
    _aten.relu_.default,
    _aten.relu6.default,
    _aten.relu6_.default,
    _aten.hardtanh.default,
    _aten.hardtanh_.default,
}
_HARD_SIGMOIDS = {_aten.hardsigmoid.default, _aten.hardsigmoid_.default}
_UNBIND = _aten.unbind.int
_SPLITS = {_aten.chunk.default, _aten.split.Tensor, _aten.split_with_sizes.default, _UNBIND}

_MOST_STEPS = 2.0**30
"""Of a bias: half of what 32 bits hold, as `passes.int32_biases` of ONNX Runtime leaves it."""

Rewrite: TypeAlias = tuple[Callable[[fx.Node], bool], Callable[[fx.Node, fx.GraphModule], None]]
"""Whether it applies to a node, and the change."""


def apply(network: fx.GraphModule, rewrites: Sequence[Rewrite]) -> None:
    """Apply rewrites in place, in turn, to a graph whose operators know their shapes.

    (`meta["val"]`.)
    """
    _describe_rounded(network.graph)
    for applies, change in rewrites:
        for node in list(network.graph.nodes):
            if applies(node):
                change(node, network)
    network.graph.eliminate_dead_code()
    _forget_unread(network)
    network.recompile()


def _forget_unread(network: fx.GraphModule) -> None:
    """Drop the constants in whose place others came: a runtime's file would hold both."""
    read = {str(node.target) for node in network.graph.find_nodes(op="get_attr")}
    held = [*network.named_parameters(), *network.named_buffers()]
    for name in {name for name, _ in held} - read:
        module, _, own = name.rpartition(".")
        delattr(network.get_submodule(module), own)


def _describe_rounded(graph: fx.Graph) -> None:
    """Say of what a conversion rounds anew what is known of the values that it rounds."""
    for node in graph.nodes:
        if not is_call(node, QUANTIZE, DEQUANTIZE) or "val" in node.meta:
            continue
        values = args(node)[0].meta.get("val")
        if values is not None:
            dtype = args(node)[5] if node.target is QUANTIZE else torch.float32
            node.meta["val"] = values.to(dtype)


def is_gate(node: fx.Node) -> bool:
    """Is it a hard-sigmoid of what an int8 convolution alone makes for it?"""
    layer: Any = args(node)[0] if node.target in _HARD_SIGMOIDS else None
    return (
        is_call(layer, _aten.conv2d.default)
        and len(layer.users) == 1
        and is_call(args(layer)[1], DEQUANTIZE_CHANNELS, DEQUANTIZE)
    )


def fold_gate(gate: fx.Node, network: fx.GraphModule) -> None:
    """Let the convolution compute (x + 3) / 6, of which the hard-sigmoid is what is in 0 to 1.

    The steps of its weights become a sixth, and so does its bias with the 3.
    """
    graph, layer = gate.graph, args(gate)[0]
    weight, bias = (*args(layer)[1:3], None)[:2]
    _, scale, *rest = args(weight)
    with graph.inserting_before(layer):
        if isinstance(scale, fx.Node):
            scale = constant(network, tensor(network, scale) / 6, f"{layer.name}_scale")
        else:
            scale = scale / 6
        stepped = graph.call_function(weight.target, (args(weight)[0], scale, *rest))
        own = torch.zeros(layer.meta["val"].shape[1]) if bias is None else tensor(network, bias)
        shifted = constant(network, (own + 3) / 6, f"{layer.name}_bias")
    layer.args = (layer.args[0], stepped, shifted, *layer.args[3:])
    with graph.inserting_before(gate):
        clipped = graph.call_function(_aten.hardtanh.default, (layer, 0.0, 1.0))
    put(clipped, gate)


def is_split(node: fx.Node) -> bool:
    """Does it give parts of a tensor?"""
    return node.target in _SPLITS


def slice_parts(split: fx.Node, _network: fx.GraphModule) -> None:
    """Put a slice in the place of each part that is used."""
    image, *_ = args(split)
    is_dropped, ends = split.target is _UNBIND, [0]
    place = 1 if is_dropped else 2
    dim = split.kwargs.get("dim", args(split)[place] if len(args(split)) > place else 0)
    for part in split.meta["val"]:
        ends.append(ends[-1] + (1 if is_dropped else int(part.shape[dim])))
    for user in list(split.users):
        number = args(user)[1]
        with split.graph.inserting_before(user):
            part = split.graph.call_function(
                _aten.slice.Tensor, (image, dim, ends[number], ends[number + 1])
            )
            if is_dropped:
                part = split.graph.call_function(_aten.reshape.default, (part, sizes(user)))
        put(part, user)
    split.graph.erase_node(split)


def adds_bias(node: fx.Node) -> bool:
    """Is it a layer of int8 input and weights to which a kernel adds its bias in int32?"""
    return (
        node.target in _LAYERS
        and len(args(node)) > 2
        and args(node)[2] is not None
        and is_call(args(node)[0], DEQUANTIZE)
        and is_call(args(node)[1], DEQUANTIZE_CHANNELS, DEQUANTIZE)
    )


def make_room(layer: fx.Node, network: fx.GraphModule) -> None:
    """Widen the steps of weights that are all but 0, where 32 bits would not hold the bias."""
    image, weight, bias = args(layer)[:3]
    stored, scale, *rest = args(weight)
    steps = tensor(network, scale) if isinstance(scale, fx.Node) else torch.tensor(scale)
    smallest = tensor(network, bias).abs() / (args(image)[1] * _MOST_STEPS)
    wider = torch.maximum(steps, (smallest if steps.dim() else smallest.max()).to(steps.dtype))
    if torch.equal(wider, steps):
        return
    levels = tensor(network, stored)
    ratio = (steps / wider).reshape(-1, *[1] * (levels.dim() - 1))
    rounded = torch.round(levels * ratio).to(levels.dtype)
    with layer.graph.inserting_before(layer):
        kept = constant(network, rounded, f"{layer.name}_levels")
        own = constant(network, wider, f"{layer.name}_steps") if steps.dim() else float(wider)
        layer.update_arg(1, layer.graph.call_function(weight.target, (kept, own, *rest)))


def has_float_output(node: fx.Node) -> bool:
    """Is it a layer of int8 weights whose values are used before they are quantized?"""
    if node.target not in _LAYERS or not is_call(args(node)[1], DEQUANTIZE_CHANNELS, DEQUANTIZE):
        return False
    (*others, user) = node.users
    if not others and user.target in _ACTIVATIONS:
        others, user = list(user.users)[:-1], list(user.users)[-1]
    return bool(others) or not is_call(user, QUANTIZE)


def turns_bytes_to_floats(node: fx.Node) -> bool:
    """Is it a linear layer that reads bytes of a trained range, and whose values are floats?"""
    is_linear = node.target is _aten.linear.default
    return is_linear and has_float_output(node) and is_call(args(node)[0], DEQUANTIZE)


def span_range(layer: fx.Node, network: fx.GraphModule) -> None:
    """Let the row of each image that such a layer reads have both ends of the trained range.

    Kernels for it choose the range of their input themselves, row by row, so that 0 is in it. They
    choose the one that was trained then, with the same steps. Weights of 0 read the new columns.
    Of tokens, whose many rows would have to be copied, the steps stay finer than those trained.
    """
    (given,) = network.graph.find_nodes(op="placeholder")
    if tuple(layer.meta["val"].shape[:-1]) != tuple(given.meta["val"].shape[:1]):
        return
    graph, (image, weight) = layer.graph, args(layer)[:2]
    _, scale, zero, _, _, dtype = args(image)
    limits = torch.iinfo(dtype)
    ends = [(limit - zero) * scale for limit in (limits.min, limits.max) if limit != zero]
    levels = tensor(network, args(weight)[0])
    with graph.inserting_before(layer):
        for end in ends:
            image = graph.call_function(_aten.constant_pad_nd.default, (image, [0, 1], end))
        wider = torch.cat([levels, levels.new_zeros(len(levels), len(ends))], dim=1)
        kept = constant(network, wider, f"{layer.name}_wider")
        own = graph.call_function(weight.target, (kept, *args(weight)[1:]))
    own.meta = {key: each for key, each in weight.meta.items() if key != "val"}
    layer.update_arg(0, image)
    layer.update_arg(1, own)


def make_float(layer: fx.Node, network: fx.GraphModule) -> None:
    """Store the values that the weights stand for."""
    with layer.graph.inserting_before(layer):
        values = weight_values(network, args(layer)[1])
        layer.update_arg(1, constant(network, values, f"{layer.name}_weight"))


def weight_values(network: fx.GraphModule, dequantize: fx.Node) -> Tensor:
    """Return the floats that stored bytes stand for.

    The zero points of layers' weights are 0; those of other constants, as layer scales, are not.
    """
    stored, scale, zero, *_ = args(dequantize)
    values = tensor(network, stored).float()
    if isinstance(scale, fx.Node):
        return values * tensor(network, scale).reshape(-1, *[1] * (values.dim() - 1))
    return torch.sub(values, zero) * torch.as_tensor(scale)


def answers_in_bytes(network: fx.GraphModule) -> bool:
    """Return whether a network answers bytes already, as where its last layer is a convolution."""
    (output,) = network.graph.find_nodes(op="output")
    (answer,) = output.all_input_nodes
    return is_call(answer, DEQUANTIZE)


def round_answer(network: fx.GraphModule, scale: float, zero: Tensor) -> None:
    """Let a network answer in steps, in place; what it returns stays float32.

    `zero` is the byte of 0, whose type is that of all bytes.
    """
    (output,) = network.graph.find_nodes(op="output")
    (answer,) = output.all_input_nodes
    limits = torch.iinfo(zero.dtype)
    steps = (scale, int(zero), limits.min, limits.max, zero.dtype)
    with network.graph.inserting_before(output):
        levels = network.graph.call_function(QUANTIZE, (answer, *steps))
        rounded = network.graph.call_function(DEQUANTIZE, (levels, *steps))
    levels.meta, rounded.meta = dict(answer.meta), dict(answer.meta)
    output.replace_input_with(answer, rounded)
    network.recompile()


def channel_steps(network: fx.GraphModule, dequantize: fx.Node) -> Tensor:
    """Return what a step of stored weights stands for in each channel, float32 [channels]."""
    stored, scale, *_ = args(dequantize)
    steps = tensor(network, scale) if isinstance(scale, fx.Node) else torch.tensor(scale)
    return steps.float().expand(len(tensor(network, stored)))


def sizes(node: fx.Node) -> list[int]:
    """Return the shape of a node's value, as `view` takes it: the number of images is -1."""
    return [each if isinstance(each, int) else -1 for each in node.meta["val"].shape]


def put(node: fx.Node, old: fx.Node) -> None:
    """Let a node take the place of another, with what is known of it."""
    node.meta = dict(old.meta)
    old.replace_all_uses_with(node)
    old.graph.erase_node(old)


def args(node: fx.Node) -> tuple[Any, ...]:
    """Return a node's arguments, whose kinds follow from what it calls."""
    return node.args


def is_call(node: Any, *targets: Any) -> bool:
    """Is it a node that calls one of some operators?"""
    return isinstance(node, fx.Node) and node.target in targets


def tensor(network: fx.GraphModule, node: fx.Node) -> Tensor:
    """Return what a `get_attr` reads."""
    found: Any = network
    for name in str(node.target).split("."):
        found = getattr(found, name)
    assert isinstance(found, Tensor)
    return found.detach()


def constant(network: fx.GraphModule, values: Tensor, name: str) -> fx.Node:
    """Return a node that reads values, which the network keeps from now on."""
    network.register_buffer(name, values)
    return network.graph.get_attr(name)
