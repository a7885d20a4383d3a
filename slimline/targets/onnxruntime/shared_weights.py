"""A copy of its own for each layer that shares weights, as where a layer is called twice.

ONNX Runtime's `quantize_static` gives the bias of a second call the name of the first with a number
behind it, which in a file of short names is that of another value; and it turns Gemm into MatMul by
transposing the weights in place, those of two calls twice.
"""

from pathlib import Path

import onnx

_LAYERS = {"Conv", "Gemm"}
"""Operators whose inputs after the first are weights and bias."""


def separate(path: Path) -> None:
    """Give each layer in an .onnx file weights and a bias of its own, in place."""
    model = onnx.load(path)
    weights = {each.name: each for each in model.graph.initializer}
    seen: set[str] = set()
    layers = [node for node in model.graph.node if node.op_type in _LAYERS]
    for number, node in enumerate(layers):
        for place, name in list(enumerate(node.input))[1:]:
            if name in seen:
                own = onnx.TensorProto()
                own.CopyFrom(weights[name])
                own.name = node.input[place] = f"{name}_of_{number}"
                model.graph.initializer.append(own)
            elif name in weights:
                seen.add(name)
    if len(model.graph.initializer) > len(weights):
        path.write_bytes(model.SerializeToString(deterministic=True))
