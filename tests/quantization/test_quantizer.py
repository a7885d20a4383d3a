"""Each pattern that ONNX Runtime fuses, looked at after its own optimisation of the graph."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from torch import Tensor, nn

from slimline.quantization import qat
from slimline.targets.onnxruntime import to_onnx

IMAGES = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Wrap(nn.Module):
    """Two convolutions, and something between or behind them."""

    def __init__(self, body: Callable[[Tensor, nn.Module, nn.Module], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1)
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body(self.one(images), self.two, self)


def shuffle(images: Tensor) -> Tensor:
    batch, channels, height, width = images.size()
    parts = images.view(batch, 2, channels // 2, height, width).transpose(1, 2)
    return parts.reshape(batch, channels, height, width)


def split_and_concat(images: Tensor, two: nn.Module) -> Tensor:
    first, second = images.chunk(2, dim=1)
    return two(torch.cat([second, first], dim=1))


PATTERNS: dict[str, Callable[[Tensor, nn.Module, nn.Module], Tensor]] = {
    "relu": lambda images, two, _: two(images.relu()).relu(),
    "relu6": lambda images, two, _: two(nn.functional.relu6(images)),
    "add": lambda images, two, _: (images + two(images)).relu(),
    "mul": lambda images, two, _: images * two(images),
    "max_pool": lambda images, two, _: two(nn.functional.max_pool2d(images.relu(), 2)),
    "split_concat": lambda images, two, _: split_and_concat(images, two),
    "shuffle": lambda images, two, _: two(shuffle(images)),
    "mean": lambda images, two, _: two(images).mean([2, 3]),
}


def int8(network: nn.Module, target: Path, *, weight_bits: int = 7) -> tuple[Path, Tensor]:
    """Return the .onnx of a network quantized on IMAGES, and what fake-quant answers."""
    prepared = qat.prepare(network.eval(), torch.zeros(2, 4, 8, 8), weight_bits=weight_bits)
    for _ in range(3):
        prepared(IMAGES)
    qat.finish(prepared)
    expected = prepared(IMAGES).detach()
    to_onnx.write_onnx(qat.convert(prepared), torch.zeros(2, 4, 8, 8), target)
    return target, expected


@pytest.mark.parametrize("name", PATTERNS)
def test_fused_into_int8_operators(name: str, tmp_path: Path) -> None:
    path, expected = int8(Wrap(PATTERNS[name]), tmp_path / "model.onnx")
    executed, answer = ort.run(onnx.load(path), IMAGES.numpy(), tmp_path)
    operators = Counter(executed)
    assert operators["QLinearConv"] == 2
    assert not {"Conv", "FusedConv", "Add", "Mul", "Concat", "Relu", "Clip"} & set(operators)
    step = (expected.max() - expected.min()).item() / 255
    assert np.abs(answer - expected.numpy()).max() <= 1.5 * step


@pytest.mark.parametrize(("bits", "limit"), [(7, 63), (8, 127)])
def test_weights_keep_their_bits(bits: int, limit: int, tmp_path: Path) -> None:
    path, _ = int8(Wrap(PATTERNS["relu"]), tmp_path / "model.onnx", weight_bits=bits)
    weights = [
        onnx.numpy_helper.to_array(tensor).astype(int)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) == 2
    assert [abs(weight).max() for weight in weights] == [limit, limit]
    for weight in weights:
        assert (abs(weight).max(axis=(1, 2, 3)) == limit).all(), "scaled per output channel"


def test_zeros_stay_zero(tmp_path: Path) -> None:
    network = Wrap(PATTERNS["relu"])
    with torch.no_grad():
        network.two.weight[:, ::2] = 0
    path, _ = int8(network, tmp_path / "model.onnx")
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if list(tensor.dims) == [8, 8, 1, 1]
    ]
    assert (weights[0][:, ::2] == 0).all()
