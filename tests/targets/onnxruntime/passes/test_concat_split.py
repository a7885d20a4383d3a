from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from slimline.targets.onnxruntime.passes import concat_split, order

IMAGES = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)


def graph(scales: list[float]) -> onnx.ModelProto:
    """Quantize, split in two, swap the halves, quantize: with a scale for each place."""
    names = ["given", "first", "second", "joined"]
    constants = [
        *(numpy_helper.from_array(np.float32(s), n) for n, s in zip(names, scales, strict=True)),
        numpy_helper.from_array(np.uint8(128), "zero"),
    ]

    def pair(value: str, name: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("QuantizeLinear", [value, name, "zero"], [f"{value}_q"]),
            helper.make_node("DequantizeLinear", [f"{value}_q", name, "zero"], [f"{value}_dq"]),
        ]

    nodes = [
        *pair("input", "given"),
        helper.make_node("Split", ["input_dq"], ["a", "b"], axis=1, num_outputs=2),
        *pair("a", "first"),
        *pair("b", "second"),
        helper.make_node("Concat", ["b_dq", "a_dq"], ["c"], axis=1),
        *pair("c", "joined"),
        helper.make_node("Identity", ["c_dq"], ["logits"]),
    ]
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4])
        for name in ("input", "logits")
    ]
    content = helper.make_graph(nodes, "test", value[:1], value[1:], constants)
    model = helper.make_model(content, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": IMAGES})[0]


@pytest.mark.parametrize(
    ("scales", "num_pairs"),
    [
        ([0.02, 0.02, 0.02, 0.02], 1),
        ([0.02, 0.02, 0.02, 0.03], 3 + 1),
        ([0.01, 0.02, 0.02, 0.02], 3),
    ],
)
def test_equal_ranges_move_as_bytes_with_the_same_answer(
    scales: list[float], num_pairs: int
) -> None:
    model = graph(scales)
    expected = run(model)
    model = order.apply(model, concat_split.move_bytes)
    onnx.checker.check_model(model, full_check=True)
    found = Counter(node.op_type for node in model.graph.node)
    assert found["QuantizeLinear"] <= num_pairs
    assert found["Split"] == found["Concat"] == 1
    assert np.array_equal(run(model), expected)
    if len(set(scales)) == 1:
        assert (found["QuantizeLinear"], found["DequantizeLinear"]) == (1, 1)
