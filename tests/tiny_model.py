"""A model folder like those of the pipeline, made by hand: it finds the brightest quarter."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from slimline import files
from slimline.artifacts import model_interface
from slimline.data.preprocessing import Preprocessing
from slimline.targets.onnxruntime import interface

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


def rewrite(folder: Path, *, takes: str, answers: str) -> None:
    """Let the model take and answer what `int8_export.input` and `int8_export.answer` say."""
    asked = model_interface.of(FRAME, takes=takes, answers=answers)
    interface.rewrite(folder / "model.onnx", asked.frame, answers=asked.answers, metadata={})
    path = folder / "model.json"
    files.write_json(path, files.read_json(path) | asked.describe())
