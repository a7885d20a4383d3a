"""Spells a converted network so that XNNPACK takes all of it; each rewrite keeps the values.

XNNPACK is handed patterns: an operator between dequantize and quantize. Some things that our
networks have fit none, and would leave the delegate for ExecuTorch's own slow kernels:

    answer      a linear layer in int8 whose logits are float: XNNPACK has one that rounds its input
                itself, image by image, to finer steps than those of the range
    mean        over height and width that drops both at once, where XNNPACK keeps them
    the rest    gates, splits, layers used in float, biases: `slimline.targets.quantized_graph`
"""

import operator

import torch
from torch import fx

from slimline.targets.quantized_graph import (
    DEQUANTIZE,
    DEQUANTIZE_CHANNELS,
    QUANTIZE,
    Rewrite,
    adds_bias,
    apply,
    args,
    fold_gate,
    has_float_output,
    is_call,
    is_gate,
    is_split,
    make_float,
    make_room,
    put,
    slice_parts,
)

_aten = torch.ops.aten
_quantized = torch.ops.quantized_decomposed

_MIN, _MAX = -128, 127


def rewrite(network: fx.GraphModule) -> None:
    """Apply all rewrites in place, to a graph whose operators know their shapes (`meta["val"]`)."""
    apply(network, _REWRITES)


def _is_int8_answer(node: fx.Node) -> bool:
    return (
        node.target is _aten.linear.default
        and all(user.op == "output" for user in node.users)
        and is_call(args(node)[0], DEQUANTIZE)
        and is_call(args(node)[1], DEQUANTIZE_CHANNELS)
    )


def _round_by_image(answer: fx.Node, _network: fx.GraphModule) -> None:
    """Let a linear layer choose the range of its input for each image."""
    graph, image = answer.graph, args(answer)[0]
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


def _is_dropping_mean(node: fx.Node) -> bool:
    if node.target is not _aten.mean.dim or len(args(node)) > 2:
        return False
    _, dims = args(node)
    rank = node.meta["val"].dim() + len(dims)
    return rank == 4 and sorted(dim % rank for dim in dims) == [2, 3]


def _keep_and_drop(mean: fx.Node, _network: fx.GraphModule) -> None:
    """Keep height and width of 1, quantize, and drop them from the bytes."""
    graph, (image, dims), users = mean.graph, args(mean), list(mean.users)
    is_quantized = len(users) == 1 and is_call(users[0], QUANTIZE)
    with graph.inserting_before(mean):
        kept = graph.call_function(_aten.mean.dim, (image, dims, True))
        kept.meta = {key: each for key, each in mean.meta.items() if key != "val"}
        if is_quantized:
            steps = args(users[0])[1:]
            kept = graph.call_function(QUANTIZE, (kept, *steps))
            kept = graph.call_function(DEQUANTIZE, (kept, *steps))
        dropped = graph.call_function(
            _aten.view.default, (kept, [-1, int(mean.meta["val"].shape[1])])
        )
    put(dropped, mean)


def _is_used_in_float(node: fx.Node) -> bool:
    """Has it a float output, and an input that XNNPACK does not round itself?"""
    rounds_itself = _quantized.dequantize_per_tensor.tensor
    return has_float_output(node) and not is_call(args(node)[0], rounds_itself)


_REWRITES: list[Rewrite] = [
    (_is_int8_answer, _round_by_image),
    (is_gate, fold_gate),
    (is_split, slice_parts),
    (_is_dropping_mean, _keep_and_drop),
    (_is_used_in_float, make_float),
    (adds_bias, make_room),
]
"""In this order: gates change biases, and a layer that becomes float has room for any."""
