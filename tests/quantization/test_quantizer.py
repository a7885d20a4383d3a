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
from torchao.quantization.pt2e import FakeQuantize

from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, to_onnx

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


def int8(
    network: nn.Module, target: Path, *, weight_bits: int = 7, rewritten: bool = False
) -> tuple[Path, Tensor]:
    """Return the .onnx of a network quantized on IMAGES, and what fake-quant answers.

    It is as torch writes it, or with the rewrites of the product.
    """
    prepared = qat.prepare(network.eval(), torch.zeros(2, 4, 8, 8), weight_bits=weight_bits)
    for _ in range(3):
        prepared(IMAGES)
    qat.finish(prepared)
    expected = prepared(IMAGES).detach()
    write = exporter.write if rewritten else to_onnx.write_onnx
    write(qat.convert(prepared), torch.zeros(2, 4, 8, 8), target)
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


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_rounds_nothing_to_a_second_range(
    kind: Callable[[float, bool], nn.Module], inplace: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(4, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), kind(0.5, inplace), nn.Flatten(),
        nn.Linear(8, 3),
    )  # fmt: skip
    prepared = qat.prepare(network.eval(), torch.zeros(2, 4, 8, 8), weight_bits=7)
    for images in IMAGES.split(2):  # ranges are moving averages
        prepared(images)
    qat.finish(prepared)
    exporter.write(qat.convert(prepared), torch.zeros(2, 4, 8, 8), tmp_path / "model.onnx")
    file = onnx.load(tmp_path / "model.onnx").graph
    scales = {node.input[1] for node in file.node if node.op_type == "QuantizeLinear"}
    assert len(scales) == 3, "of the image, the convolution, the mean"


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


class Block(nn.Module):
    """A block of a transformer between a patch stem and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.token = nn.Conv2d(4, 16, 4, 4), nn.Parameter(torch.randn(1, 1, 16))
        self.before, self.between = nn.LayerNorm(16), nn.LayerNorm(16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.up, self.down, self.head = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        places = self.stem(images).flatten(2).transpose(1, 2)
        places = torch.cat([self.token.expand(images.size(0), -1, -1), places], 1)
        q, k, v = self.qkv(self.before(places)).unsqueeze(1).chunk(3, -1)
        attended = nn.functional.scaled_dot_product_attention(q, k, v).squeeze(1)
        places = places + self.out(attended)
        places = places + self.down(nn.functional.gelu(self.up(self.between(places))))
        return self.head(places[:, 0])


def test_a_transformer_rounds_before_each_linear_layer_and_nowhere_else(tmp_path: Path) -> None:
    path, expected = int8(Block(), tmp_path / "model.onnx", rewritten=True)
    executed, answer = ort.run(onnx.load(path), IMAGES.numpy(), tmp_path)
    operators = Counter(executed)
    assert operators["QLinearConv"] == 1
    assert operators["QGemm"] == 5
    assert operators["QuantizeLinear"] == 1 + 5, "the image, and what each linear layer reads"
    assert operators["DequantizeLinear"] == 1, "the patches; linear layers hand float on"
    assert np.abs(answer - expected.numpy()).max() < 0.02 * np.ptp(expected.numpy())
    one, _ = ort.run(onnx.load(path), IMAGES[:1].numpy(), tmp_path)
    assert Counter(one) == operators, "of any number of images"


class Unequal(nn.Module):
    """Concatenates what reaches ten times as far with what does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.small, self.large = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
        self.large.weight.data *= 10
        self.last = nn.Conv2d(16, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        parts = [torch.relu(each(images)) for each in (self.small, self.large)]
        return self.last(torch.cat(parts, 1)).mean((2, 3))


def test_the_range_of_a_concatenation_is_that_of_its_largest_part() -> None:
    """Seen part by part, an average over the parts would come to rest between them."""
    network, images = Unequal().eval(), torch.randn(32, 3, 8, 8)
    prepared = qat.prepare(network, images[:2], weight_bits=8)
    after_step = qat._range_freezer(prepared, 1.0)
    for step in range(1, 301):
        prepared(images)
        after_step(step, 1000)
    top = float(torch.relu(network.large(images)).detach().max())
    ranges = [
        float((255 - each.zero_point) * each.scale)
        for each in prepared.modules()
        if isinstance(each, FakeQuantize) and each.qscheme == torch.per_tensor_affine
    ]
    assert min(abs(each / top - 1) for each in ranges) < 0.01
