import pytest
from onnx import helper

from slimline.targets.onnxruntime import releases


@pytest.mark.parametrize(
    ("opset", "ir_version", "release"),
    [(13, 7, "1.7"), (15, 8, "1.9"), (18, 8, "1.14"), (18, 10, "1.18"), (21, 10, "1.18")],
)
def test_the_older_of_both_decides(opset: int, ir_version: int, release: str) -> None:
    assert releases.oldest_runtime(opset, ir_version) == release


@pytest.mark.parametrize("opset", range(releases.OLDEST_OPSET, releases.NEWEST_OPSET + 1))
def test_ir_versions_are_those_of_the_standard(opset: int) -> None:
    own = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    assert releases.oldest_ir_version(opset) == own
