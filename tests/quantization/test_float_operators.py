"""Layers that stay float: what ONNX Runtime then executes, and that nothing is rounded for them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torchao.quantization.pt2e import disable_fake_quant, enable_fake_quant

from slimline.errors import NetworkError
from slimline.quantization import float_operators, qat
from slimline.targets.onnxruntime import exporter, onnx_file, runtime

IMAGES = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))
NAMES = ["stem", "one", "two", "squeeze", "excite", "head"]


class Conditional(nn.Module):
    """Weights that are mixed for each image, as in CondConv."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.head = nn.Parameter(torch.randn(2, 4, 4, 1, 1)), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        shares = images.mean((0, 1, 2, 3)).sigmoid()
        mixed = functional.conv2d(images, self.experts[0] * shares + self.experts[1])
        return self.head(mixed.mean((2, 3)))


def test_weights_that_are_computed_of_the_image_are_refused() -> None:
    with pytest.raises(NetworkError, match="computes the weights of a layer of the image"):
        qat.prepare(Conditional().eval(), IMAGES, weight_bits=8)


class Network(nn.Module):
    """A stem, a block with a sum around it, squeeze-excitation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(4, 8, 3, padding=1)
        self.one, self.two = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        first = functional.max_pool2d(self.stem(images).relu(), 2)
        summed = first + self.two(functional.hardswish(self.one(first)))
        pooled = functional.adaptive_avg_pool2d(summed, 1)
        gate = functional.hardsigmoid(self.excite(self.squeeze(pooled).relu()))
        return self.head((summed * gate).mean([2, 3]))


def prepared(float_layers: Sequence[str]) -> fx.GraphModule:
    """Return the network with the ranges that IMAGES have in float."""
    network = qat.prepare(
        Network().eval(), torch.zeros(2, 4, 8, 8), weight_bits=7, float_layers=float_layers
    )
    network.apply(disable_fake_quant)
    with torch.no_grad():
        network(IMAGES)
    network.apply(enable_fake_quant)
    qat.freeze_ranges(network)
    return network


CASES: dict[str, tuple[Sequence[str], dict[str, int]]] = {
    # Between two float neighbours and the image nothing is quantized; one node turns into bytes.
    "first_and_last": (
        ("stem", "head"),
        {"Conv": 1, "Gemm": 1, "QuantizeLinear": 1, "DequantizeLinear": 1, "QLinearAdd": 1},
    ),
    "in_the_middle": (
        ("one", "two"),
        {"Conv": 2, "QuantizeLinear": 2, "DequantizeLinear": 1, "QLinearAdd": 1},
    ),
    # Sum, pooling and product join: the network is int8 up to the block, and float behind it.
    "all_that_follows": (
        ("two", "squeeze", "excite", "head"),
        {"Conv": 3, "Gemm": 1, "Add": 1, "QLinearAdd": 0, "QLinearMul": 1, "QuantizeLinear": 1},
    ),
    "squeeze_excitation": (
        ("squeeze", "excite"),
        {"Conv": 2, "QuantizeLinear": 2, "DequantizeLinear": 1, "QLinearMul": 2},
    ),
    # Alone between bytes, where ONNX Runtime would quantize the weight by itself.
    "one_alone": (
        ("one",),
        {"Conv": 1, "QLinearConv": 4, "LeakyRelu": 0, "QuantizeLinear": 2, "DequantizeLinear": 1},
    ),
    "one_with_relu_alone": (
        ("squeeze",),
        {"Conv": 1, "QLinearConv": 4, "LeakyRelu": 0, "Relu": 0, "DequantizeLinear": 1},
    ),
    "everything": (NAMES, {"QuantizeLinear": 0, "DequantizeLinear": 0, "Conv": 5, "Gemm": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_float_layers_run_in_float_and_no_pair_is_needless(case: str, tmp_path: Path) -> None:
    float_layers, expected = CASES[case]
    path = tmp_path / "model.onnx"
    network = prepared(float_layers)
    wanted = network(IMAGES).detach().numpy()
    exporter.write(qat.convert(network), torch.zeros(2, 4, 8, 8), path)
    executed, answer = ort.run(onnx.load(path), IMAGES.numpy(), tmp_path)
    operators = Counter(each.replace("FusedConv", "Conv") for each in executed)
    assert {name: operators[name] for name in expected} == expected
    as_written = runtime.run(runtime.load(path, num_threads=1, optimised=False), IMAGES.numpy())
    step = (wanted.max() - wanted.min()) / 255
    assert np.abs(as_written - wanted).max() < 1.5 * step
    assert np.abs(answer - wanted).max() < 2 * step


def test_the_share_of_work_in_int8_counts_float_layers_out(tmp_path: Path) -> None:
    shares = []
    for name, float_layers in (("int8", ()), ("mixed", ("stem",)), ("float", NAMES)):
        path = tmp_path / f"{name}.onnx"
        exporter.write(qat.convert(prepared(float_layers)), torch.zeros(2, 4, 8, 8), path)
        shares.append(onnx_file.inspect(path).int8_share)
    assert shares[0] == 100
    assert 0 < shares[1] < 100
    assert shares[2] == 0


def test_layers_are_named_as_in_the_network() -> None:
    assert float_operators.layers(prepared(()).graph) == NAMES


@pytest.mark.parametrize("case", CASES)
def test_leaving_fake_quant_out_is_the_same_as_not_putting_it_in(case: str) -> None:
    float_layers, _ = CASES[case]
    whole = prepared(())
    before = whole(IMAGES)
    left_out = float_operators.without_fake_quant(whole, float_layers)
    assert torch.equal(left_out(IMAGES), prepared(float_layers)(IMAGES))
    assert torch.equal(whole(IMAGES), before)


def test_without_any_fake_quant_it_is_the_float_network() -> None:
    left = float_operators.without_fake_quant(prepared(()), NAMES)
    assert torch.allclose(left(IMAGES), Network().eval()(IMAGES), atol=1e-5)
