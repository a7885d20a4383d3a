"""A model folder like those of the pipeline, made by hand: it finds the brightest quarter."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from slimline import files
from slimline.data.preprocessing import Preprocessing

CLASSES = ["top left", "top right", "bottom left", "bottom right"]
FRAME = Preprocessing(8, 8, channels=1, mean=(0.5,), std=(0.5,))


def write(folder: Path, classes: Sequence[str] = CLASSES) -> Path:
    """Write `model.onnx` and `model.json`; logits are ten times the mean of each quarter."""
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("AveragePool", ["input"], ["means"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Mul", ["flat", "ten"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quarters",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(np.array(10, np.float32), "ten")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    content = {"classes": list(classes), "preprocessing": FRAME.to_dict()}
    files.write_json(folder / "model.json", content)
    return folder
