"""Linear layers whose output is used in float, in int8 all the same: LiteRT's hybrid kernels.

Logits are float, and so is most of a transformer, whose linear layers are read by GELU, LayerNorm
and products. LiteRT has a kernel for them that rounds its input itself, row by row, to finer steps
than those of the trained range, multiplies bytes and gives floats ("dynamic range quantization").
Its converter makes none of a network that has ranges: it writes such layers in float. Here they get
back the bytes that were trained, with their steps.
"""

from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from slimline.targets.quantized_graph import (
    args,
    channel_steps,
    has_float_output,
    tensor,
    weight_values,
)

Weights: TypeAlias = dict[bytes, tuple[NDArray[np.int8], NDArray[np.float32]]]
"""Levels, int8 [outputs, inputs], and steps, float32 [outputs], by the floats they stand for."""

_VERSION = 12
"""Of LiteRT's operator: the first whose int8 weights may have a scale a channel beside floats."""


def find(converted: fx.GraphModule) -> Weights:
    """Return the int8 weights of the linear layers whose output is used in float."""
    found: Weights = {}
    for node in converted.graph.nodes:
        if node.target is torch.ops.aten.linear.default and has_float_output(node):
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
