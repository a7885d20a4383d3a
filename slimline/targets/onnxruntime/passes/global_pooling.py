"""Makes a mean over height and width a `GlobalAveragePool`, which ONNX Runtime has in int8."""

import onnx
from onnx import NodeProto, helper

from slimline.targets.onnxruntime.graph import Values

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def pool_means(model: onnx.ModelProto) -> None:
    """Rewrite a QDQ graph in place; it computes the same."""
    graph = model.graph
    values = Values(graph)
    for node in list(graph.node):
        if node.op_type == "ReduceMean" and _is_spatial(node, values):
            _pool(graph, node, values)


def _is_spatial(node: NodeProto, values: Values) -> bool:
    axes = values.constant(node.input[1]) if len(node.input) > 1 else None
    return axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1])


def _pool(graph: onnx.GraphProto, mean: NodeProto, values: Values) -> None:
    """Pool, requantize, and flatten bytes, where the mean's range is known; else leave it."""
    result = mean.output[0]
    quantize = values.only_user(result, _QUANTIZE)
    if quantize is None:
        return
    keeps = next((each.i for each in mean.attribute if each.name == "keepdims"), 1)
    place = list(graph.node).index(mean)
    graph.node.remove(mean)
    pooled = [helper.make_node("GlobalAveragePool", mean.input[:1], [f"{result}_pooled"])]
    if keeps:
        pooled[0].output[0] = result
    else:
        scale = list(quantize.input[1:])
        names = [f"{result}_{part}" for part in ("pooled", "bytes", "range", "flat")]
        pooled += [
            helper.make_node(_QUANTIZE, [names[0], *scale], [names[1]]),
            helper.make_node(_DEQUANTIZE, [names[1], *scale], [names[2]]),
            helper.make_node("Flatten", [names[2]], [result]),
        ]
    for position, node in enumerate(pooled):
        graph.node.insert(place + position, node)
