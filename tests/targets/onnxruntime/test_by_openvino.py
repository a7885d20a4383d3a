import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from slimline.targets.onnxruntime import by_openvino


def test_it_runs_on_one_thread_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def compile_model(path: str, device: str, options: dict[str, object]) -> object:
        asked.append((path, device, options))
        return lambda given: {0: np.eye(4, dtype=np.float32)[: len(given[0])]}

    fake = ModuleType("openvino")
    fake.Core = lambda: SimpleNamespace(compile_model=compile_model)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", fake)
    answer = by_openvino.load(Path("model.onnx"), num_threads=1)
    assert np.array_equal(answer(np.zeros((3, 1, 2, 2), np.float32)), np.eye(3, 4))
    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    assert asked == [("model.onnx", "CPU", options)]
