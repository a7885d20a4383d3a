"""A softmax between bytes: it is computed in float, also where it exceeds the trained range."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from slimline.targets.onnxruntime.passes import float_softmax, order

KINDS = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}


def between_bytes(kind: type, *, step: float) -> onnx.ModelProto:
    """Return bytes in, a softmax of four, bytes in such steps out."""
    lowest = np.iinfo(kind).min
    constants = {
        "step": np.float32(0.06),
        "zero": kind(lowest + 128),
        "out_step": np.float32(step),
        "out_zero": kind(lowest),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["input", "step", "zero"], ["given"]),
        helper.make_node("Softmax", ["given"], ["made"], axis=-1),
        helper.make_node("QuantizeLinear", ["made", "out_step", "out_zero"], ["bytes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "softmax",
        [helper.make_tensor_value_info("input", KINDS[kind], [None, 4])],
        [helper.make_tensor_value_info("bytes", KINDS[kind], [None, 4])],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def steps_off(model: onnx.ModelProto, kind: type, *, step: float) -> float:
    """Return how far the bytes are from what is rounded to them, at most."""
    limits = np.iinfo(kind)
    given = np.random.default_rng(0).integers(limits.min, limits.max + 1, (400, 4)).astype(kind)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"input": given})[0].astype(np.float64) - limits.min
    powers = np.exp((given.astype(np.float64) - given.max(1, keepdims=True)) * 0.06)
    exact = powers / powers.sum(1, keepdims=True) / step
    return float(np.abs(found - exact.clip(0, 255)).max())


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("step", [0.0035, 0.0007])
def test_every_byte_is_as_near_as_rounding_can_be(kind: type, step: float) -> None:
    model = order.apply(between_bytes(kind, step=step), float_softmax.keep_float)
    onnx.checker.check_model(model, full_check=True)
    assert steps_off(model, kind, step=step) < 0.501


def test_without_it_the_runtime_computes_in_integers() -> None:
    """When this fails, ONNX Runtime has changed, and the pass may be of no use any more."""
    assert steps_off(between_bytes(np.uint8, step=0.0035), np.uint8, step=0.0035) > 0.9
    assert steps_off(between_bytes(np.uint8, step=0.0007), np.uint8, step=0.0007) > 200


def test_a_softmax_that_floats_read_is_left_as_it_is() -> None:
    model = between_bytes(np.uint8, step=0.0035)
    del model.graph.node[-1], model.graph.initializer[2:]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("made", TensorProto.FLOAT, [None, 4]))
    assert order.apply(model, float_softmax.keep_float) == order.apply(model)
