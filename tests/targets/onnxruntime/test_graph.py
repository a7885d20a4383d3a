import numpy as np
from onnx import TensorProto, helper, numpy_helper

from slimline.targets.onnxruntime.graph import Values

FIRST = helper.make_node("Add", ["input", "one"], ["a"])
TWICE = helper.make_node("Mul", ["a", "a"], ["b"])
LAST = helper.make_node("Relu", ["b"], ["logits"])
PUT = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("input", "logits")]
VALUES = Values(
    helper.make_graph(
        [FIRST, TWICE, LAST], "test", PUT[:1], PUT[1:], [numpy_helper.from_array(np.ones(1), "one")]
    )
)


def test_makers() -> None:
    assert VALUES.maker("a") == FIRST
    assert VALUES.maker("input") is None
    assert VALUES.maker("one") is None


def test_constants() -> None:
    assert VALUES.constant("one") == 1
    assert VALUES.constant("a") is None


def test_an_only_user_reads_once_and_is_of_a_kind() -> None:
    assert VALUES.only_user("b") == VALUES.only_user("b", "Relu", "Clip") == LAST
    assert VALUES.only_user("b", "Clip") is None
    assert VALUES.only_user("a") is None
    assert VALUES.only_user("logits") is None
