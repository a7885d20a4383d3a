"""Linear layers whose output is used in float, in int8 all the same: LiteRT's hybrid kernels.

Logits are float, and so is most of a transformer, whose linear layers are read by GELU, LayerNorm
and products. LiteRT has a kernel for them that rounds its input itself, row by row, multiplies
bytes and gives floats ("dynamic range quantization"); it is given rows that span the trained range.
Its converter makes none of a network that has ranges: it writes such layers in float. Here they get
back the bytes that were trained, with their steps.

Where the output is multiplied by a constant, as by a layer scale, the converter would multiply
floats of weights, so that their bytes were not found again: before, the steps are multiplied.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from slimline.targets.quantized_graph import (
    DEQUANTIZE_CHANNELS,
    args,
    channel_steps,
    constant,
    has_float_output,
    sizes,
    span_range,
    tensor,
    turns_bytes_to_floats,
    weight_values,
)

_aten = torch.ops.aten
_SAME_VALUES = {
    _aten.reshape.default,
    _aten.view.default,
    _aten.clone.default,
    _aten.contiguous.default,
    _aten.dropout.default,
    _aten.dropout_.default,
}
"""What hands on the outputs of a layer as they are, in rows of their own or not."""

Weights: TypeAlias = dict[bytes, tuple[NDArray[np.int8], NDArray[np.float32]]]
"""Levels, int8 [outputs, inputs], and steps, float32 [outputs], by the floats they stand for."""

_VERSION = 12
"""Of LiteRT's operator: the first whose int8 weights may have a scale a channel beside floats."""


def fold_scales(network: fx.GraphModule) -> None:
    """Let such layers compute what their output is multiplied by, in place; exact but for floats.

    Its operators know their shapes (`meta["val"]`).
    """
    for node in network.graph.nodes:
        for scaled, factors in _scaled(node, network):
            layer = _layer_behind(scaled)
            if layer is not None and _can_take(layer, factors, network):
                _multiply(layer, factors.reshape(-1), network)
                node.replace_all_uses_with(scaled)
                network.graph.erase_node(node)
                break
    network.recompile()


def span_ranges(network: fx.GraphModule) -> None:
    """Let rows that such layers read have both ends of the trained range, in place."""
    for node in list(network.graph.nodes):
        if turns_bytes_to_floats(node):
            span_range(node, network)
    network.recompile()


def _scaled(node: fx.Node, network: fx.GraphModule) -> Iterator[tuple[fx.Node, Tensor]]:
    """Yield what is multiplied by a number or a constant, and that; of other nodes nothing."""
    if node.target is not _aten.mul.Tensor:
        return
    for value, other in (args(node), args(node)[::-1]):
        if isinstance(other, int | float):
            yield value, torch.tensor([float(other)])
        elif isinstance(value, fx.Node) and other.op == "get_attr":
            yield value, tensor(network, other)


def _layer_behind(scaled: fx.Node) -> fx.Node | None:
    """Return the linear layer whose output that is."""
    last = sizes(scaled)[-1]
    while scaled.target in _SAME_VALUES and len(scaled.users) == 1 and sizes(scaled)[-1] == last:
        scaled = args(scaled)[0]
    is_linear = scaled.target is _aten.linear.default and sizes(scaled)[-1] == last
    return scaled if is_linear and len(scaled.users) == 1 and has_float_output(scaled) else None


def _can_take(layer: fx.Node, factors: Tensor, network: fx.GraphModule) -> bool:
    """Is there one factor for all outputs, or one for each, and none of which steps are 0?"""
    num_outputs = len(tensor(network, args(args(layer)[1])[0]))
    are_of_outputs = factors.numel() == 1 or factors.shape[-1] == factors.numel() == num_outputs
    return are_of_outputs and bool((factors != 0).all())


def _multiply(layer: fx.Node, factors: Tensor, network: fx.GraphModule) -> None:
    """Multiply the steps of weights, which stay above 0, and the bias; each level has an opposite.

    (-127 to 127.)
    """
    weight, bias = (*args(layer)[1:], None)[:2]
    levels, steps = tensor(network, args(weight)[0]), channel_steps(network, weight)
    limits = args(weight)[-3:]
    turned = levels * factors.sign().to(levels.dtype).reshape(-1, 1)
    zeros = torch.zeros(len(levels), dtype=torch.int64)
    with layer.graph.inserting_before(layer):
        parts = [
            constant(network, values, f"{layer.name}_{name}")
            for name, values in (
                ("levels", turned),
                ("steps", steps * factors.abs()),
                ("zeros", zeros),
            )
        ]
        own = layer.graph.call_function(DEQUANTIZE_CHANNELS, (*parts, 0, *limits))
        own.meta = dict(weight.meta)
        layer.update_arg(1, own)
        if bias is not None:
            scaled = constant(network, tensor(network, bias) * factors, f"{layer.name}_bias")
            scaled.meta = dict(bias.meta)
            layer.update_arg(2, scaled)


def find(converted: fx.GraphModule) -> Weights:
    """Return the int8 weights of the linear layers whose output is used in float."""
    found: Weights = {}
    for node in converted.graph.nodes:
        if node.target is _aten.linear.default and has_float_output(node):
            weight = args(node)[1]
            found[weight_values(converted, weight).numpy().tobytes()] = (
                tensor(converted, args(weight)[0]).numpy(),
                channel_steps(converted, weight).numpy(),
            )
    return found


def restore(path: Path, weights: Weights) -> None:
    """Store those bytes in a .tflite, where it has the floats that they stand for."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph, *_) = model.subgraphs
    uses = Counter(tensor.buffer for each in model.subgraphs for tensor in each.tensors)
    for operator in graph.operators:
        if not _is_linear(operator, model, schema):
            continue
        weight = graph.tensors[operator.inputs[1]]
        content = model.buffers[weight.buffer].data  # nothing, where the weight is computed
        if content is None or content.tobytes() not in weights:
            continue
        levels, steps = weights[content.tobytes()]
        if uses[weight.buffer] > 1:  # as the floats of others
            weight.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
        model.buffers[weight.buffer].data = levels.view(np.uint8).reshape(-1)
        weight.type = schema.TensorType.INT8
        weight.quantization = schema.QuantizationParametersT()
        weight.quantization.scale = steps
        weight.quantization.zeroPoint = np.zeros(len(steps), np.int64)
        operator.opcodeIndex = _operator_code(model, schema)
        operator.builtinOptions.asymmetricQuantizeInputs = True
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def _is_linear(operator: Any, model: Any, schema: Any) -> bool:
    code = model.operatorCodes[operator.opcodeIndex]
    kind = max(code.builtinCode, code.deprecatedBuiltinCode)
    return bool(kind == schema.BuiltinOperator.FULLY_CONNECTED)


def _operator_code(model: Any, schema: Any) -> int:
    """Return the number of the operator's version among the model's, which has it from now on."""
    own = schema.OperatorCodeT()
    own.builtinCode = own.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    own.version = _VERSION
    for number, code in enumerate(model.operatorCodes):
        if vars(code) == vars(own):
            return number
    model.operatorCodes.append(own)
    return len(model.operatorCodes) - 1
