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


class Asked(Attention):
    """What is asked for is a weight, as in attention pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 5, 4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        places = self.stem(images).flatten(2)
        shares = (self.query @ places).softmax(-1)
        return self.head((shares @ places.transpose(1, 2)).mean(1))


def test_a_weight_may_be_multiplied_from_the_left(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    to_onnx.write_onnx(Asked().eval(), torch.zeros(2, 2, 8, 8), path)
    assert onnx_file.inspect(path).macs == 4 * 4 * 32 + 4 * 3 + 2 * 5 * 4 * 4


class ByIndices(Attention):
    """The same products, said by their indices."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        places = self.stem(images).flatten(2)
        shares = torch.einsum("bci,bcj->bij", places, places).softmax(-1)
        return self.head(torch.einsum("...ci,...ij->...cj", places, shares).mean(2))


def test_products_of_indices_are_counted_as_those_of_matrices(tmp_path: Path) -> None:
    paths = []
    for kind in (Attention, ByIndices):
        paths.append(tmp_path / f"{kind.__name__}.onnx")
        to_onnx.write_onnx(kind().eval(), torch.zeros(2, 2, 8, 8), paths[-1])
    one, other = (onnx_file.inspect(path) for path in paths)
    assert (one.macs, one.weights) == (other.macs, other.weights)
    assert onnx_file.product_share(paths[0]) == onnx_file.product_share(paths[1])


class Rare(nn.Module):
    """A convolution over sequences, one that is turned round, and one that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 2, stride=2)
        self.twice, self.rows = nn.Conv2d(4, 4, 1), nn.Conv1d(4, 4, 3)
        self.answer = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.twice(torch.relu(self.twice(self.up(images))))
        return self.answer(torch.relu(self.rows(maps.flatten(2))).mean(2))


def test_layers_that_are_rare_are_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    network = Rare().eval()
    to_onnx.write_onnx(network, torch.zeros(2, 2, 4, 4), path)
    found = onnx_file.inspect(path)
    up, twice, rows = 16 * 2 * 4 * 4, 2 * 64 * 4 * 4, 62 * 4 * 4 * 3
    assert found.macs == up + twice + rows + 4 * 3
    assert found.params == sum(each.numel() for each in network.parameters())
    assert found.weights == 2 * 4 * 4 + 16 + 4 * 4 * 3 + 12


class Recurrent(nn.Module):
    """Rows of a map, read both ways by a recurrent layer, as in Sequencer."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.answer = (
            nn.LSTM(2, 3, batch_first=True, bidirectional=True),
            nn.Linear(6, 3),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.answer(self.rows(images.flatten(2).transpose(1, 2))[0].mean(1))


@pytest.mark.filterwarnings("ignore:The tensor attributes self.rows")
def test_recurrent_layers_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    to_onnx.write_onnx(Recurrent().eval(), torch.zeros(2, 2, 4, 4), path)
    assert onnx_file.inspect(path).macs == 2 * 16 * 12 * (2 + 3) + 6 * 3
    assert onnx_file.product_share(path) == 0
