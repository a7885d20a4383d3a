"""A float layer between bytes: ONNX Runtime leaves it alone, and it computes what is written."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from slimline.targets.onnxruntime.passes import lone_float_layers, order

IMAGES = np.random.default_rng(1).integers(0, 256, (1, 16, 14, 14)).astype(np.uint8)


def between_bytes(activation: str, *, is_quantized_behind: bool = True) -> onnx.ModelProto:
    """Return bytes in, a convolution with a float weight and perhaps an activation, bytes out."""
    random = np.random.default_rng(0)
    constants = {
        "step": np.float32(0.02),
        "zero": np.uint8(0 if activation else 120),
        "weight": random.normal(0, 0.05, (16, 16, 3, 3)).astype(np.float32),
        "bias": random.normal(0, 1, 16).astype(np.float32),
        "lowest": np.float32(0),
        "highest": np.float32(6),
    }
    limits = ["lowest", "highest"] if activation == "Clip" else []
    nodes = [
        helper.make_node("DequantizeLinear", ["input", "step", "zero"], ["given"]),
        helper.make_node("Conv", ["given", "weight", "bias"], ["made"], pads=[1, 1, 1, 1]),
        *([helper.make_node(activation, ["made", *limits], ["active"])] if activation else []),
    ]
    last = "active" if activation else "made"
    if is_quantized_behind:
        nodes.append(helper.make_node("QuantizeLinear", [last, "step", "zero"], ["bytes"]))
    kind = TensorProto.UINT8 if is_quantized_behind else TensorProto.FLOAT
    used = {name for node in nodes for name in node.input}
    initializers = [
        numpy_helper.from_array(np.asarray(each), name)
        for name, each in constants.items()
        if name in used
    ]
    result = "bytes" if is_quantized_behind else last
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, IMAGES.shape)],
        [helper.make_tensor_value_info(result, kind, IMAGES.shape)],
        initializers,
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def run(model: onnx.ModelProto, folder: Path, *, optimised: bool) -> tuple[set[str], np.ndarray]:
    """Return what is executed, and the answer."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "run.onnx")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answer = session.run(None, {"input": IMAGES})[0]
    return {node.op_type for node in onnx.load(folder / "run.onnx").graph.node}, answer


@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
def test_the_layer_stays_float_and_every_byte_is_as_written(
    activation: str, tmp_path: Path
) -> None:
    _, as_written = run(between_bytes(activation), tmp_path, optimised=False)
    model = order.apply(between_bytes(activation), lone_float_layers.keep_float)
    onnx.checker.check_model(model, full_check=True)
    executed, answer = run(model, tmp_path, optimised=True)
    assert {"Conv", "FusedConv"} & executed
    assert not {"QLinearConv", "LeakyRelu"} & executed
    assert (answer == as_written).all()


def test_without_it_the_runtime_quantizes_the_weight(tmp_path: Path) -> None:
    """When this fails, ONNX Runtime has changed, and the pass may be of no use any more."""
    model = between_bytes("")
    _, as_written = run(model, tmp_path, optimised=False)
    executed, answer = run(model, tmp_path, optimised=True)
    assert "QLinearConv" in executed
    assert (answer != as_written).mean() > 0.1


def test_a_layer_that_floats_read_is_left_as_it_is() -> None:
    model = between_bytes("Relu", is_quantized_behind=False)
    assert order.apply(model, lone_float_layers.keep_float) == order.apply(model)
