from pathlib import Path

import onnx
from onnx import numpy_helper


def test_weights_have_seven_bits(pipeline: Path) -> None:
    model = onnx.load(pipeline / "models" / "int8_ptq" / "model.onnx")
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) > 50
    assert all(abs(weight.astype(int)).max() <= 64 for weight in weights)
