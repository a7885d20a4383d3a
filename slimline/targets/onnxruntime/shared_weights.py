"""A copy of its own for each layer that shares weights, as where a layer is called twice.

ONNX Runtime's `quantize_static` turns Gemm into MatMul by transposing the weights in place: those
of a layer that is called twice, twice, which leaves them as they were and the file wrong.
"""

from pathlib import Path

import onnx

_OPERATOR = "Gemm"
_WEIGHT = 1
"""Which input of it is the weight."""


def separate(path: Path) -> None:
    """Give each linear layer in an .onnx file weights of its own, in place."""
    model = onnx.load(path)
    weights = {each.name: each for each in model.graph.initializer}
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        name = node.input[_WEIGHT] if node.op_type == _OPERATOR else ""
        if name in seen:
            own = onnx.TensorProto()
            own.CopyFrom(weights[name])
            own.name = node.input[_WEIGHT] = f"{name}_of_{number}"
            model.graph.initializer.append(own)
        elif name in weights:
            seen.add(name)
    if len(model.graph.initializer) > len(weights):
        path.write_bytes(model.SerializeToString(deterministic=True))
