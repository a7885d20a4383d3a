"""A linear layer that is called twice gets its weights twice, which ONNX Runtime needs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime import quantization
from torch import Tensor, nn

from slimline.targets.onnxruntime import shared_weights, to_onnx


class Twice(nn.Module):
    """Two layers, and the first is called on its own answer."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.head = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.twice(self.twice(images.flatten(1)).relu()).relu())


class Reader(quantization.CalibrationDataReader):
    """Gives all images at once."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = iter([{to_onnx.INPUT: images}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def written(path: Path) -> Path:
    torch.manual_seed(0)
    to_onnx.write_onnx(Twice().eval(), torch.zeros(2, 3, 2, 2), path)
    return path


def answers(path: Path, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {to_onnx.INPUT: images})[0])


def test_each_layer_has_weights_of_its_own(tmp_path: Path) -> None:
    path, images = (
        written(tmp_path / "a.onnx"),
        np.random.default_rng(0).random((40, 3, 2, 2), "f4"),
    )
    expected = answers(path, images)
    assert [len({node.input[each] for node in gemms(path)}) for each in (1, 2)] == [2, 2]
    shared_weights.separate(path)
    assert [len({node.input[each] for node in gemms(path)}) for each in (1, 2)] == [3, 3]
    assert np.array_equal(answers(path, images), expected)
    # Without VNNI products of 8 bits overflow; 7 bits are right on any CPU.
    quantization.quantize_static(
        path, tmp_path / "q.onnx", Reader(images), per_channel=True, reduce_range=True
    )
    differs = np.abs(answers(tmp_path / "q.onnx", images) - expected).max()
    assert differs < 0.05 * np.ptp(expected)


def test_a_file_without_shared_weights_stays_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx")
    shared_weights.separate(path)
    before = path.read_bytes()
    shared_weights.separate(path)
    assert path.read_bytes() == before


def gemms(path: Path) -> list[onnx.NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == "Gemm"]
