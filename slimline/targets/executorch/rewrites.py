"""Spells a converted network so that XNNPACK takes all of it; each rewrite keeps the values.

XNNPACK is handed patterns: an operator between dequantize and quantize. Some things that our
networks have fit none, and would leave the delegate for ExecuTorch's own slow kernels:

    answer      a linear layer in int8 whose logits are float: XNNPACK has one that rounds its input
                itself, image by image, to finer steps than those of the range
    gate        a hard-sigmoid after a convolution, which the convolution can compute
    split       as chunk and split, whose parts are slices
    mean        over height and width that drops both at once, where XNNPACK keeps them
    bias        in int32, in steps of input times weight, too small where a channel is all but 0
    the rest    layers of int8 weights whose output is used in float: their weights become float
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # declares the operators of quantized_decomposed
from torch import Tensor, fx

_aten = torch.ops.aten
_quantized = torch.ops.quantized_decomposed

_DEQUANTIZE = _quantized.dequantize_per_tensor.default
_QUANTIZE = _quantized.quantize_per_tensor.default
_DEQUANTIZE_CHANNELS = _quantized.dequantize_per_channel.default
_LAYERS = {_aten.conv2d.default, _aten.linear.default}
_ACTIVATIONS = {
    _aten.relu.default,
    _aten.relu_.default,
    _aten.hardtanh.default,
    _aten.hardtanh_.default,
}
_HARD_SIGMOIDS = {_aten.hardsigmoid.default, _aten.hardsigmoid_.default}
_SPLITS = {_aten.chunk.default, _aten.split.Tensor, _aten.split_with_sizes.default}
_MIN, _MAX = -128, 127

_MOST_STEPS = 2.0**30
"""Of a bias: half of what 32 bits hold, as `passes.int32_biases` of ONNX Runtime leaves it."""


def rewrite(network: fx.GraphModule) -> None:
    """Apply all rewrites in place, to a graph whose operators know their shapes (`meta["val"]`)."""
    for applies, change in _REWRITES:
        for node in list(network.graph.nodes):
            if applies(node):
                change(node, network)
    network.graph.eliminate_dead_code()
    network.recompile()


def _is_int8_answer(node: fx.Node) -> bool:
    return (
        node.target is _aten.linear.default
        and all(user.op == "output" for user in node.users)
        and _is_call(_args(node)[0], _DEQUANTIZE)
        and _is_call(_args(node)[1], _DEQUANTIZE_CHANNELS)
    )


def _round_by_image(answer: fx.Node, _network: fx.GraphModule) -> None:
    """Let a linear layer choose the range of its input for each image."""
    graph, image = answer.graph, _args(answer)[0]
    with graph.inserting_before(answer):
        chosen = graph.call_function(
            _quantized.choose_qparams.tensor,
            (image, _MIN, _MAX, torch.finfo(torch.float32).eps, torch.int8),
        )
        scale, zero = (graph.call_function(operator.getitem, (chosen, part)) for part in (0, 1))
        steps = (scale, zero, _MIN, _MAX, torch.int8)
        quantized = graph.call_function(_quantized.quantize_per_tensor.tensor, (image, *steps))
        rounded = graph.call_function(_quantized.dequantize_per_tensor.tensor, (quantized, *steps))
    answer.update_arg(0, rounded)


def _is_gate(node: fx.Node) -> bool:
    """Is it a hard-sigmoid of what an int8 convolution alone makes for it?"""
    layer: Any = _args(node)[0] if node.target in _HARD_SIGMOIDS else None
    return (
        _is_call(layer, _aten.conv2d.default)
        and len(layer.users) == 1
        and _is_call(_args(layer)[1], _DEQUANTIZE_CHANNELS, _DEQUANTIZE)
    )


def _fold_gate(gate: fx.Node, network: fx.GraphModule) -> None:
    """Let the convolution compute (x + 3) / 6, of which the hard-sigmoid is what is in 0 to 1.

    The steps of its weights become a sixth, and so does its bias with the 3.
    """
    graph, layer = gate.graph, _args(gate)[0]
    weight, bias = (*_args(layer)[1:3], None)[:2]
    _, scale, *rest = _args(weight)
    with graph.inserting_before(layer):
        if isinstance(scale, fx.Node):
            scale = _constant(network, _tensor(network, scale) / 6, f"{layer.name}_scale")
        else:
            scale = scale / 6
        stepped = graph.call_function(weight.target, (_args(weight)[0], scale, *rest))
        own = torch.zeros(layer.meta["val"].shape[1]) if bias is None else _tensor(network, bias)
        shifted = _constant(network, (own + 3) / 6, f"{layer.name}_bias")
    layer.args = (layer.args[0], stepped, shifted, *layer.args[3:])
    with graph.inserting_before(gate):
        clipped = graph.call_function(_aten.hardtanh.default, (layer, 0.0, 1.0))
    _put(clipped, gate)


def _is_split(node: fx.Node) -> bool:
    return node.target in _SPLITS


def _slice(split: fx.Node, _network: fx.GraphModule) -> None:
    """Put a slice in the place of each part that is used."""
    image, *_ = _args(split)
    dim = split.kwargs.get("dim", _args(split)[2] if len(_args(split)) > 2 else 0)
    ends = [0]
    for part in split.meta["val"]:
        ends.append(ends[-1] + int(part.shape[dim]))
    for user in list(split.users):
        number = _args(user)[1]
        with split.graph.inserting_before(user):
            part = split.graph.call_function(
                _aten.slice.Tensor, (image, dim, ends[number], ends[number + 1])
            )
        _put(part, user)
    split.graph.erase_node(split)


def _is_dropping_mean(node: fx.Node) -> bool:
    if node.target is not _aten.mean.dim or len(_args(node)) > 2:
        return False
    _, dims = _args(node)
    rank = node.meta["val"].dim() + len(dims)
    return rank == 4 and sorted(dim % rank for dim in dims) == [2, 3]


def _keep_and_drop(mean: fx.Node, _network: fx.GraphModule) -> None:
    """Keep height and width of 1, quantize, and drop them from the bytes."""
    graph, (image, dims), users = mean.graph, _args(mean), list(mean.users)
    is_quantized = len(users) == 1 and _is_call(users[0], _QUANTIZE)
    with graph.inserting_before(mean):
        kept = graph.call_function(_aten.mean.dim, (image, dims, True))
        kept.meta = {key: each for key, each in mean.meta.items() if key != "val"}
        if is_quantized:
            steps = _args(users[0])[1:]
            kept = graph.call_function(_QUANTIZE, (kept, *steps))
            kept = graph.call_function(_DEQUANTIZE, (kept, *steps))
        dropped = graph.call_function(
            _aten.view.default, (kept, [-1, int(mean.meta["val"].shape[1])])
        )
    _put(dropped, mean)


def _adds_bias(node: fx.Node) -> bool:
    """Is it a layer of int8 input and weights to which XNNPACK adds its bias in int32?"""
    return (
        node.target in _LAYERS
        and len(_args(node)) > 2
        and _args(node)[2] is not None
        and _is_call(_args(node)[0], _DEQUANTIZE)
        and _is_call(_args(node)[1], _DEQUANTIZE_CHANNELS, _DEQUANTIZE)
    )


def _make_room(layer: fx.Node, network: fx.GraphModule) -> None:
    """Widen the steps of weights that are all but 0, where 32 bits would not hold the bias."""
    image, weight, bias = _args(layer)[:3]
    stored, scale, *rest = _args(weight)
    steps = _tensor(network, scale) if isinstance(scale, fx.Node) else torch.tensor(scale)
    smallest = _tensor(network, bias).abs() / (_args(image)[1] * _MOST_STEPS)
    wider = torch.maximum(steps, (smallest if steps.dim() else smallest.max()).to(steps.dtype))
    if torch.equal(wider, steps):
        return
    levels = _tensor(network, stored)
    ratio = (steps / wider).reshape(-1, *[1] * (levels.dim() - 1))
    rounded = torch.round(levels * ratio).to(levels.dtype)
    with layer.graph.inserting_before(layer):
        kept = _constant(network, rounded, f"{layer.name}_levels")
        own = _constant(network, wider, f"{layer.name}_steps") if steps.dim() else float(wider)
        layer.update_arg(1, layer.graph.call_function(weight.target, (kept, own, *rest)))


def _has_float_output(node: fx.Node) -> bool:
    """Is it a layer of int8 weights whose values are used before they are quantized?"""
    if node.target not in _LAYERS or not _is_call(
        _args(node)[1], _DEQUANTIZE_CHANNELS, _DEQUANTIZE
    ):
        return False
    if _is_call(_args(node)[0], _quantized.dequantize_per_tensor.tensor):
        return False
    (*others, user) = node.users
    if not others and user.target in _ACTIVATIONS:
        others, user = list(user.users)[:-1], list(user.users)[-1]
    return bool(others) or not _is_call(user, _QUANTIZE)


def _make_float(layer: fx.Node, network: fx.GraphModule) -> None:
    """Store the values that the weights stand for: XNNPACK has no such layer in int8."""
    weight = _args(layer)[1]
    stored, scale, *_ = _args(weight)
    values = _tensor(network, stored).float()
    if isinstance(scale, fx.Node):
        steps = _tensor(network, scale)
        values = values * steps.reshape(-1, *[1] * (values.dim() - 1))
    else:
        values = values * scale
    with layer.graph.inserting_before(layer):
        layer.update_arg(1, _constant(network, values, f"{layer.name}_weight"))


def _put(node: fx.Node, old: fx.Node) -> None:
    """Let a node take the place of another, with what is known of it."""
    node.meta = dict(old.meta)
    old.replace_all_uses_with(node)
    old.graph.erase_node(old)


def _args(node: fx.Node) -> tuple[Any, ...]:
    """Return a node's arguments, whose kinds follow from what it calls."""
    return node.args


def _is_call(node: Any, *targets: Any) -> bool:
    return isinstance(node, fx.Node) and node.target in targets


def _tensor(network: fx.GraphModule, node: fx.Node) -> Tensor:
    """Return what a `get_attr` reads."""
    found: Any = network
    for name in str(node.target).split("."):
        found = getattr(found, name)
    assert isinstance(found, Tensor)
    return found.detach()


def _constant(network: fx.GraphModule, values: Tensor, name: str) -> fx.Node:
    """Return a node that reads values, which the network keeps from now on."""
    network.register_buffer(name, values)
    return network.graph.get_attr(name)


_REWRITES: list[tuple[Callable[[fx.Node], bool], Callable[[fx.Node, fx.GraphModule], None]]] = [
    (_is_int8_answer, _round_by_image),
    (_is_gate, _fold_gate),
    (_is_split, _slice),
    (_is_dropping_mean, _keep_and_drop),
    (_has_float_output, _make_float),
    (_adds_bias, _make_room),
]
"""In this order: gates change biases, and a layer that becomes float has room for any."""
