from collections import Counter
from pathlib import Path

import onnx


def test_linear_layers_alone_are_int8(pipeline: Path) -> None:
    model = onnx.load(pipeline / "models" / "int8_dynamic" / "model.onnx")
    found = Counter(node.op_type for node in model.graph.node)
    assert found["MatMulInteger"] == 1
    assert found["Conv"] > 50
    assert "ConvInteger" not in found
