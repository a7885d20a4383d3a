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


class Attention(nn.Module):
    """Two products of computed matrices between a convolution and the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(2, 4, 4, 4), nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        places = self.stem(images).flatten(2)
        shares = (places.transpose(1, 2) @ places).softmax(-1)
        return self.head((places @ shares).mean(2))


def test_products_of_computed_matrices_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    to_onnx.write_onnx(Attention().eval(), torch.zeros(2, 2, 8, 8), path)
    layers, products = 4 * 4 * 32 + 4 * 3, 2 * 4 * 4 * 4
    found = onnx_file.inspect(path)
    assert found.macs == layers + products
    assert found.weights == 4 * 32 + 4 * 3
    assert onnx_file.product_share(path) == pytest.approx(100 * products / found.macs)
