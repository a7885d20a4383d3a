"""Spells a converted network so that LiteRT's converter makes int8 of it; each keeps the values.

It is handed patterns: an operator between dequantize and quantize. What fits none otherwise:

    weights   bytes between get_attr and dequantize, which the converter does not know: it rounds
              floats itself, so that it is given the floats that the bytes stand for
    gate      as for all targets, and without clipping where rounding clips
    swish     a hard-swish whose output has far finer steps than its input, which LiteRT's kernel
              refuses, as where all inputs are below -3: spelled out, and computed in float
    attention spelled out, or its shared keys and values repeated: `slimline.targets.attention`
    the rest  splits, layers used in float, biases: `slimline.targets.quantized_graph`
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.fx.graph import CodeGen

from slimline.targets import attention
from slimline.targets.quantized_graph import (
    DEQUANTIZE,
    DEQUANTIZE_CHANNELS,
    QUANTIZE,
    QUANTIZE_CHANNELS,
    Rewrite,
    adds_bias,
    apply,
    args,
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
    tensor,
    weight_values,
)

_aten = torch.ops.aten

_HARD_SWISHES = {_aten.hardswish.default, _aten.hardswish_.default}
_MOST_FINER = 127.0
"""How much finer the steps behind a hard-swish may be: LiteRT's kernel wants less than 128."""

_QUANTIZES: dict[Any, Any] = {DEQUANTIZE: QUANTIZE, DEQUANTIZE_CHANNELS: QUANTIZE_CHANNELS}


def rewrite(network: fx.GraphModule, *, image: str, answer: str) -> None:
    """Apply all rewrites in place, to a graph whose operators know their shapes (`meta["val"]`).

    It takes its image, by that name, with channels last, and answers a dictionary of one.
    """
    apply(network, _REWRITES)
    _name_ends(network.graph, image, answer)
    network.delete_all_unused_submodules()
    network.recompile()


def ranges(network: fx.GraphModule) -> Iterator[tuple[tuple[float, ...], int]]:
    """Yield what the bytes of a rewritten network stand for: scales, and a zero point."""
    for node in network.graph.nodes:
        if node.target is QUANTIZE:
            yield (float(np.float32(args(node)[1])),), args(node)[2]
        elif node.target is QUANTIZE_CHANNELS:
            yield tuple(tensor(network, args(node)[1]).float().tolist()), 0


def _name_ends(graph: fx.Graph, image: str, answer: str) -> None:
    (given,) = graph.find_nodes(op="placeholder")
    (output,) = graph.find_nodes(op="output")
    graph.set_codegen(CodeGen())
    (logits,) = output.all_input_nodes
    output.args = ({answer: logits},)
    with graph.inserting_before(given):
        own = graph.placeholder(image)
    with graph.inserting_before(given.next):
        channels_first = graph.call_function(_aten.permute.default, (own, [0, 3, 1, 2]))
    given.replace_all_uses_with(channels_first)
    graph.erase_node(given)


def _is_clipped_again(node: fx.Node) -> bool:
    """Is it clipped to 0 to 1, and then rounded to steps of which none is outside of that?"""
    if node.target is not _aten.hardtanh.default or args(node)[1:] != (0.0, 1.0):
        return False
    return all(is_call(user, QUANTIZE) and _is_within_1(user) for user in node.users)


def _is_within_1(quantize: fx.Node) -> bool:
    _, scale, zero, low, high, *_ = args(quantize)
    return bool(zero == low and (high - low) * scale <= 1 + scale / 2)


def _leave_clipping(clip: fx.Node, _network: fx.GraphModule) -> None:
    """Let rounding clip."""
    image: Any = args(clip)[0]
    clip.replace_all_uses_with(image)
    clip.graph.erase_node(clip)


def _is_refused_swish(node: fx.Node) -> bool:
    if node.target not in _HARD_SWISHES or not is_call(args(node)[0], DEQUANTIZE):
        return False
    scale = args(args(node)[0])[1]
    return any(
        is_call(user, QUANTIZE) and scale > _MOST_FINER * args(user)[1] for user in node.users
    )


def _spell_out(swish: fx.Node, _network: fx.GraphModule) -> None:
    """Multiply by x / 6 + 1 / 2, held in 0 to 1, in a form that is not made a hard-swish again."""
    graph, image = swish.graph, args(swish)[0]
    with graph.inserting_before(swish):
        sixth = graph.call_function(_aten.mul.Tensor, (image, 1 / 6))
        line = graph.call_function(_aten.add.Tensor, (sixth, 0.5))
        gate = graph.call_function(_aten.hardtanh.default, (line, 0.0, 1.0))
        for node in (sixth, line, gate):
            node.meta = dict(swish.meta)
        put(graph.call_function(_aten.mul.Tensor, (image, gate)), swish)


def _is_stored(node: fx.Node) -> bool:
    return is_call(node, *_QUANTIZES) and args(node)[0].op == "get_attr"


def _round_floats(dequantize: fx.Node, network: fx.GraphModule) -> None:
    """Let bytes be what rounding the floats that they stand for makes."""
    graph = dequantize.graph
    with graph.inserting_before(dequantize):
        held = constant(network, weight_values(network, dequantize), f"{dequantize.name}_values")
        rounded = graph.call_function(_QUANTIZES[dequantize.target], (held, *args(dequantize)[1:]))
    dequantize.update_arg(0, rounded)


_REWRITES: list[Rewrite] = [
    (is_gate, fold_gate),
    (_is_clipped_again, _leave_clipping),
    (is_split, slice_parts),
    (attention.can_be_spelled_out, attention.spell_out),
    (attention.shares_keys, attention.repeat_keys),
    (_is_refused_swish, _spell_out),
    (has_float_output, make_float),
    (adds_bias, make_room),
    (_is_stored, _round_floats),
]
"""In this order: gates change biases, a layer that becomes float has room for any bias."""
