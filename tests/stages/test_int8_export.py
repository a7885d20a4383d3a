from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from slimline import files


def optimized(path: Path, target: Path) -> Counter[str]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(target).graph.node)


def test_every_convolution_runs_in_int8(pipeline: Path, tmp_path: Path) -> None:
    found = optimized(pipeline / "models" / "int8_export" / "model.onnx", tmp_path / "run.onnx")
    assert found["QLinearConv"] > 50
    assert not {"Conv", "FusedConv"} & set(found)


@pytest.mark.parametrize("variant", ["baseline_train", "prune", "int8_export", "int8_ptq"])
def test_any_batch_from_one_up(pipeline: Path, variant: str) -> None:
    path = pipeline / "models" / variant / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 7):
        images = np.zeros((batch, 1, 28, 28), np.float32)
        assert session.run(["logits"], {"input": images})[0].shape == (batch, 10)


def test_parity_is_on_record(pipeline: Path) -> None:
    content = files.read_json(pipeline / "models" / "int8_export" / "model.json")
    assert content["parity"]["agreement"] >= 95
