"""Padded channels: the same bits as an answer, the widths that are asked for."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter
from slimline.targets.onnxruntime.passes import channel_padding, order

IMAGES = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))
WIDTH = 12


class Network(nn.Module):
    """A stem, an inverted bottleneck with squeeze-excitation, a classifier."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.expand, self.project = nn.Conv2d(8, WIDTH, 1), nn.Conv2d(WIDTH, 8, 1, bias=False)
        self.depthwise = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.squeeze, self.excite = nn.Conv2d(WIDTH, 4, 1), nn.Conv2d(4, WIDTH, 1)
        self.head = nn.Linear(8, 3)
        self.join = join

    def forward(self, images: Tensor) -> Tensor:
        first = self.stem(images).relu()
        wide = functional.hardswish(self.depthwise(functional.hardswish(self.expand(first))))
        pooled = functional.adaptive_avg_pool2d(wide, 1)
        wide = wide * functional.hardsigmoid(self.excite(self.squeeze(pooled).relu()))
        if self.join is not None:
            wide = self.join(wide, wide)
        return self.head((first + self.project(wide)).mean([2, 3]))


def written(network: nn.Module, folder: Path, **options: str) -> tuple[onnx.ModelProto, ...]:
    """Return the network in int8, without and with padding."""
    prepared = qat.prepare(network.eval(), IMAGES[:2], weight_bits=7, **options)
    prepared(IMAGES)
    converted = qat.convert(prepared)
    paths = folder / "plain.onnx", folder / "padded.onnx"
    for path, is_padded in zip(paths, (False, True), strict=True):
        exporter.write(converted, IMAGES[:2], path, pad_channels=is_padded)
    return tuple(onnx.load(path) for path in paths)


def weight_shapes(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    """Return the shapes with the zeros that `trailing_zeros` leaves to ONNX Runtime to append."""
    tensors = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    tensors |= {
        each.output[0]: np.pad(tensors[each.input[0]], tensors[each.input[1]].reshape(2, -1).T)
        for each in model.graph.node
        if each.op_type == "Pad" and each.input[0] in tensors
    }
    makers = {node.output[0]: node for node in model.graph.node}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    return [tensors[makers[conv.input[1]].input[0]].shape for conv in convs]


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_the_same_bits_from_wider_layers(weights: str, tmp_path: Path) -> None:
    plain, padded = written(Network(), tmp_path, weights=weights)
    assert weight_shapes(plain) == [
        (8, 3, 3, 3), (12, 8, 1, 1), (12, 1, 3, 3), (4, 12, 1, 1), (12, 4, 1, 1), (8, 12, 1, 1),
    ]  # fmt: skip
    assert weight_shapes(padded) == [
        (8, 4, 3, 3), (16, 8, 1, 1), (16, 1, 3, 3), (4, 16, 1, 1), (16, 4, 1, 1), (8, 16, 1, 1),
    ]  # fmt: skip
    executed = [ort.run(each, IMAGES.numpy(), tmp_path) for each in (plain, padded)]
    assert np.array_equal(executed[0][1], executed[1][1])
    in_floats = {"Conv", "FusedConv", "Mul", "Add", "HardSwish", "HardSigmoid"}
    assert not in_floats & set(executed[1][0])
    assert executed[1][0].count("QLinearConv") == 6


def test_channels_that_a_concatenation_shares_are_left_alone(tmp_path: Path) -> None:
    def halves_swapped(one: Tensor, two: Tensor) -> Tensor:
        return torch.cat([one[:, 6:], two[:, :6]], dim=1)

    plain, padded = written(Network(halves_swapped), tmp_path)
    assert weight_shapes(padded)[1:] == weight_shapes(plain)[1:]


def test_a_weight_of_two_layers_is_left_alone(tmp_path: Path) -> None:
    network = Network()
    twin = copy.deepcopy(network.depthwise)
    network.join = lambda one, _: twin(one)
    plain, padded = written(network, tmp_path)
    assert weight_shapes(padded)[1:] == weight_shapes(plain)[1:]
    executed = [ort.run(each, IMAGES.numpy(), tmp_path) for each in (plain, padded)]
    assert np.array_equal(executed[0][1], executed[1][1])


def test_a_grey_image_and_even_widths_need_nothing(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16), nn.ReLU()
    )
    prepared = qat.prepare(network.eval(), IMAGES[:2, :1], weight_bits=7)
    prepared(IMAGES[:, :1])
    exporter.write(qat.convert(prepared), IMAGES[:2, :1], tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert order.apply(model, channel_padding.pad) == order.apply(model)
