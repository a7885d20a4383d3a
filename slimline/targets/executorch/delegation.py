"""What of a lowered network XNNPACK computes, what in int8, and what is left to slow kernels."""

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from slimline.targets import layer_counts
from slimline.targets.layer_counts import Layer

_WEIGHTED = {"convolution", "linear", "addmm", "mm"}
_FREE = {"getitem", "executorch_call_delegate", "alloc"}
"""Calls that compute nothing themselves."""


def describe(program: ExportedProgram) -> dict[str, Any]:
    """Return what `model.json` says of a program that was lowered: counts, and what is left out."""
    left_out = [
        {"layer": _layer(node), "operator": _operator(node)}
        for node in program.graph.nodes
        if node.op == "call_function" and _operator(node) not in _FREE
    ]
    layers = list(_layers(program, is_delegated=False))
    for part in _delegates(program.graph_module):
        layers += _layers(part, is_delegated=True)
    return layer_counts.describe(layers, left_out) | {"counts": layer_counts.counts(layers)}


def _delegates(network: fx.GraphModule) -> Iterator[ExportedProgram]:
    """Yield what was handed to XNNPACK, as it was handed over."""
    for node in network.graph.nodes:
        if node.op == "get_attr":
            held = getattr(getattr(network, str(node.target)), "original_module", None)
            if held is not None:  # ExecuTorch's LoweredBackendModule
                yield held


def _layers(program: ExportedProgram, *, is_delegated: bool) -> Iterator[Layer]:
    for node in program.graph.nodes:
        if node.op != "call_function" or _operator(node) not in _WEIGHTED:
            continue
        # addmm(bias, image, weight), the others (image, weight, bias)
        place = 1 if _operator(node) == "addmm" else 0
        image, weight = _args(node)[place : place + 2]
        found = _values(program, weight)
        if found is None:
            continue  # a product of two computed values, as in attention
        stored, values = found
        values = values[..., : values.shape[-1] - _num_ends(image)]
        bias = _args(node)[0] if place else (_args(node)[2] if len(_args(node)) > 2 else None)
        yield Layer(
            name=_layer(node),
            params=values.numel() + (bias.meta["val"].numel() if bias is not None else 0),
            weights=values.numel(),
            zeros=int((values == 0).sum()),
            macs=_macs(node, values),
            is_int8=is_delegated and _is_dequantize(image) and _is_dequantize(stored),
        )


def _num_ends(image: fx.Node) -> int:
    """Return how many columns of what a layer reads are ends of its range, which it does not use.

    (`slimline.targets.quantized_graph.span_range`.)
    """
    if not (_is_dequantize(image) and isinstance(_args(image)[1], fx.Node)):  # scale of its own
        return 0
    source, count = _args(_args(image)[0])[0], 0
    while _operator(source) == "constant_pad_nd":
        source, count = _args(source)[0], count + 1
    return count


def _macs(node: fx.Node, weight: Tensor) -> int:
    """Return the multiply-accumulates of a layer: a weight is used once a place of its output."""
    outputs = node.meta["val"].shape
    # A linear layer has its channels last, of tokens and of maps too.
    channels = outputs[1 if _operator(node) == "convolution" else -1]
    return int(math.prod(outputs) // channels * weight.numel())


def _values(program: ExportedProgram, weight: fx.Node) -> tuple[fx.Node, Tensor] | None:
    """Return what makes a weight, and its values as they are stored; zero points are 0.

    Of what is no constant nothing.
    """
    while not _is_dequantize(weight) and weight.op == "call_function":
        if not (_args(weight) and isinstance(_args(weight)[0], fx.Node)):
            return None
        weight = _args(weight)[0]
    stored = _args(weight)[0] if _is_dequantize(weight) else weight
    signature = program.graph_signature
    for names in (
        signature.inputs_to_parameters,
        signature.inputs_to_buffers,
        signature.inputs_to_lifted_tensor_constants,
    ):
        if stored.name in names:
            name = names[stored.name]
            held = program.state_dict.get(name, program.constants.get(name))
            assert isinstance(held, Tensor)
            return weight, held
    return None


def _is_dequantize(node: Any) -> bool:
    return isinstance(node, fx.Node) and _operator(node).startswith("dequantize")


def _operator(node: fx.Node) -> str:
    """Return the plain name of what a node calls, as convolution.

    Lowered operators are called as `aten.convolution.default`, those that write into memory that
    was planned, of ExecuTorch's own kernels, as `convolution.out`.
    """
    name: str = getattr(node.target, "__name__", str(node.target))
    return name.split(".")[-2] if "." in name else name


def _layer(node: fx.Node) -> str:
    """Return the name of the module that a node stems from, as in the network."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]).removeprefix("L['self'].") if stack else ""


def _args(node: fx.Node) -> tuple[Any, ...]:
    """Return a node's arguments, whose kinds follow from what it calls."""
    return node.args
