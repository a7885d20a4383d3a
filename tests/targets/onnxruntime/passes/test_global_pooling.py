"""What ONNX Runtime makes of a graph, and that the answers stay."""

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
from slimline.targets.onnxruntime.passes import global_pooling, order

IMAGES = torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A convolution, a mean, an answer."""

    def __init__(self, mean: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(4, 8, 3), nn.Linear(8, 3)
        self.mean = mean

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.mean(self.conv(images).relu()))


MEANS = {
    "mean": lambda images: images.mean([2, 3]),
    "mean_kept": lambda images: images.mean([2, 3], keepdim=True).flatten(1),
    "adaptive": lambda images: nn.functional.adaptive_avg_pool2d(images, 1).flatten(1),
}


def exported(mean: Callable[[Tensor], Tensor]) -> onnx.ModelProto:
    prepared = qat.prepare(Network(mean).eval(), torch.zeros(2, 4, 6, 6), weight_bits=7)
    prepared(IMAGES)
    return to_onnx.to_onnx(qat.convert(prepared), torch.zeros(2, 4, 6, 6))


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_runs_in_int8(name: str, tmp_path: Path) -> None:
    model = exported(MEANS[name])
    _, expected = ort.run(model, IMAGES.numpy(), tmp_path)
    model = order.apply(model, global_pooling.pool_means)
    executed, answer = ort.run(model, IMAGES.numpy(), tmp_path)
    operators = Counter(executed)
    assert operators["QLinearGlobalAveragePool"] == operators["QLinearConv"] == 1
    assert operators["ReduceMean"] == operators["GlobalAveragePool"] == 0
    assert np.allclose(answer, expected, atol=0.02 * np.abs(expected).max())


def test_a_mean_over_channels_is_left_alone() -> None:
    model = exported(lambda images: images.mean([1, 2]).repeat(1, 2))
    model = order.apply(model, global_pooling.pool_means)
    assert "GlobalAveragePool" not in {node.op_type for node in model.graph.node}


def test_a_float_network_is_left_alone() -> None:
    model = to_onnx.to_onnx(Network(MEANS["mean"]).eval(), torch.zeros(2, 4, 6, 6))
    assert order.apply(model, global_pooling.pool_means) == order.apply(model)
