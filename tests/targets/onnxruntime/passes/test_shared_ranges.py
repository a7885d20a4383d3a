"""A ReLU whose bytes share a range with negative values: computed on bytes, its layer in int8."""

from collections import Counter
from pathlib import Path

import numpy as np
import ort
import pytest
import torch
from torch import Tensor, nn

from slimline.quantization import qat
from slimline.targets.onnxruntime import runtime, to_onnx
from slimline.targets.onnxruntime.passes import order, shared_ranges

IMAGES = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))
EXAMPLE = torch.zeros(2, 4, 8, 8)


class Joined(nn.Module):
    """Concatenates what an activation made with what is negative too."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.last = (nn.Conv2d(i, 8, 1) for i in (4, 4, 16))
        self.activation = activation

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.cat([self.activation(self.one(images)), self.two(images)], 1))


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6()])
def test_the_layer_runs_in_int8_with_the_same_bytes(activation: nn.Module, tmp_path: Path) -> None:
    network = Joined(activation)
    with torch.no_grad():
        network.one.weight *= 20  # so that ReLU6 cuts off
        network.two.weight *= 20
    prepared = qat.prepare(network.eval(), EXAMPLE, weight_bits=7)
    for _ in range(3):
        prepared(IMAGES)
    qat.finish(prepared)
    written = to_onnx.to_onnx(qat.convert(prepared), EXAMPLE)
    clipped = order.apply(written, shared_ranges.clip_bytes)
    answers = [
        runtime.run(
            runtime.load(each.SerializeToString(), num_threads=1, optimised=False), IMAGES.numpy()
        )
        for each in (written, clipped)
    ]
    assert np.array_equal(*answers)
    operators = [Counter(ort.run(each, IMAGES.numpy(), tmp_path)[0]) for each in (written, clipped)]
    assert [each["QLinearConv"] for each in operators] == [2, 3]
