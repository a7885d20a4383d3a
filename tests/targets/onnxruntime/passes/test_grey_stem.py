from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from torch import nn

from slimline.quantization import qat
from slimline.targets.onnxruntime import to_onnx
from slimline.targets.onnxruntime.passes import grey_stem, order

IMAGES = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def exported(
    stem: nn.Conv2d, images: torch.Tensor, activation: nn.Module | None = None
) -> onnx.ModelProto:
    torch.manual_seed(0)
    network = nn.Sequential(
        stem,
        activation or nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(stem.out_channels, stem.out_channels, 1),
        nn.ReLU(),
    )
    prepared = qat.prepare(network.eval(), torch.zeros_like(images[:2]), weight_bits=7)
    prepared(images)
    model = to_onnx.to_onnx(qat.convert(prepared), torch.zeros_like(images[:2]))
    to_onnx.clean(model)
    return model


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6()])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_same_answers_without_moving_a_byte(
    kernel: int, stride: int, activation: nn.Module, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    stem = nn.Conv2d(1, 8, kernel, stride=stride, padding=kernel // 2)
    model = exported(stem, IMAGES, activation)
    before, expected = ort.run(model, IMAGES.numpy(), tmp_path)
    model = order.apply(model, grey_stem.widen)
    after, answer = ort.run(model, IMAGES.numpy(), tmp_path)
    assert np.array_equal(answer, expected)
    assert "Reshape" in after
    assert after.count("Transpose") < before.count("Transpose")
    assert np.array_equal(ort.run(model, IMAGES[:1].numpy(), tmp_path)[1], expected[:1])


@pytest.mark.parametrize(
    ("stem", "size"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), 16),
        (nn.Conv2d(1, 8, 3, padding=1), 18),
        (nn.Conv2d(1, 8, 3), 16),
        (nn.Conv2d(1, 8, 2), 16),
        (nn.Conv2d(1, 8, 3, padding=1, dilation=2), 16),
    ],
    ids=["colour", "odd width", "no padding", "even kernel", "dilated"],
)
def test_other_stems_are_left_alone(stem: nn.Conv2d, size: int) -> None:
    model = exported(stem, torch.randn(4, stem.in_channels, size, size))
    assert order.apply(model, grey_stem.widen) == order.apply(model)
