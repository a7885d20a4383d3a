from pathlib import Path

import pytest
import torch
from torch import nn

from slimline.targets.onnxruntime import onnx_file, to_onnx


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(64, 3)
    )
    with torch.no_grad():
        network[0].weight[0] = 0
    target = tmp_path_factory.mktemp("onnx") / "model.onnx"
    to_onnx.write_onnx(network.eval(), torch.zeros(2, 2, 8, 8), target)
    return target


def test_counts_worked_out_by_hand(path: Path) -> None:
    found = onnx_file.inspect(path)
    assert found.macs == 36 * 4 * 18 + 16 * 4 * 9 + 64 * 3
    assert found.weights == 72 + 36 + 192
    assert found.params == found.weights + 4 + 4 + 3
    assert found.zeros == 18
    assert found.sparsity == pytest.approx(6)
    assert found.int8_macs == 0
    assert found.num_bytes == path.stat().st_size
    assert found.num_bytes_deflated < found.num_bytes
