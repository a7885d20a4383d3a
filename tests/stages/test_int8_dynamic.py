from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from slimline import files


def test_linear_layers_alone_are_int8(pipeline: Path) -> None:
    model = onnx.load(pipeline / "models" / "int8_dynamic" / "model.onnx")
    found = Counter(node.op_type for node in model.graph.node)
    assert found["MatMulInteger"] == 1
    assert found["Conv"] > 50
    assert "ConvInteger" not in found


def test_the_share_of_the_weights_that_it_is_about_is_told(pipeline: Path) -> None:
    """A ShuffleNetV2 of half the width has 1024 inputs for its last layer of ten classes."""
    models = pipeline / "models"
    share = files.read_json(models / "int8_dynamic" / "model.json")["linear_share"]
    linear, all_weights = 0, 0
    for tensor in onnx.load(models / "prune" / "model.onnx").graph.initializer:
        size = int(np.prod(tensor.dims))
        all_weights += size if len(tensor.dims) > 1 else 0
        linear += size if len(tensor.dims) == 2 else 0
    assert share == pytest.approx(100 * linear / all_weights)
    assert 0 < share < 20
