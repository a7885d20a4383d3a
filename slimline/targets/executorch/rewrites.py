"""Spells a converted network so that XNNPACK takes all of it; each rewrite keeps the values.

XNNPACK is handed patterns: an operator between dequantize and quantize. Some things that our
networks have fit none, and would leave the delegate for ExecuTorch's own slow kernels:

    answer      a linear layer in int8 whose output is used in float, as logits are, and most of a
                transformer: XNNPACK has one that rounds its input itself, row by row, and is given
                rows that span the trained range
    mean        over height and width that drops both at once, where XNNPACK keeps them
    attention   spelled out: `slimline.targets.attention`
    the rest    gates, splits, layers used in float, biases: `slimline.targets.quantized_graph`
"""

import operator

import torch
from torch import fx

from slimline.targets import attention
from slimline.targets.quantized_graph import (
    DEQUANTIZE,
    DEQUANTIZE_CHANNELS,
    QUANTIZE,
    Rewrite,
    adds_bias,
    apply,
    args,
    channel_steps,
    constant,
    fold_gate,
    has_float_output,
    is_call,
    is_gate,
    is_split,
    make_float,
    make_room,
    put,
    slice_parts,
    span_range,
    turns_bytes_to_floats,
)

_aten = torch.ops.aten
_quantized = torch.ops.quantized_decomposed

_MIN, _MAX = -128, 127


def rewrite(network: fx.GraphModule) -> None:
    """Apply all rewrites in place, to a graph whose operators know their shapes (`meta["val"]`)."""
    apply(network, _REWRITES)


def _round_by_row(answer: fx.Node, network: fx.GraphModule) -> None:
    """Let a linear layer choose the range of its input for each row, weights a scale a channel."""
    span_range(answer, network)
    graph, (image, weight) = answer.graph, args(answer)[:2]
    with graph.inserting_before(answer):
        if weight.target is DEQUANTIZE:
            answer.update_arg(1, _channel_by_channel(weight, network))
        chosen = graph.call_function(
            _quantized.choose_qparams.tensor,
            (image, _MIN, _MAX, torch.finfo(torch.float32).eps, torch.int8),
        )
        scale, zero = (graph.call_function(operator.getitem, (chosen, part)) for part in (0, 1))
        steps = (scale, zero, _MIN, _MAX, torch.int8)
        quantized = graph.call_function(_quantized.quantize_per_tensor.tensor, (image, *steps))
        rounded = graph.call_function(_quantized.dequantize_per_tensor.tensor, (quantized, *steps))
    answer.update_arg(0, rounded)


def _channel_by_channel(dequantize: fx.Node, network: fx.GraphModule) -> fx.Node:
    """Return weights of one step with that step for each channel."""
    stored, _, _, *limits = args(dequantize)
    steps = channel_steps(network, dequantize).clone()
    kept = constant(network, steps, f"{dequantize.name}_steps")
    zeros = constant(
        network, torch.zeros_like(steps, dtype=torch.int64), f"{dequantize.name}_zeros"
    )
    return dequantize.graph.call_function(DEQUANTIZE_CHANNELS, (stored, kept, zeros, 0, *limits))


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
    (turns_bytes_to_floats, _round_by_row),
    (is_gate, fold_gate),
    (is_split, slice_parts),
    (attention.can_be_spelled_out, attention.spell_out),
    (_is_dropping_mean, _keep_and_drop),
    (_is_used_in_float, make_float),
    (adds_bias, make_room),
]
"""In this order: gates change biases, and a layer that becomes float has room for any."""
